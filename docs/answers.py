"""Runs every query of the analysts' pages on the demo data and writes its result below it.

    make docs

A query is a ```sql block; its result is the ```text block that follows.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg
from rich.console import Console

from docs import demo_data
from syncer.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGES: Final = tuple(Path(__file__).with_name(name) for name in ("analytics.md", "analytics.ru.md"))
_EXAMPLE: Final = re.compile(r"```sql\n(?P<query>.*?)```\n\n```text\n(?P<result>.*?)```\n", re.DOTALL)


class Example(NamedTuple):
    """A query of a page and the result printed below it."""

    query: str
    result: str


def find_examples(page: str) -> list[Example]:
    """Returns the queries of a page in order, with their printed results."""
    return [Example(found["query"], found["result"]) for found in _EXAMPLE.finditer(page)]


async def connect_as_analyst(url: str) -> asyncpg.Connection[Any]:
    """Opens a connection with the privileges of an analyst and, as on the pages, the time zone of Moscow."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "Europe/Moscow"})
    await connection.execute("set role syncer_analyst")
    return connection


async def run_query(connection: asyncpg.Connection[Any], query: str) -> str:
    """Runs a query and returns its result as a text table."""
    prepared = await connection.prepare(query)
    names = [attribute.name for attribute in prepared.get_attributes()]
    return format_table(names, [list(row.values()) for row in await prepared.fetch()])


def format_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Formats rows as a text table: aligned columns, numbers to the right, and the number of rows."""
    columns = [_format_column(name, [row[index] for row in rows]) for index, name in enumerate(names)]
    lines = [" | ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    lines.insert(1, "-+-".join("-" * len(column[0]) for column in columns))
    return "\n".join([*lines, f"({len(rows)} row{'' if len(rows) == 1 else 's'})", ""])


def _format_column(name: str, values: Sequence[object]) -> list[str]:
    cells = [name, *map(_format_value, values)]
    width = max(map(len, cells))
    if any(isinstance(value, int | Decimal) for value in values):
        return [cell.rjust(width) for cell in cells]
    return [cell.ljust(width) for cell in cells]


def _format_value(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(demo_data.UNTIL.tzinfo):%Y-%m-%d %H:%M}"
        case _:
            return " ".join(str(value).split())


async def _write(url: str) -> None:
    await demo_data.generate(url)
    connection = await connect_as_analyst(url)
    for path in PAGES:
        page = path.read_text()
        results = [await run_query(connection, example.query) for example in find_examples(page)]
        path.write_text(replace_results(page, results))
    await connection.close()


def replace_results(page: str, results: Iterable[str]) -> str:
    """Returns the page with the given results below its queries."""
    remaining = iter(results)
    return _EXAMPLE.sub(lambda found: f"```sql\n{found['query']}```\n\n```text\n{next(remaining)}```\n", page)


if __name__ == "__main__":
    configure_logging("error", "console")
    with Console(stderr=True).status("generating half a year of history"), demo_data.server() as address:
        asyncio.run(_write(address))
