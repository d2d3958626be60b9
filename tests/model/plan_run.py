"""Runs a plan: each step polls a real endpoint into a real database, and compares all rows with the model."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from syncer.emulator import faults
from syncer.store.accounts import rename_account
from syncer.store.day_summaries import summarise_days
from syncer.store.invariants import find_violations
from syncer.threads import THREAD_THRESHOLD_BYTES
from tests.model.change_feed import CopiedFeed
from tests.model.database_rows import difference, fetch_rows
from tests.model.disturbances import DISTURBANCES, MINUTE, kill
from tests.model.model import COUNTERS, AccountModel
from tests.model.vendor_account import VendorAccount
from tests.model.vendor_changes import VENDOR_CHANGES
from tests.model.view_checker import ViewChecker, compare_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from syncer.outcome import PollResult, Trigger
    from tests.builders import PolledAccount
    from tests.model.action_statistics import ActionStatistics
    from tests.model.database_rows import Row
    from tests.model.disturbances import WaitingPoll
    from tests.model.environment import Environment
    from tests.model.model import RunRow
    from tests.model.view_checker import Comparison

T0: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

_INCONSISTENT_RUNS: Final = """
select run_id from syncer.sync_run
 where (outcome = 'running') <> (finished_at is null) or finished_at < started_at
    or (outcome = 'failed') <> (error is not null)
"""
_SET_CLOCK: Final = "update public.model_clock set moment = $1"
Step = tuple[tuple[str, int, int], ...]
"""The actions before one poll, each with its two integers."""


@dataclass(frozen=True)
class Plan:
    """A sequence of polls.

    Attributes:
        steps: One poll each, of the first account unless an action chooses another.
        numbers: The initial number of numbers of each account.
        ratio: `SYNCER_REMOVAL_GUARD_RATIO`.
        hold_hours: `SYNCER_REMOVAL_GUARD_HOLD`.
        confirmations: `SYNCER_REMOVAL_CONFIRMATIONS`.
        replays: Whether the last successful response is polled again after each step, not only after the last one.
        compared_every: After how many polls the rows are compared; the results of polls always are.
        views_compared_every: After how many polls the views and the invariants are compared with the rows.
    """

    steps: tuple[Step, ...]
    numbers: int = 0
    ratio: float = 0.2
    hold_hours: int = 24
    confirmations: int = 1
    replays: bool = False
    compared_every: int = 1
    views_compared_every: int = 1


class MismatchError(AssertionError):
    """The program and the model have different results."""


@dataclass
class ComparedAccount:
    """One account: its vendor's side, the processes that poll it, and its model."""

    vendor: VendorAccount
    model: AccountModel
    process: PolledAccount
    another_process: PolledAccount
    slow_process: PolledAccount
    account_id: int | None = None
    waiting_polls: list[WaitingPoll] = field(default_factory=list)
    last_good_response: tuple[bytes, dict[str, str]] | None = None
    previous_rows: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)
    """Of the polls since the rows were compared."""
    are_views_outdated: bool = False
    """Whether a poll was applied since the views were compared."""
    summarised: tuple[Any, ...] = ()
    """Until which day, and after how many removals, days were summarised."""

    def __post_init__(self) -> None:
        self.view_checker = ViewChecker(self.model)


class PlanRun:
    """One run of a plan."""

    def __init__(self, environment: Environment, plan: Plan, statistics: ActionStatistics) -> None:
        self.environment, self.plan, self.statistics = environment, plan, statistics
        self.hold = timedelta(hours=plan.hold_hours)
        self.clock = T0
        self._clock_of_database: datetime | None = None
        self.accounts: list[ComparedAccount] = []
        self.account: ComparedAccount
        self.trigger: Trigger = "schedule"
        self.use_another_process = False
        self.log: list[str] = []
        self.feed = CopiedFeed()
        self.polls_since_views = 0

    async def set_up(self, stack: AsyncExitStack) -> None:
        """Creates two accounts with the same ids."""
        for name in ("one", "another"):
            account = ComparedAccount(
                VendorAccount(self.plan.numbers),
                AccountModel(ratio=self.plan.ratio, hold=self.hold, confirmations=self.plan.confirmations),
                *await self._processes(name),
            )
            self.accounts.append(account)
            stack.push_async_callback(self._kill_all, account)
        self.account = self.accounts[0]

    async def _processes(self, name: str) -> tuple[PolledAccount, PolledAccount, PolledAccount]:
        """Returns two restarted processes that poll an account, and one whose responses are delayed."""
        emulated, delayed = self.environment.emulator.url, self.environment.blocking_endpoint.url
        return (
            await self.environment.process("first", name, emulated, self.plan),
            await self.environment.process("second", name, emulated, self.plan),
            await self.environment.process("slow", name, delayed, self.plan),
        )

    async def rename_account(self) -> None:
        """Renames the account; polls that have begun under the old name go on."""
        account = self.account
        old = account.process.account.name
        new = f"{old} renamed" if "renamed" not in old else old.removesuffix(" renamed")
        await rename_account(account.process.engine, old, new)
        account.process, account.another_process, account.slow_process = await self._processes(new)

    async def account_id(self, account: ComparedAccount) -> int | None:
        """Returns an account's id; None if it was never polled."""
        query, name = "select account_id from syncer.account where name = $1", account.process.account.name
        account_id: int | None = await self.environment.sql.fetchval(query, name)
        return account_id

    async def _kill_all(self, account: ComparedAccount) -> None:
        while account.waiting_polls:
            await kill(account.waiting_polls.pop())

    async def step(self, step: Step) -> None:
        """Executes some actions, polls, and compares everything."""
        self.account, self.trigger, self.use_another_process = self.accounts[0], "schedule", False
        self.account.vendor.http_error = None
        self.clock += MINUTE
        await self.set_clock()
        executed = []
        for name, a, b in step:
            self.log.append(f"{name} {a} {b}")
            if await (DISTURBANCES[name](self, a, b) if name in DISTURBANCES else self._change_vendor(name, a, b)):
                executed.append(name)
        await self.set_clock()
        self.statistics.add_step(executed)
        if step and step[0][1] % 3:
            await self._summarise_days()
        await self._poll()
        if self.plan.replays:
            await self.replay_last_success()

    async def _summarise_days(self) -> None:
        """Counts the days that have ended of all accounts; a poll may be waiting meanwhile, but holds no lock.

        Without a new day or a removal there is nothing to count.
        """
        for account in self.accounts:
            summarised = account.model.observed_day(), account.model.consequences["removed"]
            if summarised == account.summarised:
                continue
            account_id = await self.account_id(account)
            while account_id and await summarise_days(account.process.engine, account_id, days=5) == "more":
                pass
            account.summarised = summarised

    async def _change_vendor(self, name: str, a: int, b: int) -> bool:
        return VENDOR_CHANGES[name](self.account.vendor, a, b)

    async def set_clock(self) -> None:
        """Stops the database's clock at the time that the plan has reached."""
        if self._clock_of_database != self.clock:
            await self.environment.sql.execute(_SET_CLOCK, self.clock)
            self._clock_of_database = self.clock

    async def _poll(self) -> None:
        account, emulator = self.account, self.environment.emulator
        body, headers = account.vendor.response()
        status = account.vendor.http_error
        text = body.decode(errors="surrogateescape")
        emulator.fault = faults.Body(body=text, headers=headers) if status is None else faults.Status(status=status)
        process = account.another_process if self.use_another_process else account.process
        result = await self.result_of(process.poll_again(trigger=self.trigger))
        run_id = _run_id(result)
        account.model.begin(run_id, self.trigger, self.clock)
        if status is None:
            expected = account.model.complete(run_id, body, self.clock, headers)
        else:
            expected = account.model.fail(
                run_id, _STATUS_KINDS.get(status, "http_status"), http_status=status, response_bytes=None
            )
        shown = re.sub(" {1000,}", f" (and {THREAD_THRESHOLD_BYTES} spaces) ", text)
        self.log.append(f"  {self.trigger} {status or ''} {headers or ''} {shown} -> {expected.outcome}")
        if expected.outcome in {"applied", "unchanged"}:
            account.last_good_response = body, headers
        await self.compare(result, expected)

    async def result_of(self, poll: Awaitable[PollResult]) -> PollResult:
        """Returns the result of a poll, which must not raise, whatever goes wrong."""
        try:
            return await poll
        except Exception as error:
            raise MismatchError(f"the poll raised {error!r}\n{self._recent_log()}") from error

    def _recent_log(self) -> str:
        return "\n".join(self.log[-60:])

    async def replay_last_success(self) -> None:
        """Polls the last successful response again: nothing may change except the run and the account.

        If removals wait for their confirmation, it confirms them.
        """
        account = self.account
        if account.last_good_response is None:
            return
        body, headers = account.last_good_response
        account.process.emulator.fault = faults.Body(body=body.decode(errors="surrogateescape"), headers=headers)
        result = await self.result_of(account.process.poll_again())
        run_id = _run_id(result)
        account.model.begin(run_id, "schedule", self.clock)
        deadlines, unconfirmed = account.model.upcoming_deadlines(), account.model.unconfirmed
        expected = account.model.complete(run_id, body, self.clock, headers)
        self.log.append("  replayed")
        # The clock does not move, but each poll is recorded one microsecond after the one before.
        if account.model.has_passed(deadlines):
            account.model.consequences["a deadline passed at a replay"] += 1
        elif unconfirmed:
            account.model.consequences["a replay confirmed removals"] += expected.counters["removed"] > 0
        else:
            self._assert_equal("the model's outcome of a replay", "unchanged", expected.outcome)
        await self.compare(result, expected)

    async def check_history(self) -> None:
        """Compares all views at the end, including those of the past."""
        for account in self.accounts:
            account.are_views_outdated = bool(account.model.runs)
        await self._compare_everything()
        for account in self.accounts:
            if account.model.runs:
                self._assert_all_equal(
                    await account.view_checker.check_history(self.environment.sql, account.process.account.name)
                )

    # Comparison of the program with the model

    async def compare(self, result: PollResult, expected: RunRow) -> None:
        self.statistics.polls += 1
        names = ("outcome", "error_kind", "received", *COUNTERS)
        actual_result = {name: getattr(result, name) for name in names}
        counters = dict.fromkeys(COUNTERS, 0) | {name: expected.counters[name] for name in COUNTERS}
        expected_result = {name: getattr(expected, name) for name in ("outcome", "error_kind", "received")} | counters
        self._assert_equal(f"the result ({result.error})", expected_result, actual_result)
        self._assert_equal("whether there is an error", expected.outcome == "failed", bool(result.error))
        self.account.outcomes.append(expected.outcome)
        self.polls_since_views += 1
        if expected.outcome == "applied":
            self.account.view_checker.record_poll()
            self.account.are_views_outdated = True
        if self.polls_since_views >= self.plan.views_compared_every:
            await self._compare_everything()
        elif len(self.account.outcomes) >= self.plan.compared_every:
            await self._compare_rows(self.account)

    async def _compare_everything(self) -> None:
        """Compares all rows and views, and checks the invariants."""
        self.polls_since_views = 0
        sql = self.environment.sql
        await self.feed.catch_up(sql)
        self._assert_equal(*compare_copy(self.feed))
        for account in self.accounts:
            await self._compare_rows(account)
            await self._compare_views(account)
        self._assert_equal(
            "inconsistent runs", [], [row[0] for row in await self.environment.sql.fetch(_INCONSISTENT_RUNS)]
        )
        violations = [str(violation) async for violation in find_violations(self.environment.checking_engine)]
        self._assert_equal("violated invariants", [], violations)

    async def _compare_rows(self, account: ComparedAccount) -> None:
        found = await self.environment.sql.fetch(
            "select account_id, app_id from syncer.account where name = $1", account.process.account.name
        )
        if not found:
            return
        ((account_id, app_id),) = found
        self._assert_equal("account.app_id", account.model.app_id, app_id)
        expected, actual = account.model.rows(), await fetch_rows(self.environment.sql, account_id)
        polls, may_write = len(account.outcomes), "applied" in account.outcomes
        account.outcomes = []
        for table, rows in actual.items():
            self._assert_equal(table, expected[table], {key: row.values for key, row in rows.items()})
            previous = account.previous_rows.get(table, {})
            rewritten = [
                key
                for key, row in previous.items()
                if polls <= 1
                and key in rows  # retention may have deleted the row of a run
                and row.values == rows[key].values
                and row.written_by != rows[key].written_by
            ]
            self._assert_equal(f"rows of {table} that were written without a change", [], rewritten)
            if not may_write and table != "sync_run":
                self._assert_equal(f"rows of {table} after a poll that was not applied", previous, rows)
        account.previous_rows = actual
        if may_write:
            await account.view_checker.remember_numbers(self.environment.sql, account.process.account.name)
        self.statistics.consequences["rows compared"] += 1
        self.statistics.max_numbers = max(self.statistics.max_numbers, len(expected["virtual_number"]))

    async def _compare_views(self, account: ComparedAccount) -> None:
        checker, sql, name = account.view_checker, self.environment.sql, account.process.account.name
        if account.are_views_outdated:
            self._assert_all_equal(await checker.check_views(sql, name, self.feed))
            account.are_views_outdated = False
            self.statistics.consequences["views compared"] += 1
        elif account.model.runs:
            self._assert_all_equal(await checker.check_freshness(sql, name))

    def _assert_all_equal(self, comparisons: Sequence[Comparison]) -> None:
        for comparison in comparisons:
            self._assert_equal(*comparison)

    def _assert_equal(self, what: str, expected: Any, actual: Any) -> None:
        if expected == actual:
            return
        account = self.account.process.account.name
        raise MismatchError(f"{what} of account {account}\n{difference(expected, actual)}\n{self._recent_log()}")


async def run_plan(environment: Environment, plan: Plan, statistics: ActionStatistics) -> None:
    """Runs a plan on an empty database; raises MismatchError if the program and the model differ."""
    async with AsyncExitStack() as stack:
        await environment.deletion.delete_all_rows(environment.killer)
        plan_run = PlanRun(environment, plan, statistics)
        await plan_run.set_up(stack)
        for step in plan.steps:
            await plan_run.step(step)
        await plan_run.replay_last_success()
        await plan_run.check_history()
        for account in plan_run.accounts:
            statistics.consequences.update(account.model.consequences)
            statistics.consequences["fields changed"] += account.view_checker.fields_changed()


ACTIONS: Final[Sequence[str]] = (*DISTURBANCES, *VENDOR_CHANGES)
"""The names of all actions; in the first, nothing happens."""

_STATUS_KINDS: Final = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}


def _run_id(result: PollResult) -> int:
    assert result.run_id is not None
    return result.run_id
