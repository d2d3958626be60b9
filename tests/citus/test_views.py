"""Each view and function returns the rows of one server, after the same polls at the same moments."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest

from syncer.emulator import STATIC, Emulator
from syncer.emulator.faults import Body
from syncer.store.day_summaries import summarise_days
from syncer.store.engine import Engine
from tests.builders import PolledAccount, accounts_named, connect, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

ACCOUNTS: Final = ("a", "b", "c", "d")
BEGINNING: Final = datetime(2026, 3, 27, 20, 30, tzinfo=ZoneInfo("Europe/Moscow"))
POLLS: Final = 12
STATES: Final = ("active", "active", "debt_lock", "freeze", "an undocumented state")
VIEWS: Final = """
select c.oid::regclass::text, array_agg(quote_ident(a.attname) order by a.attnum)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
 where c.relkind = 'v' and c.relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
 group by 1 order by 1
"""
# The names that employees, groups and scenarios had, those of some replaced twice between the polls.
NAMES: Final = """
insert into syncer.name (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                         first_seen_at, changed_at)
select account_id, list, id, list || ' ' || id, 'clerk', 'redirect_to_employee', 'employees', 1, at, at + 2 * step
  from unnest($1::integer[]) account_id
 cross join unnest(array['employees', 'groups', 'scenarios', 'group_scenarios']) list
 cross join generate_series(1, 3) id
 cross join (select $2::timestamptz as at, interval '30 hours' as step) life
"""
FORMER_NAMES: Final = """
insert into syncer.name_history (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                                 valid_from, valid_to, closed_after)
select account_id, list, id, 'former ' || each, null, 'informer', 'employees', 2,
       at + (each - 1) * step, at + each * step, at + (each - 1) * step
  from unnest($1::integer[]) account_id
 cross join unnest(array['employees', 'groups', 'scenarios', 'group_scenarios']) list
 cross join generate_series(1, 3) id
 cross join generate_series(1, 2) each
 cross join (select $2::timestamptz as at, interval '30 hours' as step) life
"""


def responses(random: Random) -> Iterator[bytes]:
    """The responses of an account, one after the other: numbers come, change, leave and return."""
    fields: dict[int, dict[str, Any]] = {}
    listed: set[int] = set()
    for _ in range(POLLS):
        for number in range(1, 9):
            if number not in fields or random.random() < 0.4:
                state = random.choice(STATES)
                fields[number] = {
                    "state": state,
                    "reason": random.choice((None, "долг", "суд")) if state == "debt_lock" else None,
                    "type": random.choice(("def", "abc")),
                    "purpose": random.choice(("company", "employee")),
                    "comment": random.choice(("", "касса", "склад")),
                    "region_name": random.choice(("Москва", "Томск", None)),
                    "employee_id": random.choice((None, 1, 2, 9)),
                    "group_id": random.choice((None, 1, 3)),
                    "scenario_id": random.choice((None, 1)),
                    "group_scenario_id": random.choice((None, 2)),
                    "number": f"7900000000{random.choice((number, number, 0))}",
                    "from_redirect_numbers": [
                        redirect(source, f"7900000000{source}")
                        for source in random.sample(range(1, 9), random.randint(0, 2))
                    ],
                }
        listed = {number for number in fields if random.random() < (0.9 if number in listed else 0.7)} or {1}
        records: list[Any] = [record(number, **fields[number]) for number in sorted(listed)]
        if random.random() < 0.6:
            records.append({"id": 77, "number": None})
        yield b"not a list" if random.random() < 0.1 else json.dumps(records, ensure_ascii=False).encode()


async def fill(url: str) -> None:
    """Polls the accounts of a database, retires one of them, and stores names."""
    engine = Engine(lambda: url)
    sql = await connect(url)
    async with Emulator(numbers=1, rates=STATIC) as emulator:
        settings = settings_for(emulator, removal_max_ratio=1)
        async with PolledAccount(engine, emulator, sql, settings) as polled:
            accounts = accounts_named(settings, ACCOUNTS)
            bodies = [responses(Random(name)) for name in ACCOUNTS]  # noqa: S311 - no secret
            for poll in range(POLLS):
                for index, account in enumerate(accounts):
                    await polled.set_clock(BEGINNING + timedelta(hours=9 * poll, minutes=index))
                    emulator.fault = Body(body=next(bodies[index]).decode())
                    await polled.poller.poll(account, "accept_removals" if poll % 3 else "schedule")
            ids = [row["account_id"] for row in await sql.fetch("select account_id from syncer.account order by name")]
            await sql.execute(FORMER_NAMES, ids, BEGINNING)
            await sql.execute(NAMES, ids, BEGINNING)
            await sql.execute("update syncer.account set retired_at = $1 where name = 'c'", BEGINNING)
    await sql.close()
    await engine.dispose()


@pytest.fixture
async def plain(plain_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to one server that has the polls."""
    await fill(plain_database)
    engine = Engine(lambda: plain_database)
    for account_id in (1, 2, 3, 4):
        await summarise_days(engine, account_id, days=3)
    await engine.dispose()
    connection = await connect(plain_database)
    yield connection
    await connection.close()


@pytest.fixture
async def distributed(database: str, plain: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the coordinator of servers that have the polls, and the summaries of the one server."""
    await fill(database)
    connection = await connect(database)
    summaries = map(tuple, await plain.fetch("select * from syncer.day_summary"))
    await connection.copy_records_to_table("day_summary", schema_name="syncer", records=summaries)
    await connection.execute("analyze")
    yield connection
    await connection.close()


def comparable(value: Any) -> Any:
    return tuple(map(comparable, value)) if isinstance(value, list) else value


async def rows(sql: asyncpg.Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(map(comparable, row)) for row in await sql.fetch(query, *arguments)]


async def test_views_and_functions_return_the_rows_of_one_server(
    plain: asyncpg.Connection, distributed: asyncpg.Connection
) -> None:
    # What an id of a region is depends on how many were generated in vain.
    queries = {
        view: f"select {', '.join(name for name in names if name != 'region_id')} from {view}"  # noqa: S608 - from the catalog
        for view, names in await plain.fetch(VIEWS)
    }
    queries["analytics.freshness"] = queries["analytics.freshness"].replace("lag_seconds, ", "")  # until now
    found = {view: (await rows(plain, query), await rows(distributed, query)) for view, query in queries.items()}

    different = {
        view: (list((Counter(one) - Counter(many)).elements())[:3], list((Counter(many) - Counter(one)).elements())[:3])
        for view, (one, many) in found.items()
        if Counter(one) != Counter(many)
    }
    assert different == {}
    assert [view for view, (one, _) in found.items() if not one] == ["analytics.name_lists", "analytics.notifications"]

    for hours in range(0, 9 * POLLS, 13):
        query, moment = "select * from analytics.numbers_as_of($1)", BEGINNING + timedelta(hours=hours)
        assert Counter(await rows(distributed, query, moment)) == Counter(await rows(plain, query, moment)), moment
    feed = "select * from analytics.changes_since($1)"
    for cursor in ("{}", '{"1": 25, "2": 2}'):
        assert await rows(distributed, feed, cursor) == await rows(plain, feed, cursor)


async def test_most_views_are_one_query_for_all_accounts_and_one_task_for_one_account(database: str) -> None:
    sql = await connect(database)
    shards = await sql.fetchval(
        "select count(*) from pg_dist_shard where logicalrelid = 'syncer.account_fence'::regclass"
    )
    gathered, spread = set(), set()
    for view, names in await sql.fetch(VIEWS):
        if await tasks(sql, f"select * from {view}") not in ([shards], [1]):  # noqa: S608 - from the catalog
            gathered.add(view.removeprefix("analytics."))
        if "account_id" in names and await tasks(sql, f"select * from {view} where account_id = 1") != [1]:  # noqa: S608 - as above
            spread.add(view.removeprefix("analytics."))
    await sql.close()

    # What servers have counted is put together, a row for each day or month.
    assert gathered == {"changes_cursor", "coverage", "freshness", "monthly_coverage", "monthly_kpi"}
    # Subqueries that look up a row for each number hide which account it is of.
    assert spread == {
        "assignments",
        "coverage",
        "freshness",
        "monthly_coverage",
        "numbers",
        "numbers_all",
        "register",
        "state_changes",
    }


async def tasks(sql: asyncpg.Connection, query: str) -> list[int]:
    """Returns the tasks of each part of a query; what is moved between servers is a part of its own."""
    plan = [line for (line,) in await sql.fetch(f"explain (costs off) {query}")]
    return [int(line.partition("Task Count: ")[2]) for line in plan if "Task Count: " in line]
