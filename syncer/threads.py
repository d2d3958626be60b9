"""Keeps CPU-bound work from blocking the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

THREAD_THRESHOLD_BYTES: Final = 256 * 1024
"""The CPU-bound steps of responses of this size or more run in a thread."""


async def run_in_thread_if_large(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs CPU-bound work, in a thread if the response is large, so that the event loop is not blocked."""
    if size < THREAD_THRESHOLD_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def run_side_by_side(first: Callable[[], S], second: Callable[[], T]) -> tuple[S, T]:
    """Runs CPU-bound work in this thread, and other work that does not hold the interpreter's lock in one of its own.

    Both have ended when it returns or raises.
    """
    with ThreadPoolExecutor(max_workers=1) as other_thread:
        running = other_thread.submit(second)
        return first(), running.result()
