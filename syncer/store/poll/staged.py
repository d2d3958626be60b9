"""Passes rows to a statement as arrays, and says which plans find rows by key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from syncer.store.poll.runs import Fence

# Table statistics lag behind a large load. A plan based on them may compare each row with each, or read the whole
# account for each batch; and a pooled session that first saw tiny tables keeps such plans for its foreign-key checks
# and prepared statements. Therefore all statements name the keys of their rows, and also their minimum and maximum,
# since batches do not overlap: whichever plan is chosen, a poll reads no row twice for the same purpose. A bitmap scan
# would use an index on another column, by which the planner expects few rows of the account and finds all of them. JIT
# compilation of such a statement would take longer than its execution.
INDEX_PLANS: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_nestloop": "off", "jit": "off"}
"""Settings of a transaction whose statements find rows by key, whatever the statistics are."""

_BATCH_ROWS: Final = 1_000
"""The number of rows per statement: asyncpg encodes its parameters on the event loop, which is blocked meanwhile."""


class BatchedStatement(NamedTuple):
    """A statement on `staged`, a CTE of rows that are passed as arrays, and how each column is encoded."""

    sql: str
    encoders: tuple[Callable[[Sequence[Any]], Any], ...]


def _encode_text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# asyncpg asks two abstract classes about each element of an array. With the text of a whole array instead, a statement
# takes half the time until PostgreSQL has its parameters.
_TEXTS_OF: Final[dict[str, Callable[[Any], str]]] = {
    "bigint": str,
    "boolean": str,
    "integer": str,
    "text": _encode_text,
    "timestamptz": datetime.isoformat,
}


def _encode_array(text_of: Callable[[Any], str], values: Sequence[Any]) -> str:
    """Encodes an array as PostgreSQL reads it from text. None is null; a value that is repeated is encoded once."""
    elements = {value: "NULL" if value is None else text_of(value) for value in set(values)}
    return f"{{{','.join(map(elements.__getitem__, values))}}}"


def from_unnest(*statement: str, **columns: str) -> BatchedStatement:
    """Builds a statement on `staged`, a CTE of rows that are passed as arrays.

    The parameters are `account_id`, `this_run_id` and `observed_at`, and from $4 on one array per column. The first
    column is passed as an array, so that `join_on_key` can use it; the others as the texts of arrays.

    Args:
        statement: The statement, in parts that are joined by spaces.
        columns: The columns of `staged` beyond these, and their types.
    """
    kinds = list(columns.values())
    texts = [None, *map(_TEXTS_OF.get, kinds[1:])]
    arrays = ", ".join(
        f"${position}::{kind}[]" if text_of is None else f"${position}::text::{kind}[]"
        for position, (kind, text_of) in enumerate(zip(kinds, texts, strict=True), start=4)
    )
    sql = f"""
    with staged as materialized (
        select $1::integer as account_id, $2::bigint as this_run_id, $3::timestamptz as observed_at, passed.*
          from unnest({arrays}) as passed ({", ".join(columns)})
    ) {" ".join(statement)}"""  # noqa: S608 - parts from the code
    return BatchedStatement(
        sql, tuple(list if text_of is None else partial(_encode_array, text_of) for text_of in texts)
    )


def join_on_key(table: str) -> str:
    """Returns the condition that joins `staged` to a table, or to its alias, on account and number."""
    return f"""{table}.account_id = $1 and {table}.virtual_number_id = any($4)
   and {table}.virtual_number_id between (select min(virtual_number_id) from staged)
                                     and (select max(virtual_number_id) from staged)
   and {table}.virtual_number_id = staged.virtual_number_id"""  # noqa: S608 - a name from the code


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Rows for a statement on `staged`, encoded.

    Attributes:
        sql: The statement.
        batches: The arrays of each execution.
    """

    sql: str
    batches: Sequence[Sequence[Any]]


def encode_rows(statement: BatchedStatement, rows: Iterable[Sequence[Any]]) -> StagedRows:
    """Encodes rows for a statement that `from_unnest` built, in batches; no I/O."""
    remaining, batches = iter(rows), []
    while columns := list(zip(*islice(remaining, _BATCH_ROWS), strict=True)):
        batches.append([encode(values) for encode, values in zip(statement.encoders, columns, strict=True)])
    return StagedRows(statement.sql, batches)


async def execute_staged(fence: Fence, rows: StagedRows) -> int:
    """Executes a statement for encoded rows; does nothing if there are none.

    Returns:
        The number of rows that were written.
    """
    run, written = fence.run, 0
    for arrays in rows.batches:
        status = await fence.connection.execute(rows.sql, run.account_id, run.run_id, fence.observed_at, *arrays)
        written += int(status.rpartition(" ")[2])
    return written


async def execute_batched(fence: Fence, statement: BatchedStatement, rows: Iterable[Sequence[Any]]) -> int:
    """Encodes rows and executes a statement for them.

    Returns:
        The number of rows that were written.
    """
    return await execute_staged(fence, encode_rows(statement, rows))
