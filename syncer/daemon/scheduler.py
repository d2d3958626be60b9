"""The daemon: looks for accounts that are due, polls them, stops cleanly.

APScheduler ticks, and its triggers say when an account is due next. That moment stands in the database, a row an
account, so one job serves any number of accounts: each look gives back at once all those whose polls have finished, and
takes at once all that are due. A poll is a task that the daemon holds: it waits for it, and on its way out drains it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from syncer.daemon import systemd
from syncer.daemon.due_times import next_due, reschedule
from syncer.daemon.gauges import Gauges
from syncer.daemon.retention import run_retention
from syncer.errors import DatabaseError, EmbeddedServerError, SchemaError, SyncerError
from syncer.poll import CONCURRENT_POLLS
from syncer.store import schedule
from syncer.store.accounts import register_accounts, retire_other_accounts
from syncer.store.engine import translate_errors
from syncer.store.schema import migrate, schema_state
from syncer.telemetry.logs import log, report_poll_crash

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from syncer.config.accounts import Account
    from syncer.database import Database
    from syncer.poll import Poller
    from syncer.store.schedule import Claim

TICK_SECONDS: Final = 0.5
"""How often due accounts are looked for."""
LEASE: Final = timedelta(seconds=10)
"""How long an account stays taken by a process that died."""
ITERATION_TIMEOUT_SECONDS: Final = 15.0
"""How long a look may take once the accounts are known: a network that swallows everything says nothing."""
LEASE_RENEWAL_SECONDS: Final = 3.0
RELEASE_TIMEOUT_SECONDS: Final = 5.0
SCHEMA_CHECK_SECONDS: Final = 5.0
"""How often it is looked whether the schema is still ours: another version may have migrated it."""
STUCK_AFTER_SECONDS: Final = 300.0
"""A look for due accounts ends sooner than that by its statements' timeouts, if it is not stuck."""
MAX_STARTS_PER_ITERATION: Final = 64
"""How many polls begin at one look at most, so that after an outage the accounts that are due come one after another:
128 a second are more than a process can finish, and few for the endpoint."""
MAX_FAILING_POLLS: Final = CONCURRENT_POLLS // 2
"""How many places accounts may take whose last poll failed: they wait for time to run out, and keep none of the others
waiting. So many accounts that were well can begin to hang at once, too, before those others notice."""
UNAUTHORIZED_PAUSE: Final = timedelta(minutes=15)
"""From one poll to the next, at least, while the endpoint answers 401 or 403: only an operator can cure it."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A poll that has ended, of an account that is still ours; `refused`: the endpoint answered 401 or 403."""

    claim: Claim
    account: Account
    refused: bool


class Daemon:
    """Polls accounts when they are due, from `run` until it is told to stop.

    Args:
        database: Where the numbers are kept; the embedded server is watched over here.
        poller: Polls one account.
        accounts: Those to poll.

    Attributes:
        metrics: What is counted of its polls.
    """

    def __init__(self, database: Database, poller: Poller, accounts: Sequence[Account]) -> None:
        self._database = database
        self._poller = poller
        self._engine = poller.engine
        self.metrics = poller.metrics
        self._accounts = {account.name: account for account in accounts}
        self.metrics.set_accounts(self._accounts)
        self._scheduled_accounts: Mapping[str, Account] = {}
        self._accounts_by_id: dict[int, Account] = {}
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._finished: dict[int, _Finished] = {}
        self._failing_ids: set[int] = set()
        self._lease_holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._unready_error: SyncerError | None = None
        self._renewed_at = 0.0
        self._schema_checked_at = 0.0
        self._iteration_deadline = 0.0
        self._stopping = False
        self._wakeup = asyncio.Event()

    @property
    def account_names(self) -> Collection[str]:
        """The names of the accounts that are polled."""
        return self._accounts.keys()

    def is_live(self) -> bool:
        """Whether due accounts are being looked for: no look is stuck, and one follows the other."""
        return asyncio.get_running_loop().time() < self._iteration_deadline

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until `stop` is set, then lets polls under way finish within SYNCER_SHUTDOWN_TIMEOUT."""
        self.metrics.track_tasks(asyncio.get_running_loop())
        self._set_iteration_deadline()
        scheduler = AsyncIOScheduler()
        scheduler.add_job(self._on_tick, IntervalTrigger(seconds=TICK_SECONDS), misfire_grace_time=None, coalesce=True)
        scheduler.start()
        log.info("daemon_started", accounts=len(self._accounts))
        loop_task = asyncio.create_task(self._run_loop())
        gauges_task = asyncio.create_task(Gauges(self._engine, self.metrics).run(lambda: self._accounts_by_id))
        retention = self._poller.settings.run_retention
        retention_task = asyncio.create_task(run_retention(self._engine, retention, lambda: bool(self._accounts_by_id)))
        try:
            await stop.wait()
            self._stopping = True
            await self._drain()
        finally:
            loop_task.cancel()
            for task in (gauges_task, retention_task):
                task.cancel()
            await asyncio.gather(loop_task, gauges_task, retention_task, return_exceptions=True)
            scheduler.shutdown(wait=False)
        with contextlib.suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await self._release_finished()
        log.info("daemon_stopped")

    def set_accounts(self, accounts: Sequence[Account]) -> None:
        """Polls these accounts from the next look on and no others, but for polls that are under way."""
        self._accounts = {account.name: account for account in accounts}
        self.metrics.set_accounts(self._accounts)
        self._notify_status()

    async def _on_tick(self) -> None:
        """The scheduler's one job: it only tells that it is time, since the scheduler would cancel what takes long."""
        self._wakeup.set()

    async def _run_loop(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            await self._iteration()

    async def _iteration(self) -> None:
        """One look for due accounts; nothing that goes wrong in it ends the daemon."""
        self._set_iteration_deadline()
        try:
            self._database.ensure_running()
            with translate_errors():
                async with asyncio.timeout(
                    ITERATION_TIMEOUT_SECONDS if self._accounts_by_id else None
                ):  # a migration may take long
                    await self._check_schema()
                    if self._scheduled_accounts is not self._accounts:
                        await self._schedule_accounts(self._accounts)
                    await self._renew_leases()
                    await self._release_finished()
                    await self._claim_due()
        except (DatabaseError, SchemaError, EmbeddedServerError) as error:
            self._report_unready(error)
            await self._reset()
        except Exception:  # noqa: BLE001 - a fault of the program must not end the daemon, nor pass unseen
            log.exception("scheduler_crashed")
            await self._reset()
        else:
            self._report_unready(None)
            self.metrics.ready.set(1)

    def _set_iteration_deadline(self) -> None:
        self._iteration_deadline = asyncio.get_running_loop().time() + STUCK_AFTER_SECONDS

    async def _reset(self) -> None:
        """Takes nothing for known any more: what comes back may be another database, and old connections are dead."""
        self.metrics.ready.set(0)
        self._scheduled_accounts, self._accounts_by_id, self._finished = {}, {}, {}
        await self._database.dispose()

    def _report_unready(self, error: SyncerError | None) -> None:
        """Says once what keeps accounts from being polled, in whatever words it comes, and once that it has passed."""
        if type(error) is type(self._unready_error):
            return
        self._unready_error = error
        self._notify_status()
        if error is None:
            log.info("ready")
        else:
            log.error("not_ready", error=str(error))

    def _notify_status(self) -> None:
        systemd.sd_notify(f"STATUS={self._unready_error or 'polling'}")

    async def _check_schema(self) -> None:
        """Brings the schema up to date once, and sees from time to time that it is still the one wanted."""
        now = asyncio.get_running_loop().time()
        if self._accounts_by_id and now - self._schema_checked_at < SCHEMA_CHECK_SECONDS:
            return
        if not self._accounts_by_id and self._poller.settings.migrate_on_start:
            self._iteration_deadline = math.inf  # a migration takes as long as it takes
            await migrate(self._database.owner_engine)
            self._set_iteration_deadline()
        (await schema_state(self._engine)).require_wanted()
        self._schema_checked_at = now

    async def _schedule_accounts(self, accounts: Mapping[str, Account]) -> None:
        """Makes the accounts that are new, and says when those are due whose schedule is new or another."""
        ids = await register_accounts(self._engine, {name: account.time_zone.key for name, account in accounts.items()})
        by_id = {ids[name]: account for name, account in accounts.items()}
        before = await schedule.read_due_times(self._engine, list(by_id))
        now = await schedule.read_clock(self._engine)
        await schedule.set_due_times(self._engine, await asyncio.to_thread(reschedule, by_id, before, now), before)
        await retire_other_accounts(self._engine, list(by_id))
        self._accounts_by_id, self._scheduled_accounts = by_id, accounts
        self._failing_ids.intersection_update(by_id)

    async def _renew_leases(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._polls and now - self._renewed_at > LEASE_RENEWAL_SECONDS:
            await schedule.renew(self._engine, list(self._polls), self._lease_holder, LEASE)
            self._renewed_at = now

    async def _release_finished(self) -> None:
        """Says when those accounts are due next whose polls have finished.

        If that cannot be written, their leases run out, and they are due again all the same.
        """
        finished = dict(self._finished)
        if not finished:
            return
        now = await schedule.read_clock(self._engine)
        due = {}
        for account_id, one in finished.items():
            account = self._accounts_by_id.get(account_id, one.account)  # it may have another schedule since
            pause = UNAUTHORIZED_PAUSE if one.refused else timedelta()
            due[account_id] = next_due(account, one.claim.due_at, now, at_least=pause)
        await schedule.release(self._engine, due, self._lease_holder)
        for account_id in finished:
            self._finished.pop(account_id, None)

    async def _claim_due(self) -> None:
        slots = min(CONCURRENT_POLLS - len(self._polls), MAX_STARTS_PER_ITERATION)
        if slots <= 0 or self._stopping:
            return
        idle = self._accounts_by_id.keys() - self._polls.keys() - self._finished.keys()
        if len(self._polls.keys() & self._failing_ids) >= MAX_FAILING_POLLS:
            idle -= self._failing_ids
        for claim in await schedule.claim(self._engine, list(idle), self._lease_holder, LEASE, at_most=slots):
            task = asyncio.create_task(self._poll(claim, self._accounts_by_id[claim.account_id]))
            self._polls[claim.account_id] = task

    async def _poll(self, claim: Claim, account: Account) -> None:
        account_id, refused, failed = claim.account_id, False, True
        try:
            result = await self._poller.poll(account, "schedule", lateness=claim.now - claim.due_at)
            refused = result.error_kind in {"unauthorized", "forbidden"}
            failed = result.outcome == "failed"
        except Exception as error:  # noqa: BLE001 - a fault of the program must not stop the others, nor pass unseen
            report_poll_crash(account.name, error, self.metrics)
        finally:
            if failed:
                self._failing_ids.add(account_id)
            else:
                self._failing_ids.discard(account_id)
            self._finished[account_id] = _Finished(claim, account, refused)
            del self._polls[account_id]

    async def _drain(self) -> None:
        """Lets polls finish; those that take longer than they may are cancelled, and their transactions rolled back."""
        if self._polls:
            log.info("finishing_polls", polls=len(self._polls))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poller.settings.shutdown_timeout.total_seconds()):
                while self._polls:  # a claim that was under way may have added one
                    await asyncio.wait(self._polls.values())
        late = list(self._polls.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
