"""Refreshes the gauges from the database, so that each process exports the same values whichever of them polled.

The database is read at intervals and not at each scrape, so that its load does not depend on the number of scrapers.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncer.config.crontab import next_crontab_time
from syncer.errors import DatabaseError
from syncer.store.queries.gauge_values import GaugeReader
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.telemetry.metrics import Metrics

ACCOUNTS_CHECK_SECONDS: Final = 0.5
"""Pause between checks while the accounts are not known yet."""
REFRESH_SECONDS: Final = 15.0
"""Minimum pause between refreshes."""
PAUSE_FACTOR: Final = 20
"""Each pause is at least this many times as long as the refresh before it, which limits the load on the database."""
MISSED_POLLS: Final = 3
"""An account is stale after this many due times without a successful poll."""


class Gauges:
    """Reads the gauges' values from the database and passes them to the metrics.

    Args:
        engine: The database.
        metrics: The metrics to update.
    """

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._reader = GaugeReader()
        self._stale_from: dict[str, tuple[Account, datetime, datetime]] = {}

    async def run(self, accounts: Callable[[], Mapping[int, Account]]) -> None:
        """Refreshes the gauges periodically until it is cancelled.

        Args:
            accounts: Returns the current accounts, by `account_id`; empty while they are not known.
        """
        clock = asyncio.get_running_loop().time
        while True:
            pause = ACCOUNTS_CHECK_SECONDS
            if current_accounts := accounts():
                started = clock()
                try:
                    await self.refresh(current_accounts)
                except DatabaseError:
                    pass  # the scheduler logs it
                except Exception:  # noqa: BLE001 - a bug must not stop the refreshes
                    log.exception("gauge_refresh_crashed")
                pause = max(REFRESH_SECONDS, PAUSE_FACTOR * (clock() - started))
            await asyncio.sleep(pause)

    async def refresh(self, accounts: Mapping[int, Account]) -> None:
        """Reads the current values of these accounts, given by `account_id`, and updates the metrics.

        Raises:
            DatabaseError: The database cannot be read.
        """
        gauge_values = await self._reader.read(self._engine, list(accounts))
        previous, self._stale_from = self._stale_from, {}
        for account_values in gauge_values.accounts:
            account, since = (
                accounts[account_values.account_id],
                account_values.success_started_at or account_values.created_at,
            )
            cached = previous.get(account_values.name)
            if cached is None or cached[:2] != (account, since):
                cached = (account, since, stale_from(account, since))
            self._stale_from[account_values.name] = cached
        self._metrics.set_gauge_values(
            gauge_values, {name: fires_at for name, (_, _, fires_at) in self._stale_from.items()}
        )


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
