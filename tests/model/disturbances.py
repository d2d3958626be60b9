# ruff: noqa: ARG001 - every deed is given both integers
"""What happens around the polls: to the clock, to processes, to the database, and to polls that wait for their answer.

Like the events of the vendor's world, each is given two small integers and tells whether it had anything to befall.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.builders import record
from tests.model.events import EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncer.outcome import PollResult, Trigger
    from tests.builders import WaitingRequest
    from tests.model.stage import Stage

    Deed = Callable[[Stage, int, int], Awaitable[bool]]

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
MOST_UNANSWERED: Final = 3

DEEDS: Final[dict[str, Deed]] = {}
"""By name."""


def deed(function: Deed) -> Deed:
    """Makes a function a deed of its name."""
    DEEDS[function.__name__] = function
    return function


@dataclass
class Unanswered:
    """A poll that began and waits for its answer."""

    run_id: int
    task: asyncio.Task[PollResult]
    request: WaitingRequest
    records: list[Any]


async def kill(waiting: Unanswered) -> None:
    """Ends a process while its poll waits."""
    waiting.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting.task
    waiting.request.answer()  # to nobody: else the endpoint would wait for it when it closes


@deed
async def nothing_happens(stage: Stage, a: int, b: int) -> bool:
    return True


@deed
async def removals_are_accepted(stage: Stage, a: int, b: int) -> bool:
    stage.trigger = "accept_removals"
    return True


@deed
async def operator_asks(stage: Stage, a: int, b: int) -> bool:
    stage.trigger = "command"
    return True


@deed
async def hours_pass(stage: Stage, a: int, b: int) -> bool:
    stage.clock += (1 + a % 12) * HOUR
    return True


@deed
async def hold_time_passes(stage: Stage, a: int, b: int) -> bool:
    stage.clock += stage.hold + (b % 2) * HOUR
    return True


@deed
async def hold_time_is_almost_over(stage: Stage, a: int, b: int) -> bool:
    stage.clock += stage.hold - MINUTE - (b % 3) * timedelta(microseconds=1)
    return True


@deed
async def same_bytes_come_after_the_hold_time(stage: Stage, a: int, b: int) -> bool:
    stage.clock += stage.hold
    return EVENTS["same_bytes_again"](stage.actor.world, a, b)


@deed
async def clock_stands_still(stage: Stage, a: int, b: int) -> bool:
    stage.clock -= MINUTE
    return True


@deed
async def clock_jumps_back(stage: Stage, a: int, b: int) -> bool:
    stage.clock -= (1 + a) * HOUR
    return True


@deed
async def process_forgets(stage: Stage, a: int, b: int) -> bool:
    stage.actor.process.forget()
    return True


@deed
async def digests_are_deleted(stage: Stage, a: int, b: int) -> bool:
    await stage.ground.sql.execute("delete from syncer.record_fingerprint")
    return bool(stage.actor.model.numbers)


@deed
async def digests_are_deleted_and_the_process_forgets(stage: Stage, a: int, b: int) -> bool:
    stage.actor.process.forget()
    return await digests_are_deleted(stage, a, b)


@deed
async def some_digests_are_deleted_and_the_process_forgets(stage: Stage, a: int, b: int) -> bool:
    stage.actor.process.forget()
    await stage.ground.sql.execute("delete from syncer.record_fingerprint where virtual_number_id % 3 = $1", a % 3)
    return bool(stage.actor.model.numbers)


@deed
async def another_process_polls(stage: Stage, a: int, b: int) -> bool:
    stage.by_another_process = True
    return True


@deed
async def another_account_is_polled(stage: Stage, a: int, b: int) -> bool:
    stage.actor = stage.actors[1]
    stage.actor.world.http_error = None
    return True


@deed
async def poll_begins_and_waits(stage: Stage, a: int, b: int) -> bool:
    actor = stage.actor
    if len(actor.unanswered) >= MOST_UNANSWERED:
        return False
    await stage.stop_clock()
    trigger: Trigger = "accept_removals" if a % 4 == 0 else "schedule"
    task = asyncio.create_task(actor.late_process.poll_again(trigger=trigger))
    request = await stage.ground.patient.received.get()
    run_id = await stage.ground.sql.fetchval("select max(run_id) from syncer.sync_run")
    actor.model.begin(run_id, trigger, stage.clock)
    records = [json.loads(element) for element in actor.world.elements()]
    actor.unanswered.append(Unanswered(run_id, task, request, records))
    stage.told.append(f"  run {run_id} waits")
    return True


@deed
async def waiting_poll_is_answered(stage: Stage, a: int, b: int) -> bool:
    return await _answer(stage, a, None)


@deed
async def waiting_poll_is_answered_with_what_is_now(stage: Stage, a: int, b: int) -> bool:
    return await _answer(stage, a, [json.loads(element) for element in stage.actor.world.elements()])


@deed
async def waiting_poll_is_answered_with_an_empty_list(stage: Stage, a: int, b: int) -> bool:
    return await _answer(stage, a, [])


@deed
async def waiting_poll_is_answered_by_another_account(stage: Stage, a: int, b: int) -> bool:
    return await _answer(stage, a, [record(1, app_id=7)])


async def _answer(stage: Stage, choice: int, records: list[Any] | None) -> bool:
    actor = stage.actor
    if not actor.unanswered:
        return False
    await stage.stop_clock()
    waiting = actor.unanswered.pop(choice % len(actor.unanswered))
    records = waiting.records if records is None else records
    body = json.dumps(records, ensure_ascii=False).encode(errors="replace")
    waiting.request.answer(*json.loads(body))
    result = await stage.result_of(waiting.task)
    expected = actor.model.answer(waiting.run_id, body, stage.clock)
    stage.told.append(f"  run {waiting.run_id} is answered {body.decode()} -> {expected.outcome}")
    if expected.outcome in {"applied", "unchanged"}:
        actor.last_good_body = body
    await stage.compare(result, expected)
    return True


@deed
async def waiting_poll_is_killed(stage: Stage, a: int, b: int) -> bool:
    if not stage.actor.unanswered:
        return False
    await kill(stage.actor.unanswered.pop(a % len(stage.actor.unanswered)))
    return True
