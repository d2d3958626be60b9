"""Runs every query of the pages for analysts on the demo data, and writes what it returns below it.

    make docs

A query is a block ```sql; its answer is the block ```text that follows.
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
_ASKED: Final = re.compile(r"```sql\n(?P<query>.*?)```\n\n```text\n(?P<answer>.*?)```\n", re.DOTALL)


class Asked(NamedTuple):
    """A query of a page and the answer printed below it."""

    query: str
    answer: str


def asked_in(page: str) -> list[Asked]:
    """The queries of a page, in their order."""
    return [Asked(found["query"], found["answer"]) for found in _ASKED.finditer(page)]


async def connect(url: str) -> asyncpg.Connection[Any]:
    """A connection with an analyst's rights and no more, whose days are those of Moscow, as in the pages."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "Europe/Moscow"})
    await connection.execute("set role syncer_analyst")
    return connection


async def answer(connection: asyncpg.Connection[Any], query: str) -> str:
    """What a query returns, as a table of text."""
    prepared = await connection.prepare(query)
    heads = [attribute.name for attribute in prepared.get_attributes()]
    return table(heads, [list(row.values()) for row in await prepared.fetch()])


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns under their heads, numbers to the right, and how many rows there are."""
    columns = [_column(head, [row[at] for row in rows]) for at, head in enumerate(heads)]
    lines = [" | ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    lines.insert(1, "-+-".join("-" * len(column[0]) for column in columns))
    return "\n".join([*lines, f"({len(rows)} row{'' if len(rows) == 1 else 's'})", ""])


def _column(head: str, values: Sequence[object]) -> list[str]:
    cells = [head, *map(_text, values)]
    width = max(map(len, cells))
    if any(isinstance(value, int | Decimal) for value in values):
        return [cell.rjust(width) for cell in cells]
    return [cell.ljust(width) for cell in cells]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(demo_data.UNTIL.tzinfo):%Y-%m-%d %H:%M}"
        case _:
            return " ".join(str(value).split())


async def _write(url: str) -> None:
    await demo_data.fill(url)
    connection = await connect(url)
    for path in PAGES:
        page = path.read_text()
        path.write_text(answered(page, [await answer(connection, asked.query) for asked in asked_in(page)]))
    await connection.close()


def answered(page: str, answers: Iterable[str]) -> str:
    """The page with other answers."""
    coming = iter(answers)
    return _ASKED.sub(lambda found: f"```sql\n{found['query']}```\n\n```text\n{next(coming)}```\n", page)


if __name__ == "__main__":
    configure_logging("error", "console")
    with Console(stderr=True).status("telling half a year"), demo_data.server() as address:
        asyncio.run(_write(address))
