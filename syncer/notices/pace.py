"""Keeps the pace that a messenger allows."""

from __future__ import annotations

import asyncio
from collections import deque


class Pace:
    """Delays what would be too frequent.

    Args:
        limits: How many times in how many seconds at most.
    """

    def __init__(self, *limits: tuple[int, float]) -> None:
        self._limits = limits
        self._times: deque[float] = deque(maxlen=max(count for count, _ in limits))

    async def wait(self) -> None:
        """Waits for the next moment that is allowed; those who wait at the same time get one each, in their order."""
        await asyncio.sleep(self.reserve(asyncio.get_running_loop().time()))

    def reserve(self, now: float) -> float:
        """Takes the next moment that is allowed, and returns how many seconds it is from `now`."""
        allowed = [self._times[-count] + seconds for count, seconds in self._limits if len(self._times) >= count]
        moment = max([now, *allowed])
        self._times.append(moment)
        return moment - now
