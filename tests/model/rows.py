# ruff: noqa: S608 - the queries are put together from constants
"""The rows of one account's tables as the database has them, in the form in which the model tells them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.model import COUNTERS
from tests.model.reading import COLUMNS, meaning

if TYPE_CHECKING:
    import asyncpg

_PERIOD: Final = "valid_to, changed_after, closed_after, run_id, closed_run_id"
_RECORD: Final = ", ".join("r.name as region_name" if name == "region_name" else f"n.{name}" for name in COLUMNS)
# By table: how many columns are its key, and the query.
_TABLES: Final[dict[str, tuple[int, str]]] = {
    "virtual_number": (
        1,
        f"""
        select n.virtual_number_id, {_RECORD}, n.extra::text, n.first_seen_at, n.changed_at, n.changed_after,
               n.last_read_at, n.missing_since, n.removed_at, n.run_id, n.xmin::text
          from syncer.virtual_number n left join syncer.region r using (region_id) where n.account_id = $1
        """,
    ),
    "virtual_number_history": (
        2,
        f"""
        select n.virtual_number_id, n.valid_from, {_RECORD}, {_PERIOD}, n.xmin::text
          from syncer.virtual_number_history n left join syncer.region r using (region_id) where n.account_id = $1
        """,
    ),
    "state_history": (
        2,
        f"""
        select virtual_number_id, valid_from, state, reason, {_PERIOD}, xmin::text
          from syncer.state_history where account_id = $1
        """,
    ),
    "virtual_number_redirect": (
        4,
        f"""
        select virtual_number_id, redirect_number_id, number, valid_from, {_PERIOD}, xmin::text
          from syncer.virtual_number_redirect where account_id = $1
        """,
    ),
    "rejected_record": (
        1,
        """
        select payload, virtual_number_id, first_run_id, last_run_id, occurrences, xmin::text
          from syncer.rejected_record where account_id = $1
        """,
    ),
    "sync_run": (
        1,
        f"""
        select run_id, trigger, started_at, outcome, error_kind, http_status, response_bytes, received,
               {", ".join(COUNTERS)}
          from syncer.sync_run where account_id = $1
        """,
    ),
}
_EMPTY: Final = """
truncate syncer.account, syncer.sync_run, syncer.virtual_number, syncer.virtual_number_history, syncer.state_history,
         syncer.virtual_number_redirect, syncer.rejected_record, syncer.record_fingerprint restart identity cascade
"""


class Row(NamedTuple):
    """A row beyond its key, and the transaction that wrote it, where that matters."""

    values: dict[str, Any]
    written_by: str | None


async def fetch_rows(sql: asyncpg.Connection, account_id: int) -> dict[str, dict[tuple[Any, ...], Row]]:
    """By table: by key, its rows."""
    tables: dict[str, dict[tuple[Any, ...], Row]] = {}
    for table, (key_length, query) in _TABLES.items():
        tables[table] = {}
        for record in await sql.fetch(query, account_id):
            values = dict(list(record.items())[key_length:])
            written_by = values.pop("xmin", None)
            if "extra" in values:
                values["extra"] = meaning(json.loads(values["extra"]))
            tables[table][tuple(record[:key_length])] = Row(values, written_by)
    return tables


async def empty(sql: asyncpg.Connection) -> None:
    """Forgets every account."""
    await sql.execute(_EMPTY)


def difference(wanted: Any, found: Any) -> str:
    """Where two values differ, those of dictionaries key by key."""
    if not (isinstance(wanted, dict) and isinstance(found, dict)):
        return f"wanted {wanted!r}\nfound  {found!r}"
    lines = []
    for key in sorted(wanted.keys() | found.keys(), key=repr):
        one, other = wanted.get(key, "nothing"), found.get(key, "nothing")
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            lines.append(f"{key}:\n  " + difference(one, other).replace("\n", "\n  "))
        else:
            lines.append(f"{key}: wanted {one}, found {other}")
    return "\n".join(lines)
