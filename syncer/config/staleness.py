"""When an account counts as stale: it should have been polled successfully a few times by then, and was not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncer.config.crontab import next_crontab_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.config.accounts import Account

MISSED_POLLS: Final = 3
"""An account is stale after this many due times without a successful poll."""

_SHORTEST_CRON_INTERVAL: Final = timedelta(minutes=1)


def stale_from(account: Account, since: datetime) -> datetime:
    """Returns when an account becomes stale.

    Args:
        account: The account, with its interval or crontab line.
        since: When its last successful poll started, or when the account was created if there was none.
    """
    if account.poll_cron is None:
        return since + MISSED_POLLS * account.poll_interval
    fires_at = since
    for _ in range(MISSED_POLLS):
        fires_at = next_crontab_time(account.poll_cron, account.time_zone, fires_at + timedelta(microseconds=1))
    return fires_at


def shortest_silence(accounts: Iterable[Account]) -> timedelta:
    """Returns how long ago the last success of any of these accounts has to be for it to be stale, at least."""
    return MISSED_POLLS * min(
        (account.poll_interval if account.poll_cron is None else _SHORTEST_CRON_INTERVAL for account in accounts),
        default=_SHORTEST_CRON_INTERVAL,
    )


class StaleTimes:
    """Remembers when accounts become stale, since crontab lines of thousands of accounts take long to compute."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Account, datetime, datetime]] = {}

    def of(self, account: Account, since: datetime) -> datetime:
        """Returns what `stale_from` returns."""
        known = self._known.get(account.name)
        if known is None or known[:2] != (account, since):
            known = self._known[account.name] = account, since, stale_from(account, since)
        return known[2]
