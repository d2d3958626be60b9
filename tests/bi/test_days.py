"""The views of days and months, compared with results worked out by hand."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tests.builders import PolledAccount, record, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine

MOSCOW = ZoneInfo("Europe/Moscow")
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def moscow(day: int, hour: int = 12, month: int = 3) -> datetime:
    """The time in 2026 at which a change is recorded that a poll a microsecond earlier sees."""
    return datetime(2026, month, day, hour, tzinfo=MOSCOW) - TICK


@pytest.fixture(autouse=True)
async def invariants_hold_after_each_test(account: PolledAccount) -> AsyncIterator[None]:
    yield
    assert await account.broken_invariants() == []


async def test_a_state_that_appears_later_has_zeros_from_the_first_day_on(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2), record(1), record(2, type="abc"))
    await account.poll_at(moscow(3), record(1, state="porting"), record(2, type="abc"))

    assert await account.rows("select day, type, state, numbers from analytics.daily_states order by 1, 2, 3") == [
        (date(2026, 3, 1), "def", "active", 1),
        (date(2026, 3, 1), "def", "porting", 0),
        (date(2026, 3, 2), "abc", "active", 1),
        (date(2026, 3, 2), "abc", "porting", 0),
        (date(2026, 3, 2), "def", "active", 1),
        (date(2026, 3, 2), "def", "porting", 0),
        (date(2026, 3, 3), "abc", "active", 1),
        (date(2026, 3, 3), "abc", "porting", 0),
        (date(2026, 3, 3), "def", "active", 0),
        (date(2026, 3, 3), "def", "porting", 1),
    ]


async def test_the_average_of_daily_totals_is_that_over_all_days(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2))
    await account.poll_at(moscow(3), record(1, state="debt_lock"), record(2, state="debt_lock"))
    await account.poll_at(moscow(4), record(1), record(2))

    average = "select avg(numbers)::float8 from analytics.daily_totals where state = $1"
    assert await account.row(average, "debt_lock") == (0.5,)
    assert await account.row(average, "active") == (1.5,)


async def test_an_account_without_a_success_has_no_days(account: PolledAccount) -> None:
    await account.set_clock(moscow(1))
    await account.poll_body(b"nonsense")

    for view in ("daily_states", "daily_totals", "daily_flows", "number_days", "monthly_kpi", "coverage"):
        assert await account.rows(f"select * from analytics.{view}") == [], view  # noqa: S608 - names from this file


async def test_a_day_has_what_came_into_each_state_and_left_it(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2))
    await account.poll_at(moscow(2, 6), record(1, state="debt_lock"), record(2))
    await account.poll_at(moscow(2, 18), record(1), trigger="accept_removals")
    await account.poll_at(moscow(3, 6), record(1), record(2, state="freeze"))

    assert await account.rows(
        """
        select day, state, arrived, returned, entered, exited, removed, duration_seconds / 3600
          from analytics.daily_flows order by 1, 2
        """
    ) == [
        (date(2026, 3, 1), "active", 2, 0, 0, 0, 0, 24),
        (date(2026, 3, 1), "debt_lock", 0, 0, 0, 0, 0, 0),
        (date(2026, 3, 1), "freeze", 0, 0, 0, 0, 0, 0),
        (date(2026, 3, 2), "active", 0, 0, 1, 1, 1, 6 + 6 + 18),
        (date(2026, 3, 2), "debt_lock", 0, 0, 1, 1, 0, 12),
        (date(2026, 3, 2), "freeze", 0, 0, 0, 0, 0, 0),
        (date(2026, 3, 3), "active", 0, 0, 0, 0, 0, 6),
        (date(2026, 3, 3), "debt_lock", 0, 0, 0, 0, 0, 0),
        (date(2026, 3, 3), "freeze", 0, 1, 0, 0, 0, 0),
    ]


async def test_a_day_of_a_number_has_a_column_for_each_state(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2, 6), record(1, state="debt_lock"))
    await account.poll_at(moscow(2, 9), record(1, state="freeze"))
    await account.poll_at(moscow(2, 10), record(1, state="porting"))
    await account.poll_at(moscow(2, 18), record(2), trigger="accept_removals")

    assert await account.rows(
        """
        select day, listed_seconds / 3600, active_seconds / 3600, debt_lock_seconds / 3600, freeze_seconds / 3600,
               other_seconds / 3600, active_share::float8, number_now, number_key
          from analytics.number_days where virtual_number_id = 1 order by 1
        """
    ) == [
        (date(2026, 3, 1), 12, 12, 0, 0, 0, 1.0, "79000000001", "1:1"),
        (date(2026, 3, 2), 18, 6, 3, 1, 8, 6 / 18, "79000000001", "1:1"),
    ]


async def test_a_day_that_has_only_begun_when_the_last_success_is_recorded_has_no_rows_of_numbers(
    account: PolledAccount,
) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2, 0), record(1))

    assert await account.rows("select day, active_share from analytics.number_days") == [(date(2026, 3, 1), 1)]


async def test_the_columns_of_a_month_add_up(account: PolledAccount) -> None:
    brjansk = "Брянская область"
    await account.poll_at(moscow(30), record(1), record(2), record(3))
    await account.poll_at(moscow(31), record(1, state="debt_lock"), record(2), record(3, region_name=brjansk))
    await account.poll_at(moscow(2, month=4), record(1), record(3, region_name=brjansk), trigger="accept_removals")
    await account.poll_at(moscow(3, month=4), record(1), record(2), record(3, region_name=brjansk), record(4))

    assert await account.rows(
        """
        select month, region, opening, arrived, returned, removed, moved_in, closing, locks, unlocks,
               active_seconds / 3600, listed_seconds / 3600
          from analytics.monthly_kpi order by month, region
        """
    ) == [
        (date(2026, 3, 1), brjansk, 0, 0, 0, 0, 1, 1, 0, 0, 12, 12),
        (date(2026, 3, 1), "регион Москва", 0, 3, 0, 0, -1, 2, 1, 0, 24 + 36 + 24, 36 + 36 + 24),
        (date(2026, 4, 1), brjansk, 1, 0, 0, 0, 0, 1, 0, 0, 60, 60),
        (date(2026, 4, 1), "регион Москва", 2, 1, 1, 1, 0, 3, 0, 1, 24 + 36, 60 + 36),
    ]


async def test_stays_are_measured_in_the_month_in_which_they_ended(account: PolledAccount) -> None:
    lock = {"state": "debt_lock"}
    await account.poll_at(moscow(1), record(1), record(2), record(3), record(4, **lock))
    await account.poll_at(moscow(2), record(1, **lock), record(2, **lock), record(3, **lock), record(4))
    await account.poll_at(moscow(3), record(1), record(2, **lock), record(3, **lock), record(4))
    await account.poll_at(moscow(5), record(1), record(2), record(3, **lock), record(4))
    await account.poll_at(moscow(1, month=4), record(1), record(2), record(4), trigger="accept_removals")

    # When the lock of the fourth number began is not known: the first response had it.
    assert await account.rows(
        """
        select month, ended_by, spells, median_seconds / 3600, p95_seconds / 3600, mean_seconds / 3600
          from analytics.monthly_spells where state = 'debt_lock' order by month
        """
    ) == [
        (date(2026, 3, 1), "changed", 2, 48, Decimal("69.6"), 48),
        (date(2026, 4, 1), "removed", 1, 720, 720, 720),
    ]


async def test_the_first_day_of_coverage_begins_with_the_first_success(account: PolledAccount) -> None:
    await account.set_clock(moscow(1))
    await account.poll_body(b"nonsense")
    await account.poll_at(moscow(2, 15), record(1))
    await account.poll_at(moscow(2, 21), record(1))

    assert await account.rows("select day, polls, failed, longest_gap_seconds / 3600 from analytics.coverage") == [
        (date(2026, 3, 2), 2, 0, 6)
    ]


async def test_a_day_that_a_time_zone_skipped_has_no_rows(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    # In Apia, 29 December 2011 was followed by the 31st.
    settings = settings_for(emulator, timezone=ZoneInfo("Pacific/Apia"))
    midnight = datetime(2011, 12, 30, 10, tzinfo=UTC)
    async with PolledAccount(engine, emulator, sql, settings) as account:
        await account.poll_at(midnight - 6 * HOUR - TICK, record(1))
        await account.poll_at(midnight + 6 * HOUR - TICK, record(1, state="freeze"))

        for view in ("daily_totals", "state_share", "number_days", "coverage"):
            days = f"select distinct day from analytics.{view} order by 1"  # noqa: S608 - names from this file
            assert await account.rows(days) == [(date(2011, 12, 29),), (date(2011, 12, 31),)], view
        assert await account.rows(
            "select day, state, duration_seconds / 3600 from analytics.daily_flows where duration_seconds > 0"
        ) == [(date(2011, 12, 29), "active", 6), (date(2011, 12, 31), "active", 6)]


@pytest.mark.parametrize("view", ["daily_states", "daily_flows", "daily_totals", "monthly_kpi"])
async def test_the_days_of_one_account_are_read_without_counting_those_of_others(
    account: PolledAccount, view: str
) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.sql.execute(
        "insert into syncer.account (name, time_zone, created_at)"
        " select 'other ' || i, 'UTC', now() from generate_series(1, 9) i;"
        "insert into syncer.account_fence (account_id) select account_id from syncer.account on conflict do nothing"
    )

    query = f"select * from analytics.{view} where account_id = 1"  # noqa: S608 - a name above
    plan = await account.rows(f"explain (analyze, timing off) {query}")

    (scan,) = [line for (line,) in plan if "Function Scan on summarised_days" in line]
    assert re.search(r"loops=(\d+)", scan)[1] == "1"  # type: ignore[index]
