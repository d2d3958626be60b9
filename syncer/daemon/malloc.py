"""Tunes glibc's malloc so that the memory of finished responses is returned to the operating system."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_PARAMETERS: Final = {
    # Whole responses get their own mmap. The 256 KiB buffers that asyncio reads into must not: the page faults of a
    # fresh mapping for each of them took half the time of an unchanged poll.
    _M_MMAP_THRESHOLD: 320 * 1024,
    _M_TRIM_THRESHOLD: 1024 * 1024,
    # Threads share one arena, and so reuse each other's free memory; only one of them runs Python at a time.
    _M_ARENA_MAX: 1,
}


def tune_malloc() -> bool:
    """Sets malloc parameters with mallopt(3).

    By default, glibc raises the thresholds, up to 32 and 64 MiB, as large blocks are freed; setting them stops that.

    Returns:
        Whether the parameters were set; C libraries other than glibc do not have them.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, value) for parameter, value in _PARAMETERS.items())
