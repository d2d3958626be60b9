"""The HTTP server of a real daemon process: liveness, readiness, and `syncer health`."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from syncer.emulator import faults
from tests.builders import connect
from tests.service.processes import TOKEN, wait_until
from tests.service.scenarios import run_concurrently
from tests.silence import SilentServer

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

LOOPBACK_FREE_PORT = "127.0.0.1:0"


async def address_of(daemon: Process) -> str:
    """Waits until the daemon listens; returns its URL."""
    url: str = (await daemon.wait_for_event("http_listening"))["url"]
    return url


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


@run_concurrently
async def test_the_daemon_stays_live_during_outages_of_endpoint_and_database_and_reports_readiness(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    server, _, name = database.rpartition("/")
    sql = await connect(f"{server}/syncer")
    emulator.fault = faults.Status(status=503)
    daemon = await syncer.start("run", poll_interval="1s", http_listen=LOOPBACK_FREE_PORT)
    url = await address_of(daemon)
    await daemon.wait_for_event("poll_finished", outcome="failed")
    assert await get(f"{url}/livez") == (200, "live\n")
    assert await get(f"{url}/readyz") == (200, "ready\n")

    await sql.execute(f"alter database {name} allow_connections off")
    await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    await daemon.wait_for_event("not_ready")
    status, reason = await get(f"{url}/readyz")
    assert (status, reason[:21]) == (503, "not ready: database: ")
    assert await get(f"{url}/livez") == (200, "live\n")
    status, page = await get(f"{url}/?lang=en")
    assert (status, "The database cannot be read" in page) == (503, True)

    await sql.execute(f"alter database {name} allow_connections on")
    await sql.close()
    emulator.fault = None
    await daemon.wait_for_event("ready")
    assert await get(f"{url}/readyz") == (200, "ready\n")
    await daemon.wait_for_event("poll_finished", outcome="applied")
    ended = await daemon.stop(within=5)
    assert ended.code == 0


@run_concurrently
async def test_the_daemon_is_live_but_not_ready_while_the_database_accepts_connections_without_answering(
    syncer: Program,
) -> None:
    async with SilentServer() as silent:
        daemon = await syncer.start("run", database_url=silent.url, http_listen=LOOPBACK_FREE_PORT)
        url = await address_of(daemon)
        await asyncio.wait_for(silent.connected.wait(), 20)
        ready, live = await asyncio.gather(get(f"{url}/readyz"), get(f"{url}/livez"))
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET /livez HTTP/1.1\r\n")  # the rest never comes, and the daemon does not wait for it
        ended = await daemon.stop(within=8)
        writer.close()

    reason = "database: no answer within 3 s; check that the server and the network are up"
    assert ready == (503, f"not ready: {reason}\n")
    assert live == (200, "live\n")
    assert ended.code == 0
    assert await reader.read() == b""


@run_concurrently
async def test_the_health_command_reports_whether_the_daemon_is_alive(syncer: Program, emulator: Emulator) -> None:
    daemon = await syncer.start("run", http_listen="0.0.0.0:0")
    port = urlsplit(await address_of(daemon)).port
    await wait_until(lambda: emulator.requests[TOKEN] == 1)
    lives, elsewhere, off, unknown = await asyncio.gather(
        syncer.run("health", http_listen=f"0.0.0.0:{port}", api_token=None),
        syncer.run("health", http_listen="127.0.0.1:1"),
        syncer.run("health", http_listen="off"),
        syncer.run("health", http_listen="127.0.0.1:0"),
    )
    page = await get(f"http://127.0.0.1:{port}/")
    assert (await daemon.stop(within=5)).code == 0
    dead = await syncer.run("health", http_listen=f"[::]:{port}")

    assert lives.result == (0, "live\n")
    assert (elsewhere.code, elsewhere.error_line()) == (
        1,
        "no answer at 127.0.0.1 port 1: [Errno 111] Connection refused",
    )
    assert (off.code, off.error_line()[:58]) == (2, "syncer: SYNCER_HTTP_LISTEN is off, so the daemon cannot be")
    assert (unknown.code, "port 0" in unknown.error_line()) == (2, True)
    assert dead.code == 1
    assert page[0] == 404  # it shows phone numbers to anyone who can reach it


@run_concurrently
async def test_a_port_that_is_taken_does_not_keep_the_daemon_from_polling_and_is_used_once_it_is_free(
    syncer: Program,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = await syncer.start("run", http_listen=f"127.0.0.1:{port}")
        refused = await daemon.wait_for_event("http_not_listening")
        await daemon.wait_for_event("poll_finished", outcome="applied")
    await daemon.wait_for_event("http_listening", url=f"http://127.0.0.1:{port}")
    live = await get(f"http://127.0.0.1:{port}/livez")
    ended = await daemon.stop(within=5)

    assert refused["error"] == (
        f"cannot listen on SYNCER_HTTP_LISTEN=127.0.0.1:{port} (Address already in use): set another address or port, "
        "or off; trying again every 5 s"
    )
    assert (live, ended.code, len(daemon.events("http_not_listening"))) == ((200, "live\n"), 0, 1)


# A port that others can reach


HALF_A_REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


def half_open_connections(stack: ExitStack, port: int, count: int) -> None:
    """Opens connections and sends half a request over each; they are closed with the stack."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # this process holds the other ends
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        connection.sendall(HALF_A_REQUEST)


def count_open_files(daemon: Process) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


@run_concurrently
async def test_a_thousand_half_open_connections_stop_neither_polls_nor_livez_and_leave_a_line_in_the_log(
    syncer: Program, emulator: Emulator
) -> None:
    daemon = await replace(syncer, open_files=(128, 256)).start(
        "run", poll_interval="1s", http_listen=LOOPBACK_FREE_PORT
    )
    url = await address_of(daemon)
    await daemon.wait_for_event("poll_finished", outcome="applied")
    with ExitStack() as stack:
        await asyncio.to_thread(half_open_connections, stack, urlsplit(url).port or 0, 1100)
        polls_before = emulator.requests[TOKEN]
        answers = [await get(f"{url}/livez"), await get(f"{url}/readyz")]
        await wait_until(lambda: emulator.requests[TOKEN] >= polls_before + 4)
        open_files = count_open_files(daemon)
    after = await get(f"{url}/livez")
    ended = await daemon.stop(within=8)

    assert answers == [(200, "live\n"), (200, "ready\n")]
    assert after == (200, "live\n")
    assert open_files < 128
    assert ended.code == 0
    assert set(daemon.event_names) <= {
        *("http_listening", "daemon_started", "ready", "poll_finished", "finishing_polls", "daemon_stopped"),
        "http_connections_full",
    }
    assert len(daemon.events("http_connections_full")) == 1


@run_concurrently
async def test_the_daemon_raises_its_soft_limit_of_open_files_to_the_hard_one(syncer: Program) -> None:
    daemon = await replace(syncer, open_files=(200, 300)).start("run", http_listen=LOOPBACK_FREE_PORT)
    await address_of(daemon)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    await daemon.stop(within=8)

    assert limits == (300, 300)


@run_concurrently
async def test_a_daemon_without_files_to_open_logs_one_line_and_recovers(syncer: Program, emulator: Emulator) -> None:
    program = replace(syncer.without_coverage(), open_files=(300, 300))
    daemon = await program.start("run", http_listen=LOOPBACK_FREE_PORT)
    url = await address_of(daemon)
    await wait_until(lambda: emulator.requests[TOKEN] == 1)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, 300))
    waiting = asyncio.create_task(get(f"{url}/livez"))
    failed = await daemon.wait_for_event("http_accept_failed")
    with ExitStack() as stack:
        half_open_connections(stack, urlsplit(url).port or 0, 20)
        await asyncio.sleep(2.5)  # it tries again every second
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (300, 300))
        answer = await waiting
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, 300))
    pending = asyncio.create_task(get(f"{url}/livez"))
    ended = await daemon.stop(within=8)
    await asyncio.wait({pending})

    assert (failed["level"], failed["error"]) == ("warning", "Too many open files")
    assert answer == (200, "live\n")
    assert pending.exception() is not None
    assert ended.code == 0
    assert len(daemon.events("http_accept_failed")) == 1
    assert "Traceback" not in ended.err
