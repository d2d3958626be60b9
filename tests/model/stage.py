"""The real thing beside the model: every step polls a real endpoint into a real database, then compares all rows."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from syncer.emulator import STATIC, Emulator, faults
from syncer.store.engine import create_engine
from tests.builders import BlockingEndpoint, PolledAccount, connect, settings_for
from tests.model.analyst import Analyst
from tests.model.disturbances import DEEDS, HOUR, MINUTE, kill
from tests.model.events import EVENTS
from tests.model.model import COUNTERS, AccountModel
from tests.model.rows import difference, empty, fetch_rows
from tests.model.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.outcome import PollResult, Trigger
    from tests.model.analyst import Seen
    from tests.model.disturbances import Unanswered
    from tests.model.model import RunRow
    from tests.model.rows import Row
    from tests.model.tally import Tally

T0: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

_BATCH: Final = 3
"""So few records are compared and written at once, so that most responses take several batches."""
_WRONG_END: Final = """
select run_id from syncer.sync_run
 where (outcome = 'running') <> (finished_at is null) or finished_at < started_at
    or (outcome = 'failed') <> (error is not null)
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
    patient: BlockingEndpoint
    stack: AsyncExitStack
    processes: dict[tuple[Any, ...], PolledAccount] = field(default_factory=dict)

    @classmethod
    async def build(cls, stack: AsyncExitStack, database: str) -> Self:
        engine = create_engine(lambda: database)
        stack.push_async_callback(engine.dispose)
        sql = await connect(database)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=1, rates=STATIC))
        return cls(engine, sql, emulator, await stack.enter_async_context(BlockingEndpoint()), stack)

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
            made = PolledAccount(self.engine, self.emulator, self.sql, settings, batch=_BATCH)
            self.processes[key] = await self.stack.enter_async_context(made)
        self.processes[key].restart()
        return self.processes[key]

    async def play(self, plan: Plan, tally: Tally) -> None:
        """Plays a plan from an empty database, or raises DisagreementError."""
        async with AsyncExitStack() as stack:
            await empty(self.sql)
            stage = Stage(self, plan, tally)
            await stage.enter(stack)
            for step in plan.steps:
                await stage.step(step)
            await stage.replay()
            await stage.look_back()
            for actor in stage.actors:
                tally.consequences.update(actor.model.happened)


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
    seen: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.analyst = Analyst(self.model)


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
            await kill(actor.unanswered.pop())

    async def step(self, step: Step) -> None:
        """Lets some events happen, polls, and compares everything."""
        self.actor, self.trigger, self.by_another_process = self.actors[0], "schedule", False
        self.actor.world.http_error = None
        self.clock += MINUTE
        await self.stop_clock()
        happened = []
        for name, a, b in step:
            self.told.append(f"{name} {a} {b}")
            if await (DEEDS[name](self, a, b) if name in DEEDS else self._befall(name, a, b)):
                happened.append(name)
        await self.stop_clock()
        self.tally.step(happened)
        await self._poll()
        if self.plan.replays:
            await self.replay()

    async def _befall(self, name: str, a: int, b: int) -> bool:
        return EVENTS[name](self.actor.world, a, b)

    async def stop_clock(self) -> None:
        await self.actor.process.set_clock(self.clock)

    async def _poll(self) -> None:
        actor, emulator = self.actor, self.ground.emulator
        body = actor.world.body()
        status = actor.world.http_error
        text = body.decode(errors="surrogateescape")
        emulator.fault = faults.Body(body=text) if status is None else faults.Status(status=status)
        process = actor.another_process if self.by_another_process else actor.process
        result = await self.result_of(process.poll_again(trigger=self.trigger))
        run_id = _run_id(result)
        actor.model.begin(run_id, self.trigger, self.clock)
        if status is None:
            expected = actor.model.answer(run_id, body, self.clock)
        else:
            expected = actor.model.fail(
                run_id, _STATUS_KINDS.get(status, "http_status"), http_status=status, response_bytes=None
            )
        self.told.append(f"  {self.trigger} {status or ''} {text} -> {expected.outcome}")
        if expected.outcome in {"applied", "unchanged"}:
            actor.last_good_body = body
        await self.compare(result, expected)

    async def result_of(self, poll: Awaitable[PollResult]) -> PollResult:
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
        result = await self.result_of(actor.process.poll_again())
        run_id = _run_id(result)
        actor.model.begin(run_id, "schedule", self.clock)
        limits = actor.model.limits_ahead()
        expected = actor.model.answer(run_id, actor.last_good_body, self.clock)
        self.told.append("  replayed")
        # The clock stands still, but each poll is recorded a tick after the one before.
        if actor.model.has_reached(limits):
            actor.model.happened["a replay came when a time was up"] += 1
        else:
            self._require("the model's replay", "unchanged", expected.outcome)
        await self.compare(result, expected)

    async def look_back(self) -> None:
        """Compares what the views say at the end, of the past as well."""
        for actor in self.actors:
            if actor.model.runs:
                self._require_all(await actor.analyst.look(self.ground.sql, actor.process.account.name))
                self._require_all(await actor.analyst.look_back(self.ground.sql, actor.process.account.name))

    # What the program did, against what the model says

    async def compare(self, result: PollResult, expected: RunRow) -> None:
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
        wanted, found = actor.model.rows(), await fetch_rows(self.ground.sql, account_id)
        for table, rows in found.items():
            self._require(table, wanted[table], {key: row.values for key, row in rows.items()})
            before = actor.seen.get(table, {})
            rewritten = [
                key
                for key, row in before.items()
                if row.values == rows[key].values and row.written_by != rows[key].written_by
            ]
            self._require(f"rows of {table} that were written though nothing in them changed", [], rewritten)
            if not may_write and table != "sync_run":
                self._require(f"rows of {table} after a poll that was not applied", before, rows)
        actor.seen = found
        actor.analyst.follow()
        look = actor.analyst.look if may_write else actor.analyst.glance
        self._require_all(await look(self.ground.sql, actor.process.account.name))
        self.tally.most_numbers = max(self.tally.most_numbers, len(wanted["virtual_number"]))

    def _require_all(self, seen: Sequence[Seen]) -> None:
        for one in seen:
            self._require(*one)

    def _require(self, what: str, wanted: Any, found: Any) -> None:
        if wanted == found:
            return
        raise DisagreementError(
            f"{what} of account {self.actor.process.account.name}\n{difference(wanted, found)}\n{self._story()}"
        )


KINDS: Final[Sequence[str]] = (*DEEDS, *EVENTS)
"""Every kind of event; the first is that nothing happens."""

_STATUS_KINDS: Final = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}


def _run_id(result: PollResult) -> int:
    assert result.run_id is not None
    return result.run_id
