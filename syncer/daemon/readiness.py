"""Logs why no account can be polled, when the reason changes, and when polling is possible again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.errors import SyncerError

MAX_NEW_REASONS: Final = 10
"""Reasons that are logged immediately, between two times at which the daemon is ready."""
REPEAT_SECONDS: Final = 60.0
"""A reason that was logged before, or that comes after `MAX_NEW_REASONS` others, is logged at most this often: two
reasons may alternate with every iteration, and a reason may contain something that is different each time."""


class Readiness:
    """Whether accounts can be polled, and if not, why.

    Args:
        clock: Returns the time in seconds.

    Attributes:
        error: Why accounts cannot be polled now; None if they can be.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.error: SyncerError | None = None
        self._is_first = True
        self._logged = ""
        self._logged_at = 0.0
        self._reasons: set[str] = set()

    def report(self, error: SyncerError | None) -> bool:
        """Takes the result of an iteration of the daemon, and logs it if that is news.

        Returns:
            Whether this is the first result, or the reason differs from the last one.
        """
        is_changed = self._is_first or str(error) != str(self.error)
        self._is_first = False
        was_ready, self.error = self.error is None, error
        if error is None:
            self._logged = ""
            self._reasons.clear()
            if not was_ready:
                log.info("ready")
            return is_changed
        reason, now = str(error), self._clock()
        is_new = reason not in self._reasons and len(self._reasons) < MAX_NEW_REASONS
        if is_new or (reason != self._logged and now - self._logged_at >= REPEAT_SECONDS):
            log.error("not_ready", error=reason)
            self._reasons.add(reason)
            self._logged, self._logged_at = reason, now
        return is_changed
