"""What notices leave alone: the statements of a poll, and what nobody may find in tables, logs and metrics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from syncer.emulator import faults
from tests.builders import record
from tests.integration.test_restore import dump
from tests.notice_judge import SECRET, notify_file
from tests.proxy import Proxy
from tests.receiver import Receiver
from tests.service.processes import wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program


class RecordingProxy(Proxy):
    """Forwards everything, and remembers the statements.

    Attributes:
        statements: The text of each, in order.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.statements: list[str] = []

    def _matches(self, data: bytes, statements: Sequence[bytes]) -> bool:
        self.statements += map(bytes.decode, statements)
        return super()._matches(data, statements)


async def statements_of_sync(
    syncer: Program, emulator: Emulator, database: str, state: str, file: str | None
) -> list[str]:
    """Returns the statements of `syncer sync`, with these numbers and this notify file."""
    emulator.fault = faults.Body(body=json.dumps([record(1, state=state), record(2)]))
    async with RecordingProxy(database) as proxy:
        assert (await syncer.run("sync", database_url=proxy.url, notify_file=file)).code == 0
    # Each connection asks once whether the server knows it under its own process id.
    return [re.sub(r"(?<=pg_backend_pid\(\) = )\d+", "1", statement) for statement in proxy.statements]


@run_concurrently
async def test_a_poll_executes_the_same_statements_with_and_without_a_notify_file(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with Receiver() as receiver:
        file = syncer.write("notify.toml", notify_file(receiver.url))
        await statements_of_sync(syncer, emulator, database, "active", None)
        applied = await statements_of_sync(syncer, emulator, database, "debt_lock", None)
        unchanged = await statements_of_sync(syncer, emulator, database, "debt_lock", None)
        first = await statements_of_sync(syncer, emulator, database, "debt_lock", file)
        applied_and_sent = await statements_of_sync(syncer, emulator, database, "active", file)
        unchanged_and_looked = await statements_of_sync(syncer, emulator, database, "active", file)

    outcomes = await sql.fetch("select outcome from syncer.sync_run order by run_id")
    assert [row["outcome"] for row in outcomes] == [
        "applied",
        "applied",
        "unchanged",
        "unchanged",
        "applied",
        "unchanged",
    ]
    assert len(receiver.requests) == 3
    assert unchanged != applied
    # The notices follow once the polls have ended.
    assert applied_and_sent[: len(applied)] == applied
    assert first[: len(unchanged)] == unchanged_and_looked[: len(unchanged)] == unchanged


TABLES = ("account_condition", "notice_cursor", "notice")
PLACE, BOT = "pl4ce-0f-the-test", "123456:b0t-t0ken-of-the-test"


class TalkativeReceiver(Receiver):
    """A receiver that repeats what it receives, with the secrets of its address, whatever it answers.

    Attributes:
        refusing: The channel that accepts no more messages.
    """

    refusing = "none"

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        response = await super()._receive(request)
        status = 410 if request.path.endswith(f"/{self.refusing}") else response.status
        received = f"{SECRET} {request.path} {(await request.read()).decode()}"
        return web.Response(status=status, text=received, headers={"X-Place": PLACE})


MESSENGER = f"""
[[channel]]
name = "chat"
kind = "telegram"
token = "{BOT}"
chat = "-100123"
numbers = "full"
api_url = "{{api_url}}"

[[rule]]
name = "chat"
channels = ["chat"]
"""


@run_concurrently
async def test_no_phone_number_and_no_secret_of_a_channel_is_in_tables_of_notices_logs_and_metrics(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    numbers = [f"7926555{id_:04}" for id_ in range(1, 31)]
    records = [record(id_, number=number, comment=number) for id_, number in enumerate(numbers, start=1)]
    emulator.fault = faults.Body(body=json.dumps(records))
    async with TalkativeReceiver() as receiver:
        receiver.answer = 500
        address = receiver.url.removesuffix("/hook")
        file = syncer.write("notify.toml", notify_file(f"{address}/{PLACE}") + MESSENGER.format(api_url=address))
        daemon = await syncer.start("run", notify_file=file, poll_interval="1s", http_listen="127.0.0.1:0")
        url = (await daemon.wait_for_event("http_listening"))["url"]
        await wait_until(lambda: sql.fetchval("select count(*) = 4 from syncer.notice_cursor where run_id is not null"))
        emulator.fault = faults.Body(body=json.dumps([one | {"state": "debt_lock"} for one in records]))
        await wait_until(lambda: sql.fetchval("select count(*) = 3 from syncer.notice where error is not null"))
        failed = await sql.fetchval("select string_agg(error, ' ') from syncer.notice")
        pages = [await read(url)]
        await dump(database, syncer.folder / "failed.sql", "plain")
        receiver.refusing, receiver.answer = "duty", 200
        await sql.execute("update syncer.notice set due_at = made_at")
        await daemon.wait_for_event("notice_refused")
        await daemon.wait_for_event("notice_sent")
        pages.append(await read(url))
        commands = [await syncer.run(*command, notify_file=file) for command in (("status",), ("check",))]
        await dump(database, syncer.folder / "sent.sql", "plain")
        log = (await daemon.stop()).err

    assert "answered 500" in failed
    assert {event for event in ("notice_failed", "notice_refused", "notice_sent") if event in log} == {
        "notice_failed",
        "notice_refused",
        "notice_sent",
    }
    dumps = [syncer.folder.joinpath(name).read_text() for name in ("failed.sql", "sent.sql")]
    seen = [log, *(one.out + one.err for one in commands), *(metrics for metrics, _ in pages)]
    of_notices = [
        block
        for text in dumps
        for block in text.split("\nCOPY ")
        if block.startswith(tuple(f"syncer.{table} " for table in TABLES))
    ]
    assert len(of_notices) == 2 * len(TABLES)
    for secret in (SECRET, SECRET.removeprefix("whsec_"), PLACE, BOT, BOT.partition(":")[2]):
        assert [text for text in (*seen, *dumps, *(page for _, page in pages)) if secret in text] == []
    for number in numbers:
        assert [text for text in (*seen, *of_notices) if number[1:] in text or number[-7:] in text] == []


async def read(url: str) -> tuple[str, str]:
    """Returns the metrics and the page."""
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(url + path) for path in ("/metrics", "/")]
        metrics, page = [await answer.text() for answer in answers]
    return metrics, page
