"""What the page and `syncer status` read of notices: messages, what waits, and by which index."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.store.queries.notice_list import MAX_MESSAGES, read_channels, read_notices

if TYPE_CHECKING:
    import asyncpg

    from syncer.store.engine import Engine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ZONES = {"one": "Europe/Moscow", "two": "Asia/Yekaterinburg", "three": "Europe/Moscow"}


class Notices:
    """Inserts notices of three accounts, each a minute after the one before."""

    def __init__(self, sql: asyncpg.Connection) -> None:
        self._sql = sql
        self._ids: dict[str, int] = {}
        self._now = NOON

    async def insert_accounts(self) -> None:
        for name, zone in ZONES.items():
            self._ids[name] = await self._sql.fetchval(
                "insert into syncer.account (name, time_zone, created_at) values ($1, $2, $3) returning account_id",
                name,
                zone,
                NOON,
            )

    async def insert(self, *accounts: str, channel: str = "duty", **fields: Any) -> None:
        """Inserts a message about some accounts."""
        self._now += MINUTE
        outcome = fields.get("outcome", "sent")
        message_id = uuid.uuid4()
        for account in accounts:
            await self._sql.execute(
                "insert into syncer.notice_cursor (account_id, rule, channel, planned_at) values ($1, 'locks', $2, $3)"
                " on conflict do nothing",
                self._ids[account],
                channel,
                NOON,
            )
            await self._sql.execute(
                "insert into syncer.notice (account_id, rule, channel, kind, events, message_id, outcome, made_at,"
                "                           due_at, finished_at, http_status, error)"
                " values ($1, 'locks', $2, 'conditions', $3, $4, $5, $6, $6, $7, $8, $9)",
                self._ids[account],
                channel,
                fields.get("events", '{"stale": 1}'),
                message_id,
                outcome,
                self._now,
                None if outcome == "waiting" else self._now + timedelta(seconds=2),
                fields.get("http_status"),
                fields.get("error"),
            )


@pytest.fixture
async def notices(sql: asyncpg.Connection) -> Notices:
    """Three accounts without notices."""
    inserted = Notices(sql)
    await inserted.insert_accounts()
    return inserted


async def test_the_newest_messages_come_first_each_with_what_it_says_of_all_its_accounts(
    notices: Notices, engine: Engine
) -> None:
    for _ in range(MAX_MESSAGES):
        await notices.insert("three")
    await notices.insert("one", "two", events='{"stale": 1, "held_ended": 1}')
    await notices.insert("two", events="{}")

    of_all = await read_notices(engine, None, statement_seconds=5)
    of_one = await read_notices(engine, "one", statement_seconds=5)
    of_none = await read_notices(engine, "nobody", statement_seconds=5)

    assert len(of_all.messages) == MAX_MESSAGES
    assert [(one.account, one.accounts, one.events) for one in of_all.messages[:3]] == [
        ("two", 1, {}),
        ("one", 2, {"stale": 2, "held_ended": 2}),
        ("three", 1, {"stale": 1}),
    ]
    assert [one.made_at - NOON for one in of_all.messages] == [(12 - index) * MINUTE for index in range(MAX_MESSAGES)]
    assert [(one.account, one.accounts, one.events, one.delay_seconds) for one in of_one.messages] == [
        ("one", 1, {"stale": 1, "held_ended": 1}, 2.0)
    ]
    assert (of_none.has_any, of_none.messages, of_none.waiting) == (True, [], [])


async def test_what_waits_is_counted_by_message_with_the_zone_that_its_accounts_share(
    notices: Notices, engine: Engine
) -> None:
    await notices.insert("one", outcome="waiting")
    await notices.insert("two", channel="mail", outcome="waiting", error="the first failure")
    await notices.insert("one", "three", channel="mail", outcome="waiting", error="another failure")

    waiting, refused = await read_channels(engine)

    assert [(one.channel, one.time_zone, one.messages, one.since - NOON, one.error) for one in waiting] == [
        ("duty", "Europe/Moscow", 1, MINUTE, None),
        ("mail", "UTC", 2, 2 * MINUTE, "the first failure"),
    ]
    assert refused == []
    assert [one.channel for one in (await read_notices(engine, "two", statement_seconds=5)).waiting] == ["mail"]


async def test_a_channel_has_refused_while_its_newest_message_has_and_the_notify_file_has_it(
    notices: Notices, engine: Engine, sql: asyncpg.Connection
) -> None:
    async def refused() -> list[tuple[str, int | None, str | None]]:
        return [(one.channel, one.http_status, one.error) for one in (await read_channels(engine))[1]]

    await notices.insert("one")
    await notices.insert("two", outcome="refused", http_status=410, error="gone")
    await notices.insert("one", outcome="waiting")
    assert await refused() == [("duty", 410, "gone")]

    await sql.execute("update syncer.notice_cursor set retired_at = now() where account_id = 2")
    assert await refused() == []
    await sql.execute("update syncer.notice_cursor set retired_at = null")
    await notices.insert("three")
    assert await refused() == []


async def test_the_newest_messages_are_found_by_an_index_among_many(
    notices: Notices, engine: Engine, sql: asyncpg.Connection
) -> None:
    await notices.insert("one")
    await sql.execute(
        "insert into syncer.notice (account_id, rule, channel, kind, events, message_id, outcome, made_at, due_at,"
        "                           finished_at)"
        " select account_id, rule, channel, kind, events, gen_random_uuid(), outcome, made_at - n * interval '1 s',"
        "        due_at, finished_at from syncer.notice cross join generate_series(1, 20000) n"
    )
    await sql.execute("analyze syncer.notice")

    async def rows_read() -> tuple[int, int]:
        """How many rows of notices were read one after the other, and by an index, so far."""
        async with engine.connect() as connection:
            await connection.exec_driver_sql("select pg_stat_force_next_flush()")
        await sql.execute("select pg_stat_force_next_flush()")
        row = await sql.fetchrow(
            "select seq_tup_read, idx_scan from pg_stat_all_tables where relid = 'syncer.notice'::regclass"
        )
        assert row is not None
        return row["seq_tup_read"], row["idx_scan"]

    sequential, by_index = await rows_read()
    for account in (None, "one"):
        found = await read_notices(engine, account, statement_seconds=5)
        assert len(found.messages) == MAX_MESSAGES

    sequential_after, by_index_after = await rows_read()
    assert sequential_after - sequential < MAX_MESSAGES  # whether there is one at all
    assert by_index_after - by_index >= MAX_MESSAGES
