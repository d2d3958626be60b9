"""A process that is killed while it reads a list of names leaves the names as they were, or as the list has them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import STATIC, Emulator, faults
from tests.builders import settings_for
from tests.named_account import NamedAccount, answering, employee, read_due
from tests.proxy import Proxy
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from syncer.store.engine import Engine

KILL_POINTS = {
    "once it is claimed": ((b"update syncer.name_list l set lease_holder",), "hold the response"),
    "before the lock": ((b"select success_at, body_digest",), "hold the request"),
    "before the history": ((b"insert into syncer.name_history",), "hold the request"),
    "between the history and the names": ((b"insert into syncer.name_history",), "hold the response"),
    "before new names": ((b"insert into syncer.name ",), "hold the request"),
    "before those that are not listed": ((b"update syncer.name set unlisted_since",), "hold the request"),
    "before the outcome": ((b"set lease_holder = null, lease_until = null, success_at",), "hold the request"),
    "before the commit": ((b"set lease_holder = null, lease_until = null, success_at", b"COMMIT"), "hold the request"),
    "after the commit": ((b"set lease_holder = null, lease_until = null, success_at", b"COMMIT"), "hold the response"),
}
COMMITTED = {"after the commit"}
FIRST = (employee(1), employee(2), employee(3))
THEN = (employee(1, "Белова Анна"), employee(3), employee(4))
BEFORE = [(1, "Орлова Анна", False, 0), (2, "Орлова Анна", False, 0), (3, "Орлова Анна", False, 0)]
AFTER = [
    (1, "Белова Анна", False, 1),
    (2, "Орлова Анна", True, 0),
    (3, "Орлова Анна", False, 0),
    (4, "Орлова Анна", False, 0),
]
STORED = """
select object_id, name, unlisted_since is not null,
       (select count(*) from syncer.name_history h where (h.list, h.object_id) = (n.list, n.object_id))
  from syncer.name n where list = 'employees' order by object_id
"""


@pytest.fixture
async def named(engine: Engine, sql: asyncpg.Connection) -> AsyncIterator[NamedAccount]:
    async with (
        Emulator(numbers=20, rates=STATIC) as emulator,
        NamedAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        yield account


async def start_sync(folder: Path, database: str, url: str) -> asyncio.subprocess.Process:
    inherited = ("PATH", "COVERAGE_PROCESS_CONFIG")
    environment = {name: os.environ[name] for name in inherited if name in os.environ}
    settings = {"DATABASE_URL": database, "API_URL": url, "API_TOKEN": "token", "NAMES": "employees"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncer", "sync"),
        cwd=folder,
        env=environment | {f"SYNCER_{name}": value for name, value in settings.items()},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("kill_point", KILL_POINTS)
async def test_a_killed_process_leaves_the_names_as_before_or_after_the_list(
    kill_point: str, named: NamedAccount, database: str, tmp_path: Path
) -> None:
    patterns, then = KILL_POINTS[kill_point]
    await named.read_employees(*FIRST)
    await named.sql.execute("update syncer.name_list set due_at = syncer.clock()")
    named.emulator.queue(answering("employees", *THEN))
    async with Proxy(database) as proxy:
        proxy.intercept(*patterns, then=then)  # type: ignore[arg-type] # a literal, from the table above
        process = await start_sync(tmp_path, proxy.url, named.emulator.url)
        async with asyncio.timeout(60):
            await proxy.intercepted.wait()
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    assert await named.rows(STORED) == (AFTER if kill_point in COMMITTED else BEFORE)
    assert await named.broken_invariants() == []
    await named.sql.execute("update syncer.name_list set lease_until = syncer.clock()")
    await named.read(answering("employees", *THEN))
    assert await named.rows(STORED) == AFTER
    assert await named.broken_invariants() == []


async def test_a_process_killed_while_it_waits_for_a_list_leaves_a_lease_that_ends(
    named: NamedAccount, tmp_path: Path, database: str
) -> None:
    await named.read_employees(*FIRST)
    await named.sql.execute("update syncer.name_list set due_at = syncer.clock()")
    named.emulator.queue(faults.Hang(path="/employee"))
    process = await start_sync(tmp_path, database, named.emulator.url)
    await wait_until(lambda: named.emulator.requests_by_path["/employee"] == 2)
    process.kill()
    await process.wait()

    assert await named.rows(STORED) == BEFORE
    assert await named.row("select lease_until - attempted_at <= interval '2 minutes' from syncer.name_list") == (True,)
    accounts: dict[int, Any] = await named.accounts("employees")
    named.emulator.queue(answering("employees", *THEN))
    await read_due(named.reader(), accounts)
    assert await named.rows(STORED) == BEFORE
    await named.sql.execute("update syncer.name_list set lease_until = syncer.clock()")
    await read_due(named.reader(), accounts)
    assert await named.rows(STORED) == AFTER
