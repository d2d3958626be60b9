"""Deletes runs and notices that are kept no longer, and summarises days that have ended.

In the background, and slowly enough not to disturb the polls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from syncer.errors import DatabaseError
from syncer.store.day_summaries import summarise_days
from syncer.store.notices import prune_notices
from syncer.store.retention import BATCH_ROWS, Account, list_accounts, oldest_prunable_run_age, prune
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from syncer.store.engine import Engine
    from syncer.store.retention import Progress
    from syncer.telemetry.metrics import Metrics

BATCH_PAUSE_SECONDS: Final = 0.5
"""Maximum pause between batches. A batch has a day's runs of one account, or looks for them and finds none."""
PAUSE_FACTOR: Final = 20
"""Shorter pauses are this many times as long as the batch before: fifty thousand accounts without work take an hour."""
ROUND_PAUSE_SECONDS: Final = 600.0
"""Pause between rounds over all accounts; runs expire by whole days."""
_LOCKED: Final = (
    "another session has locked the account's row in syncer.account_fence since the last round: end its transaction "
    "(pg_stat_activity and pg_locks show it)"
)


class Retention:
    """Deletes expired notices and runs and summarises days, one batch of each account in turn.

    An account that is locked or fails delays no other. Runs expire by whole days, and finding those that have expired
    takes reading those that have not: so an account without any is asked again only on its next day.

    Args:
        engine: The database.
        retention: How long runs and notices are kept.
        metrics: Where the age of the oldest run that should have been deleted is exported.
    """

    def __init__(self, engine: Engine, retention: timedelta, metrics: Metrics) -> None:
        self._engine = engine
        self._retention = retention
        self._metrics = metrics
        self._pruned: dict[int, Account] = {}
        self._locked: set[int] = set()
        self._reported: set[str] = set()

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Deletes expired notices and runs and summarises days, round by round, until it is cancelled.

        Args:
            is_ready: Whether the database is reachable and has the expected schema.
        """
        while True:
            if not is_ready():
                await asyncio.sleep(BATCH_PAUSE_SECONDS)
                continue
            try:
                await self.prune_all(is_ready)
            except DatabaseError:
                pass  # the scheduler logs it
            except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
                log.exception("retention_crashed")
            await asyncio.sleep(ROUND_PAUSE_SECONDS if is_ready() else BATCH_PAUSE_SECONDS)

    async def prune_all(self, is_ready: Callable[[], bool]) -> None:
        """Prunes the notices, and prunes and summarises every account until nothing is left, or it is locked or fails.

        The next round tries it again.

        Logs what is wrong, once for as long as it stays so, and exports how old the oldest run is that is left.

        Raises:
            DatabaseError: The accounts cannot be listed.
        """
        accounts = await list_accounts(self._engine, self._retention)
        remaining = deque(accounts)
        locked: set[int] = set()
        problems: dict[str, str | None] = {}
        left = 0.0
        try:
            await self._prune_notices(is_ready)
        except DatabaseError as error:
            problems[str(error)] = None
        clock = asyncio.get_running_loop().time
        while remaining and is_ready():
            account_id = remaining.popleft()
            started = clock()
            try:
                progress = await self._prune(account_id, accounts[account_id])
                if progress == "done":
                    progress = await summarise_days(self._engine, account_id)
                if progress == "more":
                    remaining.append(account_id)
                elif progress == "locked":
                    locked.add(account_id)
                    if account_id in self._locked:
                        problems.setdefault(_LOCKED, accounts[account_id].name)
            except DatabaseError as error:
                progress = "locked"
                problems.setdefault(str(error), accounts[account_id].name)
            if progress == "locked":
                left = max(left, await self._age_of_oldest(account_id))
            await asyncio.sleep(min(BATCH_PAUSE_SECONDS, PAUSE_FACTOR * (clock() - started)))
        if is_ready():  # else the database cannot be reached, which the scheduler logs
            self._locked = locked
            self._report(problems)
            self._metrics.oldest_prunable_run_age.set(left)

    async def _prune_notices(self, is_ready: Callable[[], bool]) -> None:
        while is_ready():
            if not await prune_notices(self._engine, self._retention, batch=BATCH_ROWS):
                return
            await asyncio.sleep(BATCH_PAUSE_SECONDS)

    async def _prune(self, account_id: int, account: Account) -> Progress:
        if self._pruned.get(account_id) == account:
            return "done"
        progress = await prune(self._engine, account_id, self._retention)
        if progress == "done":
            self._pruned[account_id] = account
        return progress

    async def _age_of_oldest(self, account_id: int) -> float:
        try:
            return await oldest_prunable_run_age(self._engine, account_id, self._retention)
        except DatabaseError:
            return 0.0  # what keeps it from being read keeps it from being pruned, and is reported

    def _report(self, problems: dict[str, str | None]) -> None:
        for error, account in problems.items():
            if error not in self._reported:
                of_account = {} if account is None else {"account": account}
                log.warning("retention_failed", **of_account, error=error)
        self._reported = set(problems)
