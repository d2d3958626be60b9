"""Slots for the large responses in memory. Time spent waiting for one does not count as the endpoint's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE_BODY_BYTES: Final = 2**18
"""A body larger than this needs one of `MAX_LARGE_BODIES` slots; reading it pauses until one is free."""
MAX_LARGE_BODIES: Final = 8
"""Large bodies in memory at a time. This bounds the memory of all polls: this many times SYNCER_API_MAX_BYTES, and
`LARGE_BODY_BYTES` for each other poll."""

MAX_LARGE_NAME_LISTS: Final = 2
"""Large lists of names in memory at a time. They need none of the slots of polls, which must not wait for them."""


class BodySlot(AsyncExitStack):
    """The slot that a large response occupies until this context ends, and how long it was waited for.

    Attributes:
        is_held: Whether a slot was acquired.
        waited_seconds: Time spent waiting, by all attempts of a poll.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_held = False
        self.waited_seconds = 0.0

    async def acquire(self, slots: asyncio.Semaphore) -> None:
        """Waits for a free slot and occupies it."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await self.enter_async_context(slots)
        finally:
            self.waited_seconds += clock() - began
        self.is_held = True


@contextmanager
def stopped(timeout: asyncio.Timeout) -> Iterator[None]:
    """Stops the clock of a timeout within this context."""
    deadline, clock = timeout.when(), asyncio.get_running_loop().time
    if deadline is None or timeout.expired():  # the cancellation is on its way
        yield
        return
    began = clock()
    timeout.reschedule(None)
    try:
        yield
    finally:
        timeout.reschedule(deadline + clock() - began)
