"""An answer that many want at once, and that costs the database no more than if one wanted it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Asks once for all who ask while it is being asked, and keeps what came of it for a while.

    Args:
        ask: What is asked.
        at_least: Seconds for which an answer is kept, or the failure to get one.
        times: An answer is kept so many times as long as it took, if that is longer: asking never takes more than
            one part in `times` of the time.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, at_least: float = 0.0, times: float = 0.0) -> None:
        self._ask = ask
        self._at_least = at_least
        self._times = times
        self._asking: asyncio.Task[T] | None = None
        self._keep_until = 0.0
        self.last_good: T | None = None

    async def answer(self, *, within: float) -> T:
        """The answer, which may be some seconds old.

        Args:
            within: How many seconds to wait; the question goes on beyond them, for those who come later.

        Raises:
            TimeoutError: It takes longer.
        """
        asking = self._asking
        if asking is None or (asking.done() and asyncio.get_running_loop().time() >= self._keep_until):
            asking = self._asking = asyncio.create_task(self._keep())
            asking.add_done_callback(_take_notice)
        await asyncio.wait({asking}, timeout=within)
        if not asking.done():
            raise TimeoutError
        return asking.result()

    async def close(self) -> None:
        """Ends what is being asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _keep(self) -> T:
        clock = asyncio.get_running_loop().time
        began = clock()
        kept = self._at_least
        try:
            answer = await self._ask()
            kept = max(kept, self._times * (clock() - began))
        finally:
            self._keep_until = clock() + kept
        self.last_good = answer
        return answer


def _take_notice(asked: asyncio.Task[object]) -> None:
    """So that a failure for which nobody waited any more is not reported as forgotten."""
    if not asked.cancelled():
        asked.exception()
