"""Summaries of days: when they are made and discarded, and that the views have the same rows without them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from syncer.store.day_summaries import summarise_days
from tests.builders import PolledAccount, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

MOSCOW = ZoneInfo("Europe/Moscow")
TICK = timedelta(microseconds=1)
VIEWS = ("daily_states", "daily_totals", "daily_flows", "monthly_kpi")
SUMMARISED = "select day from syncer.day_summary order by day"


def moscow(day: int, hour: int = 12, month: int = 3) -> datetime:
    """A time in 2026, Moscow time."""
    return datetime(2026, month, day, hour, tzinfo=MOSCOW)


def march(*days: int) -> list[tuple[date]]:
    """Rows of days in March 2026."""
    return [(date(2026, 3, day),) for day in days]


@pytest.fixture(autouse=True)
async def invariants_hold_after_each_test(account: PolledAccount) -> AsyncIterator[None]:
    yield
    assert await account.broken_invariants() == []


async def summarise(account: PolledAccount, *, days: int = 31) -> None:
    """Summarises all days that have ended."""
    while await summarise_days(account.engine, 1, days=days) == "more":
        pass


async def rows_of_views(account: PolledAccount) -> dict[str, list[Any]]:
    return {view: sorted(await account.rows(f"select * from analytics.{view}"), key=repr) for view in VIEWS}  # noqa: S608 - names from this file


async def poll_two_months(account: PolledAccount) -> None:
    """Numbers appear, change, move to another region, are removed and return, from 1 March to 2 May."""
    await account.poll_at(moscow(1), record(1), record(2), record(3))
    await account.poll_at(moscow(3), record(1, state="debt_lock"), record(2), record(3))
    await account.poll_at(moscow(7), record(1), record(2, region_name="Брянская область"), record(3))
    await account.poll_at(moscow(30), record(1), record(2, region_name=None), record(3), record(4, type=None))
    await account.poll_at(moscow(2, month=4), record(1), record(3), record(4, type=None), trigger="accept_removals")
    await account.poll_at(moscow(5, month=4), record(1, state="porting"), record(2), record(3), record(4, type="abc"))
    await account.poll_at(moscow(2, month=5), record(1), record(2), record(3, state="freeze"), record(4, type="abc"))


@pytest.mark.parametrize("days", [1, 7, 31, 1000])
async def test_the_views_have_the_same_rows_whether_days_are_summarised_or_not(
    account: PolledAccount, days: int
) -> None:
    await poll_two_months(account)
    counted = await rows_of_views(account)

    await summarise(account, days=days)

    assert await account.row("select count(*), min(day), max(day) from syncer.day_summary") == (
        *(62, date(2026, 3, 1)),
        date(2026, 5, 1),
    )
    assert await rows_of_views(account) == counted
    assert await account.broken_invariants() == []
    await account.sql.execute("delete from syncer.day_summary where day >= '2026-03-20'")
    assert await rows_of_views(account) == counted
    await summarise(account)
    assert await rows_of_views(account) == counted


async def test_a_day_is_summarised_once_a_success_is_later_than_its_end(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.set_clock(moscow(3))
    await account.poll_body(b"nonsense")
    await summarise(account)
    assert await account.rows(SUMMARISED) == []

    await account.poll_at(moscow(3, 13), record(1))
    await summarise(account)

    assert await account.rows(SUMMARISED) == march(1, 2)


async def test_a_batch_counts_no_more_days_than_it_may(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(8), record(1))

    results = [await summarise_days(account.engine, 1, days=3) for _ in range(4)]

    assert results == ["more", "more", "more", "done"]
    assert await account.rows(SUMMARISED) == march(1, 2, 3, 4, 5, 6, 7)


async def test_an_account_that_a_poll_has_locked_is_left_as_it_is(
    account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(3), record(1))

    async with sql.transaction():
        await sql.execute("select from syncer.account_fence for no key update")
        assert await summarise_days(account.engine, 1) == "locked"

    assert await account.rows(SUMMARISED) == []


async def test_an_account_without_a_success_has_no_summaries(account: PolledAccount) -> None:
    await account.set_clock(moscow(1))
    await account.poll_body(b"nonsense")

    assert await summarise_days(account.engine, 1) == "done"


async def test_a_removal_that_was_held_discards_the_summaries_from_its_day_on(account: PolledAccount) -> None:
    listed = [record(key) for key in range(1, 5)]
    for day in (1, 2):
        await account.poll_at(moscow(day), *listed)
    await account.poll_at(moscow(3, 23), *listed[:1])  # too many at once: their removal is held
    await account.poll_at(moscow(4, 1), *listed[:1])
    await account.poll_at(moscow(4, 22), *listed[:1])
    await summarise(account)
    assert await account.rows(SUMMARISED) == march(1, 2, 3)
    ends = "select day, numbers from analytics.daily_totals where day < '2026-03-05' order by day"
    assert await account.rows(ends) == [(day, 4) for (day,) in march(1, 2, 3, 4)]

    removal = await account.poll_at(moscow(5), *listed[:1])

    assert removal.removed == 3
    assert await account.rows(SUMMARISED) == march(1, 2)
    removed = [(date(2026, 3, day), numbers) for day, numbers in ((1, 4), (2, 4), (3, 1), (4, 1))]
    assert await account.rows(ends) == removed
    await summarise(account)
    assert await account.rows(SUMMARISED) == march(1, 2, 3, 4)
    assert await account.rows(ends) == removed


@pytest.mark.parametrize("missing_since", [moscow(2, 23), moscow(3, 1)])
async def test_the_day_from_which_summaries_are_discarded_is_that_of_the_accounts_zone(
    account: PolledAccount, missing_since: datetime
) -> None:
    """Midnight in Moscow is 21:00 in UTC."""
    await account.poll_at(moscow(1), *(record(key) for key in range(1, 5)))
    await account.poll_at(missing_since, record(1))
    await account.poll_at(missing_since + timedelta(hours=23), record(1))
    await summarise(account)
    assert await account.rows(SUMMARISED) == march(*range(1, missing_since.day + 1))

    removal = await account.poll_at(missing_since + timedelta(hours=23.5), record(1), trigger="accept_removals")

    assert removal.removed == 3
    assert await account.rows(SUMMARISED) == march(*range(1, missing_since.day))


async def test_a_removal_that_is_applied_at_once_discards_no_summary(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2))
    await account.poll_at(moscow(3), record(1), record(2))
    await summarise(account)

    assert (await account.poll_at(moscow(3, 13), record(1), trigger="accept_removals")).removed == 1

    assert await account.rows(SUMMARISED) == march(1, 2)


async def test_summaries_of_another_time_zone_are_not_read_and_are_replaced(account: PolledAccount) -> None:
    await account.poll_at(moscow(1, 23), record(1))
    await account.poll_at(moscow(2, 23), record(1, state="freeze"))
    await account.poll_at(moscow(4), record(1))
    await summarise(account)
    assert await account.rows(SUMMARISED) == march(1, 2, 3)

    await account.sql.execute("update syncer.account set time_zone = 'Asia/Vladivostok'")

    days = "select day, numbers from analytics.daily_totals where state = 'freeze' order by day"
    expected = [(date(2026, 3, 2), 0), (date(2026, 3, 3), 1), (date(2026, 3, 4), 0)]
    assert await account.rows(days) == expected
    await summarise(account)
    assert await account.rows("select day, time_zone from syncer.day_summary order by day") == [
        (date(2026, 3, 2), "Asia/Vladivostok"),
        (date(2026, 3, 3), "Asia/Vladivostok"),
    ]
    assert await account.rows(days) == expected


async def test_summaries_of_days_that_end_at_another_time_by_newer_rules_of_the_zone_are_replaced(
    account: PolledAccount,
) -> None:
    """Almaty has been at UTC+5 since 1 March 2024; a server that had not learnt of it had counted days of UTC+6."""
    utc_plus_6 = ZoneInfo("Etc/GMT-6")
    await account.poll_at(datetime(2024, 2, 28, 12, tzinfo=utc_plus_6), record(1))
    await account.poll_at(datetime(2024, 3, 4, 0, tzinfo=utc_plus_6) + timedelta(minutes=30), record(1, state="freeze"))
    await account.sql.execute("update syncer.account set time_zone = 'Etc/GMT-6'")
    await summarise(account)
    await account.sql.execute("update syncer.account set time_zone = 'Asia/Almaty'")
    await account.sql.execute("update syncer.day_summary set time_zone = 'Asia/Almaty'")
    account.account = replace(account.account, time_zone=ZoneInfo("Asia/Almaty"))
    await account.poll_at(datetime(2024, 3, 5, 12, tzinfo=utc_plus_6), record(1, state="freeze"))

    days = "select day, numbers from analytics.daily_totals where state = 'freeze' order by day"
    expected = [
        *((date(2024, 2, day), 0) for day in (28, 29)),
        *((date(2024, 3, day), numbers) for day, numbers in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 1))),
    ]
    assert await account.rows(days) == expected
    await summarise(account)
    assert await account.row("select count(*), max(day) from syncer.day_summary") == (6, date(2024, 3, 4))
    assert await account.rows(days) == expected


async def test_a_retired_account_that_returns_has_the_days_in_between(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2))
    await account.poll_at(moscow(3), record(1), record(2))
    await account.sql.execute("update syncer.account set retired_at = now()")
    await summarise(account)
    days = "select day, numbers from analytics.daily_totals where day < '2026-03-08' order by day"
    assert await account.rows(days) == [(day, 2) for (day,) in march(1, 2, 3)]

    await account.sql.execute("update syncer.account set retired_at = null")
    await account.poll_at(moscow(6), record(1), trigger="accept_removals")
    await account.stay_due()
    await summarise(account)

    assert await account.rows(SUMMARISED) == march(1, 2, 3, 4, 5)
    assert await account.rows(days) == [
        *((day, 2) for (day,) in march(1, 2, 3, 4, 5)),
        *((day, 1) for (day,) in march(6, 7)),
    ]


async def test_days_that_are_yet_to_come_are_not_shown_though_the_clock_was_ahead(account: PolledAccount) -> None:
    now = await account.sql.fetchval("select now()")
    today = now.astimezone(MOSCOW).date()
    await account.poll_at(now - timedelta(days=2), record(1))
    await account.poll_at(now + timedelta(days=5), record(1, state="freeze"))
    await summarise(account)

    assert await account.row("select max(day) from syncer.day_summary") == (today + timedelta(days=4),)
    assert await account.row("select count(distinct day), max(day) from analytics.daily_states") == (3, today)
    assert await account.row(
        "select numbers from analytics.daily_totals where day = $1 and state = 'active'", today
    ) == (1,)
