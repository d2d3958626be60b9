"""Times are exact instants in any session time zone, at changes of summer time, and when the clock jumps."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from syncer.emulator import STATIC, Emulator, faults
from syncer.store.engine import Engine
from syncer.store.queries.account_status import read_account_statuses
from tests.builders import PolledAccount, connect, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence

    import asyncpg

    from syncer.embedded import EmbeddedServer

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

CLOCK_CHANGES: Final = {
    "New York, spring": ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC), HOUR),
    "New York, autumn": ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC), -HOUR),
    "Berlin, spring": ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), HOUR),
    "Berlin, autumn": ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), -HOUR),
}
ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu")

STATES = """
select state, valid_from, valid_to, changed_after, closed_after
  from syncer.state_period where virtual_number_id = $1 order by valid_from
"""
SECONDS = """
select extract(epoch from valid_to - valid_from)::float8 from syncer.state_history
 where virtual_number_id = $1 order by valid_from
"""


@dataclass
class Environment:
    """Where accounts are polled: the database, its sessions and the account have time zones of their own."""

    database: str
    emulator: Emulator
    sql: asyncpg.Connection
    stack: AsyncExitStack

    async def account(self, *, database_zone: str | None = None, session: str = "", zone: str = "UTC") -> PolledAccount:
        """Creates an account that is polled through new connections.

        Args:
            database_zone: The database's time zone; None leaves it as it is.
            session: Appended to the address of the database.
            zone: The account's time zone.
        """
        if database_zone is not None:
            name = await self.sql.fetchval("select current_database()")
            await self.sql.execute(f"alter database {name} set timezone = '{database_zone}'")
        engine = Engine(lambda: self.database + session)
        self.stack.push_async_callback(engine.dispose)
        account = PolledAccount(engine, self.emulator, self.sql, settings_for(self.emulator, timezone=ZoneInfo(zone)))
        await self.stack.enter_async_context(account)
        return account


@pytest.fixture
async def environment(database: str, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[Environment]:
    async with AsyncExitStack() as stack:
        yield Environment(database, emulator, sql, stack)


async def zone_of_sessions(account: PolledAccount) -> str:
    """Returns the time zone of the program's connections."""
    async with account.engine.connect() as connection:
        zone: str = (await connection.exec_driver_sql("show timezone")).scalar_one()
    return zone


def test_the_clock_changes_are_when_the_offset_of_the_zone_changes() -> None:
    for zone, clock_change, by in CLOCK_CHANGES.values():
        before, after = (
            (clock_change + step).astimezone(ZoneInfo(zone)).utcoffset() for step in (-MICROSECOND, timedelta())
        )
        assert before is not None
        assert after is not None
        assert after - before == by


@pytest.mark.parametrize("clock_change", CLOCK_CHANGES)
@pytest.mark.parametrize("database_zone", ZONES)
async def test_periods_around_a_clock_change_keep_exact_instants(
    environment: Environment, database_zone: str, clock_change: str
) -> None:
    zone, moment, _ = CLOCK_CHANGES[clock_change]
    account = await environment.account(database_zone=database_zone, zone=zone)
    # In autumn the third and the fifth have the same local time.
    around = [-DAY, -HOUR, -30 * MINUTE, -MICROSECOND, 30 * MINUTE, HOUR - MICROSECOND, HOUR, DAY]
    moments = [moment + step for step in around]
    for number, now in enumerate(moments):
        state = ("active", "freeze")[number % 2]
        await account.poll_at(now, record(1, state=state, from_redirect_numbers=[redirect(number, "74950000000")]))

    assert await zone_of_sessions(account) == database_zone
    seen = [now + MICROSECOND for now in moments]
    assert await account.rows(STATES, 1) == [
        (("active", "freeze")[number % 2], begin, end, after, closed_after)
        for number, (begin, end, after, closed_after) in enumerate(
            zip(seen, [*seen[1:], None], [None, *moments[:-1]], [*moments[:-1], None], strict=True)
        )
    ]
    lengths = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert await account.rows(SECONDS, 1) == [(length,) for length in lengths]
    assert await account.rows(
        "select valid_from, valid_to from syncer.redirect_period order by redirect_number_id"
    ) == list(zip(seen, [*seen[1:], None], strict=True))
    assert await account.rows("select started_at, finished_at from syncer.sync_run order by run_id") == list(
        zip(moments, seen, strict=True)
    )
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("clock_change", CLOCK_CHANGES)
@pytest.mark.parametrize("database_zone", ["America/New_York", "Europe/Berlin"])
async def test_the_hold_time_is_24_hours_even_if_the_day_has_23_or_25(
    environment: Environment, database_zone: str, clock_change: str
) -> None:
    zone, moment, _ = CLOCK_CHANGES[clock_change]
    account = await environment.account(database_zone=database_zone, zone=zone)
    first = moment - 12 * HOUR
    await account.poll_at(first - HOUR, *(record(key) for key in range(1, 5)))
    held = await account.poll_at(first, record(4))
    early = await account.poll_at(first + 24 * HOUR - MICROSECOND, record(4))
    late = await account.poll_at(first + 24 * HOUR, record(4))

    assert [(result.held, result.removed) for result in (held, early, late)] == [(3, 0), (3, 0), (0, 3)]
    assert await account.rows("select distinct removed_at from syncer.virtual_number where removed_at is not null") == [
        (first + MICROSECOND,)
    ]


@pytest.mark.parametrize("clock_change", CLOCK_CHANGES)
async def test_a_removal_counts_for_24_hours_even_if_the_day_has_23_or_25(
    environment: Environment, clock_change: str
) -> None:
    zone, moment, _ = CLOCK_CHANGES[clock_change]
    account = await environment.account(database_zone=zone, zone=zone)
    first = moment - 12 * HOUR
    records = [record(key) for key in range(1, 7)]
    await account.poll_at(first - HOUR, *records)
    await account.poll_at(first, *records[1:])  # 1 of 6

    within = await account.poll_at(first + 24 * HOUR - MICROSECOND, *records[2:])  # 2 of 6
    await account.poll_at(first + 24 * HOUR - MICROSECOND, *records[1:])
    after = await account.poll_at(first + 24 * HOUR, *records[2:])  # 1 of 5

    assert [(result.held, result.removed) for result in (within, after)] == [(1, 0), (0, 1)]


SESSION_ZONES = {
    "the address names a zone": ("?timezone=Asia/Kathmandu", "Asia/Kathmandu"),
    "the address has options": ("?options=-c%20timezone%3DAmerica/New_York", "America/New_York"),
    "the environment": ("", "UTC"),
}


@pytest.mark.parametrize("how", SESSION_ZONES)
async def test_the_time_zone_of_the_session_or_the_process_changes_nothing(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    session, zone = SESSION_ZONES[how]
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        account = await environment.account(database_zone="UTC", session=session)
        await account.poll_at(T0, record(1), record(2))
        await account.poll_at(T0 + HOUR, record(1, state="freeze"))
        (status,) = await read_account_statuses(account.engine)
        zone_found = await zone_of_sessions(account)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert zone_found == zone
    assert await account.rows(STATES, 1) == [
        ("active", T0 + MICROSECOND, T0 + HOUR + MICROSECOND, None, T0),
        ("freeze", T0 + HOUR + MICROSECOND, None, T0, None),
    ]
    assert (status.held_since, status.last_success_at) == (T0 + HOUR + MICROSECOND, T0 + HOUR + MICROSECOND)
    assert status.held_since is not None
    assert status.held_since.utcoffset() == timedelta()


async def test_changing_the_time_zone_of_the_database_changes_no_instant(environment: Environment) -> None:
    records = [record(key) for key in range(1, 5)]
    hours: dict[str, float] = {"UTC": 0, "America/New_York": 1, "Asia/Kathmandu": 24.9, "Europe/Berlin": 25}
    outcomes = []
    for zone, hour in hours.items():
        account = await environment.account(database_zone=zone, zone="Asia/Kathmandu")
        listed = records[3:] if hour else records
        result = await account.poll_at(T0 + hour * HOUR, *listed)
        outcomes.append((result.outcome, result.held, result.removed))

    assert outcomes == [("applied", 0, 0), ("applied", 3, 0), ("unchanged", 3, 0), ("applied", 0, 3)]
    assert await account.rows(STATES, 1) == [("active", T0 + MICROSECOND, T0 + HOUR + MICROSECOND, None, T0)]


# A clock that jumps


class JumpingClock:
    """Polls accounts while the clock jumps; each call uses a new account of the same database."""

    def __init__(self, database: str, emulator: Emulator, sql: asyncpg.Connection) -> None:
        self._engine = Engine(lambda: database)
        self._emulator = emulator
        self._sql = sql
        self._names = count(1)

    @classmethod
    async def create(cls, stack: AsyncExitStack, server: str) -> JumpingClock:
        name = f"jumps_{uuid.uuid4().hex[:12]}"
        owner = await connect(server)
        stack.push_async_callback(owner.close)
        await owner.execute(f"create database {name} template migrated strategy file_copy")
        stack.push_async_callback(owner.execute, f"drop database {name} with (force)")
        database = f"{server.rpartition('/')[0]}/{name}"
        emulator = await stack.enter_async_context(Emulator(numbers=1, seed=1, rates=STATIC))
        sql = await connect(database)
        stack.push_async_callback(sql.close)
        clock = cls(database, emulator, sql)
        stack.push_async_callback(clock._engine.dispose)
        return clock

    async def poll_at_moments(self, steps: Sequence[tuple[datetime, int]]) -> None:
        """Polls at each time; see `records_for` for the bits."""
        settings = settings_for(self._emulator, account_name=f"account {next(self._names)}")
        async with PolledAccount(self._engine, self._emulator, self._sql, settings) as account:
            previous: datetime | None = None
            for moment, bits in steps:
                result = await account.poll_at(moment, *records_for(bits))
                assert result.outcome in {"applied", "unchanged"}
                observed = (
                    moment + MICROSECOND if previous is None else max(moment + MICROSECOND, previous + MICROSECOND)
                )
                assert await account.row(
                    "select started_at, finished_at from syncer.sync_run where run_id = $1", result.run_id
                ) == (moment, observed)
                previous = observed
                await self._check_periods(settings.account_name, observed)
            assert await account.broken_invariants() == []

    async def _check_periods(self, name: str, latest: datetime) -> None:
        """Checks that no period and no window of the account is empty or negative, and that periods do not overlap."""
        for view, keys in (
            ("state_period", ("virtual_number_id",)),
            ("number_version", ("virtual_number_id",)),
            ("redirect_period", ("virtual_number_id", "redirect_number_id", "number")),
        ):
            rows = await self._sql.fetch(
                f"""
                select {", ".join(keys)}, valid_from, valid_to, changed_after, closed_after
                  from syncer.{view} join syncer.account using (account_id) where name = $1
                 order by {", ".join(keys)}, valid_from
                """,  # noqa: S608 - names from above
                name,
            )
            for row in rows:
                assert row["valid_from"] <= latest
                assert row["changed_after"] is None or row["changed_after"] < row["valid_from"]
                if row["valid_to"] is not None:
                    assert row["valid_from"] < row["valid_to"] <= latest
                    assert row["closed_after"] < row["valid_to"]
            for row, next_row in pairwise(rows):
                if [row[key] for key in keys] == [next_row[key] for key in keys]:
                    assert row["valid_to"] is not None
                    assert row["valid_to"] <= next_row["valid_from"]
                    if view != "redirect_period" and row["virtual_number_id"] == 1:  # number 1 is always listed
                        assert row["valid_to"] == next_row["valid_from"]
                        assert row["closed_after"] == next_row["changed_after"]


def records_for(bits: int) -> list[dict[str, Any]]:
    """Returns number 1, whose state, comment and redirects the bits choose, and numbers 2 to 5 if bits list them."""
    first = record(
        1,
        state="freeze" if bits & 1 else "active",
        comment="a" if bits & 2 else None,
        from_redirect_numbers=[redirect(9, "74950000009")] if bits & 4 else [],
    )
    return [first, *(record(key) for key in (2, 3, 4, 5) if bits & 8 or (key == 5 and bits & 16))]


@pytest.fixture(scope="module")
def poll_at_moments(server: EmbeddedServer) -> Iterator[Callable[[Sequence[tuple[datetime, int]]], None]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        jumps = runner.run(JumpingClock.create(stack, server.url))
        yield lambda steps: runner.run(jumps.poll_at_moments(steps))
        runner.run(stack.aclose())


# Times close to each other, equal times, clock changes, and times years apart.
_moments = st.one_of(
    st.sampled_from(
        [
            T0,
            T0 + MICROSECOND,
            T0 - MICROSECOND,
            T0 + HOUR,
            T0 - HOUR,
            *(moment for _, moment, _ in CLOCK_CHANGES.values()),
        ]
    ),
    st.integers(-600, 600).map(lambda seconds: T0 + timedelta(seconds=seconds)),
    st.integers(-20, 20).map(lambda years: T0 + years * 365.25 * DAY),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds the zone
)


@pytest.mark.timeout(0)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(_moments, st.integers(0, 31)), min_size=2, max_size=8))
@example(steps=[(T0, 8), (T0 + 3650 * DAY, 1), (T0, 8), (T0 - 3650 * DAY, 1), (T0, 8)])
@example(steps=[(T0, number) for number in range(8)])
def test_no_period_is_empty_or_negative_however_the_clock_jumps(
    poll_at_moments: Callable[[Sequence[tuple[datetime, int]]], None], steps: list[tuple[datetime, int]]
) -> None:
    poll_at_moments(steps)


CLOCK_WARNING = "database_clock_behind"


async def clock_warnings(account: PolledAccount, moment: datetime, *records: Any) -> list[MutableMapping[str, Any]]:
    """Returns the clock warnings of a poll at a time."""
    with capture_logs() as logs:
        result = await account.poll_at(moment, *records)
    assert result.outcome in {"applied", "unchanged"}
    return [entry for entry in logs if entry["event"] == CLOCK_WARNING]


@pytest.fixture
async def account(environment: Environment) -> PolledAccount:
    return await environment.account()


@pytest.mark.parametrize("back", [-365 * DAY, -MICROSECOND, timedelta(), MICROSECOND, 4 * MINUTE, 5 * MINUTE - SECOND])
async def test_a_clock_at_most_five_minutes_behind_causes_no_warning(account: PolledAccount, back: timedelta) -> None:
    assert await clock_warnings(account, T0, record(1)) == []
    assert await clock_warnings(account, T0 - back, record(1, state="freeze")) == []


@pytest.mark.parametrize("back", [5 * MINUTE + SECOND, HOUR, 365 * DAY])
async def test_a_clock_more_than_five_minutes_behind_causes_warnings_until_it_has_caught_up(
    account: PolledAccount, back: timedelta
) -> None:
    await account.poll_at(T0, record(1))

    (first,) = await clock_warnings(account, T0 - back, record(1, state="freeze"))
    (second,) = await clock_warnings(account, T0 - back, record(1))
    caught_up = await clock_warnings(account, T0 - 4 * MINUTE, record(1, state="freeze"))

    assert (first["log_level"], first["account"]) == ("warning", "default")
    assert first["seconds"] == pytest.approx(back.total_seconds(), abs=0.001)
    assert second["seconds"] == pytest.approx(back.total_seconds(), abs=0.001)
    assert caught_up == []


async def test_a_clock_that_went_back_causes_a_warning_even_for_a_byte_identical_response(
    account: PolledAccount,
) -> None:
    await account.poll_at(T0, record(1))

    assert len(await clock_warnings(account, T0 - HOUR, record(1))) == 1


async def test_a_failed_request_causes_no_clock_warning_and_the_next_poll_does(
    account: PolledAccount,
) -> None:
    await account.poll_at(T0, record(1))
    account.emulator.fault = faults.Status(status=503)
    await account.set_clock(T0 - HOUR)
    with capture_logs() as logs:
        failed = await account.poll_again()
    assert failed.outcome == "failed"
    assert [entry for entry in logs if entry["event"] == CLOCK_WARNING] == []
    assert len(await clock_warnings(account, T0 - HOUR, record(1, state="freeze"))) == 1
    assert await account.row(
        "select started_at, finished_at from syncer.sync_run where run_id = $1", failed.run_id
    ) == (
        T0 - HOUR,
        T0 - HOUR,
    )
