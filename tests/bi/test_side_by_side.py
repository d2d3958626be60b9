"""Several databases that are read together, with the statements of docs/citus.md."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from syncer.store.engine import Engine
from tests.builders import PolledAccount, connect, execute, record, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator

PAGE = (Path(__file__).parents[2] / "docs" / "citus.md").read_text()


def statements(west: str, east: str, password: str) -> str:
    """Returns the statements of the page, for two databases that are on the tests' server."""
    (block,) = re.findall(r"```sql\n(create extension postgres_fdw.*?)```", PAGE, re.DOTALL)
    for side, url in (("west", west), ("east", east)):
        address = urlsplit(url)
        example = f"host '{side}.example.org', port '5432', dbname 'syncer'"
        assert block.count(example) == 1
        options = f"host '{address.hostname}', port '{address.port}', dbname '{address.path[1:]}'"
        block = block.replace(example, options)
    return str(block.replace("password 'PASSWORD'", f"password '{password}'"))


@pytest.fixture
async def west(server: EmbeddedServer) -> AsyncIterator[str]:
    """The address of a second database with the newest schema."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(server.url, f"create database {name} template migrated strategy file_copy")
    yield server.url.rpartition("/")[0] + f"/{name}"
    await execute(server.url, f"drop database {name} with (force)")


@pytest.fixture
async def reader(server: EmbeddedServer) -> AsyncIterator[str]:
    """The password of the analysts' login `reader`."""
    password = secrets.token_hex(8)
    await execute(server.url, f"create role reader login password '{password}'")
    yield password
    await execute(server.url, "drop role reader")


async def test_views_of_two_databases_have_the_rows_of_both_and_say_which_they_are_from(
    account: PolledAccount,
    database: str,
    west: str,
    reader: str,
    empty_database: str,
    emulator: Emulator,
    sql: asyncpg.Connection,
) -> None:
    western, together = await connect(west), await connect(empty_database)
    engine = Engine(lambda: west)
    async with PolledAccount(engine, emulator, western, settings_for(emulator)) as other:
        await other.poll(record(1, number="79161111111"))
    await engine.dispose()
    await account.poll(record(1, number="79162222222", state="debt_lock"))
    for server in (western, sql):
        await server.execute("grant usage on schema analytics to reader")
        await server.execute("grant select on all tables in schema analytics to reader")

    await together.execute(statements(west, database, reader))

    numbers = await together.fetch("select database, account_id, number, state from analytics.numbers order by 1")
    days = await together.fetch("select distinct database from analytics.daily_states order by 1")
    views = await sql.fetch("select viewname from pg_views where schemaname = 'analytics' order by 1")
    assert [tuple(row) for row in numbers] == [
        ("east", 1, "79162222222", "debt_lock"),
        ("west", 1, "79161111111", "active"),
    ]
    assert [name for (name,) in days] == ["east", "west"]
    assert await together.fetch("select viewname from pg_views where schemaname = 'analytics' order by 1") == views
    for server in (western, sql):
        await server.execute("drop owned by reader")
    await together.close()
    await western.close()
