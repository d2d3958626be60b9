"""The least that the work can cost: `python floor.py ENDPOINT DATABASE FLOOR`.

`request`: the response's bytes. `digest`: and the digest of the whole. `load`: request, typed decode, and binary COPY
into the program's own tables, with their keys. `rows`: after a load, reading and writing the rows alone that a step
changes, with the changes known beforehand.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import msgspec
from msgspec import UNSET
from xxhash import xxh3_128_digest

from benchmarks.polls.systems.program import NUMBERS
from benchmarks.polls.systems.turn import CURRENT, take_turns
from syncer.store.apply import KINDS
from syncer.store.tables import RECORD_COLUMNS
from syncer.wire import COLUMNS, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_decode: Final = msgspec.json.Decoder(list[Record]).decode
_split: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_REGION: Final = COLUMNS.index("region_name")
_LOOKUPS: Final = {
    "region (name)": "region_name",
    "number_type (type)": "type",
    "number_purpose (purpose)": "purpose",
    "number_state (state)": "state",
}
_KEY: Final = ("account_id", "virtual_number_id")


class Floor:
    """One connection, one account."""

    def __init__(self, endpoint: str, database: str, floor: str) -> None:
        self._endpoint, self._floor = endpoint, floor
        self._records: dict[int, tuple[Record, bytes]] = {}
        self._before: dict[int, tuple[Record, bytes]] = {}
        self._changed: list[tuple[Record, bytes]] = []
        self._regions: dict[str, int] = {}
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open(database))

    async def _open(self, database: str) -> None:
        self._connection = await asyncpg.connect(database, statement_cache_size=0)
        self._session = aiohttp.ClientSession()

    async def _fetch(self, step: int) -> bytes:
        async with self._session.get(f"{self._endpoint}/{step}/numbers/virtual-number") as response:
            return b"".join([chunk async for chunk in response.content.iter_chunked(2**18)])

    async def close(self) -> None:
        """Closes both connections."""
        await self._session.close()
        await self._connection.close()

    async def prepare(self, step: int) -> None:
        """Where only rows are measured: finds those that the step changes."""
        if self._floor == "rows":
            body = await self._fetch(step)
            told = {one.id: (one, raw) for one, raw in zip(_decode(body), map(bytes, _split(body)), strict=True)}
            self._before = self._records
            self._changed = [given for key, given in told.items() if self._records.get(key) != given]
            self._records = told

    async def work(self, step: int) -> None:
        """Does no more than the floor says."""
        if self._floor == "rows":
            await (self._load(self._changed) if step == 0 else self._change(self._changed))
            return
        body = await self._fetch(step)
        if self._floor == "digest":
            xxh3_128_digest(body)
        elif self._floor == "load":
            await self._load(list(zip(_decode(body), _split(body), strict=True)))

    async def current(self) -> str:
        """The fingerprint of what is current."""
        found: str = await self._connection.fetchval(CURRENT.format(NUMBERS))
        return found

    async def _load(self, given: Sequence[tuple[Record, bytes | msgspec.Raw]]) -> None:
        records = [one for one, _ in given]
        async with self._connection.transaction():
            await self._learn(records)
            self._now = await self._connection.fetchval("select now()")
            self._account = await self._connection.fetchval(
                "insert into syncer.account (name, time_zone, created_at) values ('floor', 'UTC', now()) "
                "returning account_id"
            )
            same = (self._account,)
            times = (self._now, self._now, 1)
            await self._copy(
                "virtual_number",
                (*_KEY, *RECORD_COLUMNS, "extra", "first_seen_at", "changed_at", "run_id"),
                [(*same, one.id, *self._values(one), "{}", *times) for one in records],
            )
            await self._open_periods(records, now=self._now, run=1)
            await self._copy(
                "record_digest",
                (*_KEY, "digest", "decoder_version"),
                [(*same, one.id, xxh3_128_digest(raw), 1) for one, raw in given],
            )

    async def _open_periods(self, records: Iterable[Record], *, now: Any, run: int) -> None:  # noqa: ANN401 - a time
        await self._copy(
            "state_history",
            (*_KEY, "state", "reason", "valid_from", "run_id"),
            [(self._account, one.id, one.state, one.reason, now, run) for one in records],
        )
        await self._copy(
            "virtual_number_redirect",
            (*_KEY, "redirect_number_id", "number", "valid_from", "run_id"),
            [
                (self._account, one.id, redirect.id, redirect.number, now, run)
                for one in records
                for redirect in one.from_redirect_numbers or ()
            ],
        )

    async def _learn(self, records: Iterable[Record]) -> None:
        for target, field in _LOOKUPS.items():
            words = sorted({word for one in records if (word := getattr(one, field)) not in {None, UNSET}})
            documented = "" if field == "region_name" else ", documented"
            await self._connection.execute(
                f"insert into syncer.{target.replace(')', documented + ')')} "
                f"select unnest($1::text[]){', false' if documented else ''} on conflict do nothing",
                words,
            )
        found = await self._connection.fetch("select name, region_id from syncer.region")
        self._regions = {row["name"]: row["region_id"] for row in found}

    def _values(self, one: Record) -> tuple[Any, ...]:
        values = [None if (value := getattr(one, name)) is UNSET else value for name in COLUMNS]
        values[_REGION] = self._regions.get(str(values[_REGION]))
        return tuple(values)

    async def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.copy_records_to_table(table, schema_name="syncer", columns=columns, records=rows)

    async def _change(self, given: Sequence[tuple[Record, bytes]]) -> None:
        """Reads the rows of changed records and writes what is new: versions, states, redirects, digests."""
        pairs = [(self._before[one.id][0], one) for one, _ in given]
        versions = [new for old, new in pairs if self._values(old) != self._values(new)]
        states = [new for old, new in pairs if (old.state, old.reason) != (new.state, new.reason)]
        redirects = [(new.id, _redirects(old), _redirects(new)) for old, new in pairs]
        opened = [(key, *redirect) for key, before, after in redirects for redirect in after - before]
        closed = [(key, *redirect) for key, before, after in redirects for redirect in before - after]
        ids = [one.id for one, _ in given]
        async with self._connection.transaction():
            self._now = await self._connection.fetchval("select clock_timestamp()")
            await self._fetch_rows(
                "select * from asked join syncer.virtual_number using (account_id, virtual_number_id)", ids
            )
            await self._fetch_rows(
                "select r.* from asked join syncer.virtual_number_redirect r using (account_id, virtual_number_id) "
                "where valid_to is null",
                ids,
            )
            await self._write(_KEEP, [one.id for one in versions])
            await self._write(_REPLACE, *zip(*((one.id, *self._values(one)) for one in versions), strict=True))
            await self._write(_CLOSE, [one.id for one in states])
            await self._write(_CLOSE_REDIRECTS, *zip(*closed, strict=True))
            now = (self._now, 2)
            await self._copy(
                "state_history",
                (*_KEY, "state", "reason", "valid_from", "run_id"),
                [(self._account, one.id, one.state, one.reason, *now) for one in states],
            )
            await self._copy(
                "virtual_number_redirect",
                (*_KEY, "redirect_number_id", "number", "valid_from", "run_id"),
                [(self._account, *redirect, *now) for redirect in opened],
            )
            await self._write(_DIGESTS, ids, [xxh3_128_digest(raw) for _, raw in given])

    async def _fetch_rows(self, query: str, ids: Sequence[int]) -> None:
        asked = (
            "with asked as materialized (select $1::integer as account_id, unnest($2::bigint[]) as virtual_number_id) "
        )
        await self._connection.fetch(asked + query, self._account, ids)

    async def _write(self, statement: str, *columns: Sequence[Any]) -> None:
        if columns and columns[0]:
            await self._connection.execute(statement, self._account, self._now, *columns)


def _redirects(record: Record) -> frozenset[tuple[int, str]]:
    return frozenset((one.id, one.number) for one in record.from_redirect_numbers or ())


def _given(**columns: str) -> str:
    arrays = ", ".join(f"${position}::{kind}[]" for position, kind in enumerate(columns.values(), start=3))
    return f"""
    with given as materialized (
        select $1::integer as account_id, $2::timestamptz as now, told.*
          from unnest({arrays}) as told ({", ".join(columns)})
    )"""  # noqa: S608 - names from constants


_RECORD: Final = ", ".join(RECORD_COLUMNS)
_KEEP: Final = f"""{_given(virtual_number_id="bigint")}
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, {_RECORD}, valid_from, valid_to, closed_after, run_id, closed_run_id)
select n.account_id, n.virtual_number_id, {", ".join(f"n.{name}" for name in RECORD_COLUMNS)},
       n.changed_at, now, n.changed_at, n.run_id, 2
  from given join syncer.virtual_number n using (account_id, virtual_number_id)
"""  # noqa: S608 - names from constants
_REPLACE: Final = f"""{_given(virtual_number_id="bigint", **KINDS)}
update syncer.virtual_number n
   set {", ".join(f"{name} = given.{name}" for name in RECORD_COLUMNS)}, changed_at = now, run_id = 2
  from given where n.account_id = given.account_id and n.virtual_number_id = given.virtual_number_id
"""  # noqa: S608 - names from constants
_CLOSE: Final = f"""{_given(virtual_number_id="bigint")}
update syncer.state_history h set valid_to = now, closed_after = valid_from, closed_run_id = 2
  from given
 where h.account_id = given.account_id and h.virtual_number_id = given.virtual_number_id and h.valid_to is null
"""  # noqa: S608 - a constant
_CLOSE_REDIRECTS: Final = f"""{_given(virtual_number_id="bigint", redirect_number_id="bigint", number="text")}
update syncer.virtual_number_redirect r set valid_to = now, closed_after = valid_from, closed_run_id = 2
  from given
 where r.account_id = given.account_id and r.virtual_number_id = given.virtual_number_id
   and r.redirect_number_id = given.redirect_number_id and r.number = given.number and r.valid_to is null
"""  # noqa: S608 - a constant
_DIGESTS: Final = f"""{_given(virtual_number_id="bigint", digest="bytea")}
update syncer.record_digest d set digest = given.digest
  from given where d.account_id = given.account_id and d.virtual_number_id = given.virtual_number_id
"""  # noqa: S608 - a constant


def main(endpoint: str, database: str, kind: str) -> None:
    """Takes turns; only `load` and `rows` leave anything in the database."""
    floor = Floor(endpoint, database, kind)
    run = floor.loop.run_until_complete
    take_turns(
        lambda step: run(floor.work(step)),
        lambda: run(floor.current()),
        prepare=lambda step: run(floor.prepare(step)),
    )
    run(floor.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
