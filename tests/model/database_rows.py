# ruff: noqa: S608 - the queries are built from constants
"""Reads the rows of one account from the database, in the same form as the model's rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.model import COUNTERS
from tests.model.response_parser import COLUMNS, canonical

if TYPE_CHECKING:
    import asyncpg

_PERIOD: Final = "valid_to, changed_after, closed_after, run_id, closed_run_id"
_RECORD: Final = ", ".join("r.name as region_name" if name == "region_name" else f"n.{name}" for name in COLUMNS)
# By table: the number of columns in its key, and the query.
_TABLES: Final[dict[str, tuple[int, str]]] = {
    "virtual_number": (
        1,
        f"""
        select n.virtual_number_id, {_RECORD}, n.extra::text, n.first_seen_at, n.changed_at, n.changed_after,
               n.last_read_at, n.missing_since, n.removed_at, n.run_id,
               n.believable_missing_since, n.missing_run_id, n.removed_run_id, n.xmin::text
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
    # Of what is in force only the values are compared: it is in the row of the number, which other changes write too.
    "state_history": (
        2,
        f"""
        select virtual_number_id, valid_from, state, reason, {_PERIOD}, xmin::text
          from syncer.state_history where account_id = $1
         union all
        select virtual_number_id, reason_since, state, reason, null, reason_since_earliest, null, reason_run_id, null,
               null
          from syncer.virtual_number where account_id = $1 and removed_at is null
        """,
    ),
    "virtual_number_redirect": (
        4,
        f"""
        select virtual_number_id, redirect_number_id, number, valid_from, {_PERIOD}, xmin::text
          from syncer.virtual_number_redirect_history where account_id = $1
         union all
        select virtual_number_id, redirect_number_id, number, valid_from, null, changed_after, null, run_id, null,
               xmin::text
          from syncer.virtual_number_redirect where account_id = $1
        """,
    ),
    "absence_history": (
        2,
        """
        select virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by, xmin::text
          from syncer.absence_history where account_id = $1
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
# All tables with rows of accounts, and their sequences.
_TABLES_OF_ACCOUNTS: Final = """
select t.oid::regclass::text as name, pg_get_serial_sequence(t.oid::regclass::text, i.attname) as sequence
  from pg_class t
  join pg_attribute a on a.attrelid = t.oid and a.attname = 'account_id'
  left join pg_attribute i on i.attrelid = t.oid and i.attidentity <> ''
 where t.relnamespace = 'syncer'::regnamespace and t.relkind in ('r', 'p')
"""


class Row(NamedTuple):
    """The columns of a row except its key, and the transaction that wrote it, for tables where this is checked."""

    values: dict[str, Any]
    written_by: str | None


async def fetch_rows(sql: asyncpg.Connection, account_id: int) -> dict[str, dict[tuple[Any, ...], Row]]:
    """Returns the rows by table and key."""
    tables: dict[str, dict[tuple[Any, ...], Row]] = {}
    for table, (key_length, query) in _TABLES.items():
        tables[table] = {}
        for record in await sql.fetch(query, account_id):
            values = dict(list(record.items())[key_length:])
            written_by = values.pop("xmin", None)
            if "extra" in values:
                values["extra"] = canonical(json.loads(values["extra"]))
            tables[table][tuple(record[:key_length])] = Row(values, written_by)
    return tables


class RowDeletion:
    """Deletes all accounts and their data.

    It truncates the tables only now and then, since every session has to plan its statements again after that. So has
    the session that deletes the rows.
    """

    _TRUNCATED_EVERY: Final = 30

    def __init__(self) -> None:
        self._deletions = 0
        self._tables = ""
        self._delete = ""

    async def delete_all_rows(self, sql: asyncpg.Connection) -> None:
        """Deletes them; ids begin with 1 again."""
        if not self._tables:
            found = await sql.fetch(_TABLES_OF_ACCOUNTS)
            self._tables = ", ".join(row["name"] for row in found)
            sequences = [row["sequence"] for row in found if row["sequence"]]
            # Without triggers, of which some refuse that, and without checks of foreign keys.
            self._delete = "; ".join(
                (
                    "begin",
                    "set local session_replication_role = replica",
                    *(f"delete from {row['name']}" for row in found),
                    *(f"select setval('{sequence}', 1, false)" for sequence in sequences),
                    "commit",
                )
            )
        is_truncated = self._deletions % self._TRUNCATED_EVERY == 0
        self._deletions += 1
        await sql.execute(f"truncate {self._tables} restart identity" if is_truncated else self._delete)


def difference(expected: Any, actual: Any) -> str:
    """Describes where two values differ, in dictionaries key by key."""
    if not (isinstance(expected, dict) and isinstance(actual, dict)):
        return f"expected {expected!r}\nactual  {actual!r}"
    lines = []
    for key in sorted(expected.keys() | actual.keys(), key=repr):
        one, other = expected.get(key, "nothing"), actual.get(key, "nothing")
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            lines.append(f"{key}:\n  " + difference(one, other).replace("\n", "\n  "))
        else:
            lines.append(f"{key}: expected {one}, actual {other}")
    return "\n".join(lines)
