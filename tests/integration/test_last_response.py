"""Responses that repeat the last one: the same compressed bytes, or a 304. They are not inflated, and lose nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from syncer.diff.content_hash import ContentHash
from syncer.endpoint.inflate import InflateError, Inflater
from tests.builders import PolledAccount, record, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.endpoint.last_response import LastResponse
    from syncer.outcome import PollResult
    from syncer.store.engine import Engine


class CachedEndpoint:
    """An endpoint that compresses its list, and has an ETag for it.

    Attributes:
        records: The list.
        second: The time in the header of the compressed body: another one makes other bytes of the same list.
        etag: The ETag; None sends none.
        is_stuck: Whether it answers each conditional request by 304, like a broken cache.
        conditions: The condition of each request; None for one that had none.
        asked: Set when a request has arrived.
        may_answer: Requests are answered while it is set.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = [record(1)]
        self.second = 0
        self.etag: str | None = None
        self.is_stuck = False
        self.conditions: list[str | None] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def hold(self) -> None:
        """Lets the next request wait."""
        self.asked.clear()
        self.may_answer.clear()

    async def answer(self, request: web.Request) -> web.Response:
        condition = request.headers.get("If-None-Match")
        self.conditions.append(condition)
        self.asked.set()
        await self.may_answer.wait()
        headers = {"ETag": self.etag} if self.etag else {}
        if condition and (self.is_stuck or condition == self.etag):
            return web.Response(status=304, headers=headers)
        body = gzip.compress(json.dumps(self.records).encode(), mtime=self.second)
        headers |= {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=body, headers=headers)


@asynccontextmanager
async def polled(
    served: CachedEndpoint, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> AsyncIterator[PolledAccount]:
    """Serves the endpoint, and yields an account that polls it."""
    application = web.Application()
    application.router.add_get("/numbers/virtual-number", served.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with PolledAccount(engine, emulator, sql, settings_for(emulator, api_url=url)) as account:
        yield account
    await runner.cleanup()


@pytest.fixture
def served() -> CachedEndpoint:
    return CachedEndpoint()


@pytest.fixture
async def compressed(
    served: CachedEndpoint, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> AsyncIterator[PolledAccount]:
    """An account that polls the endpoint."""
    async with polled(served, engine, emulator, sql) as account:
        yield account


async def _last(account: PolledAccount) -> LastResponse:
    """Returns what the process remembers of the account's last response."""
    row = await account.sql.fetchrow("select key, body_digest from syncer.hash_key, syncer.account_fence")
    assert row is not None
    return account.poller.last_responses.get(1, ContentHash(row["key"]), row["body_digest"])


async def begin_and_be_overtaken(
    served: CachedEndpoint, process: PolledAccount, other: CachedEndpoint, other_process: PolledAccount
) -> asyncio.Task[PollResult]:
    """Begins a poll and returns it while it waits for its answer.

    Another process's poll, which began first, has been committed meanwhile.
    """
    other.hold()
    first = asyncio.create_task(other_process.poll_again())
    await other.asked.wait()
    served.hold()
    second = asyncio.create_task(process.poll_again())
    await served.asked.wait()
    other.may_answer.set()
    assert (await first).outcome == "applied"
    return second


RUNS = "select outcome, http_status, response_bytes from syncer.sync_run order by run_id"


async def test_the_same_compressed_bytes_are_not_inflated(served: CachedEndpoint, compressed: PolledAccount) -> None:
    await compressed.poll_again()
    size = len(json.dumps(served.records))

    repeated = await compressed.poller.source.fetch(compressed.account, last=await _last(compressed))
    await compressed.poll_again()

    assert (repeated.last is not None, repeated.body, repeated.size) == (True, b"", size)
    assert await compressed.rows(RUNS) == [("applied", 200, size), ("unchanged", 200, size)]


async def test_a_body_that_is_compressed_differently_each_time_is_inflated_and_unchanged(
    served: CachedEndpoint, compressed: PolledAccount
) -> None:
    outcomes = []
    for served.second in range(3):
        outcomes.append((await compressed.poll_again()).outcome)

    assert outcomes == ["applied", "unchanged", "unchanged"]


async def test_an_etag_is_sent_back_and_a_304_is_an_unchanged_response(
    served: CachedEndpoint, compressed: PolledAccount
) -> None:
    served.etag = '"one"'
    await compressed.poll_again()
    await compressed.poll_again()
    served.etag, served.records = '"two"', [record(1, state="debt_lock")]
    await compressed.poll_again()
    await compressed.poll_again()

    assert served.conditions == [None, '"one"', '"one"', '"two"']
    assert [row[:2] for row in await compressed.rows(RUNS)] == [
        ("applied", 200),
        ("unchanged", 304),
        ("applied", 200),
        ("unchanged", 304),
    ]
    assert await compressed.broken_invariants() == []


async def test_a_process_that_remembers_nothing_asks_without_a_condition(
    served: CachedEndpoint, compressed: PolledAccount
) -> None:
    served.etag = '"one"'
    await compressed.poll_again()
    compressed.restart()

    assert (await compressed.poll_again()).outcome == "unchanged"
    assert served.conditions == [None, None]


async def test_a_304_is_not_believed_for_a_response_that_is_not_the_last_success(
    served: CachedEndpoint, compressed: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    served.etag = '"one"'
    await compressed.poll_again()
    async with polled(other := CachedEndpoint(), engine, emulator, sql) as other_process:
        other.records = [record(1, state="debt_lock")]
        await other_process.poll_again()

    assert (await compressed.poll_again()).outcome == "applied"
    assert served.conditions == [None, None]
    assert await compressed.rows("select state from syncer.virtual_number") == [("active",)]


async def test_what_another_process_applied_meanwhile_is_compared_with_a_whole_response(
    served: CachedEndpoint, compressed: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    served.etag = '"one"'
    await compressed.poll_again()
    async with polled(other := CachedEndpoint(), engine, emulator, sql) as other_process:
        other.records = [record(1, state="debt_lock")]
        second = await begin_and_be_overtaken(served, compressed, other, other_process)
        served.may_answer.set()

        assert (await second).outcome == "applied"

    assert served.conditions == [None, '"one"', None]
    assert await compressed.rows("select state from syncer.virtual_number") == [("active",)]
    assert await compressed.broken_invariants() == []


async def test_a_whole_response_after_one_that_seemed_to_repeat_has_its_own_digest(
    served: CachedEndpoint, compressed: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    """The first is a 304 that another process's poll has made untrue meanwhile, the second is another list."""
    served.etag, served.is_stuck, first_list = '"one"', True, served.records
    await compressed.poll_again()
    async with polled(other := CachedEndpoint(), engine, emulator, sql) as other_process:
        other.records = [record(1, state="debt_lock")]
        second = await begin_and_be_overtaken(served, compressed, other, other_process)
        served.records = [record(number, state="freeze") for number in range(1, 1_001)]
        served.may_answer.set()
        assert (await second).outcome == "applied"
    (key, digest) = await compressed.row("select key, body_digest from syncer.hash_key, syncer.account_fence")
    assert digest == ContentHash(key)(json.dumps(served.records).encode())

    served.records = first_list
    compressed.restart()
    assert (await compressed.poll_again()).outcome == "applied"
    assert await compressed.rows("select state from syncer.virtual_number where virtual_number_id = 1") == [("active",)]


async def test_a_response_that_is_fetched_again_does_not_wait_for_the_slot_of_the_first(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.endpoint.client.MAX_LARGE_BODIES", 1)
    served, other = CachedEndpoint(), CachedEndpoint()
    served.records = [record(number, comment=token_hex(500)) for number in range(1, 1_001)]
    async with (
        polled(served, engine, emulator, sql) as process,
        polled(other, engine, emulator, sql) as other_process,
        asyncio.timeout(30),
    ):
        await process.poll_again()
        second = await begin_and_be_overtaken(served, process, other, other_process)
        served.may_answer.set()

        assert (await second).outcome == "applied"


async def test_a_cache_that_says_304_forever_is_asked_without_a_condition_after_an_hour(
    served: CachedEndpoint, compressed: PolledAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.etag, served.is_stuck = '"one"', True
    await compressed.poll_again()
    served.records = [record(1, state="debt_lock")]
    assert (await compressed.poll_again()).outcome == "unchanged"

    monkeypatch.setattr("syncer.endpoint.last_response._CONDITIONAL_SECONDS", 0.0)  # the hour has passed

    assert (await compressed.poll_again()).outcome == "applied"
    assert served.conditions == [None, '"one"', None]


def test_a_body_of_more_members_than_any_server_sends_is_corrupt() -> None:
    assert Inflater(gzip.compress(b"") * 1023 + gzip.compress(b"[]"), "gzip").read(100) == b"[]"

    with pytest.raises(InflateError):
        Inflater(gzip.compress(b"") * 1024 + gzip.compress(b"[]"), "gzip").read(100)


def test_bytes_after_the_compressed_body_make_it_corrupt() -> None:
    with pytest.raises(InflateError):
        Inflater(gzip.compress(b"[]") + b"something else", "gzip").read(100)


@pytest.mark.parametrize("size", [1, 7, 65_536, 10**6])
def test_a_body_is_inflated_in_pieces_of_any_size(size: int) -> None:
    body = bytes(range(256)) * 999
    inflater = Inflater(gzip.compress(body[:100_000]) + gzip.compress(body[100_000:]), "gzip")

    pieces = []
    while piece := inflater.read(size):
        pieces.append(piece)

    assert b"".join(pieces) == body
    assert {len(piece) for piece in pieces[:-1]} <= {size}
