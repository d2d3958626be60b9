"""SIGTERM and SIGINT: what runs until it is told to stop ends with 0."""

from __future__ import annotations

import asyncio
import signal
from typing import NoReturn

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_signal() -> asyncio.Event:
    """An event that is set when the process is asked to stop; to be called inside the event loop."""
    stop = asyncio.Event()
    for number in _STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def end_well_before_anything_runs() -> None:
    """Has a signal that comes before the event loop listens end the program as cleanly as one that comes later."""
    for number in _STOPPING:
        signal.signal(number, _end)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)
