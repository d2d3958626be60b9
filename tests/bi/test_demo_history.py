"""The made-up history of `syncer demo --history`: told through the real data path, at moments in the past."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from syncer.commands.demo_backfill import backfill_demo, days_of
from syncer.config.settings import Settings
from syncer.database import Database
from syncer.store.invariants import find_violations
from syncer.store.schema import migrate
from tests.builders import connect

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

UNTIL = datetime(2025, 6, 25, 9, tzinfo=ZoneInfo("Europe/Moscow"))
CLOCK = "select pg_get_functiondef('syncer.clock()'::regprocedure)"
DEBTS = [date(2025, 6, day) for day in (11, 12, 13, 21, 22, 23)]


async def tell(url: str, *, days: int, seed: int = 1) -> None:
    database = Database(Settings.model_construct(database_url=SecretStr(url)))
    await migrate(database.owner_engine)
    await backfill_demo(database, days, seed, until=UNTIL)
    await database.dispose()


async def rows(sql: asyncpg.Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await sql.fetch(query, *arguments)]


async def test_a_fortnight_holds_everything_that_can_happen(
    database: str, sql: asyncpg.Connection, engine: AsyncEngine
) -> None:
    clock = await sql.fetchval(CLOCK)

    await tell(database, days=16)

    begins = datetime(2025, 6, 9, 3, tzinfo=UNTIL.tzinfo)
    assert await rows(sql, "select min(started_at), max(started_at) from analytics.runs") == [(begins, UNTIL)]
    assert [str(violation) async for violation in find_violations(engine)] == []
    assert await sql.fetchval(CLOCK) == clock

    kinds = {"created", "changed", "state", "removed", "restored", "redirect_opened", "redirect_closed"}
    assert {kind for (kind,) in await rows(sql, "select kind from analytics.changes")} == kinds
    outcomes = {"applied", "unchanged", "failed"}
    assert {outcome for (outcome,) in await rows(sql, "select outcome from analytics.runs")} == outcomes
    assert await rows(sql, "select state from analytics.states where not documented") == [("porting",)]
    assert await sql.fetchval("select max(held) from analytics.runs") > 50
    assert await rows(sql, "select held, rejected from analytics.freshness") == [(0, 1)]
    unseen = "select polls, failed from analytics.coverage where longest_gap_seconds = 86400 and day < $1 order by 1"
    assert await rows(sql, unseen, UNTIL.date()) == [(0, 0), (4, 4)]
    by_day = "select changed_at::date = any($1), count(*) from analytics.state_changes where to_state = $2 group by 1"
    debts = dict(await rows(sql, by_day, DEBTS, "debt_lock"))
    assert debts[True] > 5 * debts.get(False, 0)


async def test_the_same_seed_tells_the_same(database: str, empty_database: str, sql: asyncpg.Connection) -> None:
    await tell(database, days=5)
    await tell(empty_database, days=5)
    other = await connect(empty_database)

    query = "select to_jsonb(c)::text from analytics.changes c order by 1"
    assert await sql.fetch(query) == await other.fetch(query)
    await other.close()


async def test_the_clock_is_given_back_when_the_telling_is_broken_off(database: str, sql: asyncpg.Connection) -> None:
    clock = await sql.fetchval(CLOCK)
    telling = asyncio.create_task(tell(database, days=30))
    while await sql.fetchval("select count(*) from analytics.runs") < 3:  # noqa: ASYNC110 - the database tells no event
        await asyncio.sleep(0.02)
    assert await sql.fetchval(CLOCK) != clock

    telling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await telling

    assert await sql.fetchval(CLOCK) == clock


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("180d", 180), ("730d", 730)])
def test_days_are_spelled_as_in_the_settings(text: str, days: int) -> None:
    assert days_of(text) == days


@pytest.mark.parametrize("text", ["", "180", "0d", "731d", "6m", "-1d", "1.5d", " 1d"])
def test_what_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 180d"):
        days_of(text)
