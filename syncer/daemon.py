"""The daemon: looks for accounts that are due, polls them, stops cleanly.

APScheduler ticks, and its triggers say when an account is due next. That moment stands in the database, a row an
account, so one job serves any number of accounts. A poll is a task that the daemon holds: it waits for it, and on its
way out drains it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from syncer import notify
from syncer.crontab import crontab_trigger
from syncer.errors import DatabaseError, EmbeddedServerError, SchemaError, SyncerError
from syncer.observe import log
from syncer.poll import Poller
from syncer.signals import stop_signal
from syncer.source import Source
from syncer.store import schedule
from syncer.store.schema import migrate, schema_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from apscheduler.triggers.base import BaseTrigger

    from syncer.database import Database
    from syncer.settings import Account, Settings
    from syncer.store.schedule import Claim

TICK_SECONDS: Final = 0.5
"""How often due accounts are looked for."""
LEASE: Final = timedelta(seconds=10)
"""How long an account stays taken by a process that died."""
RENEW_SECONDS: Final = 3.0
RELEASE_SECONDS: Final = 5.0
SCHEMA_SECONDS: Final = 5.0
"""How often it is looked whether the schema is still ours: another version may have migrated it."""
LONGEST_LOOK_SECONDS: Final = 300.0
"""A look for due accounts ends sooner than that by its statements' timeouts, if it is not stuck."""
CONCURRENT_POLLS: Final = 8
REFUSED_PAUSE: Final = timedelta(minutes=15)
"""From one poll to the next, at least, while the endpoint answers 401 or 403: only an operator can cure it."""


class Daemon:
    """Polls accounts when they are due, from `run` until it is told to stop.

    Args:
        database: Where the numbers are kept; the embedded server is watched over here.
        poller: Polls one account.
        accounts: Those to poll.
    """

    def __init__(self, database: Database, poller: Poller, accounts: Sequence[Account]) -> None:
        self._database = database
        self._poller = poller
        self._engine = poller.engine
        self._accounts = {account.name: account for account in accounts}
        self._by_id: dict[int, Account] = {}
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._complaint: SyncerError | None = None
        self._renewed_at = 0.0
        self._schema_seen_at = 0.0
        self._look_ends_by = 0.0
        self._stopping = False
        self._is_time = asyncio.Event()

    def is_live(self) -> bool:
        """Whether due accounts are being looked for: no look is stuck, and one follows the other."""
        return asyncio.get_running_loop().time() < self._look_ends_by

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until `stop` is set, then lets polls under way finish within SYNCER_SHUTDOWN_TIMEOUT."""
        self._expect_end_of_look()
        scheduler = AsyncIOScheduler()
        scheduler.add_job(self._wake, IntervalTrigger(seconds=TICK_SECONDS), misfire_grace_time=None, coalesce=True)
        scheduler.start()
        log.info("daemon_started", accounts=len(self._accounts))
        looking = asyncio.create_task(self._look())
        try:
            await stop.wait()
            self._stopping = True
            await self._drain()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            scheduler.shutdown(wait=False)
        log.info("daemon_stopped")

    async def _wake(self) -> None:
        """The scheduler's one job: it only tells that it is time, since the scheduler would cancel what takes long."""
        self._is_time.set()

    async def _look(self) -> None:
        while True:
            await self._is_time.wait()
            self._is_time.clear()
            await self._tick()

    async def _tick(self) -> None:
        """One look for due accounts; nothing that goes wrong in it ends the daemon."""
        self._expect_end_of_look()
        try:
            self._database.ensure()
            await self._check_schema()
            await self._renew_leases()
            await self._claim_due()
        except (DatabaseError, SchemaError, EmbeddedServerError) as error:
            self._complain(error)
            await self._start_over()
        except Exception:  # noqa: BLE001 - a fault of the program must not end the daemon, nor pass unseen
            log.exception("tick_crashed")
            await self._start_over()
        else:
            self._complain(None)

    def _expect_end_of_look(self) -> None:
        self._look_ends_by = asyncio.get_running_loop().time() + LONGEST_LOOK_SECONDS

    async def _start_over(self) -> None:
        """Takes nothing for known any more: what comes back may be another database, and old connections are dead."""
        self._by_id = {}
        await self._engine.dispose()

    def _complain(self, complaint: SyncerError | None) -> None:
        """Says once what keeps accounts from being polled, in whatever words it comes, and once that it has passed."""
        if type(complaint) is type(self._complaint):
            return
        self._complaint = complaint
        notify.tell(f"STATUS={complaint or 'polling'}")
        if complaint is None:
            log.info("ready")
        else:
            log.error("not_ready", error=str(complaint))

    async def _check_schema(self) -> None:
        """Brings the schema up to date once, and sees from time to time that it is still the one wanted."""
        now = asyncio.get_running_loop().time()
        if self._by_id and now - self._schema_seen_at < SCHEMA_SECONDS:
            return
        if not self._by_id and self._poller.settings.migrate_on_start:
            self._look_ends_by = math.inf  # a migration takes as long as it takes
            await migrate(self._database.owner_engine)
            self._expect_end_of_look()
        (await schema_state(self._engine)).require_wanted()
        self._schema_seen_at = now
        if not self._by_id:
            await self._plan_accounts()

    async def _plan_accounts(self) -> None:
        ids = await schedule.register(
            self._engine, {name: account.time_zone.key for name, account in self._accounts.items()}
        )
        now = await schedule.database_time(self._engine)
        by_id = {ids[name]: account for name, account in self._accounts.items()}
        await schedule.plan(
            self._engine,
            [(key, first_due(account, now), next_due(account, now, now)) for key, account in by_id.items()],
        )
        self._by_id = by_id

    async def _renew_leases(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._polls and now - self._renewed_at > RENEW_SECONDS:
            await schedule.renew(self._engine, list(self._polls), self._holder, LEASE)
            self._renewed_at = now

    async def _claim_due(self) -> None:
        free = CONCURRENT_POLLS - len(self._polls)
        if free > 0 and not self._stopping:
            idle = [account_id for account_id in self._by_id if account_id not in self._polls]
            for claim in await schedule.claim(self._engine, idle, self._holder, LEASE, at_most=free):
                task = asyncio.create_task(self._poll(claim, self._by_id[claim.account_id]))
                self._polls[claim.account_id] = task

    async def _poll(self, claim: Claim, account: Account) -> None:
        refused = False
        try:
            result = await self._poller.poll(account, "schedule")
            refused = result.error_kind in {"unauthorized", "forbidden"}
        except Exception:  # noqa: BLE001 - a fault of the program must not stop the other accounts, nor pass unseen
            log.exception("poll_crashed", account=account.name)
        finally:
            with contextlib.suppress(DatabaseError, TimeoutError):
                await self._release(claim, account, refused=refused)
            del self._polls[claim.account_id]
            self._is_time.set()  # there is a free place

    async def _release(self, claim: Claim, account: Account, *, refused: bool) -> None:
        """Gives the account back. If that cannot be written, its lease runs out, and it is due again all the same."""
        async with asyncio.timeout(RELEASE_SECONDS):
            now = await schedule.database_time(self._engine)
            due_at = next_due(account, claim.due_at, now, at_least=REFUSED_PAUSE if refused else timedelta())
            await schedule.release(self._engine, claim.account_id, self._holder, due_at)

    async def _drain(self) -> None:
        """Lets polls finish; those that take longer than they may are cancelled, and their transactions rolled back."""
        if not self._polls:
            return
        log.info("finishing_polls", polls=len(self._polls))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poller.settings.shutdown_timeout.total_seconds()):
                while self._polls:  # a claim that was under way may have added one
                    await asyncio.wait(self._polls.values())
        late = list(self._polls.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _trigger(account: Account, start: datetime) -> BaseTrigger:
    if account.poll_cron is not None:
        return crontab_trigger(account.poll_cron, account.time_zone)
    return IntervalTrigger(seconds=account.poll_interval.total_seconds(), start_date=start, timezone="UTC")


def first_due(account: Account, now: datetime) -> datetime:
    """When an account is due that was never polled: by its crontab line, or at once."""
    if account.poll_cron is None:
        return now
    return next_due(account, now, now)


def next_due(account: Account, due_at: datetime, now: datetime, *, at_least: timedelta = timedelta()) -> datetime:
    """The account's next moment after `now`; moments that passed meanwhile are not made up for.

    Args:
        account: Whose interval or crontab line counts.
        due_at: When it was due last: an interval is counted from there, so that polls do not drift.
        now: The database's time.
        at_least: How long it is left alone in any case.
    """
    after = max(now + at_least, now + timedelta(microseconds=1))
    moment: datetime | None = _trigger(account, due_at).get_next_fire_time(None, after)
    assert moment is not None  # noqa: S101 - neither kind of trigger ends
    return moment


async def run_daemon(settings: Settings, accounts: Sequence[Account], database: Database) -> None:
    """Polls until SIGTERM or SIGINT."""
    stop = stop_signal()
    async with Source(settings) as source:
        daemon = Daemon(database, Poller(database.engine, source, settings), accounts)
        telling = asyncio.create_task(notify.tell_until(stop, daemon.is_live))
        await daemon.run(stop)
        await telling
    await database.dispose()
