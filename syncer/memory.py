"""Memory that goes back to the system: responses come and go, and the holes they leave would keep it."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MAPPED_BYTES: Final = 2**20
"""A block so large is mapped for itself, and unmapped as it goes: a response is, what it is received in is not."""
_SPARE_BYTES: Final = 8 * 2**20
"""So much free memory at the end of the heap is kept."""


def give_back_early() -> bool:
    """Fixes two thresholds of glibc's mallopt(3), which it would else raise to many times as much as large blocks go.

    Returns:
        Whether that was possible: another C library has no such thresholds.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES) and mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES))
