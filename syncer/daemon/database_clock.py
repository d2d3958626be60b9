"""Notices when the database's clock is set back, because due times that were computed before are then too late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

TOLERANCE_SECONDS: Final = 5.0
"""How far the clock may fall behind the monotonic one between two readings; answers of the database may be slow."""


class DatabaseClock:
    """Compares the database's clock with the event loop's monotonic one."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def seconds_set_back(self, now: datetime, monotonic: float) -> float | None:
        """Returns by how many seconds the database's clock was set back since the last call; None if it was not.

        Args:
            now: The database's time.
            monotonic: The time of the monotonic clock, in seconds, read before the database's.
        """
        last, self._last = self._last, (now, monotonic)
        if last is None:
            return None
        seconds = (monotonic - last[1]) - (now - last[0]) / timedelta(seconds=1)
        return seconds if seconds > TOLERANCE_SECONDS else None
