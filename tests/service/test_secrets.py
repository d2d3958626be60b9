"""What an attacker looks through: the token and the database's password are in none of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from syncer.emulator import faults
from tests.service.processes import TOKEN, titles
from tests.service.scenarios import told_at_once

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program


@told_at_once
async def test_an_endpoint_that_repeats_the_token_gets_it_into_no_log_row_metric_page_or_process_title(
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
    url = (await daemon.says("http_listening"))["url"]
    await daemon.says("poll_finished", outcome="applied")
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(url + path) for path in ("/", "/metrics", "/readyz", "/livez")]
        seen = [await answer.text() for answer in answers]
    # What these say is looked through where they end, as what the daemon says is.
    commands = [("status",), ("status", "--json"), ("check",), ("export", "runs")]
    ended = await asyncio.gather(*(syncer.run(*command) for command in commands))
    running = titles()
    runs = await sql.fetchval("select jsonb_agg(r)::text from syncer.sync_run r where outcome = 'failed'")
    assert (await daemon.end()).code == 0

    assert [answer.status for answer in answers] == [200] * 4
    assert [one.code for one in ended] == [0] * len(commands)
    assert [runs.count(f'"{kind}"') for kind in ("http_status", "not_an_array", "not_json")] == [4, 1, 1]
    for secret in (TOKEN, password):
        assert secret not in "".join([*seen, running, runs])
