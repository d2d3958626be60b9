"""The vendor's words and regions: what was never seen before is added, and regions get their identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.diff.response import LOOKUP_FIELDS
from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from sqlalchemy.ext.asyncio import AsyncEngine

_LOOKUPS: Final = {"type": "number_type", "purpose": "number_purpose", "state": "number_state"}
_KNOWN: Final = """
select 'type', type, 0 from syncer.number_type where type = any($1::text[])
 union all
select 'purpose', purpose, 0 from syncer.number_purpose where purpose = any($2::text[])
 union all
select 'state', state, 0 from syncer.number_state where state = any($3::text[])
 union all
select 'region_name', name, region_id from syncer.region where name = any($4::text[])
"""
_ADD: Final = """
insert into syncer.{table} ({field}, documented) select unnest($1::text[]), false on conflict do nothing
"""
_ADD_REGIONS: Final = "insert into syncer.region (name) select unnest($1::text[]) on conflict do nothing"
_REGIONS: Final = "select name, region_id from syncer.region where name = any($1::text[])"


@dataclass(frozen=True, slots=True)
class Lookups:
    """The `region_id` of each region that some records name, and the words that nobody had seen before, by field."""

    regions: dict[str, int]
    new_lookup_values: dict[str, list[str]]


async def upsert_lookups(engine: AsyncEngine, told: Mapping[str, AbstractSet[str]]) -> Lookups:
    """Adds the words of some records, by field, that were never seen before, in short statements of their own.

    They are committed before the poll's transaction begins, and inserted sorted, so that polls of different accounts
    never wait for each other for longer than that.
    """
    if not any(told.values()):
        return Lookups({}, {})
    words = {field: sorted(told[field]) for field in LOOKUP_FIELDS}
    async with autocommit_connection(engine) as connection:
        known: dict[str, dict[str, int]] = {field: {} for field in words}
        for field, word, region_id in await connection.fetch(_KNOWN, *words.values()):
            known[field][word] = region_id
        unknown = {field: sorted(set(words[field]) - known[field].keys()) for field in words}
        for field, table in _LOOKUPS.items():
            if unknown[field]:
                await connection.execute(_ADD.format(table=table, field=field), unknown[field])
        regions = known["region_name"]
        if unknown["region_name"]:
            await connection.execute(_ADD_REGIONS, unknown["region_name"])
            regions = dict(map(tuple, await connection.fetch(_REGIONS, words["region_name"])))
    return Lookups(regions, {field: unknown[field] for field in _LOOKUPS if unknown[field]})
