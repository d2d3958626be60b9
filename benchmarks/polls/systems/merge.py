"""Polls as it is written by hand with PostgreSQL 18: binary COPY into staging tables, and MERGE from there.

    python -m benchmarks.polls.systems.merge ENDPOINT DATABASE plain|references

It keeps the current numbers and redirects, and the history of states, reasons and redirects with their periods. A
period that has not ended is in the current row, so that a first load writes nothing else. A response with the digest
of the last one is only counted. With `references`, type, purpose, state and region are rows of tables of their own, and
each number refers to them and to its account, as in the program's table. To warm up, it polls the account of few
numbers, twice, and empties its tables.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import sys
from operator import attrgetter
from typing import Any, Final

import aiohttp
import asyncpg

from benchmarks.polls.systems.minimum import Record, decode
from benchmarks.polls.systems.steps import run_steps
from benchmarks.polls.workload import TINY

_COLUMNS: Final = {
    "id": "bigint primary key",
    "number": "text not null",
    "state": "text not null",
    "reason": "text",
    "comment": "text",
    "type": "text",
    "purpose": "text",
    "scenario_id": "bigint",
    "group_scenario_id": "bigint",
    "group_id": "bigint",
    "is_scenario_active": "boolean",
    "is_group_scenario_active": "boolean",
    "employee_id": "bigint",
    "dgn_number": "text",
    "redirect_number": "text",
    "region_name": "text",
    "app_id": "bigint",
    "nc_type": "text",
    "sip_uri": "text",
}
_values: Final = attrgetter(*_COLUMNS)
_NAMES: Final = ", ".join(_COLUMNS)
_OTHERS: Final = [name for name in _COLUMNS if name != "id"]


def _of(row: str, separator: str = ", ") -> str:
    return separator.join(f"{row}.{name}" for name in _OTHERS)


_LOOKUPS: Final = ("type", "purpose", "state", "region_name")
_TABLES_OF_VALUES: Final = """
create table accounts (account_id bigint primary key);
insert into accounts values (1);
""" + "".join(f"create table {name}_value ({name} text primary key);\n" for name in _LOOKUPS)
_REFERENCES: Final = (
    "alter table numbers add column account_id bigint not null default 1 references accounts, "
    + ", ".join(f"add foreign key ({name}) references {name}_value" for name in _LOOKUPS)
)
_NEW_VALUES: Final = "; ".join(
    f"insert into {name}_value select distinct {name} from staged_numbers where {name} is not null"  # noqa: S608 - the names of columns, from the code
    " on conflict do nothing"
    for name in _LOOKUPS
)
_TABLES: Final = f"""
create table numbers (
    {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())},
    state_since timestamptz not null,
    removed_at timestamptz
);
create table state_history (
    id bigint not null references numbers,
    state text not null,
    reason text,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    primary key (id, valid_from)
);
create table redirects (
    id bigint not null references numbers,
    redirect_id bigint not null,
    number text not null,
    valid_from timestamptz not null,
    primary key (id, redirect_id, number)
);
create table redirect_history (
    id bigint not null references numbers,
    redirect_id bigint not null,
    number text not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    primary key (id, redirect_id, number, valid_from)
);
create table polls (
    polled_at timestamptz not null default now(),
    is_changed boolean not null
);
create temp table staged_numbers as select {_NAMES} from numbers with no data;
create temp table staged_redirects as select id, redirect_id, number from redirects with no data;
"""  # noqa: S608 - the names of columns, from the code
_MERGE_NUMBERS: Final = f"""
with merged as (
    merge into numbers old_row using staged_numbers staged on old_row.id = staged.id
    when matched and (old_row.removed_at is not null or ({_of("old_row")}) is distinct from ({_of("staged")})) then
        update set {", ".join(f"{name} = staged.{name}" for name in _OTHERS)}, removed_at = null,
                   state_since = case when old_row.removed_at is null and old_row.state = staged.state
                                           and old_row.reason is not distinct from staged.reason
                                      then old_row.state_since else now() end
    when not matched then
        insert ({_NAMES}, state_since) values (staged.id, {_of("staged")}, now())
    when not matched by source and old_row.removed_at is null then
        update set removed_at = now()
    returning merge_action() as action, old.id, old.state, old.reason, old.state_since, old.removed_at,
              new.state_since as new_state_since, new.removed_at as new_removed_at
)
insert into state_history (id, state, reason, valid_from, valid_to)
select id, state, reason, state_since, now() from merged
 where action = 'UPDATE' and removed_at is null and (new_state_since <> state_since or new_removed_at is not null)
"""  # noqa: S608 - the names of columns, from the code
_MERGE_REDIRECTS: Final = """
with merged as (
    merge into redirects old_row using staged_redirects staged
       on old_row.id = staged.id and old_row.redirect_id = staged.redirect_id and old_row.number = staged.number
    when not matched then
        insert (id, redirect_id, number, valid_from) values (staged.id, staged.redirect_id, staged.number, now())
    when not matched by source then
        delete
    returning merge_action() as action, old.*
)
insert into redirect_history (id, redirect_id, number, valid_from, valid_to)
select id, redirect_id, number, valid_from, now() from merged where action = 'DELETE'
"""
_SETTINGS: Final = {"search_path": "merged, pg_temp", "temp_buffers": "256MB", "work_mem": "256MB"}


class Merger:
    """Polls one account on one connection."""

    def __init__(self, endpoint: str, database: str, *, has_references: bool) -> None:
        gc.disable()  # there are no reference cycles
        self._endpoint = endpoint
        self._has_references = has_references
        self._digest = b""
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open(database))

    async def _open(self, database: str) -> None:
        self._connection: asyncpg.Connection[Any] = await asyncpg.connect(database, server_settings=_SETTINGS)
        await self._connection.execute("create schema merged")
        await self._connection.execute(_TABLES)
        if self._has_references:
            await self._connection.execute(_TABLES_OF_VALUES)
            await self._connection.execute(_REFERENCES)
        self._session = aiohttp.ClientSession()
        for path in TINY:
            await self.poll(path)
        await self._connection.execute("truncate numbers, state_history, redirects, redirect_history, polls")

    async def close(self) -> None:
        """Closes both connections."""
        await self._session.close()
        await self._connection.close()

    async def poll(self, path: str) -> None:
        """Polls once, in one transaction."""
        async with self._session.get(f"{self._endpoint}/{path}/numbers/virtual-number") as response:
            body = await response.read()
        digest = hashlib.sha256(body).digest()
        if digest != self._digest:
            await self._merge(decode(body))
            self._digest = digest
        else:
            await self._connection.execute("insert into polls (is_changed) values (false)")

    async def _merge(self, records: list[Record]) -> None:
        copy = self._connection.copy_records_to_table
        async with self._connection.transaction():
            await self._connection.execute("truncate staged_numbers, staged_redirects")
            await copy("staged_numbers", columns=[*_COLUMNS], records=map(_values, records))
            await copy(
                "staged_redirects",
                columns=["id", "redirect_id", "number"],
                records=[
                    (one.id, redirect.id, redirect.number)
                    for one in records
                    for redirect in one.from_redirect_numbers or ()
                ],
            )
            await self._connection.execute("analyze staged_numbers, staged_redirects")
            if self._has_references:
                await self._connection.execute(_NEW_VALUES)
            await self._connection.execute(_MERGE_NUMBERS)
            await self._connection.execute(_MERGE_REDIRECTS)
            await self._connection.execute("insert into polls (is_changed) values (true)")


def main(endpoint: str, database: str, variant: str) -> None:
    """Runs the requested steps."""
    merger = Merger(endpoint, database, has_references=variant == "references")
    run = merger.loop.run_until_complete
    run_steps(lambda step: run(merger.poll(str(step))))
    run(merger.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
