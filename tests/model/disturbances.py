# ruff: noqa: ARG001 - all disturbances have the same signature
"""Disturbances of the polls: of the clock, the processes, the database, and polls that wait for their response.

Like a vendor change, each has two small integers as arguments, and returns whether there was anything to disturb.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from syncer.store.retention import prune
from tests.builders import record
from tests.model.vendor_changes import VENDOR_CHANGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncer.outcome import PollResult, Trigger
    from tests.builders import WaitingRequest
    from tests.model.plan_run import PlanRun

    Disturbance = Callable[[PlanRun, int, int], Awaitable[bool]]

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
MAX_WAITING_POLLS: Final = 3
# A poll waits for these at its beginning, in the middle and at the end of its transaction, if it writes to them.
_LOCKED_TABLES: Final = ("record_fingerprint", "virtual_number", "sync_run")

RETENTION: Final = timedelta(days=3)
"""How long runs are kept that found something new or failed."""
_TERMINATE_BLOCKED: Final = """
select count(pg_terminate_backend(pid)) from pg_locks
 where not granted and database = (select oid from pg_database where datname = current_database())
"""

DISTURBANCES: Final[dict[str, Disturbance]] = {}
"""All disturbances, by name."""


def disturbance(function: Disturbance) -> Disturbance:
    """Registers a function as a disturbance."""
    DISTURBANCES[function.__name__] = function
    return function


@dataclass
class WaitingPoll:
    """A poll that has begun and waits for its response."""

    run_id: int
    task: asyncio.Task[PollResult]
    request: WaitingRequest
    records: list[Any]


async def kill(waiting: WaitingPoll) -> None:
    """Cancels a waiting poll, as when its process is killed."""
    waiting.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting.task
    waiting.request.answer()  # otherwise the endpoint would wait for this request when it closes


@disturbance
async def nothing_happens(plan_run: PlanRun, a: int, b: int) -> bool:
    return True


@disturbance
async def removals_are_accepted(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.trigger = "accept_removals"
    return True


@disturbance
async def operator_polls(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.trigger = "command"
    return True


@disturbance
async def hours_pass(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock += (1 + a % 12) * HOUR
    return True


@disturbance
async def hold_time_passes(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock += plan_run.hold + (b % 2) * HOUR
    return True


@disturbance
async def hold_time_is_almost_over(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock += plan_run.hold - MINUTE - (b % 3) * timedelta(microseconds=1)
    return True


@disturbance
async def hold_time_of_a_number_ends(plan_run: PlanRun, a: int, b: int) -> bool:
    """At this poll, or one microsecond after it."""
    deadlines = sorted(plan_run.account.model.upcoming_deadlines())
    if deadlines:
        plan_run.clock = deadlines[a % len(deadlines)] - (b % 2) * timedelta(microseconds=1)
    return bool(deadlines)


@disturbance
async def response_is_repeated_after_the_hold_time(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock += plan_run.hold
    return VENDOR_CHANGES["response_is_repeated"](plan_run.account.vendor, a, b)


@disturbance
async def clock_stops(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock -= MINUTE
    return True


@disturbance
async def clock_jumps_back(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.clock -= (1 + a) * HOUR
    return True


@disturbance
async def process_restarts(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.account.process.restart()
    return True


@disturbance
async def fingerprints_are_deleted(plan_run: PlanRun, a: int, b: int) -> bool:
    await plan_run.environment.sql.execute("delete from syncer.record_fingerprint")
    return bool(plan_run.account.model.numbers)


@disturbance
async def fingerprints_are_deleted_and_the_process_restarts(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.account.process.restart()
    return await fingerprints_are_deleted(plan_run, a, b)


@disturbance
async def some_fingerprints_are_deleted_and_the_process_restarts(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.account.process.restart()
    await plan_run.environment.sql.execute(
        "delete from syncer.record_fingerprint where virtual_number_id % 3 = $1", a % 3
    )
    return bool(plan_run.account.model.numbers)


@disturbance
async def another_process_polls(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.use_another_process = True
    return True


@disturbance
async def another_account_is_polled(plan_run: PlanRun, a: int, b: int) -> bool:
    plan_run.account = plan_run.accounts[1]
    plan_run.account.vendor.http_error = None
    return True


@disturbance
async def account_is_renamed(plan_run: PlanRun, a: int, b: int) -> bool:
    """Renames the account in the database and in the configuration, which restarts the processes."""
    if not plan_run.account.model.runs:
        return False
    await plan_run.rename_account()
    return True


@disturbance
async def old_runs_are_deleted(plan_run: PlanRun, a: int, b: int) -> bool:
    await plan_run.set_clock()
    account_id = await plan_run.account_id(plan_run.account)
    if account_id is None:
        return False
    while await prune(plan_run.account.process.engine, account_id, RETENTION, batch=1 + a) == "more":
        pass
    return plan_run.account.model.delete_old_runs(plan_run.clock, RETENTION) > 0


@disturbance
async def poll_begins_and_waits(plan_run: PlanRun, a: int, b: int) -> bool:
    account = plan_run.account
    if len(account.waiting_polls) >= MAX_WAITING_POLLS:
        return False
    await plan_run.set_clock()
    trigger: Trigger = "accept_removals" if a % 4 == 0 else "schedule"
    task = asyncio.create_task(account.slow_process.poll_again(trigger=trigger))
    request = await plan_run.environment.blocking_endpoint.received.get()
    run_id = await plan_run.environment.sql.fetchval("select max(run_id) from syncer.sync_run")
    account.model.begin(run_id, trigger, plan_run.clock)
    records = [json.loads(element) for element in account.vendor.elements()]
    account.waiting_polls.append(WaitingPoll(run_id, task, request, records))
    plan_run.log.append(f"  run {run_id} waits")
    return True


@disturbance
async def waiting_poll_gets_its_response(plan_run: PlanRun, a: int, b: int) -> bool:
    return await _respond(plan_run, a, None)


@disturbance
async def waiting_poll_gets_the_current_list(plan_run: PlanRun, a: int, b: int) -> bool:
    return await _respond(plan_run, a, [json.loads(element) for element in plan_run.account.vendor.elements()])


@disturbance
async def waiting_poll_gets_an_empty_list(plan_run: PlanRun, a: int, b: int) -> bool:
    return await _respond(plan_run, a, [])


@disturbance
async def waiting_poll_gets_another_account(plan_run: PlanRun, a: int, b: int) -> bool:
    return await _respond(plan_run, a, [record(1, app_id=7)])


@disturbance
async def transaction_is_killed(plan_run: PlanRun, a: int, b: int) -> bool:
    """Terminates the session of a poll that writes; if the poll needs no lock on the table, it succeeds."""
    account = plan_run.account
    if not await poll_begins_and_waits(plan_run, a, b):
        return False
    waiting, killer = account.waiting_polls[-1], plan_run.environment.killer
    body = json.dumps(waiting.records, ensure_ascii=False).encode(errors="replace")
    if not account.model.is_of_account(body):
        return False  # that fails before its transaction, and another one writes so
    account.waiting_polls.pop()
    async with killer.transaction():
        await killer.execute(f"lock table syncer.{_LOCKED_TABLES[b % len(_LOCKED_TABLES)]} in share mode")
        waiting.request.answer(*json.loads(body))
        is_killed = False
        while not (is_killed or waiting.task.done()):
            is_killed = await killer.fetchval(_TERMINATE_BLOCKED) > 0
    await _compare_answered(plan_run, waiting, body, is_killed=is_killed)
    return is_killed


async def _respond(plan_run: PlanRun, choice: int, records: list[Any] | None) -> bool:
    account = plan_run.account
    if not account.waiting_polls:
        return False
    await plan_run.set_clock()
    waiting = account.waiting_polls.pop(choice % len(account.waiting_polls))
    records = waiting.records if records is None else records
    body = json.dumps(records, ensure_ascii=False).encode(errors="replace")
    waiting.request.answer(*json.loads(body))
    await _compare_answered(plan_run, waiting, body)
    return True


async def _compare_answered(plan_run: PlanRun, waiting: WaitingPoll, body: bytes, *, is_killed: bool = False) -> None:
    """Compares the result of a poll that waited, after its response was sent or its session was terminated."""
    account = plan_run.account
    result = await plan_run.result_of(waiting.task)
    if is_killed:
        expected = account.model.fail(waiting.run_id, "database", http_status=200, response_bytes=len(body))
    else:
        expected = account.model.complete(waiting.run_id, body, plan_run.clock, headers={})
    plan_run.log.append(f"  run {waiting.run_id} gets {body.decode()}, is killed: {is_killed} -> {expected.outcome}")
    if expected.outcome in {"applied", "unchanged"}:
        account.last_good_response = body, {}
    await plan_run.compare(result, expected)


@disturbance
async def waiting_poll_is_killed(plan_run: PlanRun, a: int, b: int) -> bool:
    if not plan_run.account.waiting_polls:
        return False
    await kill(plan_run.account.waiting_polls.pop(a % len(plan_run.account.waiting_polls)))
    return True
