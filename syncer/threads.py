"""Keeps CPU-bound work from blocking the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

THREAD_THRESHOLD_BYTES: Final = 256 * 1024
"""The CPU-bound steps of responses of this size or more run in a thread."""


async def run_in_thread_if_large(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs CPU-bound work, in a thread if the response is large, so that the event loop is not blocked."""
    if size < THREAD_THRESHOLD_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
