"""Reads and writes only the rows that a step changes.

    python -m benchmarks.polls.systems.rows ENDPOINT DATABASE

The changes are determined before the time is measured. To warm up, a few of them are written and rolled back.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from benchmarks.polls.systems.minimum import MinimalPoller, Record, decode, split
from benchmarks.polls.systems.steps import run_steps
from syncer.diff.content_hash import UNKEYED
from syncer.store.record_columns import RECORD_COLUMN_TYPES, RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence


def _on_changed(*statement: str, **columns: str) -> str:
    """Builds a statement that may use the CTE `changed`.

    The parameters are the account, the time, the ids of the numbers, and an array for each further column.
    """
    columns = {"virtual_number_id": "bigint"} | columns
    arrays = ", ".join(f"${position}::{kind}[]" for position, kind in enumerate(columns.values(), start=3))
    return f"""
with changed as materialized (
    select $1::integer as account_id, $2::timestamptz as now, passed.*
      from unnest({arrays}) as passed ({", ".join(columns)})
)
{" ".join(statement)}"""  # noqa: S608 - parts from the code


_READ_NUMBERS: Final = _on_changed("""
select n.* from changed join syncer.virtual_number n using (account_id, virtual_number_id)
""")
_READ_REDIRECTS: Final = _on_changed("""
select r.* from changed join syncer.virtual_number_redirect r using (account_id, virtual_number_id)
""")
_ARCHIVE: Final = _on_changed(
    "insert into syncer.virtual_number_history (account_id, virtual_number_id,",
    ", ".join(RECORD_COLUMNS),
    ", valid_from, valid_to, closed_after, run_id, closed_run_id, began_by, ended_by)",
    "select n.account_id, n.virtual_number_id,",
    ", ".join(f"n.{name}" for name in RECORD_COLUMNS),
    ", n.changed_at, now, n.changed_at, n.run_id, 2, 'created', 'changed'",
    "from changed join syncer.virtual_number n using (account_id, virtual_number_id)",
)
_UPDATE: Final = _on_changed(
    "update syncer.virtual_number n set",
    ", ".join(f"{name} = changed.{name}" for name in RECORD_COLUMNS),
    """, changed_at = now, run_id = n.run_id + 1,
       state_since = case when n.state = changed.state then n.state_since else now end,
       from_state = case when n.state = changed.state then n.from_state else n.state end,
       reason_since = case when n.state = changed.state and n.reason is not distinct from changed.reason
                           then n.reason_since else now end
  from changed where n.account_id = changed.account_id and n.virtual_number_id = changed.virtual_number_id
""",
    **RECORD_COLUMN_TYPES,
)
_ARCHIVE_STATES: Final = _on_changed("""
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, closed_after, run_id, closed_run_id,
        state_since, state_began_by, to_state, ended_by)
select n.account_id, n.virtual_number_id, n.state, n.reason, n.reason_since, now, n.reason_since, n.reason_run_id, 2,
       n.state_since, 'created', n.state, 'changed'
  from changed join syncer.virtual_number n using (account_id, virtual_number_id)
""")
_END_REDIRECTS: Final = _on_changed(
    """, ended as (
    delete from syncer.virtual_number_redirect r
     using changed
     where r.account_id = changed.account_id and r.virtual_number_id = changed.virtual_number_id
       and r.redirect_number_id = changed.redirect_number_id and r.number = changed.number
    returning r.*, now
)
insert into syncer.virtual_number_redirect_history
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, closed_after, run_id,
        closed_run_id, ended_by)
select account_id, virtual_number_id, redirect_number_id, number, valid_from, now, valid_from, run_id, 2, 'changed'
  from ended
""",
    redirect_number_id="bigint",
    number="text",
)
_FINGERPRINTS: Final = _on_changed(
    """
update syncer.record_fingerprint d set fingerprint = changed.fingerprint
  from changed where d.account_id = changed.account_id and d.virtual_number_id = changed.virtual_number_id
""",
    fingerprint="bytea",
)

_WARM_UP_ROWS: Final = 10
Element: TypeAlias = tuple[Record, bytes]
"""A record and its bytes."""


class RowWriter:
    """Writes changes of one account that are known in advance."""

    def __init__(self, endpoint: str, database: str) -> None:
        self._poller = MinimalPoller(endpoint, database)
        self.run = self._poller.loop.run_until_complete
        self.close = self._poller.close
        self._current: dict[int, Element] = {}
        self._previous: dict[int, Element] = {}
        self._changed: list[Element] = []

    async def prepare(self, step: int) -> None:
        """Determines what the step changes, and warms up."""
        body = await self._poller.fetch(step)
        received = {one.id: (one, bytes(raw)) for one, raw in zip(decode(body), split(body), strict=True)}
        self._changed = [element for key, element in received.items() if self._current.get(key) != element]
        self._current, self._previous = received, self._current
        if self._previous:
            warm_up = self._poller.connection.transaction()
            await warm_up.start()
            await self._write_changes(self._changed[:_WARM_UP_ROWS])
            await warm_up.rollback()

    async def work(self) -> None:
        """Writes the changes in one transaction."""
        if self._previous:
            async with self._poller.connection.transaction():
                await self._write_changes(self._changed)
        else:
            await self._poller.write(*zip(*self._changed, strict=True))

    async def _write_changes(self, changed: Sequence[Element]) -> None:
        """Reads the rows of changed records; writes new versions, states, redirects and fingerprints."""
        poller, values = self._poller, self._poller.values
        pairs = [(self._previous[one.id][0], one) for one, _ in changed]
        versions = [new for old, new in pairs if values(old) != values(new)]
        states = [new for old, new in pairs if (old.state, old.reason) != (new.state, new.reason)]
        redirects = [(new.id, _redirects(old), _redirects(new)) for old, new in pairs]
        opened = [(key, *redirect) for key, before, after in redirects for redirect in after - before]
        closed = [(key, *redirect) for key, before, after in redirects for redirect in before - after]
        ids = [one.id for one, _ in changed]
        poller.now = await poller.connection.fetchval("select clock_timestamp()")
        await poller.connection.fetch(_READ_NUMBERS, poller.account, poller.now, ids)
        await poller.connection.fetch(_READ_REDIRECTS, poller.account, poller.now, ids)
        await self._execute(_ARCHIVE, [one.id for one in versions])
        await self._execute(_ARCHIVE_STATES, [one.id for one in states])
        await self._execute(_UPDATE, *zip(*((one.id, *values(one)) for one in versions), strict=True))
        await self._execute(_END_REDIRECTS, *zip(*closed, strict=True))
        await poller.open_redirects(opened, run=2)
        await self._execute(_FINGERPRINTS, ids, [UNKEYED(raw) for _, raw in changed])

    async def _execute(self, statement: str, *columns: Sequence[Any]) -> None:
        if columns and columns[0]:
            await self._poller.connection.execute(statement, self._poller.account, self._poller.now, *columns)


def _redirects(record: Record) -> frozenset[tuple[int, str]]:
    return frozenset((one.id, one.number) for one in record.from_redirect_numbers or ())


def main(endpoint: str, database: str) -> None:
    """Runs the requested steps."""
    writer = RowWriter(endpoint, database)
    run_steps(lambda _: writer.run(writer.work()), prepare=lambda step: writer.run(writer.prepare(step)))
    writer.run(writer.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
