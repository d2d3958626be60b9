"""Signal handlers: SIGTERM and SIGINT stop the process with exit code 0, SIGHUP reloads its accounts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def install_stop_handlers() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set. Must be called inside the event loop."""
    stop = asyncio.Event()
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_unless_stopped(stop: asyncio.Event, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Runs a coroutine, and cancels it if `stop` is set first.

    Returns:
        Whether the coroutine finished.
    """
    work_task = asyncio.create_task(coroutine)
    stop_task = asyncio.create_task(stop.wait())
    await asyncio.wait({work_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
    stop_task.cancel()
    if work_task.done():
        work_task.result()
        return True
    work_task.cancel()
    await asyncio.gather(work_task, return_exceptions=True)
    return False


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM end the block with the same cleanup as Ctrl-C."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - we run in a task
    has_received_sigterm = False

    def cancel() -> None:
        nonlocal has_received_sigterm
        has_received_sigterm = True
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, cancel)
    try:
        yield
    except asyncio.CancelledError:
        if has_received_sigterm:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def install_hangup_handler(stop: asyncio.Event) -> asyncio.Event:
    """Returns an event that SIGHUP sets, also one received since `block_sighup`. Must be called inside the event loop.

    Args:
        stop: Set instead if SIGHUP was sent because the terminal was closed.
    """
    hangup = asyncio.Event()
    had_terminal = sys.stderr.isatty()

    def on_sighup() -> None:
        if had_terminal and not sys.stderr.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # writing to a closed terminal fails
            stop.set()
        else:
            hangup.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_sighup)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return hangup


def block_sighup() -> None:
    """Keeps a SIGHUP pending until its handler is installed; by default it would end the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def exit_cleanly_during_startup() -> None:
    """Makes SIGTERM and SIGINT end the process with exit code 0 before the event loop has installed its handlers."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit_cleanly)


def _exit_cleanly(*_: object) -> NoReturn:
    raise SystemExit(0)
