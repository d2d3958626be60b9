"""What is asked of one number is found by key, however long the history, or within a limit where it cannot be."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import DatabaseError
from syncer.store.queries import number_life, number_search
from syncer.store.queries.number_life import read_number_life
from syncer.store.queries.number_search import NumberKey, find_numbers, spellings
from tests.builders import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

    from syncer.store.engine import Engine
    from tests.builders import PolledAccount

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGE = {
    "virtual_number",
    "virtual_number_history",
    "state_history",
    "virtual_number_redirect",
    "virtual_number_redirect_history",
    "absence_history",
}
PARAMETERS = {":account_id": "1", ":virtual_number_id": "250", ":limit": "1000", ":account": "null::text"}
PARAMETERS |= {":spellings": "'{79208547433,9208547433}'", ":account_ids": "'{1}'", ":number_ids": "'{250}'"}
PARAMETERS[":patterns"] = "'{%a%}'"
QUERIES = {
    name: query
    for module in (number_life, number_search)
    for name, query in vars(module).items()
    if name.startswith("_") and name != "_FOUND" and isinstance(query, str) and "analytics." in query
}


def scanned_tables(plan: dict[str, Any]) -> Iterator[str]:
    """Yields the large tables that a plan reads as a whole."""
    if plan.get("Relation Name") in LARGE and "Index Cond" not in plan and plan["Node Type"] != "Bitmap Heap Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", []):
        yield from scanned_tables(part)


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_finds_the_rows_of_the_large_tables_by_index_but_for_those_of_the_past_and_those_with_words(
    account: PolledAccount, sql: asyncpg.Connection, name: str
) -> None:
    await account.poll(record(250))
    statement = re.sub(r"(?<!:):\w+", lambda found: PARAMETERS[found[0]], QUERIES[name])
    await sql.execute("set enable_seqscan = off")  # the tables are tiny: without an index one is read nevertheless

    (plan,) = json.loads(await sql.fetchval(f"explain (format json) {statement}"))

    expected = {"_EARLIER": ["virtual_number_history"], "_BY_WORDS": ["virtual_number"]}.get(name, [])
    assert list(scanned_tables(plan["Plan"])) == expected


async def test_the_search_for_earlier_numbers_ends_in_time_and_says_that_it_is_not_complete(
    account: PolledAccount, engine: Engine, sql: asyncpg.Connection
) -> None:
    await account.poll(record(250, number="79208547433"))
    async with sql.transaction():
        await sql.execute("lock table syncer.virtual_number_history in access exclusive mode")
        found = await find_numbers(engine, spellings("79208547433"), None, seconds_if_found=0.1, seconds_if_not=10)
        missing = await find_numbers(engine, spellings("79208547499"), None, seconds_if_found=10, seconds_if_not=0.1)

    assert found == ([NumberKey(1, 250)], False)
    assert missing == ([], False)


async def test_a_search_that_finds_very_many_numbers_returns_some_and_says_so(
    account: PolledAccount, engine: Engine
) -> None:
    await account.poll(*(record(key, number="79208547433") for key in range(1, number_search.MAX_FOUND + 2)))

    found = await find_numbers(engine, spellings("79208547433"), None, seconds_if_found=10, seconds_if_not=10)

    assert found == ([NumberKey(1, key) for key in range(1, number_search.MAX_FOUND + 1)], False)


async def test_a_long_life_has_its_newest_rows(account: PolledAccount, engine: Engine) -> None:
    for hour in range(6):
        await account.poll_at(NOON + timedelta(hours=hour), record(250, comment=f"{hour}", state=f"state {hour}"))

    whole = await read_number_life(engine, NumberKey(1, 250), statement_seconds=10)
    newest = await read_number_life(engine, NumberKey(1, 250), statement_seconds=10, max_rows=2)

    assert whole is not None
    assert newest is not None
    assert ([one.state for one in whole.states], whole.is_complete) == ([f"state {hour}" for hour in range(6)], True)
    assert ([one.state for one in newest.states], newest.is_complete) == (["state 4", "state 5"], False)
    assert await read_number_life(engine, NumberKey(1, 251), statement_seconds=10) is None


async def test_a_life_that_takes_too_long_is_an_error(
    account: PolledAccount, engine: Engine, sql: asyncpg.Connection
) -> None:
    await account.poll(record(250))
    async with sql.transaction():
        await sql.execute("lock table syncer.state_history in access exclusive mode")
        with pytest.raises(DatabaseError, match="the query takes too long for this server"):
            await read_number_life(engine, NumberKey(1, 250), statement_seconds=0.1)
