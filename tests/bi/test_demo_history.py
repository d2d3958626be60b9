"""The generated history of `syncer demo --history`: written by the real data path, with times in the past."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from syncer.commands.demo_backfill import backfill_demo, parse_days
from syncer.config.settings import Settings
from syncer.database import Database
from syncer.store.invariants import find_violations
from syncer.store.schema import migrate
from tests.builders import connect

if TYPE_CHECKING:
    import asyncpg

    from syncer.store.engine import Engine

UNTIL = datetime(2025, 6, 25, 9, tzinfo=ZoneInfo("Europe/Moscow"))
CLOCK = "select pg_get_functiondef('syncer.clock()'::regprocedure)"
DEBT_LOCK_DAYS = [date(2025, 6, day) for day in (11, 12, 13, 21, 22, 23)]


async def generate(url: str, *, days: int, seed: int = 1) -> None:
    database = Database(Settings.model_construct(database_url=SecretStr(url)))
    await migrate(database.owner_engine)
    await backfill_demo(database, days, seed, until=UNTIL)
    await database.dispose()


async def rows(sql: asyncpg.Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await sql.fetch(query, *arguments)]


async def test_sixteen_days_contain_every_kind_of_event(database: str, sql: asyncpg.Connection, engine: Engine) -> None:
    clock = await sql.fetchval(CLOCK)

    await generate(database, days=16)

    first_poll = datetime(2025, 6, 9, 3, tzinfo=UNTIL.tzinfo)
    assert await rows(sql, "select min(started_at), max(started_at) from analytics.runs") == [(first_poll, UNTIL)]
    assert [str(violation) async for violation in find_violations(engine)] == []
    assert await sql.fetchval(CLOCK) == clock

    kinds = {"created", "changed", "state", "removed", "restored", "redirect_opened", "redirect_closed"}
    assert {kind for (kind,) in await rows(sql, "select kind from analytics.changes")} == kinds
    outcomes = {"applied", "unchanged", "failed"}
    assert {outcome for (outcome,) in await rows(sql, "select outcome from analytics.runs")} == outcomes
    assert await rows(sql, "select state from analytics.states where not documented") == [("porting",)]
    assert await sql.fetchval("select max(held) from analytics.runs") > 50
    assert await rows(sql, "select held, rejected from analytics.freshness") == [(0, 1)]
    gaps = "select polls, failed from analytics.coverage where longest_gap_seconds = 86400 and day < $1 order by 1"
    assert await rows(sql, gaps, UNTIL.date()) == [(0, 0), (4, 4)]
    by_day = "select changed_at::date = any($1), count(*) from analytics.state_changes where to_state = $2 group by 1"
    locks = dict(await rows(sql, by_day, DEBT_LOCK_DAYS, "debt_lock"))
    assert locks[True] > 5 * locks.get(False, 0)


async def test_the_same_seed_generates_the_same_history(
    database: str, empty_database: str, sql: asyncpg.Connection
) -> None:
    await generate(database, days=5)
    await generate(empty_database, days=5)
    other = await connect(empty_database)

    query = "select to_jsonb(c)::text from analytics.changes c order by 1"
    assert await sql.fetch(query) == await other.fetch(query)
    await other.close()


async def test_the_clock_is_restored_when_the_generation_is_cancelled(database: str, sql: asyncpg.Connection) -> None:
    clock = await sql.fetchval(CLOCK)
    generation = asyncio.create_task(generate(database, days=30))
    while await sql.fetchval("select count(*) from analytics.runs") < 3:  # noqa: ASYNC110 - the database sends no event
        await asyncio.sleep(0.02)
    assert await sql.fetchval(CLOCK) != clock

    generation.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await generation

    assert await sql.fetchval(CLOCK) == clock


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("180d", 180), ("730d", 730)])
def test_days_are_written_as_in_the_settings(text: str, days: int) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "180", "0d", "731d", "6m", "-1d", "1.5d", " 1d"])
def test_an_invalid_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 180d"):
        parse_days(text)
