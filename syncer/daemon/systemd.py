"""Notifies systemd with the sd_notify(3) protocol: readiness, watchdog pings, status, reloading, stopping.

systemd passes the socket's path in NOTIFY_SOCKET. If WATCHDOG_USEC is set, it restarts the process when no ping arrives
within that time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from syncer.printable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PINGS_PER_TIMEOUT: Final = 3
"""Pings sent per watchdog timeout, so that two in a row may be late or lost."""


def sd_notify(*lines: str) -> None:
    """Sends assignments such as `READY=1` to systemd. Does nothing if there is no socket, and ignores errors."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
        notify_socket.setblocking(False)
        notify_socket.sendto("\n".join(map(escape_unprintable, lines)).encode(), address)


async def notify_until(stop: asyncio.Event, is_live: Callable[[], bool]) -> None:
    """Notifies systemd that the process is ready, pings its watchdog until `stop` is set, then reports stopping.

    Args:
        stop: Set when the process should stop.
        is_live: Whether the daemon is working; while it is not, no pings are sent.
    """
    sd_notify("READY=1")
    interval = _watchdog_interval_seconds()
    while not stop.is_set():
        if interval is not None and is_live():
            sd_notify("WATCHDOG=1")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await stop.wait()
    sd_notify("STOPPING=1")


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """Notifies systemd that the configuration is being reloaded, and that the process is ready again at the end."""
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
