"""What systemd is told of the daemon, in the words of sd_notify(3); nothing where it does not ask.

It names the socket to tell it at in NOTIFY_SOCKET, and in WATCHDOG_USEC how long it waits for a sign of life before it
takes the process for stuck and starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PINGS_PER_TIMEOUT: Final = 3
"""How many signs of life fit into the time that is waited for one: two may come late."""


def sd_notify(*facts: str) -> None:
    """Tells systemd, if it asks; that it cannot be told must stop nothing."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto("\n".join(facts).encode(), address)


async def notify_until(stop: asyncio.Event, is_live: Callable[[], bool]) -> None:
    """Tells that we are ready, from time to time that we live, and in the end that we stop.

    Args:
        stop: Set when the process is asked to stop.
        is_live: Whether the work is being done; while it is not, systemd hears nothing.
    """
    sd_notify("READY=1")
    pause = _watchdog_interval_seconds()
    while not stop.is_set():
        if pause is not None and is_live():
            sd_notify("WATCHDOG=1")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()
    sd_notify("STOPPING=1")


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """Tells that the configuration is being read again, and that we are ready once that is done."""
    sd_notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        sd_notify("READY=1")


def _watchdog_interval_seconds() -> float | None:
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 / _PINGS_PER_TIMEOUT
