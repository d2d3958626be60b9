"""The vendor's words and regions: what was never seen before is added, and regions get their identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from syncer.store.engine import driver_connection
from syncer.wire import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.wire import Arrived

_LOOKUPS: Final = {"type": "number_type", "purpose": "number_purpose", "state": "number_state"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The `region_id` of each region that some records name, and the words that nobody had seen before, by field."""

    regions: Mapping[str, int]
    learned: dict[str, list[str]]


async def learn(engine: AsyncEngine, records: Iterable[Arrived]) -> Vocabulary:
    """Adds the words of some records that were never seen before, in short statements of their own.

    They are committed before the poll's transaction begins, and inserted sorted, so that polls of different accounts
    never wait for each other for longer than that.
    """
    columns = list(zip(*(arrived.values for arrived in records), strict=True))
    if not columns:
        return Vocabulary({}, {})
    words = {name: sorted({*columns[COLUMNS.index(name)]} - {None, UNSET}) for name in (*_LOOKUPS, "region_name")}
    async with engine.connect() as session:
        connection = await driver_connection(session)
        learned = {
            field: await _add_unknown(connection, table, field, words[field], documented=False)
            for field, table in _LOOKUPS.items()
        }
        await _add_unknown(connection, "region", "name", words["region_name"])
        rows = await connection.fetch(
            "select name, region_id from syncer.region where name = any($1::text[])", words["region_name"]
        )
    return Vocabulary(dict(map(tuple, rows)), {field: added for field, added in learned.items() if added})


async def _add_unknown(
    connection: asyncpg.Connection[Any], table: str, column: str, words: list[str], **constants: bool
) -> list[str]:
    known = await connection.fetch(
        f"select {column} from syncer.{table} where {column} = any($1::text[])",  # noqa: S608 - names from a constant
        words,
    )
    unknown = [word for word in words if word not in {row[0] for row in known}]
    if unknown:
        names = ", ".join([column, *constants])
        values = ", ".join(["unnest($1::text[])", *map(str, constants.values())])
        await connection.execute(
            f"insert into syncer.{table} ({names}) select {values} on conflict do nothing",
            unknown,
        )
    return unknown
