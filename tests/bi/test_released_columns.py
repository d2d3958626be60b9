"""What is built on the views keeps working: within a major version, columns are only added to them, at their ends.

released_columns.txt has a line for each column, in order. A column that is added is written there too; a line that
stands there is never changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

RELEASED = Path(__file__).with_name("released_columns.txt").read_text(encoding="utf-8").splitlines()


async def columns(sql: asyncpg.Connection) -> list[str]:
    """Of each view, and of the function that is one of a moment, the name and the type of each column."""
    views = await sql.fetch("select viewname from pg_views where schemaname = 'analytics' order by viewname")
    found = []
    for name, source in [*((view, view) for (view,) in views), ("numbers_as_of", "numbers_as_of(now())")]:
        prepared = await sql.prepare(f"select * from analytics.{source}")  # noqa: S608 - names from the catalog
        found += [f"{name}.{column.name} {column.type.name}" for column in prepared.get_attributes()]
    return found


async def test_every_released_column_has_kept_its_name_and_type(sql: asyncpg.Connection) -> None:
    found = await columns(sql)

    assert [one for one in RELEASED if one not in found] == []


async def test_every_column_that_was_added_is_recorded(sql: asyncpg.Connection) -> None:
    assert [one for one in await columns(sql) if one not in RELEASED] == []


async def test_released_columns_have_kept_their_order(sql: asyncpg.Connection) -> None:
    assert [one for one in await columns(sql) if one in RELEASED] == RELEASED
