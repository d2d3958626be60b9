"""Rows encoded for COPY, as PostgreSQL reads them back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.store.poll.copy_format import column, rows, same

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
    columns = ", ".join(f"{kind}_column {kind}" for kind in VALUES)
    await sql.execute(f"create temporary table copied (position serial, {columns}) on commit drop")
    yield sql
    await sql.execute("rollback")


async def copy(sql: asyncpg.Connection, columns: Sequence[str], data: bytes) -> list[tuple[Any, ...]]:
    """What the table has after a COPY."""

    async def source() -> AsyncIterator[bytes]:
        yield data

    await sql.execute("truncate copied")
    await sql.copy_to_table("copied", columns=[f"{one}_column" for one in columns], source=source(), format="binary")
    found = await sql.fetch("select * from copied order by position")
    return [tuple(row[f"{one}_column"] for one in columns) for row in found]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), min_size=1, max_size=30))
async def test_every_value_arrives_as_it_is(copied: asyncpg.Connection, told: list[tuple[Any, ...]]) -> None:
    columns = dict(zip(VALUES, zip(*told, strict=True), strict=True))
    data = rows(*(column(kind, values) for kind, values in columns.items()))
    assert await copy(copied, list(VALUES), data) == told


async def test_a_column_may_have_one_value_in_all_rows(copied: asyncpg.Connection) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    data = rows(same("text", None), column("bigint", [7, 8]), same("timestamptz", moment), same("integer", -1))
    assert await copy(copied, ["text", "bigint", "timestamptz", "integer"], data) == [
        (None, 7, moment, -1),
        (None, 8, moment, -1),
    ]


async def test_a_moment_told_in_another_time_zone_is_the_same_moment(copied: asyncpg.Connection) -> None:
    moment = datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=3)))
    assert await copy(copied, ["timestamptz"], rows(column("timestamptz", [elsewhere]))) == [(moment,)]


async def test_json_is_given_encoded(sql: asyncpg.Connection) -> None:
    async with sql.transaction():
        await sql.execute("create temporary table told (extra jsonb) on commit drop")

        async def source() -> AsyncIterator[bytes]:
            yield rows(column("jsonb", [b'{"b": [1, "\xd0\xb9"], "a": null}', None, b"{}"]))

        await sql.copy_to_table("told", source=source(), format="binary")
        assert [row[0] for row in await sql.fetch("select extra::text from told")] == [
            '{"a": null, "b": [1, "й"]}',
            None,
            "{}",
        ]
