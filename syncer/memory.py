"""Memory that goes back to the system: responses come and go, and the holes they leave would keep it."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MAPPED_FROM: Final = 320 * 1024
"""Responses are mapped by themselves. What asyncio reads of them at once, 256 KiB, is not: a mapping costs its pages
anew, which took half the time of an unchanged poll."""
_KEPT_AT_THE_TOP: Final = 4 * 1024 * 1024


def give_back_early() -> bool:
    """Fixes two thresholds of glibc's mallopt(3), which it would raise up to 32 and 64 MiB as large blocks go.

    Returns:
        Whether that was possible: another C library has no such thresholds.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all((mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM), mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_THE_TOP)))
