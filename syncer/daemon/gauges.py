"""Keeps the gauges at what the database says, whichever process polled.

They are asked for from time to time and not at each scrape, so that no number of scrapers is a load on the database.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from syncer.config.crontab import crontab_trigger
from syncer.errors import DatabaseError
from syncer.store.queries.gauge_values import GaugeReader
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from apscheduler.triggers.cron import CronTrigger
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.telemetry.metrics import Metrics

ACCOUNTS_CHECK_SECONDS: Final = 0.5
"""How often it is looked whether there are accounts yet."""
REFRESH_SECONDS: Final = 15.0
PAUSE_FACTOR: Final = 20
"""A pause is at least so many times as long as what was before it: the load is small, however large the database."""
MISSED_POLLS: Final = 3
"""So many scheduled moments without a success, and an account is stale."""


class Gauges:
    """What the database says, shown again and again.

    Args:
        engine: The database.
        metrics: Where it is shown.
    """

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._reader = GaugeReader()
        self._stale_from: dict[str, tuple[Account, datetime, datetime]] = {}

    async def run(self, accounts: Callable[[], Mapping[int, Account]]) -> None:
        """Refreshes until it is cancelled.

        Args:
            accounts: The accounts at the time, by `account_id`; none while they are not known.
        """
        clock = asyncio.get_running_loop().time
        while True:
            pause = ACCOUNTS_CHECK_SECONDS
            if wanted := accounts():
                begun = clock()
                try:
                    await self.refresh(wanted)
                except DatabaseError:
                    pass  # whoever looks for due accounts says so
                except Exception:  # noqa: BLE001 - a fault of the program must not leave the gauges as they are for good
                    log.exception("gauge_refresh_crashed")
                pause = max(REFRESH_SECONDS, PAUSE_FACTOR * (clock() - begun))
            await asyncio.sleep(pause)

    async def refresh(self, accounts: Mapping[int, Account]) -> None:
        """Shows what the database says now of these accounts, by `account_id`.

        Raises:
            DatabaseError: It cannot be asked.
        """
        readings = await self._reader.read(self._engine, list(accounts))
        before, self._stale_from = self._stale_from, {}
        for one in readings.accounts:
            account, since = accounts[one.account_id], one.success_started_at or one.created_at
            known = before.get(one.name)
            if known is None or known[:2] != (account, since):
                known = (account, since, stale_from(account, since))
            self._stale_from[one.name] = known
        self._metrics.set_readings(readings, {name: moment for name, (_, _, moment) in self._stale_from.items()})


def stale_from(account: Account, since: datetime) -> datetime:
    """When an account counts as stale that was last polled successfully, or first known, at a moment."""
    if account.poll_cron is None:
        return since + MISSED_POLLS * account.poll_interval
    trigger = _trigger(account.poll_cron, account.time_zone)
    moment = since
    for _ in range(MISSED_POLLS):
        moment = trigger.get_next_fire_time(moment, moment)
    return moment


@lru_cache(maxsize=256)
def _trigger(line: str, zone: ZoneInfo) -> CronTrigger:
    return crontab_trigger(line, zone)
