"""A view as a Parquet file; pyarrow is an optional dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syncer.errors import SyncerError
from syncer.store.queries.export_views import read_batches

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise SyncerError("Parquet needs pyarrow: pip install 'syncer[parquet]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

    from syncer.store.queries.export_views import View

_ROW_GROUP: Final = 100_000

# By PostgreSQL's type; any other is written as text. Durations in seconds are doubles, exact to the microsecond for 285
# years: tools sum and divide them, and a decimal's scale would have to be guessed.
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
_SPELLED: Final = {"numeric": "{}::float8"}


class _Output:
    """What pyarrow takes for a file that can only be written."""

    closed = False

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write

    def flush(self) -> None:
        """Nothing is kept back here."""

    def close(self) -> None:
        """Whoever opened the file closes it."""


async def write_parquet(connection: asyncpg.Connection[Any], view: View, write: Callable[[bytes], int]) -> None:
    """Writes a view as Parquet.

    Raises:
        DatabaseError: PostgreSQL refused or went away.
        OSError: `write` raised it.
    """
    schema = pa.schema([(column.name, _TYPES.get(column.type, pa.string())) for column in view.columns])
    spelled = {column.type: "{}::text" for column in view.columns if column.type not in _TYPES} | _SPELLED
    with pq.ParquetWriter(pa.PythonFile(_Output(write), mode="w"), schema) as file:
        waiting: list[pa.RecordBatch] = []
        async for rows in read_batches(connection, view, spelled):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(values, one.type) for values, one in zip(columns, schema, strict=True)]
            waiting.append(pa.record_batch(arrays, schema=schema))
            if sum(batch.num_rows for batch in waiting) >= _ROW_GROUP:
                file.write_table(pa.Table.from_batches(waiting))
                waiting.clear()
        file.write_table(pa.Table.from_batches(waiting, schema))
