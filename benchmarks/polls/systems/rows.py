"""The least that changed rows can cost.

    python -m benchmarks.polls.systems.rows ENDPOINT DATABASE

After a load, reading and writing the rows alone that a step changes, with the changes known beforehand.
Before it is timed a few of them are written and taken back: the program, too, has changed rows before.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xxhash import xxh3_128_digest

from benchmarks.polls.systems.floor import Floor, Record, decode, split
from benchmarks.polls.systems.turn import take_turns
from syncer.store.tables import RECORD_COLUMNS, RECORD_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence


def _of_given(*statement: str, **columns: str) -> str:
    """A statement, told in parts, that may join `given`: account, moment, ids of numbers, arrays of further columns."""
    columns = {"virtual_number_id": "bigint"} | columns
    arrays = ", ".join(f"${position}::{kind}[]" for position, kind in enumerate(columns.values(), start=3))
    return f"""
with given as materialized (
    select $1::integer as account_id, $2::timestamptz as now, told.*
      from unnest({arrays}) as told ({", ".join(columns)})
)
{" ".join(statement)}"""  # noqa: S608 - what a statement in code is made of


_READ_NUMBERS: Final = _of_given("""
select n.* from given join syncer.virtual_number n using (account_id, virtual_number_id)
""")
_READ_REDIRECTS: Final = _of_given("""
select r.* from given join syncer.virtual_number_redirect r using (account_id, virtual_number_id) where valid_to is null
""")
_KEEP: Final = _of_given(
    "insert into syncer.virtual_number_history (account_id, virtual_number_id,",
    ", ".join(RECORD_COLUMNS),
    ", valid_from, valid_to, closed_after, run_id, closed_run_id) select n.account_id, n.virtual_number_id,",
    ", ".join(f"n.{name}" for name in RECORD_COLUMNS),
    ", n.changed_at, now, n.changed_at, n.run_id, 2",
    "from given join syncer.virtual_number n using (account_id, virtual_number_id)",
)
_REPLACE: Final = _of_given(
    "update syncer.virtual_number n set",
    ", ".join(f"{name} = given.{name}" for name in RECORD_COLUMNS),
    """, changed_at = now, run_id = 2
  from given where n.account_id = given.account_id and n.virtual_number_id = given.virtual_number_id
""",
    **RECORD_KINDS,
)
_CLOSE: Final = _of_given("""
update syncer.state_history h set valid_to = now, closed_after = valid_from, closed_run_id = 2
  from given
 where h.account_id = given.account_id and h.virtual_number_id = given.virtual_number_id and h.valid_to is null
""")
_CLOSE_REDIRECTS: Final = _of_given(
    """
update syncer.virtual_number_redirect r set valid_to = now, closed_after = valid_from, closed_run_id = 2
  from given
 where r.account_id = given.account_id and r.virtual_number_id = given.virtual_number_id
   and r.redirect_number_id = given.redirect_number_id and r.number = given.number and r.valid_to is null
""",
    redirect_number_id="bigint",
    number="text",
)
_DIGESTS: Final = _of_given(
    """
update syncer.record_fingerprint d set fingerprint = given.fingerprint
  from given where d.account_id = given.account_id and d.virtual_number_id = given.virtual_number_id
""",
    fingerprint="bytea",
)

_REHEARSED: Final = 10
Told: TypeAlias = tuple[Record, bytes]


class Rows:
    """One account whose changes are known before they are written."""

    def __init__(self, endpoint: str, database: str) -> None:
        self._floor = Floor(endpoint, database)
        self.run = self._floor.loop.run_until_complete
        self.close = self._floor.close
        self._told: dict[int, Told] = {}
        self._before: dict[int, Told] = {}
        self._changed: list[Told] = []

    async def prepare(self, step: int) -> None:
        """Finds what the step changes."""
        body = await self._floor.fetch(step)
        told = {one.id: (one, bytes(raw)) for one, raw in zip(decode(body), split(body), strict=True)}
        self._changed = [given for key, given in told.items() if self._told.get(key) != given]
        self._told, self._before = told, self._told
        if self._before:
            rehearsal = self._floor.connection.transaction()
            await rehearsal.start()
            await self._change(self._changed[:_REHEARSED])
            await rehearsal.rollback()

    async def work(self) -> None:
        """Writes it."""
        if self._before:
            async with self._floor.connection.transaction():
                await self._change(self._changed)
        else:
            await self._floor.write(*zip(*self._changed, strict=True))

    async def _change(self, changed: Sequence[Told]) -> None:
        """Reads the rows of changed records and writes what is new: versions, states, redirects, digests."""
        floor, values = self._floor, self._floor.values
        pairs = [(self._before[one.id][0], one) for one, _ in changed]
        versions = [new for old, new in pairs if values(old) != values(new)]
        states = [new for old, new in pairs if (old.state, old.reason) != (new.state, new.reason)]
        redirects = [(new.id, _redirects(old), _redirects(new)) for old, new in pairs]
        opened = [(key, *redirect) for key, before, after in redirects for redirect in after - before]
        closed = [(key, *redirect) for key, before, after in redirects for redirect in before - after]
        ids = [one.id for one, _ in changed]
        floor.now = await floor.connection.fetchval("select clock_timestamp()")
        await floor.connection.fetch(_READ_NUMBERS, floor.account, floor.now, ids)
        await floor.connection.fetch(_READ_REDIRECTS, floor.account, floor.now, ids)
        await self._write(_KEEP, [one.id for one in versions])
        await self._write(_REPLACE, *zip(*((one.id, *values(one)) for one in versions), strict=True))
        await self._write(_CLOSE, [one.id for one in states])
        await self._write(_CLOSE_REDIRECTS, *zip(*closed, strict=True))
        await floor.open_states(states, run=2)
        await floor.open_redirects(opened, run=2)
        await self._write(_DIGESTS, ids, [xxh3_128_digest(raw) for _, raw in changed])

    async def _write(self, statement: str, *columns: Sequence[Any]) -> None:
        if columns and columns[0]:
            await self._floor.connection.execute(statement, self._floor.account, self._floor.now, *columns)


def _redirects(record: Record) -> frozenset[tuple[int, str]]:
    return frozenset((one.id, one.number) for one in record.from_redirect_numbers or ())


def main(endpoint: str, database: str) -> None:
    """Takes turns."""
    rows = Rows(endpoint, database)
    take_turns(lambda _: rows.run(rows.work()), prepare=lambda step: rows.run(rows.prepare(step)))
    rows.run(rows.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
