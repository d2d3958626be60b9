"""The token and the database password appear nowhere that an attacker might look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from syncer.emulator import faults
from tests.service.processes import TOKEN, command_lines
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program


@run_concurrently
async def test_a_token_repeated_by_the_endpoint_reaches_no_log_row_metric_page_or_process_title(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    password = urlsplit(database).password
    assert password
    emulator.queue(
        faults.Redirect(location=f"https://{TOKEN}:{TOKEN}@{TOKEN}.example/{TOKEN}?token={TOKEN}#{TOKEN}", requests=1),
        faults.Body(body=f'"{TOKEN}"', requests=1),
        faults.Body(body=TOKEN, content_type=f"text/{TOKEN}", requests=1),
    )
    daemon = await syncer.start("run", poll_interval="1s", http_listen="127.0.0.1:0")
    url = (await daemon.wait_for_event("http_listening"))["url"]
    await daemon.wait_for_event("poll_finished", outcome="applied")
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(url + path) for path in ("/", "/metrics", "/readyz", "/livez")]
        bodies = [await answer.text() for answer in answers]
    # `wait` checks the output of these commands for secrets, and that of the daemon.
    commands = [("status",), ("status", "--json"), ("check",), ("export", "runs")]
    ended = await asyncio.gather(*(syncer.run(*command) for command in commands))
    running = command_lines()
    runs = await sql.fetchval("select jsonb_agg(r)::text from syncer.sync_run r where outcome = 'failed'")
    assert (await daemon.stop()).code == 0

    assert [answer.status for answer in answers] == [200] * 4
    assert [one.code for one in ended] == [0] * len(commands)
    assert [runs.count(f'"{kind}"') for kind in ("http_status", "not_an_array", "not_json")] == [4, 1, 1]
    for secret in (TOKEN, password):
        assert secret not in "".join([*bodies, running, runs])
