"""Rows as PostgreSQL's binary COPY takes them; the format is described in its documentation of that command.

A driver encodes rows on the event loop and as it sends them: PostgreSQL waits for the first of each table, and others
for the loop. Here it is done beforehand, in any thread, and by columns: what they repeat is encoded once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, repeat
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# The signature, no flags, nothing in the header's extension.
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + Struct("!ii").pack(0, 0)
_fields_of_row: Final = Struct("!h").pack
_END: Final = _fields_of_row(-1)
_length: Final = Struct("!i").pack
_NULL: Final = _length(-1)
_bigint: Final = partial(Struct("!iq").pack, 8)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _bytea(value: bytes) -> bytes:
    return _length(len(value)) + value


_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "bigint": _bigint,
    "boolean": partial(Struct("!i?").pack, 1),
    "bytea": _bytea,
    "integer": partial(Struct("!ii").pack, 4),
    "jsonb": lambda value: _bytea(b"\x01" + value),  # its version, and JSON
    "smallint": partial(Struct("!ih").pack, 2),
    "text": lambda value: _bytea(value.encode()),
    "timestamptz": lambda value: _bigint((value - _EPOCH) // _MICROSECOND),
}


def column(kind: str, values: Sequence[Any]) -> Iterable[bytes]:
    """The fields of a column.

    Args:
        kind: Its type, as PostgreSQL spells it.
        values: One a row; None is null, and JSON is given encoded.
    """
    encode = _ENCODERS[kind]
    fields = {value: _NULL if value is None else encode(value) for value in dict.fromkeys(values)}
    return map(fields.__getitem__, values)


def same(kind: str, value: object) -> Iterable[bytes]:
    """The fields of a column that has one value in all rows."""
    return repeat(_NULL if value is None else _ENCODERS[kind](value))


def rows(*columns: Iterable[bytes]) -> bytes:
    """What COPY takes for these columns, of which at least one is no `same`."""
    fields = zip(repeat(_fields_of_row(len(columns))), *columns, strict=False)
    return b"".join(chain([_HEADER], chain.from_iterable(fields), [_END]))
