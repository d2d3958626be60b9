"""An erasure whose process is killed has happened as a whole, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import record, redirect
from tests.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders import PolledAccount

NUMBER = "79261234567"
KILL_POINTS = {
    "before it is remembered": ((b"insert into syncer.erasure",), "hold the request"),
    "once it is remembered": ((b"insert into syncer.erasure",), "hold the response"),
    "between the tables": ((b"update syncer.virtual_number_history",), "hold the response"),
    "before the redirects": ((b"update syncer.virtual_number_redirect t",), "hold the request"),
    "before the commit": ((b"update syncer.erasure", b"COMMIT"), "hold the request"),
    "after the commit": ((b"update syncer.erasure", b"COMMIT"), "hold the response"),
}
COMMITTED = {"after the commit"}
FOUND = """
select (select count(*) from syncer.erasure), (select count(*) from syncer.virtual_number where number = $1),
       (select count(*) from syncer.virtual_number_history where comment is not null),
       (select count(*) from syncer.virtual_number_redirect where number = '79051112233')
"""


@pytest.mark.parametrize("kill_point", KILL_POINTS)
async def test_a_killed_erasure_has_happened_as_a_whole_or_not_at_all(
    kill_point: str, account: PolledAccount, database: str, tmp_path: Path
) -> None:
    patterns, then = KILL_POINTS[kill_point]
    redirects = [redirect(7, "79051112233")]
    await account.poll(record(1, number=NUMBER, comment="Иванов", from_redirect_numbers=redirects))
    await account.poll(record(1, number=NUMBER, comment="Петров", from_redirect_numbers=redirects))
    before = await account.row(FOUND, NUMBER)
    assert before == (0, 1, 1, 1)
    inherited = ("PATH", "COVERAGE_PROCESS_CONFIG")
    environment = {name: os.environ[name] for name in inherited if name in os.environ}
    async with Proxy(database) as proxy:
        proxy.intercept(*patterns, then=then)  # type: ignore[arg-type] # a literal, from the table above
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncer", "erase", "--account", "default", "--number", NUMBER, "--yes"),
            cwd=tmp_path,
            env=environment | {"SYNCER_DATABASE_URL": proxy.url},
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            await proxy.intercepted.wait()
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    assert await account.row(FOUND, NUMBER) == ((1, 0, 0, 0) if kill_point in COMMITTED else before)
    assert await account.broken_invariants() == []
