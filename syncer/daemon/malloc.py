"""Memory that goes back to the system: responses come and go, and the holes they leave would keep it."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_PARAMETERS: Final = {
    # Responses are mapped by themselves. What asyncio reads of them at once, 256 KiB, is not: a mapping costs its pages
    # anew, which took half the time of an unchanged poll.
    _M_MMAP_THRESHOLD: 320 * 1024,
    _M_TRIM_THRESHOLD: 1024 * 1024,
    # Threads, of which one at a time runs Python, fill each other's holes.
    _M_ARENA_MAX: 1,
}


def tune_malloc() -> bool:
    """Fixes parameters of glibc's mallopt(3), which would raise the thresholds up to 32 and 64 MiB as large blocks go.

    Returns:
        Whether that was possible: another C library has no such parameters.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, value) for parameter, value in _PARAMETERS.items())
