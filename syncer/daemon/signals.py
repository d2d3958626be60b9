"""SIGTERM and SIGINT: what runs until it is told to stop ends with 0. SIGHUP: it reads its accounts again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Coroutine

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def install_stop_handlers() -> asyncio.Event:
    """An event that is set when the process is asked to stop; to be called inside the event loop."""
    stop = asyncio.Event()
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Does some work to its end, or cancels it when the process is asked to stop.

    Returns:
        Whether it came to its end.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


def install_hangup_handler(stop: asyncio.Event) -> asyncio.Event:
    """An event that is set whenever SIGHUP comes, or came since `block_sighup`; to be called inside the event loop.

    Args:
        stop: Set instead if SIGHUP means that the terminal was closed.
    """
    told = asyncio.Event()
    had_terminal = sys.stderr.isatty()

    def hear() -> None:
        if had_terminal and not sys.stderr.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # nobody hears what is said on the way out
            stop.set()
        else:
            told.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return told


def block_sighup() -> None:
    """Has a SIGHUP that comes before the event loop listens wait until it does: it would end the program."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def exit_cleanly_during_startup() -> None:
    """Has a signal that comes before the event loop listens end the program as cleanly as one that comes later."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit_cleanly)


def _exit_cleanly(*_: object) -> NoReturn:
    raise SystemExit(0)
