"""Inserts lookup values that were never seen before (types, purposes, states, regions), and returns region ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from syncer.diff.response import LOOKUP_FIELDS
from syncer.store.engine import autocommit_connection
from syncer.store.identities import retry_with_new_ids

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from syncer.store.engine import Engine

MAX_NEW_WORDS: Final = 200
"""How many new words of one field one run stores."""
_LOOKUP_TABLES: Final = {"type": "number_type", "purpose": "number_purpose", "state": "number_state"}
_SELECT_KNOWN: Final = """
select 'type', type, 0 from syncer.number_type where type = any($1::text[])
 union all
select 'purpose', purpose, 0 from syncer.number_purpose where purpose = any($2::text[])
 union all
select 'state', state, 0 from syncer.number_state where state = any($3::text[])
 union all
select 'region_name', name, region_id from syncer.region where name = any($4::text[])
"""
_INSERT: Final = """
insert into syncer.{table} ({field}, documented) select unnest($1::text[]), false on conflict do nothing
"""
_INSERT_REGIONS: Final = "insert into syncer.region (name) select unnest($1::text[]) on conflict (name) do nothing"
_SELECT_REGIONS: Final = "select name, region_id from syncer.region where name = any($1::text[])"


@dataclass(frozen=True, slots=True)
class Lookups:
    """Lookup values of a response.

    Attributes:
        regions: The `region_id` of each region that its records name.
        new_lookup_values: The types, purposes and states that were never seen before, by field.
        refused: The words beyond `MAX_NEW_WORDS` that were not stored, by field.
    """

    regions: dict[str, int]
    new_lookup_values: dict[str, list[str]]
    refused: dict[str, set[str]] = field(default_factory=dict)


async def upsert_lookups(engine: Engine, lookup_values: Mapping[str, AbstractSet[str]]) -> Lookups:
    """Inserts lookup values that were never seen before, each statement in a transaction of its own.

    They are committed before the poll's transaction begins, and inserted in sorted order, so that polls of different
    accounts never wait for each other for longer than one such statement.

    Args:
        engine: The database.
        lookup_values: The values that the records have, by field.
    """
    if not any(lookup_values.values()):
        return Lookups({}, {})
    return await retry_with_new_ids(engine, lambda: _upsert(engine, lookup_values))


async def _upsert(engine: Engine, lookup_values: Mapping[str, AbstractSet[str]]) -> Lookups:
    values = {name: sorted(lookup_values[name]) for name in LOOKUP_FIELDS}
    async with autocommit_connection(engine) as connection:
        known: dict[str, dict[str, int]] = {name: {} for name in values}
        for name, value, region_id in await connection.fetch(_SELECT_KNOWN, *values.values()):
            known[name][value] = region_id
        all_unknown = {name: sorted(set(values[name]) - known[name].keys()) for name in values}
        unknown = {name: words[:MAX_NEW_WORDS] for name, words in all_unknown.items()}
        refused = {name: set(words[MAX_NEW_WORDS:]) for name, words in all_unknown.items() if words[MAX_NEW_WORDS:]}
        for name, table in _LOOKUP_TABLES.items():
            if unknown[name]:
                await connection.execute(_INSERT.format(table=table, field=name), unknown[name])
        regions = known["region_name"]
        if unknown["region_name"]:
            await connection.execute(_INSERT_REGIONS, unknown["region_name"])
            regions = dict(map(tuple, await connection.fetch(_SELECT_REGIONS, values["region_name"])))
    return Lookups(regions, {name: unknown[name] for name in _LOOKUP_TABLES if unknown[name]}, refused)
