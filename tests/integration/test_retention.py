"""Old runs that changed nothing are summed by day and deleted; the view `coverage` returns the same as before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from syncer.daemon.retention import Retention
from syncer.emulator import faults
from syncer.store.engine import Engine
from syncer.store.queries.recent_activity import read_recent_activity
from syncer.store.retention import prune, store_retention
from syncer.telemetry.metrics import Metrics
from syncer.web.sections import group_runs
from tests.builders import PolledAccount, record, settings_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from syncer.emulator import Emulator

DAY = timedelta(days=1)
START = datetime(2026, 3, 26, tzinfo=UTC)  # shortly before the clocks change in Berlin and in Santiago
END = START + 14 * DAY
SUCCESSES = ("applied", "unchanged")
MOSCOW = ZoneInfo("Europe/Moscow")
COVERAGE = """
select day, polls, failed, longest_gap_seconds, blind_seconds
  from analytics.coverage where account_id = $1 and day < $2 order by 1
"""


@dataclass(frozen=True)
class StoredRun:
    """A run as stored in the table."""

    started_at: datetime
    outcome: str
    changed: int
    held: int = 0


def runs_between(first_day: int, last_day: int) -> st.SearchStrategy[list[StoredRun]]:
    seconds = st.integers(first_day * 86400, last_day * 86400 - 1)
    # Includes midnights of several time zones, and the seconds before them.
    hours = st.integers(first_day * 24, last_day * 24 - 1).map(lambda hour: hour * 3600)
    moments = (seconds | hours | hours.map(lambda second: max(second - 1, first_day * 86400))).map(
        lambda second: START + timedelta(seconds=second)
    )
    outcomes = st.sampled_from(["applied", *["unchanged"] * 4, "failed", "abandoned", "superseded", "running"])
    counts = st.sampled_from([0, 0, 1])
    runs = st.builds(StoredRun, moments, outcomes, counts, counts)
    return st.lists(
        runs.map(
            lambda run: StoredRun(
                run.started_at,
                run.outcome,
                run.changed if run.outcome == "applied" else 0,
                run.held if run.outcome in SUCCESSES else 0,
            )
        )
    )


class OldAccount:
    """An account whose runs the test inserts itself."""

    def __init__(self, sql: asyncpg.Connection, engine: Engine, zone: ZoneInfo) -> None:
        self._sql, self._engine, self._zone = sql, engine, zone
        self.account_id = 0

    async def insert(self) -> None:
        self.account_id = await self._sql.fetchval(
            "insert into syncer.account (name, time_zone, created_at) values (gen_random_uuid()::text, $1, $2)"
            " returning account_id",
            self._zone.key,
            START,
        )
        await self._sql.execute("insert into syncer.account_fence (account_id) values ($1)", self.account_id)

    async def insert_runs(self, runs: Sequence[StoredRun]) -> None:
        """Inserts runs in the order in which they began, and sets the account's newest success."""
        await self._sql.executemany(
            "insert into syncer.sync_run (account_id, trigger, started_at, finished_at, outcome, changed, held)"
            " values ($1, 'schedule', $2, $2, $3, $4, $5)",
            [
                (self.account_id, run.started_at, run.outcome, run.changed, run.held)
                for run in sorted(runs, key=started_at)
            ],
        )
        await self._sql.execute(
            "update syncer.account_fence set (success_run_id, success_started_at, observed_at, first_success_at) ="
            " (select max(run_id), max(started_at), max(started_at), least(first_success_at, min(started_at))"
            "    from syncer.sync_run where account_id = $1 and outcome = any($2)) where account_id = $1",
            self.account_id,
            SUCCESSES,
        )

    async def coverage(self) -> list[Any]:
        """Returns the rows of the view `coverage`."""
        return await self._sql.fetch(COVERAGE, self.account_id, END.date())

    async def summed_days(self) -> list[tuple[Any, ...]]:
        """Returns the days with deleted runs, how many of these there were, and how many of them failed."""
        rows = await self._sql.fetch(
            "select day::text, polls, failed from syncer.sync_day where account_id = $1 order by 1", self.account_id
        )
        return [tuple(row) for row in rows]

    async def remaining_runs(self) -> list[StoredRun]:
        """Returns the runs in the table."""
        rows = await self._sql.fetch(
            "select started_at, outcome, changed, held from syncer.sync_run where account_id = $1 order by run_id",
            self.account_id,
        )
        return [StoredRun(*row) for row in rows]

    def expected_remaining(self, runs: Sequence[StoredRun], now: datetime, retention: timedelta) -> list[StoredRun]:
        """Returns the runs, of those in the order in which they began, that pruning must keep.

        Of runs that found nothing new, those are kept that began yesterday or today; fewer if all are kept shorter.
        """
        kept_from, unchanged_kept_from = self.day(now - retention), self.day(now - min(retention, DAY))
        newest_success = [run for run in runs if run.outcome in SUCCESSES][-1:]
        unfinished = [run for run in runs if run.outcome == "running"]
        kept_days = {self.day(run.started_at) for run in [*newest_success, *unfinished]}
        return [
            run
            for run in runs
            if self.day(run.started_at)
            >= (unchanged_kept_from if run.outcome == "unchanged" and not run.held else kept_from)
            or run.outcome == "applied"
            or self.day(run.started_at) in kept_days
        ]

    def day(self, moment: datetime) -> date:
        """Returns the day in the account's time zone."""
        return moment.astimezone(self._zone).date()

    async def prune_completely(self, now: datetime, retention: timedelta, batch: int) -> None:
        """Prunes all batches at the time `now`, and checks that `coverage` stays the same after each."""
        await stop_clock(self._sql, now)
        before = await self.coverage()
        more = True
        while more:
            more = await prune(self._engine, self.account_id, retention, batch=batch) != "done"
            assert await self.coverage() == before


def started_at(run: StoredRun) -> datetime:
    return run.started_at


async def stop_clock(sql: asyncpg.Connection, moment: datetime) -> None:
    await sql.execute(
        "create or replace function syncer.clock() returns timestamptz language sql stable as $$"
        f" select timestamptz '{moment.isoformat()}' $$"
    )


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(["Europe/Moscow", "Europe/Berlin", "America/Santiago", "Asia/Kathmandu", "UTC"]),
    earlier=runs_between(0, 7),
    later=runs_between(7, 12),
    first_hour=st.integers(24, 7 * 24),
    second_hour=st.integers(7 * 24, 14 * 24),
    retention=st.sampled_from([timedelta(seconds=1), timedelta(hours=30), 3 * DAY]),
    batch=st.integers(1, 5),
)
async def test_pruning_never_changes_coverage(
    *,
    sql: asyncpg.Connection,
    engine: Engine,
    zone: str,
    earlier: list[StoredRun],
    later: list[StoredRun],
    first_hour: int,
    second_hour: int,
    retention: timedelta,
    batch: int,
) -> None:
    account = OldAccount(sql, engine, ZoneInfo(zone))
    await account.insert()
    await account.insert_runs(earlier)
    unpruned = OldAccount(sql, engine, ZoneInfo(zone))
    await unpruned.insert()
    await unpruned.insert_runs(earlier)
    runs = await account.remaining_runs()

    now = START + timedelta(hours=first_hour)
    await account.prune_completely(now, retention, batch)
    runs = account.expected_remaining(runs, now, retention)
    assert await account.remaining_runs() == runs

    # The newest success is another run now, and no run is `running` any more.
    await sql.execute("update syncer.sync_run set outcome = 'abandoned' where outcome = 'running'")
    await account.insert_runs(later)
    await unpruned.insert_runs(later)
    runs = await account.remaining_runs()
    now = START + timedelta(hours=second_hour)
    await account.prune_completely(now, retention, batch)
    assert await account.remaining_runs() == account.expected_remaining(runs, now, retention)
    assert await account.coverage() == await unpruned.coverage()


async def test_replicas_that_prune_concurrently_count_each_run_once(sql: asyncpg.Connection, database: str) -> None:
    engines = [Engine(lambda: database) for _ in range(3)]
    account = OldAccount(sql, engines[0], MOSCOW)
    await account.insert()
    await account.insert_runs(
        [StoredRun(START + timedelta(minutes=minute), "unchanged", 0) for minute in range(0, 2 * 1440, 5)]
    )
    await stop_clock(sql, END)
    before = await account.coverage()

    async def prune_all(engine: Engine) -> None:
        while await prune(engine, account.account_id, DAY, batch=7) != "done":
            pass

    await asyncio.gather(*map(prune_all, engines))

    # The day of the last success has begun three hours before.
    assert len(await account.remaining_runs()) == 3 * 12
    assert await account.coverage() == before
    assert await sql.fetchval("select sum(polls) from syncer.sync_day") == (2 * 24 - 3) * 12
    for engine in engines:
        await engine.dispose()


async def test_runs_that_found_nothing_new_are_summed_after_a_day_and_the_others_after_the_retention_time(
    sql: asyncpg.Connection, engine: Engine
) -> None:
    account = OldAccount(sql, engine, MOSCOW)
    await account.insert()
    midnight = datetime(2026, 3, 27, tzinfo=MOSCOW)
    every_quarter = [
        StoredRun(midnight + timedelta(minutes=minute), "unchanged", 0) for minute in range(0, 3 * 1440 + 720, 15)
    ]
    others = [
        StoredRun(midnight + timedelta(hours=6, minutes=1), "applied", 1),
        StoredRun(midnight + timedelta(hours=7, minutes=1), "failed", 0),
        StoredRun(midnight + timedelta(hours=8, minutes=1), "abandoned", 0),
        StoredRun(midnight + timedelta(hours=9, minutes=1), "superseded", 0),
        StoredRun(midnight + timedelta(hours=10, minutes=1), "unchanged", 0, held=3),
    ]
    await account.insert_runs([*every_quarter, *others])
    yesterday = midnight + 2 * DAY
    await stop_clock(sql, midnight + 3 * DAY + timedelta(hours=12))
    assert [(row["polls"], row["failed"]) for row in await account.coverage()][:3] == [(101, 2), (96, 0), (96, 0)]

    await account.prune_completely(midnight + 3 * DAY + timedelta(hours=12), 90 * DAY, 50)
    assert await account.remaining_runs() == [
        *others,
        *(run for run in every_quarter if run.started_at >= yesterday),
    ]
    assert await account.summed_days() == [
        ("2026-03-27", 96, 0),
        ("2026-03-28", 96, 0),
    ]

    await account.prune_completely(midnight + 91 * DAY, 90 * DAY, 50)
    assert (await account.remaining_runs())[:1] == others[:1]
    assert (await account.summed_days())[:3] == [
        ("2026-03-27", 100, 2),
        ("2026-03-28", 96, 0),
        ("2026-03-29", 96, 0),
    ]


def moscow(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=MOSCOW)


async def prune_at(account: PolledAccount, moment: datetime, retention: timedelta) -> None:
    await account.set_clock(moment)
    await store_retention(account.engine, retention)
    while await prune(account.engine, 1, retention) != "done":
        pass


async def test_pruning_keeps_runs_with_changes_the_newest_success_and_every_invariant(
    account: PolledAccount,
) -> None:
    await account.poll_at(moscow(1, 1), record(1))
    await account.poll_at(moscow(1, 2), record(1))
    await account.poll_at(moscow(1, 6), record(1, state="freeze"))
    await account.set_clock(moscow(1, 7))
    await account.poll_body(b"nonsense")
    await account.poll_at(moscow(1, 23), record(1, state="freeze"))
    await account.poll_at(moscow(2, 5), record(1, state="freeze"))

    await prune_at(account, moscow(2, 23), 10 * DAY)
    assert await account.rows("select * from syncer.sync_day") == []  # the first of March ended less than a day ago
    await prune_at(account, moscow(11, 0), 10 * DAY)
    assert await account.rows("select run_id, outcome from syncer.sync_run order by 1") == [
        (1, "applied"),
        (3, "applied"),
        (4, "failed"),  # the first of March ended less than ten days ago
        (6, "unchanged"),
    ]
    assert await account.rows("select * from syncer.sync_day") == [
        (1, date(2026, 3, 1), 2, 0, Decimal(17 * 3600), Decimal(21 * 3600))
    ]
    await prune_at(account, moscow(30), 10 * DAY)

    assert await account.rows("select run_id, outcome from syncer.sync_run order by 1") == [
        (1, "applied"),
        (3, "applied"),
        (6, "unchanged"),
    ]
    # The longest gap is from 6:00 to 23:00; 21 hours are in gaps of more than an hour.
    assert await account.rows("select * from syncer.sync_day") == [
        (1, date(2026, 3, 1), 3, 1, Decimal(17 * 3600), Decimal(21 * 3600))
    ]
    assert await account.broken_invariants() == []
    assert (await account.poll_at(moscow(30, 13), record(1, state="freeze"))).outcome == "unchanged"
    assert (await account.poll_at(moscow(30, 14), record(1))).state_changes == 1
    assert await account.broken_invariants() == []


async def test_a_rejected_record_is_deleted_once_it_was_not_seen_for_the_retention_time(
    account: PolledAccount,
) -> None:
    bad, worse = record(2, number=None), record(3, number=None)
    await account.poll_at(moscow(1), record(1), bad, worse)
    await account.poll_at(moscow(2), record(1), bad, worse)
    await account.poll_at(moscow(10), record(1), worse)  # `bad` was last seen before this poll
    await account.poll_at(moscow(20), record(1), worse)

    await prune_at(account, moscow(19), 10 * DAY)
    assert await account.row("select count(*) from syncer.rejected_record") == (2,)
    await prune_at(account, moscow(31), 10 * DAY)

    assert await account.rows("select virtual_number_id, first_run_id from syncer.rejected_record") == [(3, 1)]
    assert await account.rows("select virtual_number_id, first_seen_at from analytics.rejected_records") == [
        (3, moscow(1))
    ]
    assert await account.broken_invariants() == []


async def test_the_page_groups_no_failures_between_which_successful_polls_were_deleted(account: PolledAccount) -> None:
    async def fail_at(moment: datetime) -> None:
        await account.set_clock(moment)
        assert (await account.poll_body(b"nonsense")).outcome == "failed"

    await account.poll_at(moscow(1), record(1))
    await fail_at(moscow(2, 1))
    await fail_at(moscow(2, 2))
    await account.poll_at(moscow(3), record(1))
    await fail_at(moscow(4))
    await fail_at(moscow(5, 1))
    await account.poll_at(moscow(5, 2), record(1))
    await fail_at(moscow(5, 3))
    await account.poll_at(moscow(6, 1), record(1))
    await account.poll_at(moscow(6, 2), record(1))
    await fail_at(moscow(6, 3))
    await fail_at(moscow(6, 4))

    async def groups() -> list[tuple[str, int]]:
        activity = await read_recent_activity(account.engine, None, statement_seconds=10)
        return [(group.first.outcome, group.count) for group in group_runs(activity.runs)]

    newest = [("failed", 2), ("unchanged", 2)]
    assert await groups() == [
        *newest,
        *[("failed", 1), ("unchanged", 1), ("failed", 2)],
        *[("unchanged", 1), ("failed", 2), ("applied", 1)],
    ]
    await prune_at(account, moscow(7), 90 * DAY)
    assert await groups() == [*newest, ("failed", 1), ("failed", 1), ("failed", 1), ("failed", 2), ("applied", 1)]


async def test_an_account_that_a_poll_has_locked_is_skipped(account: PolledAccount, sql: asyncpg.Connection) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2), record(1))
    await account.poll_at(moscow(3), record(1))
    await account.set_clock(moscow(30))

    async with sql.transaction():
        await sql.execute("select from syncer.account_fence for no key update")
        assert await prune(account.engine, 1, DAY) == "locked"
        assert await sql.fetchval("select count(*) from syncer.sync_run") == 3

    assert await prune(account.engine, 1, DAY) == "done"
    assert await account.row("select count(*) from syncer.sync_run") == (2,)


async def test_each_account_is_pruned_by_the_days_of_its_time_zone(
    account: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = settings_for(emulator, account_name="east", timezone=ZoneInfo("Asia/Vladivostok"))
    async with PolledAccount(engine, emulator, sql, settings) as east:
        for polled in (account, east):
            await polled.poll_at(moscow(1), record(1))
            await polled.poll_at(moscow(1, 18), record(1))  # the second of March in Vladivostok
            await polled.poll_at(moscow(3), record(1))
    for account_id in (1, 2):
        await account.set_clock(moscow(3, 0))  # the third of March has begun in Vladivostok too
        assert await prune(engine, account_id, 10 * DAY) == "done"

    assert await account.rows("select account_id, day, polls from syncer.sync_day") == [(1, date(2026, 3, 1), 1)]


async def test_the_longest_gap_of_a_day_counts_from_the_earlier_midnight_where_clocks_go_back_over_it(
    sql: asyncpg.Connection, engine: Engine
) -> None:
    havana = ZoneInfo("America/Havana")
    noons = [datetime(2025, 11, day, 12, tzinfo=havana).astimezone(UTC) for day in (1, 2, 3)]
    account = OldAccount(sql, engine, havana)
    await account.insert()
    await sql.execute("update syncer.account set created_at = $1", noons[0])
    await account.insert_runs([StoredRun(noon, "unchanged", 0) for noon in noons])
    await account.prune_completely(noons[2] + 10 * DAY, DAY, 1)

    rows = await sql.fetch("select day, longest_gap_seconds / 3600 from syncer.sync_day order by 1")
    assert list(map(tuple, rows)) == [
        (date(2025, 11, 1), 12),
        (date(2025, 11, 2), 13),
    ]


async def test_an_account_whose_time_zone_the_server_does_not_know_is_pruned_by_days_in_utc(
    account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2, 1), record(1))
    await account.poll_at(moscow(3), record(1))
    await sql.execute("update syncer.account set time_zone = 'localtime'")

    await prune_at(account, moscow(30), DAY)

    assert await account.rows("select day, polls from syncer.sync_day") == [(date(2026, 3, 1), 1)]


async def test_the_first_and_the_last_day_keep_their_gaps_when_runs_are_pruned(account: PolledAccount) -> None:
    for moment in (moscow(1, 10), moscow(1, 11), moscow(1, 20), moscow(2, 1), moscow(2, 4), moscow(2, 6)):
        await account.poll_at(moment, record(1))
    coverage = "select day, polls, round(longest_gap_seconds / 3600, 3) from analytics.coverage order by 1"
    # From 11:00 to 20:00, and from 1:00 to 4:00: nobody expects polls before the first success and after the last one.
    before = [(date(2026, 3, 1), 3, Decimal(9)), (date(2026, 3, 2), 3, Decimal(3))]
    assert await account.rows(coverage) == before

    await prune_at(account, moscow(30), DAY)

    assert await account.row("select count(*) from syncer.sync_run") == (4,)
    assert await account.rows(coverage) == before


async def test_a_day_that_ended_before_the_first_success_has_no_gap(account: PolledAccount) -> None:
    account.emulator.fault = faults.Body(body="?")
    for day in (1, 2):
        await account.set_clock(moscow(day))
        assert (await account.poll_again()).outcome == "failed"
    for day in (4, 5, 6):
        await account.poll_at(moscow(day), record(1))

    await prune_at(account, moscow(30), DAY)

    assert await account.rows(
        "select day, polls, failed, longest_gap_seconds / 3600, blind_seconds from syncer.sync_day order by 1"
    ) == [
        (date(2026, 3, 1), 1, 1, 0, 0),
        (date(2026, 3, 2), 1, 1, 0, 0),
        (date(2026, 3, 5), 1, 0, 12, 86400),
    ]


class ThreeAccounts:
    """Accounts 1, 2 and 3, each with a run of its own that should be gone, and the retention of a daemon."""

    def __init__(self, account: PolledAccount) -> None:
        self._account = account
        self.metrics = Metrics()
        self.retention = Retention(account.engine, DAY, self.metrics)

    async def insert(self) -> None:
        await self._account.sql.execute(
            "insert into syncer.account (name, time_zone, created_at)"
            " select name, 'UTC', $1 from unnest(array['one', 'two', 'three']) as name",
            START,
        )
        await self._account.sql.execute("insert into syncer.account_fence select account_id from syncer.account")
        for _ in range(2):
            await self._account.sql.execute(
                "insert into syncer.sync_run (account_id, trigger, started_at, finished_at, outcome)"
                " select account_id, 'schedule', $1, $1, 'unchanged' from syncer.account order by account_id",
                START,
            )
        await self._account.set_clock(START + 10 * DAY)

    async def round(self) -> list[int]:
        """Prunes all accounts, and returns those that still have runs."""
        await self.retention.prune_all(lambda: True)
        rows = await self._account.rows("select distinct account_id from syncer.sync_run order by 1")
        return [account_id for (account_id,) in rows]

    @property
    def oldest(self) -> timedelta:
        """The age of the oldest run that should be gone, as exported."""
        value = self.metrics.registry.get_sample_value("syncer_oldest_prunable_run_age_seconds")
        assert value is not None
        return timedelta(seconds=value)


@pytest.fixture
async def three(account: PolledAccount) -> ThreeAccounts:
    accounts = ThreeAccounts(account)
    await accounts.insert()
    return accounts


async def test_a_locked_account_delays_no_other_and_is_named_once_it_stays_locked(
    three: ThreeAccounts, sql: asyncpg.Connection
) -> None:
    with capture_logs() as logged:
        async with sql.transaction():
            await sql.execute(
                "select from syncer.account_fence f join syncer.account using (account_id)"
                " where name = 'three' for no key update of f"
            )
            assert (await three.round(), three.oldest, logged) == ([3], 10 * DAY, [])
            await three.round()
            await three.round()
        assert [(line["event"], line["account"]) for line in logged] == [("retention_failed", "three")]
        assert "another session has locked the account's row" in logged[0]["error"]
        assert (await three.round(), three.oldest, len(logged)) == ([], timedelta(), 1)


async def test_an_account_without_expired_runs_is_asked_again_once_its_next_day_has_begun(
    three: ThreeAccounts, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    noon = START + timedelta(days=10, hours=12)
    await account.set_clock(noon)
    assert await three.round() == []
    await sql.execute(
        "insert into syncer.sync_run (account_id, trigger, started_at, finished_at, outcome)"
        " select account_id, 'schedule', $1, $1, 'unchanged' from syncer.account",
        START,
    )

    await account.set_clock(noon + timedelta(hours=11))
    assert await three.round() == [1, 2, 3]
    await account.set_clock(noon + timedelta(hours=13))
    assert await three.round() == []


async def test_a_round_summarises_the_days_that_have_ended(account: PolledAccount) -> None:
    for day in (1, 40, 80):
        await account.poll_at(moscow(1) + day * DAY, record(1))

    await Retention(account.engine, DAY, Metrics()).prune_all(lambda: True)

    assert await account.row("select count(*), min(day), max(day) from syncer.day_summary") == (
        79,
        date(2026, 3, 2),
        date(2026, 5, 19),
    )


async def test_an_account_that_fails_delays_no_other_and_the_reason_is_logged_once(
    three: ThreeAccounts, sql: asyncpg.Connection
) -> None:
    await sql.execute(
        "create function fail() returns trigger language plpgsql as $$ begin raise 'the disk is worn'; end $$"
    )
    await sql.execute(
        "create trigger fail before delete on syncer.sync_run for each row when (old.account_id = 3)"
        " execute function fail()"
    )
    with capture_logs() as logged:
        assert (await three.round(), three.oldest) == ([3], 10 * DAY)
        assert (await three.round(), three.oldest) == ([3], 10 * DAY)
        assert logged == [
            {
                "event": "retention_failed",
                "log_level": "warning",
                "account": "three",
                "error": "database: the disk is worn; check the server's log",
            }
        ]
        await sql.execute("drop trigger fail on syncer.sync_run")
        assert (await three.round(), three.oldest, len(logged)) == ([], timedelta(), 1)


async def test_a_role_that_may_not_delete_runs_is_told_so_once(
    three: ThreeAccounts, sql: asyncpg.Connection, account: PolledAccount
) -> None:
    await sql.execute("create role no_deletion nosuperuser")
    try:
        await sql.execute("grant usage on schema syncer to no_deletion")
        await sql.execute("grant select, update on all tables in schema syncer to no_deletion")
        await sql.execute("grant delete on syncer.notice, syncer.account_condition to no_deletion")
        async with account.engine.connect() as connection:
            user = (await connection.exec_driver_sql("select current_user")).scalar_one()
        await sql.execute(f'alter database "{await sql.fetchval("select current_database()")}" set role no_deletion')
        assert user == "postgres"
        await account.engine.dispose()
        with capture_logs() as logged:
            assert (await three.round(), three.oldest) == ([1, 2, 3], 10 * DAY)
            await three.round()
        (line,) = logged
        assert (line["event"], line["account"]) == ("retention_failed", "one")
        assert line["error"] == (
            "database: permission denied for function delete_rejected_records; let an administrator grant what is "
            "missing"
        )
    finally:
        await account.engine.dispose()
        await sql.execute("drop owned by no_deletion")
        await sql.execute("drop role no_deletion")
