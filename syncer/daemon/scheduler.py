"""The daemon's scheduler: claims accounts that are due, polls them concurrently, and shuts down cleanly.

Due times are in the database, one row per account (`account_schedule`). APScheduler's triggers compute them from the
database's time. One loop looks for due accounts, by the event loop's monotonic clock, so ten thousand accounts need one
timer and the wall clock of this machine decides nothing. In one statement each, an iteration releases all accounts
whose polls have finished and claims all that are due. Each poll is a task; shutdown waits for those still running.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncer.daemon import systemd
from syncer.daemon.database_clock import DatabaseClock
from syncer.daemon.due_times import MAX_RETRY_AFTER, compute_due_times, next_due
from syncer.daemon.gauges import Gauges
from syncer.daemon.readiness import Readiness
from syncer.daemon.retention import Retention
from syncer.errors import DatabaseError, EmbeddedServerError, SchemaError, SyncerError
from syncer.names.reader import NameReader
from syncer.notices.notifier import Notifier
from syncer.poll import CONCURRENT_POLLS
from syncer.store import schedule
from syncer.store.accounts import (
    describe_shared_app_ids,
    find_unknown_time_zones,
    read_account_ids,
    register_accounts,
    retire_other_accounts,
)
from syncer.store.driver_errors import translate_errors
from syncer.store.identities import advance_identities
from syncer.store.lease_holder import name_lease_holder
from syncer.store.retention import store_retention
from syncer.store.schema import migrate, schema_state
from syncer.telemetry.logs import log, report_identities, report_postponed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.config.accounts import Account
    from syncer.database import Database
    from syncer.notices.rules import NotifyFile
    from syncer.poll import Poller
    from syncer.store.schedule import Claim

TICK_SECONDS: Final = 0.5
"""Interval between iterations of the loop."""
LEASE: Final = timedelta(seconds=10)
"""Duration of the lease on a claimed account; once the owner dies, another process can claim it after this long."""
ITERATION_TIMEOUT_SECONDS: Final = 15.0
"""Timeout of an iteration once the accounts are known: a network that drops all packets reports no error."""
LEASE_RENEWAL_SECONDS: Final = 3.0
RELEASE_TIMEOUT_SECONDS: Final = 5.0
SCHEMA_CHECK_SECONDS: Final = 5.0
"""Interval between checks of the schema's version, since another release may migrate the schema at any time."""
STUCK_AFTER_SECONDS: Final = 300.0
"""The daemon is not live if an iteration takes longer; unless it is stuck, statement timeouts end it sooner."""
FINISHED_PER_ITERATION: Final = CONCURRENT_POLLS // 8
"""While more accounts are due than there are slots, as after an outage, the next iteration starts once this many polls
have finished: the slots do not stay free until the next tick, and an iteration serves many polls."""
MAX_FAILING_POLLS: Final = CONCURRENT_POLLS // 2
"""Concurrent polls of accounts whose last poll failed, at most. Such polls often run into timeouts; the limit keeps
slots free for other accounts, even if up to that many accounts whose last poll succeeded begin to hang as well."""
UNAUTHORIZED_PAUSE: Final = timedelta(minutes=15)
"""Minimum pause between polls while the endpoint answers 401 or 403, which only an operator can fix."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished poll whose account is not released yet: what the endpoint answered.

    `unauthorized`: 401 or 403. `retry_after`: how long it asked to wait before the next request.
    """

    claim: Claim
    account: Account
    unauthorized: bool
    retry_after: timedelta


class Daemon:
    """Polls accounts when they are due.

    Args:
        database: The database; an embedded server that died is restarted.
        poller: Polls one account.
        accounts: The accounts to poll.
        notify_file: Rules and channels of notices; None if there are none.

    Attributes:
        metrics: The metrics of its polls.
    """

    def __init__(
        self, database: Database, poller: Poller, accounts: Sequence[Account], notify_file: NotifyFile | None = None
    ) -> None:
        self._database = database
        self._poller = poller
        self._engine = poller.engine
        self.metrics = poller.metrics
        self._accounts = {account.name: account for account in accounts}
        self.metrics.set_accounts(self._accounts)
        self._scheduled_accounts: Mapping[str, Account] = {}
        self._accounts_by_id: dict[int, Account] = {}
        self._refused_by_id: dict[int, Account] = {}
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._finished: dict[int, _Finished] = {}
        self._failing_ids: set[int] = set()
        self._slots_are_short = False
        self._slots_free = asyncio.Event()
        self._lease_holder = name_lease_holder()
        self._readiness = Readiness()
        self._renewed_at = 0.0
        self._schema_checked_at = 0.0
        self._iteration_deadline = 0.0
        self._stopping = False
        self._database_clock = DatabaseClock()
        self._notifier = Notifier(self._engine, self.metrics.notices, notify_file)
        self._name_reader = NameReader(
            self._engine, poller.source, poller.settings, self.metrics.names, poller.verified_tokens
        )

    @property
    def account_names(self) -> Collection[str]:
        """The names of the accounts that are polled."""
        return self._accounts.keys()

    def is_live(self) -> bool:
        """Whether the loop is running, and its current iteration is not stuck."""
        return asyncio.get_running_loop().time() < self._iteration_deadline

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until `stop` is set, then gives running polls SYNCER_SHUTDOWN_TIMEOUT to finish."""
        self.metrics.track_tasks(asyncio.get_running_loop())
        self._set_iteration_deadline()
        loop_task = asyncio.create_task(self._run_loop())
        gauges_task = asyncio.create_task(
            Gauges(self._engine, self.metrics).run(lambda: self._accounts_by_id | self._refused_by_id)
        )
        notifier_task = asyncio.create_task(self._notifier.run(lambda: self._accounts_by_id))
        names_task = asyncio.create_task(self._name_reader.run(lambda: self._accounts_by_id, lambda: len(self._polls)))
        retention = Retention(self._engine, self._poller.settings.run_retention, self.metrics)
        retention_task = asyncio.create_task(retention.run(lambda: bool(self._accounts_by_id)))
        try:
            await stop.wait()
            self._stopping = True
            names_task.cancel()
            await self._drain()
        finally:
            loop_task.cancel()
            tasks = (gauges_task, notifier_task, retention_task)
            for task in tasks:
                task.cancel()
            if not names_task.cancelling():  # a second cancellation would interrupt the release of its leases
                names_task.cancel()
            await asyncio.gather(loop_task, names_task, *tasks, return_exceptions=True)
        with contextlib.suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await self._release_finished()
        log.info("daemon_stopped")

    def set_accounts(self, accounts: Sequence[Account], notify_file: NotifyFile | None = None) -> None:
        """Replaces the accounts, and what notices say, from the next iteration on; polls that are running continue."""
        self._accounts = {account.name: account for account in accounts}
        self.metrics.set_accounts(self._accounts)
        self._notifier.set_file(notify_file)
        self._name_reader.retry_failed()
        self._notify_status()

    async def _run_loop(self) -> None:
        """Starts an iteration every TICK_SECONDS, or as soon as the one before has finished if that takes longer.

        If that one left accounts that are due, because all slots were in use, the next one starts as soon as enough
        polls have finished.
        """
        clock = asyncio.get_running_loop().time
        while True:
            next_tick = clock() + TICK_SECONDS
            await self._iteration()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_tick):
                    await self._slots_free.wait()

    async def _iteration(self) -> None:
        """Releases finished accounts and claims due ones. Errors are logged and do not end the daemon."""
        self._set_iteration_deadline()
        try:
            self._database.ensure_running()
            with translate_errors():
                # The first iteration has no timeout, since it may migrate the schema.
                async with asyncio.timeout(ITERATION_TIMEOUT_SECONDS if self._accounts_by_id else None):
                    await self._check_schema()
                    if self._scheduled_accounts is not self._accounts:
                        await self._schedule_accounts(self._accounts)
                    await self._renew_leases()
                    await self._release_finished()
                    await self._claim_due()
        except (DatabaseError, SchemaError, EmbeddedServerError) as error:
            self._report_unready(error)
            await self._reset()
        except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
            log.exception("scheduler_crashed")
            await self._reset()
        else:
            self._report_unready(None)
            self.metrics.ready.set(1)

    def _set_iteration_deadline(self) -> None:
        self._iteration_deadline = asyncio.get_running_loop().time() + STUCK_AFTER_SECONDS

    async def _reset(self) -> None:
        """Forgets all state and connections: after a failover, the database may be a different one."""
        self.metrics.ready.set(0)
        self._scheduled_accounts, self._accounts_by_id, self._refused_by_id, self._finished = {}, {}, {}, {}
        # The stop cancels this task: connections that are being closed are closed all the same, and only once.
        closing = asyncio.ensure_future(self._database.dispose())
        try:
            await asyncio.shield(closing)
        finally:
            await closing

    def _report_unready(self, error: SyncerError | None) -> None:
        if self._readiness.report(error):
            self._notify_status()

    def _notify_status(self) -> None:
        systemd.sd_notify(f"STATUS={self._readiness.error or 'polling'}")

    async def _check_schema(self) -> None:
        """Migrates the schema before the first polls if SYNCER_MIGRATE_ON_START is on, then checks it periodically.

        Checks the database's clock, too: when that is set back, due times have to be brought forward.
        """
        now = asyncio.get_running_loop().time()
        if self._accounts_by_id and now - self._schema_checked_at < SCHEMA_CHECK_SECONDS:
            return
        if not self._accounts_by_id and self._poller.settings.migrate_on_start:
            self._iteration_deadline = math.inf  # a migration takes as long as it takes
            await migrate(self._database.owner_engine)
            await store_retention(self._database.owner_engine, self._poller.settings.run_retention)
            self._set_iteration_deadline()
        (await schema_state(self._engine)).require_writable()
        names = {account_id: account.name for account_id, account in self._accounts_by_id.items()}
        if not await schedule.are_scheduled(self._engine, names):
            self._scheduled_accounts = {}  # they are registered again
        self._schema_checked_at = now
        if (seconds := self._database_clock.seconds_set_back(await schedule.read_clock(self._engine), now)) is not None:
            log.warning("database_clock_set_back", seconds=seconds)
            self._scheduled_accounts = {}  # the due times are too late

    async def _schedule_accounts(self, accounts: Mapping[str, Account]) -> None:
        """Registers new accounts, sets due times that are missing or outdated, and retires accounts not listed.

        An account whose time zone the server does not know is not polled; it is neither registered nor retired.
        """
        time_zones = {name: account.time_zone.key for name, account in accounts.items()}
        refused = await find_unknown_time_zones(self._engine, time_zones)
        if refused and refused.keys() == accounts.keys():
            raise next(iter(refused.values()))
        for name, error in refused.items():
            log.error("account_refused", account=name, error=str(error))
            del time_zones[name]
        report_identities(await advance_identities(self._engine))
        ids = await register_accounts(self._engine, time_zones)
        by_id = {ids[name]: accounts[name] for name in time_zones}
        refused_ids = await read_account_ids(self._engine, list(refused))
        before = await schedule.read_due_times(self._engine, list(by_id))
        now = await schedule.read_clock(self._engine)
        not_before = await schedule.read_not_before(self._engine, list(by_id))
        due_times = await asyncio.to_thread(compute_due_times, by_id, before, now, not_before)
        await schedule.set_due_times(self._engine, due_times, before)
        await retire_other_accounts(self._engine, [*by_id, *refused_ids.values()])
        for sentence in await describe_shared_app_ids(self._engine):
            log.warning("shared_app_id", found=sentence)
        self._accounts_by_id, self._scheduled_accounts = by_id, accounts
        self._refused_by_id = {account_id: accounts[name] for name, account_id in refused_ids.items()}
        self._failing_ids.intersection_update(by_id)
        self._poller.fingerprint_cache.keep_only(by_id)
        self._poller.last_responses.keep_only(by_id)
        self._poller.verified_tokens.keep_only(by_id)
        self._poller.account_ids.update(ids)

    async def _renew_leases(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._polls and now - self._renewed_at > LEASE_RENEWAL_SECONDS:
            await schedule.renew(self._engine, list(self._polls), self._lease_holder, LEASE)
            self._renewed_at = now

    async def _release_finished(self) -> None:
        """Writes the next due times of the accounts whose polls have finished, and ends their leases.

        If that fails, the leases expire, and the accounts are due again.
        """
        finished = dict(self._finished)
        if not finished:
            return
        now = await schedule.read_clock(self._engine)
        due_times, not_before = {}, {}
        for account_id, poll in finished.items():
            account = self._accounts_by_id.get(account_id, poll.account)  # its schedule may have changed
            pause = UNAUTHORIZED_PAUSE if poll.unauthorized else timedelta()
            wait = min(poll.retry_after, MAX_RETRY_AFTER)
            due_times[account_id] = next_due(account, poll.claim.due_at, now, at_least=max(pause, wait))
            if wait:
                not_before[account_id] = now + wait
                if due_times[account_id] > next_due(account, poll.claim.due_at, now, at_least=pause):
                    report_postponed(account.name, poll.retry_after, due_times[account_id])
        await schedule.release(self._engine, due_times, not_before, self._lease_holder)
        for account_id in finished:
            self._finished.pop(account_id, None)

    async def _claim_due(self) -> None:
        """Claims accounts that are due, as many as there are slots, and starts their polls."""
        self._slots_free.clear()
        slots = CONCURRENT_POLLS - len(self._polls)
        self._slots_are_short = slots <= 0
        if self._slots_are_short or self._stopping:
            return
        idle = self._accounts_by_id.keys() - self._polls.keys() - self._finished.keys()
        failing = idle & self._failing_ids
        failing_slots = min(slots, MAX_FAILING_POLLS - len(self._polls.keys() & self._failing_ids))
        slots -= await self._claim(failing, failing_slots)
        self._slots_are_short = await self._claim(idle - failing, slots) == slots
        self._wake_if_slots_are_free()

    def _wake_if_slots_are_free(self) -> None:
        if self._slots_are_short and len(self._finished) >= FINISHED_PER_ITERATION:
            self._slots_free.set()

    async def _claim(self, account_ids: AbstractSet[int], limit: int) -> int:
        """Claims at most `limit` of these accounts and starts their polls; returns how many were due."""
        if limit <= 0 or not account_ids:
            return 0
        claims = await schedule.claim(self._engine, account_ids, self._lease_holder, LEASE, limit=limit)
        for claim in claims:
            task = asyncio.create_task(self._run_poll(claim, self._accounts_by_id[claim.account_id]))
            self._polls[claim.account_id] = task
        return len(claims)

    async def _run_poll(self, claim: Claim, account: Account) -> None:
        account_id, unauthorized, failed, retry_after = claim.account_id, False, True, timedelta()
        try:
            result = await self._poller.poll(account, "schedule", lateness=claim.now - claim.due_at)
            unauthorized = result.error_kind in {"unauthorized", "forbidden"}
            failed = result.outcome in {"failed", "unknown"}
            if result.outcome == "applied":
                self._notifier.wake()
            retry_after = timedelta(seconds=result.retry_after_seconds or 0)
        finally:
            if failed:
                self._failing_ids.add(account_id)
            else:
                self._failing_ids.discard(account_id)
            self._finished[account_id] = _Finished(claim, account, unauthorized, retry_after)
            del self._polls[account_id]
            self._wake_if_slots_are_free()

    async def _drain(self) -> None:
        """Waits for running polls; those that exceed the timeout are cancelled, and their transactions rolled back."""
        if self._polls:
            log.info("finishing_polls", polls=len(self._polls))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poller.settings.shutdown_timeout.total_seconds()):
                while self._polls:  # a claim in progress may still add one
                    await asyncio.wait(self._polls.values())
        unfinished = list(self._polls.values())
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
