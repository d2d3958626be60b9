"""Several `syncer run` processes on one database: each account is polled once per interval by any that is alive."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.builders import broken_invariants
from tests.service.processes import Gate, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

NAMES = [f"account-{one}" for one in range(6)]
INTERVAL_SECONDS = 2
# The smallest mean interval between the runs of an account, since a run.
MEAN_INTERVAL = """
select min(pace) from (
    select extract(epoch from max(started_at) - min(started_at))::float8 / (count(*) - 1) as pace
      from syncer.sync_run where run_id > $1 group by account_id having count(*) > 1) paces
"""
HOLDER = """
select lease_holder from syncer.account_schedule join syncer.account using (account_id) where name = $1
"""
# Whether a run of an account was abandoned, which a later success marks.
TAKEN_OVER = """
select exists (select from syncer.account join syncer.sync_run using (account_id)
                where name = $1 and outcome = 'abandoned')
"""


async def lease_holder(name: str, replicas: Sequence[Process], sql: asyncpg.Connection) -> Process:
    """Returns the replica that is polling an account."""
    holder = await sql.fetchval(HOLDER, name)
    (found,) = (replica for replica in replicas if f":{replica.pid}:" in holder)
    return found


async def wait_for_polls(emulator: Emulator, *, times: int) -> None:
    """Waits until each account has been requested this many times more."""
    requests_before = dict(emulator.requests)
    await wait_until(lambda: all(emulator.requests[name] >= requests_before.get(name, 0) + times for name in NAMES))


@run_concurrently
async def test_three_replicas_poll_each_account_once_per_interval_even_if_one_is_killed_and_one_freezes(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    accounts = "".join(f'[[account]]\nname = "{name}"\ntoken = "{name}"\n' for name in NAMES)
    settings = {"api_token": None, "accounts_file": syncer.write("accounts.toml", accounts)}
    replicas = [await syncer.start("run", **settings, poll_interval=f"{INTERVAL_SECONDS}s") for _ in range(3)]

    await wait_for_polls(emulator, times=4)
    assert await sql.fetchval(MEAN_INTERVAL, 0) >= 0.75 * INTERVAL_SECONDS

    # One is killed while it waits for a response; another is frozen until long after its response arrived.
    emulator.fault = faults.Hang(token=NAMES[0], requests=1)
    await wait_until(lambda: emulator.fault is None)
    killed = await lease_holder(NAMES[0], replicas, sql)
    requests_before = emulator.requests[NAMES[0]]
    await killed.kill()
    gate = Gate(opened=asyncio.Event(), token=NAMES[1], requests=1)
    emulator.fault = gate
    await wait_until(lambda: emulator.fault is None)
    frozen = await lease_holder(NAMES[1], replicas, sql)
    assert frozen is not killed
    frozen.send(signal.SIGSTOP)
    gate.opened.set()

    await wait_until(lambda: emulator.requests[NAMES[0]] > requests_before, within=15)
    await wait_until(lambda: sql.fetchval(TAKEN_OVER, NAMES[1]))
    frozen.send(signal.SIGCONT)
    await frozen.wait_for_event("poll_finished", outcome="superseded", account=NAMES[1])

    newest = await sql.fetchval("select max(run_id) from syncer.sync_run")
    await wait_for_polls(emulator, times=3)
    assert await sql.fetchval(MEAN_INTERVAL, newest) >= 0.75 * INTERVAL_SECONDS

    for replica in replicas:
        if replica is not killed:
            assert (await replica.stop(within=10)).code == 0
    assert sum(emulator.requests.values()) <= await sql.fetchval("select count(*) from syncer.sync_run")
    assert await sql.fetchval("select array_agg(distinct lease_holder) from syncer.account_schedule") == [None]
    assert await broken_invariants(database) == []
