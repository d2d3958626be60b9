"""Sets parameters of glibc's malloc: freed memory is returned to the operating system, or overwritten."""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_PERTURB: Final = -6
_M_ARENA_MAX: Final = -8
_FILLER: Final = 0xFF
"""What freed memory is overwritten with; new memory has the complement, which is 0."""
_CLOSING_SECONDS: Final = 1.0
_MIN_SMALL_BYTES: Final = 464
_MAX_SMALL_BYTES: Final = 1024
_SIZE_STEP: Final = 16
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
    mallopt = _mallopt()
    return mallopt is not None and all(mallopt(parameter, value) for parameter, value in _PARAMETERS.items())


@cache
def _mallopt() -> Callable[[int, int], Any] | None:
    """Returns mallopt(3), or None if the C library is not glibc."""
    try:
        return ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return None


class FreedMemory:
    """Overwrites what is freed while somebody asks for it: responses with secrets leave no copies behind.

    A freed buffer keeps its content until it is used again, and a core dump would have it. Nothing is overwritten by C
    libraries other than glibc, nor are buffers of less than half a kilobyte, which Python itself manages.
    """

    def __init__(self) -> None:
        self._users = 0

    @contextmanager
    def overwritten(self) -> Iterator[None]:
        """Has freed memory overwritten in this context and a moment longer, in which connections are closed."""
        self._users += 1
        self._set()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(_CLOSING_SECONDS, self._release)

    def _release(self) -> None:
        self._users -= 1
        self._set()
        _overwrite_small_buffers()

    def _set(self) -> None:
        if (mallopt := _mallopt()) is not None and self._users <= 1:
            mallopt(_M_PERTURB, _FILLER if self._users else 0)


def _overwrite_small_buffers() -> None:
    """Overwrites the buffers of up to a kilobyte that glibc keeps for this thread: at most seven of each size."""
    _ = [b"\0" * length for length in range(_MIN_SMALL_BYTES, _MAX_SMALL_BYTES, _SIZE_STEP) for _ in range(8)]
