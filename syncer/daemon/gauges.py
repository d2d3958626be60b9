"""Refreshes the gauges from the database, so that each process exports the same values whichever of them polled.

The database is read at intervals and not at each scrape, so that its load does not depend on the number of scrapers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from syncer.config.staleness import StaleTimes
from syncer.errors import DatabaseError
from syncer.store.queries.gauge_values import GaugeReader
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.config.accounts import Account
    from syncer.store.engine import Engine
    from syncer.telemetry.metrics import Metrics

ACCOUNTS_CHECK_SECONDS: Final = 0.5
"""Pause between checks while the accounts are not known yet."""
REFRESH_SECONDS: Final = 15.0
"""Minimum pause between refreshes."""
PAUSE_FACTOR: Final = 20
"""Each pause is at least this many times as long as the refresh before it, which limits the load on the database."""


class Gauges:
    """Reads the gauges' values from the database and passes them to the metrics.

    Args:
        engine: The database.
        metrics: The metrics to update.
    """

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._reader = GaugeReader()
        self._stale_times = StaleTimes()

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
        self._metrics.set_gauge_values(
            gauge_values,
            {
                one.name: self._stale_times.of(accounts[one.account_id], one.success_started_at or one.created_at)
                for one in gauge_values.accounts
            },
        )
