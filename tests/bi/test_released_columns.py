"""Within a major version, columns are only added to the views, and only at the end, so that reports keep working.

released_columns.txt has a line for each column, in order. Add a line for each new column; never change a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

RELEASED = Path(__file__).with_name("released_columns.txt").read_text(encoding="utf-8").splitlines()


async def columns(sql: asyncpg.Connection) -> list[str]:
    """The name and type of each column of each view, and of the function `numbers_as_of`."""
    views = await sql.fetch("select viewname from pg_views where schemaname = 'analytics' order by viewname")
    found = []
    for name, source in [*((view, view) for (view,) in views), ("numbers_as_of", "numbers_as_of(now())")]:
        prepared = await sql.prepare(f"select * from analytics.{source}")  # noqa: S608 - names from the catalog
        found += [f"{name}.{column.name} {column.type.name}" for column in prepared.get_attributes()]
    return found


async def test_released_columns_keep_their_names_and_types(sql: asyncpg.Connection) -> None:
    found = await columns(sql)

    assert [one for one in RELEASED if one not in found] == []


async def test_every_new_column_is_recorded(sql: asyncpg.Connection) -> None:
    assert [one for one in await columns(sql) if one not in RELEASED] == []


async def test_released_columns_keep_their_order(sql: asyncpg.Connection) -> None:
    assert [one for one in await columns(sql) if one in RELEASED] == RELEASED
