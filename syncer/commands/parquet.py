"""Writes a view as a Parquet file; pyarrow is an optional dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syncer.errors import SyncerError
from syncer.store.queries.export_views import read_batches

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise SyncerError("Parquet needs pyarrow: pip install pyarrow") from None

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

    from syncer.store.queries.export_views import View

_ROWS_PER_GROUP: Final = 100_000

# Arrow types by PostgreSQL type; other types are written as text. Durations in seconds are doubles, which are exact to
# the microsecond for 285 years: tools sum and divide them, and the scale of a decimal would have to be guessed.
_TYPES: Final = {
    "bool": pa.bool_(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "numeric": pa.float64(),
    "text": pa.string(),
    "jsonb": pa.string(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_CAST_EXPRESSIONS: Final = {"numeric": "{}::float8"}


class _WriteOnlyFile:
    """The part of the file interface that pyarrow needs for writing."""

    closed = False

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write

    def flush(self) -> None:
        """Does nothing: nothing is buffered here."""

    def close(self) -> None:
        """Does nothing: the caller closes the file."""


async def write_parquet(connection: asyncpg.Connection[Any], view: View, write: Callable[[bytes], int]) -> None:
    """Writes a view as Parquet.

    Raises:
        DatabaseError: PostgreSQL reported an error, or the connection was lost.
        OSError: `write` raised it.
    """
    schema = pa.schema([(column.name, _TYPES.get(column.type, pa.string())) for column in view.columns])
    expressions = {column.type: "{}::text" for column in view.columns if column.type not in _TYPES} | _CAST_EXPRESSIONS
    with pq.ParquetWriter(pa.PythonFile(_WriteOnlyFile(write), mode="w"), schema) as file:
        pending: list[pa.RecordBatch] = []
        async for rows in read_batches(connection, view, expressions):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            pending.append(pa.record_batch(arrays, schema=schema))
            if sum(batch.num_rows for batch in pending) >= _ROWS_PER_GROUP:
                file.write_table(pa.Table.from_batches(pending))
                pending.clear()
        file.write_table(pa.Table.from_batches(pending, schema))
