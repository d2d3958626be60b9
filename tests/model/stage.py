"""The real thing beside the model: every step polls a real endpoint into a real database, then compares all rows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from syncer.emulator import STILL, Emulator, faults
from syncer.store.engine import create_engine
from tests.builders import PatientEndpoint, PolledAccount, connect, settings_for
from tests.model.events import EVENTS
from tests.model.model import COUNTERS, AccountModel, RunRow
from tests.model.reading import COLUMNS, meaning
from tests.model.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.outcome import PollResult, Trigger
    from tests.builders import WaitingRequest
    from tests.model.tally import Tally

T0: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
_MOST_UNANSWERED: Final = 3

_PERIOD: Final = "valid_to, changed_after, closed_after, run_id, closed_run_id"
_RECORD: Final = ", ".join("r.name as region_name" if name == "region_name" else f"n.{name}" for name in COLUMNS)
_TABLES: Final = {
    "virtual_number": (
        1,
        f"""
        select n.virtual_number_id, {_RECORD}, n.extra::text, n.first_seen_at, n.changed_at, n.changed_after,
               n.last_read_at, n.missing_since, n.removed_at, n.run_id, n.xmin::text
          from syncer.virtual_number n left join syncer.region r using (region_id) where n.account_id = $1
        """,
    ),
    "virtual_number_history": (
        2,
        f"""
        select n.virtual_number_id, n.valid_from, {_RECORD}, {_PERIOD}, n.xmin::text
          from syncer.virtual_number_history n left join syncer.region r using (region_id) where n.account_id = $1
        """,
    ),
    "state_history": (
        2,
        f"""
        select virtual_number_id, valid_from, state, reason, {_PERIOD}, xmin::text
          from syncer.state_history where account_id = $1
        """,
    ),
    "virtual_number_redirect": (
        4,
        f"""
        select virtual_number_id, redirect_number_id, number, valid_from, {_PERIOD}, xmin::text
          from syncer.virtual_number_redirect where account_id = $1
        """,
    ),
    "rejected_record": (
        1,
        """
        select payload, virtual_number_id, first_run_id, last_run_id, occurrences, xmin::text
          from syncer.rejected_record where account_id = $1
        """,
    ),
    "sync_run": (
        1,
        f"""
        select run_id, trigger, started_at, outcome, error_kind, http_status, response_bytes, received,
               {", ".join(COUNTERS)}
          from syncer.sync_run where account_id = $1
        """,
    ),
}
_WRONG_END: Final = """
select run_id from syncer.sync_run
 where (outcome = 'running') <> (finished_at is null) or finished_at < started_at
    or (outcome = 'failed') <> (error is not null)
"""
_EMPTY: Final = """
truncate syncer.account, syncer.sync_run, syncer.virtual_number, syncer.virtual_number_history, syncer.state_history,
         syncer.virtual_number_redirect, syncer.rejected_record, syncer.record_digest restart identity cascade
"""

Step = tuple[tuple[str, int, int], ...]
"""The events before one poll, each with the two integers that choose whom it befalls and how."""


@dataclass(frozen=True)
class Plan:
    """What a play is made of.

    Attributes:
        steps: A poll each, of the first account unless an event says otherwise.
        numbers: How many numbers each account has at first.
        ratio: `SYNCER_REMOVAL_GUARD_RATIO`.
        hold_hours: `SYNCER_REMOVAL_GUARD_HOLD`.
        replays: Whether every response that succeeded is given once more after each step, not only after the last.
    """

    steps: tuple[Step, ...]
    numbers: int = 0
    ratio: float = 0.2
    hold_hours: int = 24
    replays: bool = False


class DisagreementError(AssertionError):
    """The program and the model came to different things."""


@dataclass
class Ground:
    """What plays share: a database, an emulated endpoint, and one that answers late."""

    engine: AsyncEngine
    sql: asyncpg.Connection
    emulator: Emulator
    patient: PatientEndpoint
    stack: AsyncExitStack
    processes: dict[tuple[Any, ...], PolledAccount] = field(default_factory=dict)

    @classmethod
    async def build(cls, stack: AsyncExitStack, database: str) -> Self:
        engine = create_engine(lambda: database)
        stack.push_async_callback(engine.dispose)
        sql = await connect(database)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=1, rates=STILL))
        return cls(engine, sql, emulator, await stack.enter_async_context(PatientEndpoint()), stack)

    async def process(self, role: str, name: str, url: str, plan: Plan) -> PolledAccount:
        """A process that was just started, which polls an account; made anew it would load certificates each time."""
        key = (role, name, plan.ratio, plan.hold_hours)
        if key not in self.processes:
            settings = settings_for(
                self.emulator,
                account_name=name,
                api_url=url,
                removal_guard_ratio=plan.ratio,
                removal_guard_hold=plan.hold_hours * HOUR,
            )
            made = PolledAccount(self.engine, self.emulator, self.sql, settings)
            self.processes[key] = await self.stack.enter_async_context(made)
        self.processes[key].forget()
        return self.processes[key]

    async def play(self, plan: Plan, tally: Tally) -> None:
        """Plays a plan from an empty database, or raises DisagreementError."""
        async with AsyncExitStack() as stack:
            await self.sql.execute(_EMPTY)
            stage = Stage(self, plan, tally)
            await stage.enter(stack)
            for step in plan.steps:
                await stage.step(step)
            await stage.replay()
            for actor in stage.actors:
                tally.consequences.update(actor.model.happened)


@dataclass
class Unanswered:
    """A poll that began and waits for its answer."""

    run_id: int
    task: asyncio.Task[PollResult]
    request: WaitingRequest
    records: list[Any]


@dataclass
class Actor:
    """One account: the vendor's side of it, the processes that poll it, and what the model says of it."""

    world: World
    model: AccountModel
    process: PolledAccount
    another_process: PolledAccount
    late_process: PolledAccount
    account_id: int | None = None
    unanswered: list[Unanswered] = field(default_factory=list)
    last_good_body: bytes | None = None
    seen: dict[str, dict[tuple[Any, ...], tuple[dict[str, Any], str | None]]] = field(default_factory=dict)


class Stage:
    """One play."""

    def __init__(self, ground: Ground, plan: Plan, tally: Tally) -> None:
        self.ground, self.plan, self.tally = ground, plan, tally
        self.hold = timedelta(hours=plan.hold_hours)
        self.clock = T0
        self.actors: list[Actor] = []
        self.actor: Actor
        self.trigger: Trigger = "schedule"
        self.by_another_process = False
        self.told: list[str] = []

    async def enter(self, stack: AsyncExitStack) -> None:
        """Brings two accounts with the same ids onto the stage."""
        emulated, patient = self.ground.emulator.url, self.ground.patient.url
        for name in ("one", "another"):
            actor = Actor(
                World(self.plan.numbers),
                AccountModel(ratio=self.plan.ratio, hold=self.hold),
                await self.ground.process("first", name, emulated, self.plan),
                await self.ground.process("second", name, emulated, self.plan),
                await self.ground.process("late", name, patient, self.plan),
            )
            self.actors.append(actor)
            stack.push_async_callback(self._kill_all, actor)
        self.actor = self.actors[0]

    async def _kill_all(self, actor: Actor) -> None:
        while actor.unanswered:
            await _kill(actor.unanswered.pop())

    async def step(self, step: Step) -> None:
        """Lets some events happen, polls, and compares everything."""
        self.actor, self.trigger, self.by_another_process = self.actors[0], "schedule", False
        self.actor.world.http_error = None
        self.clock += MINUTE
        await self._stop_clock()
        happened = []
        for name, a, b in step:
            self.told.append(f"{name} {a} {b}")
            if await (DEEDS[name](self, a, b) if name in DEEDS else self._befall(name, a, b)):
                happened.append(name)
        await self._stop_clock()
        self.tally.step(happened)
        await self._poll()
        if self.plan.replays:
            await self.replay()

    async def _befall(self, name: str, a: int, b: int) -> bool:
        return EVENTS[name](self.actor.world, a, b)

    async def _stop_clock(self) -> None:
        await self.actor.process.set_clock(self.clock)

    async def _poll(self) -> None:
        actor, emulator = self.actor, self.ground.emulator
        body = actor.world.body()
        status = actor.world.http_error
        text = body.decode(errors="surrogateescape")
        emulator.fault = faults.Body(body=text) if status is None else faults.Status(status=status)
        process = actor.another_process if self.by_another_process else actor.process
        result = await self._result(process.poll_again(trigger=self.trigger))
        run_id = _run_id(result)
        actor.model.begin(run_id, self.trigger, self.clock)
        if status is None:
            expected = actor.model.answer(run_id, body, self.clock)
        else:
            expected = actor.model.fail(
                run_id, _KINDS.get(status, "http_status"), http_status=status, response_bytes=None
            )
        self.told.append(f"  {self.trigger} {status or ''} {text} -> {expected.outcome}")
        if expected.outcome in {"applied", "unchanged"}:
            actor.last_good_body = body
        await self._compare(result, expected)

    async def _result(self, poll: Awaitable[PollResult]) -> PollResult:
        """What a poll came to; whatever goes wrong in it, it has a result."""
        try:
            return await poll
        except Exception as error:
            raise DisagreementError(f"the poll raised {error!r}\n{self._story()}") from error

    def _story(self) -> str:
        return "\n".join(self.told[-60:])

    async def replay(self) -> None:
        """Gives the last response that succeeded once more: nothing may change but the run and the account."""
        actor = self.actor
        if actor.last_good_body is None:
            return
        actor.process.emulator.fault = faults.Body(body=actor.last_good_body.decode(errors="surrogateescape"))
        result = await self._result(actor.process.poll_again())
        run_id = _run_id(result)
        actor.model.begin(run_id, "schedule", self.clock)
        held_before = actor.model.held
        expected = actor.model.answer(run_id, actor.last_good_body, self.clock)
        self.told.append("  replayed")
        # The guard, as it is specified, lets go of held removals when numbers that are not part of the loss come or go:
        # test_regressions.py has the cases. Nothing else may make a replay anything but unchanged.
        only_released = expected.counters["removed"] > 0 and held_before > expected.counters["held"]
        if expected.outcome != "unchanged" and only_released:
            actor.model.happened["a replay removed what was held"] += 1
        else:
            self._require("the model's replay", "unchanged", expected.outcome)
        await self._compare(result, expected)

    # What the program did, against what the model says

    async def _compare(self, result: PollResult, expected: RunRow) -> None:
        self.tally.polls += 1
        names = ("outcome", "error_kind", "received", *COUNTERS)
        said = {name: getattr(result, name) for name in names}
        counters = dict.fromkeys(COUNTERS, 0) | {name: expected.counters[name] for name in COUNTERS}
        wanted = {name: getattr(expected, name) for name in ("outcome", "error_kind", "received")} | counters
        self._require("the result", wanted, said)
        self._require("whether there is an error", expected.outcome == "failed", bool(result.error))
        for actor in self.actors:
            await self._compare_rows(actor, may_write=actor is self.actor and expected.outcome == "applied")
        self._require("runs that end wrongly", [], [row[0] for row in await self.ground.sql.fetch(_WRONG_END)])
        self._require("broken invariants", [], list(await self.actor.process.broken_invariants()))

    async def _compare_rows(self, actor: Actor, *, may_write: bool) -> None:
        accounts = await self.ground.sql.fetch(
            "select account_id, app_id from syncer.account where name = $1", actor.process.account.name
        )
        if not accounts:
            return
        ((account_id, app_id),) = accounts
        self._require("account.app_id", actor.model.app_id, app_id)
        wanted = actor.model.rows()
        for table, (key_length, query) in _TABLES.items():
            found = {}
            for record in await self.ground.sql.fetch(query, account_id):
                row = dict(record)
                written_by = row.pop("xmin", None)
                if "extra" in row:
                    row["extra"] = meaning(json.loads(row["extra"]))
                found[tuple(record[:key_length])] = ({name: row[name] for name in list(row)[key_length:]}, written_by)
            self._require(table, wanted[table], {key: row for key, (row, _) in found.items()})
            before = actor.seen.get(table, {})
            rewritten = [key for key, seen in before.items() if seen[0] == found[key][0] and seen[1] != found[key][1]]
            self._require(f"rows of {table} that were written though nothing in them changed", [], rewritten)
            if not may_write and table != "sync_run":
                self._require(f"new rows of {table} by a poll that was not applied", before.keys(), found.keys())
            actor.seen[table] = found
        self.tally.most_numbers = max(self.tally.most_numbers, len(wanted["virtual_number"]))

    def _require(self, what: str, wanted: Any, found: Any) -> None:
        if wanted == found:
            return
        raise DisagreementError(
            f"{what} of account {self.actor.process.account.name}\n{_difference(wanted, found)}\n{self._story()}"
        )

    # What happens around the poll

    async def nothing_happens(self, a: int, b: int) -> bool:
        return True

    async def removals_are_accepted(self, a: int, b: int) -> bool:
        self.trigger = "accept_removals"
        return True

    async def operator_asks(self, a: int, b: int) -> bool:
        self.trigger = "command"
        return True

    async def hours_pass(self, a: int, b: int) -> bool:
        self.clock += (1 + a % 12) * HOUR
        return True

    async def hold_time_passes(self, a: int, b: int) -> bool:
        self.clock += self.hold + (b % 2) * HOUR
        return True

    async def hold_time_is_almost_over(self, a: int, b: int) -> bool:
        self.clock += self.hold - MINUTE - (b % 3) * timedelta(microseconds=1)
        return True

    async def clock_stands_still(self, a: int, b: int) -> bool:
        self.clock -= MINUTE
        return True

    async def clock_jumps_back(self, a: int, b: int) -> bool:
        self.clock -= (1 + a) * HOUR
        return True

    async def process_forgets(self, a: int, b: int) -> bool:
        self.actor.process.forget()
        return True

    async def digests_are_deleted(self, a: int, b: int) -> bool:
        await self.ground.sql.execute("delete from syncer.record_digest")
        return bool(self.actor.model.numbers)

    async def digests_are_deleted_and_the_process_forgets(self, a: int, b: int) -> bool:
        self.actor.process.forget()
        return await self.digests_are_deleted(a, b)

    async def some_digests_are_deleted_and_the_process_forgets(self, a: int, b: int) -> bool:
        self.actor.process.forget()
        await self.ground.sql.execute("delete from syncer.record_digest where virtual_number_id % 3 = $1", a % 3)
        return bool(self.actor.model.numbers)

    async def another_process_polls(self, a: int, b: int) -> bool:
        self.by_another_process = True
        return True

    async def another_account_is_polled(self, a: int, b: int) -> bool:
        self.actor = self.actors[1]
        self.actor.world.http_error = None
        return True

    async def poll_begins_and_waits(self, a: int, b: int) -> bool:
        actor = self.actor
        if len(actor.unanswered) >= _MOST_UNANSWERED:
            return False
        await self._stop_clock()
        trigger: Trigger = "accept_removals" if a % 4 == 0 else "schedule"
        task = asyncio.create_task(actor.late_process.poll_again(trigger=trigger))
        request = await self.ground.patient.received.get()
        run_id = await self.ground.sql.fetchval("select max(run_id) from syncer.sync_run")
        actor.model.begin(run_id, trigger, self.clock)
        records = [json.loads(element) for element in actor.world.elements()]
        actor.unanswered.append(Unanswered(run_id, task, request, records))
        self.told.append(f"  run {run_id} waits")
        return True

    async def waiting_poll_is_answered(self, a: int, b: int) -> bool:
        return await self._answer(a, None)

    async def waiting_poll_is_answered_with_what_is_now(self, a: int, b: int) -> bool:
        return await self._answer(a, [json.loads(element) for element in self.actor.world.elements()])

    async def waiting_poll_is_answered_with_an_empty_list(self, a: int, b: int) -> bool:
        return await self._answer(a, [])

    async def _answer(self, choice: int, records: list[Any] | None) -> bool:
        actor = self.actor
        if not actor.unanswered:
            return False
        await self._stop_clock()
        waiting = actor.unanswered.pop(choice % len(actor.unanswered))
        records = waiting.records if records is None else records
        body = json.dumps(records, ensure_ascii=False).encode(errors="replace")
        waiting.request.answer(*json.loads(body))
        result = await self._result(waiting.task)
        expected = actor.model.answer(waiting.run_id, body, self.clock)
        self.told.append(f"  run {waiting.run_id} is answered {body.decode()} -> {expected.outcome}")
        if expected.outcome in {"applied", "unchanged"}:
            actor.last_good_body = body
        await self._compare(result, expected)
        return True

    async def waiting_poll_is_killed(self, a: int, b: int) -> bool:
        if not self.actor.unanswered:
            return False
        await _kill(self.actor.unanswered.pop(a % len(self.actor.unanswered)))
        return True


_KINDS: Final = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}

DEEDS: Final[dict[str, Callable[[Stage, int, int], Awaitable[bool]]]] = {
    deed.__name__: deed
    for deed in (
        Stage.nothing_happens,
        Stage.removals_are_accepted,
        Stage.operator_asks,
        Stage.hours_pass,
        Stage.hold_time_passes,
        Stage.hold_time_is_almost_over,
        Stage.clock_stands_still,
        Stage.clock_jumps_back,
        Stage.process_forgets,
        Stage.digests_are_deleted,
        Stage.digests_are_deleted_and_the_process_forgets,
        Stage.some_digests_are_deleted_and_the_process_forgets,
        Stage.another_process_polls,
        Stage.another_account_is_polled,
        Stage.poll_begins_and_waits,
        Stage.waiting_poll_is_answered,
        Stage.waiting_poll_is_answered_with_what_is_now,
        Stage.waiting_poll_is_answered_with_an_empty_list,
        Stage.waiting_poll_is_killed,
    )
}
KINDS: Final[Sequence[str]] = (*DEEDS, *EVENTS)
"""Every kind of event."""


async def _kill(waiting: Unanswered) -> None:
    waiting.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting.task


def _run_id(result: PollResult) -> int:
    assert result.run_id is not None
    return result.run_id


def _difference(wanted: Any, found: Any) -> str:
    if not (isinstance(wanted, dict) and isinstance(found, dict)):
        return f"wanted {wanted!r}\nfound  {found!r}"
    lines = []
    for key in sorted(wanted.keys() | found.keys(), key=repr):
        one, other = wanted.get(key, "nothing"), found.get(key, "nothing")
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            lines.append(f"{key}:\n  " + _difference(one, other).replace("\n", "\n  "))
        else:
            lines.append(f"{key}: wanted {one}, found {other}")
    return "\n".join(lines)
