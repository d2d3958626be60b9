"""When things happen, and what the program is set to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from syncer.diff.removal_guard import RemovalGuard

GUARD: Final = RemovalGuard(ratio=0.2, hold=timedelta(hours=24))
T0: Final = datetime(2026, 3, 1, tzinfo=UTC)
STEP: Final = timedelta(minutes=5)
"""From one poll to the next."""
TICK: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)


def at(tick: int) -> datetime:
    """When a poll begins."""
    return T0 + tick * STEP
