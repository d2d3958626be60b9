"""Several `syncer run` on one database: each account is polled once an interval, whichever of them lives."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.builders import broken_invariants
from tests.service.processes import Gate, until
from tests.service.scenarios import told_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

NAMES = [f"account-{one}" for one in range(6)]
INTERVAL_SECONDS = 2
# From one run's beginning to the next one's, on average, of the account that is polled most often since a run.
PACE = """
select min(pace) from (
    select extract(epoch from max(started_at) - min(started_at))::float8 / (count(*) - 1) as pace
      from syncer.sync_run where run_id > $1 group by account_id having count(*) > 1) paces
"""
HOLDER = """
select lease_holder from syncer.account_schedule join syncer.account using (account_id) where name = $1
"""
# Whether a later run of an account has succeeded than one that never came to its end.
TAKEN_OVER = """
select exists (select from syncer.account join syncer.sync_run using (account_id)
                where name = $1 and outcome = 'abandoned')
"""


async def holder_of(name: str, replicas: Sequence[Process], sql: asyncpg.Connection) -> Process:
    """Which of them is polling an account."""
    holder = await sql.fetchval(HOLDER, name)
    (found,) = (replica for replica in replicas if f":{replica.pid}:" in holder)
    return found


async def everyone_is_polled(emulator: Emulator, *, times: int) -> None:
    """Waits until each account has been asked for so many times more."""
    seen = dict(emulator.requests)
    await until(lambda: all(emulator.requests[name] >= seen.get(name, 0) + times for name in NAMES))


@told_at_once
async def test_three_replicas_poll_each_account_once_an_interval_though_one_is_killed_and_one_freezes(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    accounts = "".join(f'[[account]]\nname = "{name}"\ntoken = "{name}"\n' for name in NAMES)
    settings = {"api_token": None, "accounts_file": syncer.write("accounts.toml", accounts)}
    replicas = [await syncer.start("run", **settings, poll_interval=f"{INTERVAL_SECONDS}s") for _ in range(3)]

    await everyone_is_polled(emulator, times=4)
    assert await sql.fetchval(PACE, 0) >= 0.75 * INTERVAL_SECONDS

    # One is killed while it waits for an answer, another frozen until long after its answer has come.
    emulator.fault = faults.Hang(token=NAMES[0], requests=1)
    await until(lambda: emulator.fault is None)
    killed = await holder_of(NAMES[0], replicas, sql)
    seen = emulator.requests[NAMES[0]]
    await killed.kill()
    gate = Gate(opened=asyncio.Event(), token=NAMES[1], requests=1)
    emulator.fault = gate
    await until(lambda: emulator.fault is None)
    frozen = await holder_of(NAMES[1], replicas, sql)
    assert frozen is not killed
    frozen.send(signal.SIGSTOP)
    gate.opened.set()

    await until(lambda: emulator.requests[NAMES[0]] > seen, within=15)
    await until(lambda: sql.fetchval(TAKEN_OVER, NAMES[1]))
    frozen.send(signal.SIGCONT)
    await frozen.says("poll_finished", outcome="superseded", account=NAMES[1])

    newest = await sql.fetchval("select max(run_id) from syncer.sync_run")
    await everyone_is_polled(emulator, times=3)
    assert await sql.fetchval(PACE, newest) >= 0.75 * INTERVAL_SECONDS

    for replica in replicas:
        if replica is not killed:
            assert (await replica.end(within=10)).code == 0
    assert sum(emulator.requests.values()) <= await sql.fetchval("select count(*) from syncer.sync_run")
    assert await sql.fetchval("select array_agg(distinct lease_holder) from syncer.account_schedule") == [None]
    assert await broken_invariants(database) == []
