"""Shares one running query, and its cached result, among all callers that ask for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs at most one fetch at a time for any number of callers, and caches its outcome for a while.

    Args:
        fetch: Gets the value.
        min_ttl: How many seconds a result, or the failure to get one, is cached at least.
        ttl_factor: A result is cached for this many times as long as its fetch took, if that is longer than `min_ttl`:
            fetching then never takes more than 1 / `ttl_factor` of the time.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, min_ttl: float = 0.0, ttl_factor: float = 0.0) -> None:
        self._fetch = fetch
        self._min_ttl = min_ttl
        self._ttl_factor = ttl_factor
        self._task: asyncio.Task[T] | None = None
        self._callers = 0
        self._cancelled: set[asyncio.Task[T]] = set()
        self._fresh_until = 0.0
        self.last_result: T | None = None

    @property
    def is_running(self) -> bool:
        """Whether a fetch is running or being cancelled."""
        return bool(self._cancelled) or (self._task is not None and not self._task.done())

    async def get(self, *, max_wait: float) -> T:
        """Returns the value, from the cache while that is fresh.

        Args:
            max_wait: How many seconds to wait. The fetch goes on after that, for later callers. It is cancelled if all
                its callers are.

        Raises:
            TimeoutError: The fetch takes longer than `max_wait`.
        """
        task = self._task
        if task is None or (task.done() and asyncio.get_running_loop().time() >= self._fresh_until):
            task = self._task = asyncio.create_task(self._fetch_and_cache())
            task.add_done_callback(_retrieve_exception)
        self._callers += 1
        try:
            await asyncio.wait({task}, timeout=max_wait)
        except asyncio.CancelledError:
            if self._callers == 1:
                self._cancel_fetch()
            raise
        finally:
            self._callers -= 1
        if not task.done():
            raise TimeoutError
        return task.result()

    async def close(self) -> None:
        """Cancels the running fetch, if any."""
        self._cancel_fetch()
        if self._cancelled:
            await asyncio.wait(self._cancelled)

    def _cancel_fetch(self) -> None:
        task = self._task
        if task is not None and not task.done():
            self._task = None  # the next caller must not join it
            self._cancelled.add(task)
            task.add_done_callback(self._cancelled.discard)
            task.cancel()

    async def _fetch_and_cache(self) -> T:
        clock = asyncio.get_running_loop().time
        started_at = clock()
        ttl = self._min_ttl
        try:
            result = await self._fetch()
            ttl = max(ttl, self._ttl_factor * (clock() - started_at))
        finally:
            self._fresh_until = clock() + ttl
        self.last_result = result
        return result


def _retrieve_exception(task: asyncio.Task[object]) -> None:
    """Keeps asyncio from logging "exception was never retrieved" when every caller has stopped waiting."""
    if not task.cancelled():
        task.exception()
