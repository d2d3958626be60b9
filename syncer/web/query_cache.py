"""Shares and caches what the page reads, so that visitors cost the database a bounded amount."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from syncer.errors import DatabaseError, SyncerError
from syncer.web.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

STATEMENT_TIMEOUT_SECONDS: Final = 5
MAX_CACHED: Final = 32
MAX_WAIT_SECONDS: Final = 10.0
_MIN_CACHE_SECONDS: Final = 2.0
_CACHE_TIME_FACTOR: Final = 20.0
_MAX_QUEUED: Final = 8
"""How many queries may wait while another one runs; fewer than are cached."""


class QuerySlot:
    """Lets one query run at a time, and refuses those that would wait behind too many others."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore()
        self._queued = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Waits for the slot, and keeps it meanwhile.

        Raises:
            DatabaseError: Too many queries are waiting already.
        """
        if self._queued >= _MAX_QUEUED:
            raise DatabaseError("database: busy with other requests for this page; try again in a few seconds")
        self._queued += 1
        try:
            await self._semaphore.acquire()
        finally:
            self._queued -= 1
        try:
            yield
        finally:
            self._semaphore.release()


class Answer(NamedTuple, Generic[T]):
    """What a query returned.

    Attributes:
        result: Its result; if it failed, that of the last time that it did not.
        problem: Why it failed, in one sentence; None if it did not.
    """

    result: T | None
    problem: str | None


class QueryCache(Generic[K, T]):
    """Runs queries by key, each for all who ask for it at the same time, and caches the results for a while.

    Args:
        load: Runs the query of a key.
        slot: What limits how many run at a time.
    """

    def __init__(self, load: Callable[[K], Awaitable[T]], slot: QuerySlot) -> None:
        self._load = load
        self._slot = slot
        self._flights: OrderedDict[K, SingleFlight[T]] = OrderedDict()

    async def get(self, key: K) -> Answer[T]:
        """Returns the result of a key's query, from the cache while that is fresh."""
        flight = self._flight(key)
        try:
            return Answer(await flight.get(max_wait=MAX_WAIT_SECONDS), None)
        except (SyncerError, TimeoutError) as error:
            return Answer(flight.last_result, str(error) or f"database: no answer within {MAX_WAIT_SECONDS:g} s")

    async def close(self) -> None:
        """Cancels the running queries."""
        for flight in self._flights.values():
            await flight.close()

    def _flight(self, key: K) -> SingleFlight[T]:
        flight = self._flights.get(key)
        if flight is None:
            flight = SingleFlight(
                lambda: self._load_in_turn(key), min_ttl=_MIN_CACHE_SECONDS, ttl_factor=_CACHE_TIME_FACTOR
            )
            self._flights[key] = flight
        self._flights.move_to_end(key)
        if len(self._flights) > MAX_CACHED:
            oldest = next(key for key, cached in self._flights.items() if not cached.is_running)
            del self._flights[oldest]
        return flight

    async def _load_in_turn(self, key: K) -> T:
        async with self._slot.taken():
            return await self._load(key)
