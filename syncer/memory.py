"""Memory that goes back to the system: responses come and go, and the holes they leave would keep it."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_BYTES: Final = 128 * 1024


def give_back_early() -> bool:
    """Fixes the two thresholds of glibc's mallopt(3) at their first values, which it would raise as large blocks go.

    Returns:
        Whether that was possible: another C library has no such thresholds.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(threshold, _BYTES) for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD))
