"""Rows that are handed to a statement as arrays, and how it finds those of a table by their keys."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.store.poll.runs import Fence

# The statistics of tables lag behind a large load. A plan made by them may compare each row with each, or read the
# whole account for each batch; and a pooled session that first saw tiny tables keeps such plans for the checks of
# foreign keys. So all statements name the keys of their rows, and the least and the greatest of them, since batches do
# not overlap: whatever is chosen, a poll reads no row twice for one purpose. A bitmap would be made by an index on
# something else, under which few rows of the account are expected and all are found. To compile such a statement would
# take longer than to execute it.
_BY_KEY: Final = """
select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)
"""

_BATCH_ROWS: Final = 1_000
"""Of one statement: the driver encodes them on the event loop, which stands still meanwhile."""


async def pin_index_plans(fence: Fence) -> None:
    """Has what is asked and written in the rest of the transaction find its rows by their keys alone."""
    await fence.connection.execute(_BY_KEY)


def from_unnest(*statement: str, **columns: str) -> str:
    """A statement, told in parts, on the rows `staged`.

    They are given as one array a column, from $4 on, beside what is the same for all: account, this run, this moment.
    """
    arrays = ", ".join(f"${position}::{kind}[]" for position, kind in enumerate(columns.values(), start=4))
    return f"""
    with staged as materialized (
        select $1::integer as account_id, $2::bigint as this_run_id, $3::timestamptz as observed_at, given.*
          from unnest({arrays}) as given ({", ".join(columns)})
    ) {" ".join(statement)}"""  # noqa: S608 - what a statement in code is made of


def join_on_key(table: str) -> str:
    """What joins staged rows to those of a table, each side by its keys."""
    return f"""{table}.account_id = $1 and {table}.virtual_number_id = any($4)
   and {table}.virtual_number_id between (select min(virtual_number_id) from staged)
                                     and (select max(virtual_number_id) from staged)
   and {table}.virtual_number_id = staged.virtual_number_id"""  # noqa: S608 - a name that a statement in code gives


async def execute_batched(fence: Fence, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Executes a statement on staged rows, if there are any.

    Returns:
        How many rows it wrote.
    """
    run, waiting, written = fence.run, iter(rows), 0
    while columns := list(zip(*islice(waiting, _BATCH_ROWS), strict=True)):
        status = await fence.connection.execute(statement, run.account_id, run.run_id, fence.observed_at, *columns)
        written += int(status.rpartition(" ")[2])
    return written
