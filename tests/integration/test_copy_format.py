"""PostgreSQL reads back the rows that were encoded for COPY."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.store.poll.copy_format import encode_column, encode_constant, join_columns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "bigint": integers(64),
    "boolean": st.booleans(),
    "bytea": st.binary(),
    "integer": integers(32),
    "smallint": integers(16),
    "text": _text,
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
}


@pytest.fixture
async def copied(sql: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    await sql.execute("begin")
    columns = ", ".join(f"{type_name}_column {type_name}" for type_name in VALUES)
    await sql.execute(f"create temporary table copied (position serial, {columns}) on commit drop")
    yield sql
    await sql.execute("rollback")


async def copy(sql: asyncpg.Connection, columns: Sequence[str], data: bytes) -> list[tuple[Any, ...]]:
    """Returns the rows of the table after a COPY."""

    async def source() -> AsyncIterator[bytes]:
        yield data

    await sql.execute("truncate copied")
    await sql.copy_to_table("copied", columns=[f"{name}_column" for name in columns], source=source(), format="binary")
    copied_rows = await sql.fetch("select * from copied order by position")
    return [tuple(row[f"{name}_column"] for name in columns) for row in copied_rows]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), min_size=1, max_size=30))
async def test_every_value_is_read_back_unchanged(copied: asyncpg.Connection, rows: list[tuple[Any, ...]]) -> None:
    columns = dict(zip(VALUES, zip(*rows, strict=True), strict=True))
    data = join_columns(*(encode_column(type_name, values) for type_name, values in columns.items()))
    assert await copy(copied, list(VALUES), data) == rows


async def test_a_column_can_have_the_same_value_in_all_rows(copied: asyncpg.Connection) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    data = join_columns(
        encode_constant("text", None),
        encode_column("bigint", [7, 8]),
        encode_constant("timestamptz", moment),
        encode_constant("integer", -1),
    )
    assert await copy(copied, ["text", "bigint", "timestamptz", "integer"], data) == [
        (None, 7, moment, -1),
        (None, 8, moment, -1),
    ]


async def test_a_timestamp_of_another_time_zone_is_stored_as_the_same_instant(copied: asyncpg.Connection) -> None:
    moment = datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    in_moscow = moment.astimezone(timezone(timedelta(hours=3)))
    data = join_columns(encode_column("timestamptz", [in_moscow]))
    assert await copy(copied, ["timestamptz"], data) == [(moment,)]


async def test_json_is_passed_as_encoded_bytes(sql: asyncpg.Connection) -> None:
    async with sql.transaction():
        await sql.execute("create temporary table copied_json (extra jsonb) on commit drop")

        async def source() -> AsyncIterator[bytes]:
            yield join_columns(encode_column("jsonb", [b'{"b": [1, "\xd0\xb9"], "a": null}', None, b"{}"]))

        await sql.copy_to_table("copied_json", source=source(), format="binary")
        assert [row[0] for row in await sql.fetch("select extra::text from copied_json")] == [
            '{"a": null, "b": [1, "й"]}',
            None,
            "{}",
        ]
