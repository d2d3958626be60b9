"""The daemon over HTTP, in a process of its own: when it lives, when it is ready, who asks it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from syncer.emulator import faults
from tests.builders import connect
from tests.service.processes import TOKEN, until
from tests.service.scenarios import told_at_once
from tests.silence import SilentServer

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

ANYWHERE = "127.0.0.1:0"


async def address_of(daemon: Process) -> str:
    """Where it listens, once it does."""
    url: str = (await daemon.says("http_listening"))["url"]
    return url


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


@told_at_once
async def test_it_lives_through_an_outage_of_vendor_and_database_and_says_when_it_is_ready(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    server, _, name = database.rpartition("/")
    sql = await connect(f"{server}/syncer")
    emulator.fault = faults.Status(status=503)
    daemon = await syncer.start("run", poll_interval="1s", http_listen=ANYWHERE)
    url = await address_of(daemon)
    await daemon.says("poll_finished", outcome="failed")
    assert await ask(f"{url}/livez") == (200, "live\n")
    assert await ask(f"{url}/readyz") == (200, "ready\n")

    await sql.execute(f"alter database {name} allow_connections off")
    await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    await daemon.says("not_ready")
    status, reason = await ask(f"{url}/readyz")
    assert (status, reason[:21]) == (503, "not ready: database: ")
    assert await ask(f"{url}/livez") == (200, "live\n")
    status, page = await ask(f"{url}/?lang=en")
    assert (status, "The database cannot be read" in page) == (503, True)

    await sql.execute(f"alter database {name} allow_connections on")
    await sql.close()
    emulator.fault = None
    await daemon.says("ready")
    assert await ask(f"{url}/readyz") == (200, "ready\n")
    await daemon.says("poll_finished", outcome="applied")
    ended = await daemon.end(within=5)
    assert ended.code == 0


@told_at_once
async def test_it_lives_and_is_not_ready_while_the_database_takes_connections_and_never_answers(
    syncer: Program,
) -> None:
    async with SilentServer() as silent:
        daemon = await syncer.start("run", database_url=silent.url, http_listen=ANYWHERE)
        url = await address_of(daemon)
        await asyncio.wait_for(silent.connected.wait(), 20)
        ready, live = await asyncio.gather(ask(f"{url}/readyz"), ask(f"{url}/livez"))
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET /livez HTTP/1.1\r\n")  # and never the rest: nobody waits for it
        ended = await daemon.end(within=8)
        writer.close()

    reason = "database: no answer within 3 s; check that the server and the network are up"
    assert ready == (503, f"not ready: {reason}\n")
    assert live == (200, "live\n")
    assert ended.code == 0
    assert await reader.read() == b""


@told_at_once
async def test_a_container_asks_whether_it_lives_by_a_command(syncer: Program, emulator: Emulator) -> None:
    daemon = await syncer.start("run", http_listen="0.0.0.0:0")
    port = urlsplit(await address_of(daemon)).port
    await until(lambda: emulator.requests[TOKEN] == 1)
    lives, elsewhere, off, unknown = await asyncio.gather(
        syncer.run("health", http_listen=f"0.0.0.0:{port}", api_token=None),
        syncer.run("health", http_listen="127.0.0.1:1"),
        syncer.run("health", http_listen="off"),
        syncer.run("health", http_listen="127.0.0.1:0"),
    )
    again = await syncer.run("run", http_listen=f"127.0.0.1:{port}")
    page = await ask(f"http://127.0.0.1:{port}/")
    assert (await daemon.end(within=5)).code == 0
    dead = await syncer.run("health", http_listen=f"[::]:{port}")

    assert lives.result == (0, "live\n")
    assert (elsewhere.code, elsewhere.complaint()) == (
        1,
        "no answer at 127.0.0.1 port 1: [Errno 111] Connection refused",
    )
    assert (off.code, off.complaint()[:58]) == (2, "syncer: SYNCER_HTTP_LISTEN is off, so there is nobody to a")
    assert (unknown.code, "port 0" in unknown.complaint()) == (2, True)
    assert dead.code == 1
    assert again.code == 2
    assert re.fullmatch(
        rf"syncer: cannot listen on SYNCER_HTTP_LISTEN=127\.0\.0\.1:{port} \(Address already in use\): "
        "set another address or port, or off",
        again.complaint(),
    )
    assert page[0] == 404  # it shows phone numbers to anyone who can reach it
