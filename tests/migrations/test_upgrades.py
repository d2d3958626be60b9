"""History that an older schema holds survives every upgrade: `data` has the life of a few numbers for each revision."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import STATIC, Emulator
from syncer.store.engine import create_engine
from syncer.store.schema import known_revisions, migrate
from tests.builders import PolledAccount, connect, record, redirect, settings_for

if TYPE_CHECKING:
    import asyncpg

DATA = Path(__file__).parent / "data"
REVISIONS = tuple(reversed(known_revisions()))
# Their titles may be worded anew, and words may be added.
VOCABULARY = {"number_type": "type", "number_purpose": "purpose", "number_state": "state"}

# Names that changed after they were released: as the newest schema has them.
RENAMED = {
    "standing_run_id": "fingerprints_run_id",
    "record_digest": "record_fingerprint",
    "digest": "fingerprint",
}

Content = dict[str, list[tuple[Any, ...]]]


def script_of(revision: str) -> str:
    """The life of a few numbers, in SQL written for a revision."""
    file = DATA / f"{revision}.sql"
    if not file.exists():
        pytest.fail(
            f"revision {revision} has no data of its own: write tests/migrations/data/{revision}.sql, the life of a "
            f"few numbers as {revision} stores it; `\\ir` of the revision before it, and what is new, is a beginning",
            pytrace=False,
        )
    # As psql does, it takes in what stands beside it.
    return re.sub(r"^\\ir (\d+)\.sql$", lambda found: script_of(found[1]), file.read_text("utf-8"), flags=re.MULTILINE)


async def columns_of_tables(sql: asyncpg.Connection) -> dict[str, str]:
    """The columns that each table has now."""
    found = await sql.fetch(
        """
        select c.relname, string_agg(format('%I', a.attname), ', ' order by a.attnum)
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'syncer'::regnamespace and c.relkind = 'r' and c.relname <> 'alembic_version'
           and a.attnum > 0 and not a.attisdropped
         group by 1
        """
    )
    return {table: VOCABULARY.get(table, columns) for table, columns in found}


def renamed(columns: dict[str, str]) -> dict[str, str]:
    """The same tables and columns under the names that the newest schema has for them."""
    return {
        RENAMED.get(table, table): ", ".join(RENAMED.get(name, name) for name in names.split(", "))
        for table, names in columns.items()
    }


async def content(sql: asyncpg.Connection, columns: dict[str, str]) -> Content:
    """What these columns hold, table by table."""
    return {
        table: [tuple(row) for row in await sql.fetch(f"select {names} from syncer.{table} order by {names}")]  # noqa: S608 - names from the catalog
        for table, names in columns.items()
    }


def test_every_revision_has_data_and_all_data_has_a_revision() -> None:
    for revision in REVISIONS:
        assert script_of(revision)
    assert {file.stem for file in DATA.iterdir()} == set(REVISIONS)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_upgrade_to_the_newest_schema_leaves_all_history_as_it_was_and_polls_go_on_from_there(
    empty_database: str, revision: str
) -> None:
    script = script_of(revision)
    engine = create_engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, revision)
    sql = await connect(empty_database)
    await sql.execute(script)
    columns = await columns_of_tables(sql)
    before = await content(sql, columns)
    assert [table for table, rows in before.items() if not rows] == []

    await migrate(engine)

    after = await content(sql, renamed(columns))
    before = {RENAMED.get(table, table): rows for table, rows in before.items()}
    for table in columns.keys() & VOCABULARY.keys():
        assert set(before.pop(table)) <= set(after.pop(table))
    assert after == before

    async with (
        Emulator(numbers=1, rates=STATIC) as emulator,
        PolledAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        assert await account.broken_invariants() == []
        second = record(2, comment="вторая", from_redirect_numbers=[redirect(678, "78009966666")])
        result = await account.poll(record(1), second, record(3), record(4))
        assert (result.outcome, result.restored, result.rejected) == ("applied", 1, 0)
        assert await account.broken_invariants() == []
    await sql.close()
    await engine.dispose()
