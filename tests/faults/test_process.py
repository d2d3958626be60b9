"""Faults of the process: SIGTERM in a transaction, and SIGSTOP while another replica polls."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.locks import lock_table_in_another_session
from tests.service.processes import TOKEN, Gate, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program

RUNS = "select run_id, coalesce(error_kind, outcome) from syncer.sync_run where outcome <> 'unchanged' order by 1"
PORTING = "select count(*) from syncer.virtual_number where state = 'porting'"


async def runs(sql: asyncpg.Connection) -> list[tuple[int, str]]:
    """Returns the runs that changed something or failed, with their outcomes."""
    return [(run_id, outcome) for run_id, outcome in await sql.fetch(RUNS)]


@run_concurrently
async def test_sigterm_in_a_transaction_commits_within_the_timeout_or_rolls_back_and_exits_with_0(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    daemon = await syncer.start("run", poll_interval="1s")
    await daemon.wait_for_event("poll_finished", outcome="applied")
    async with lock_table_in_another_session(database, "virtual_number") as wait_for_blocked_backends:
        emulator.fault = faults.UnknownState(count=3)
        await wait_for_blocked_backends()
        daemon.send(signal.SIGTERM)
        await daemon.wait_for_event("finishing_polls", polls=1)
    finished = await daemon.wait(within=10)

    assert finished.code == 0
    assert daemon.events("poll_finished", outcome="applied")[-1]["state_changes"] == 3
    assert await sql.fetchval(PORTING) == 3

    emulator.fault = faults.UnknownState(count=8)
    daemon = await syncer.start("run", poll_interval="1s", shutdown_timeout="1s")
    async with lock_table_in_another_session(database, "virtual_number") as wait_for_blocked_backends:
        await wait_for_blocked_backends()
        rolled_back = await daemon.stop(within=20)

    assert rolled_back.code == 0
    assert daemon.event_names == ["daemon_started", "finishing_polls", "daemon_stopped"]
    assert await sql.fetchval(PORTING) == 3
    synced = await syncer.run("sync")
    assert synced.code == 0
    assert await sql.fetchval(PORTING) == 8
    outcomes = [outcome for _, outcome in await runs(sql)]
    assert outcomes == ["applied", "applied", "abandoned", "applied"]
    assert (await syncer.run("check", "--data")).code == 0


@run_concurrently
async def test_a_replica_resumed_after_another_has_polled_is_superseded_and_continues_polling(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    gate = Gate(opened=asyncio.Event(), requests=1)
    emulator.queue(gate, faults.UnknownState())
    frozen = await syncer.start("run", poll_interval="1s")
    await wait_until(lambda: emulator.requests[TOKEN] == 1)
    frozen.send(signal.SIGSTOP)
    gate.opened.set()  # its response, in which no number is porting, is received later

    other = await syncer.start("run", poll_interval="1s")
    await other.wait_for_event("poll_finished", outcome="applied", created=200)  # after the other's lease has expired
    assert await runs(sql) == [(1, "abandoned"), (2, "applied")]
    frozen.send(signal.SIGCONT)

    late = await frozen.wait_for_event("poll_finished", outcome="superseded")

    assert late["run_id"] == 1
    assert await runs(sql) == [(1, "superseded"), (2, "applied")]
    assert await sql.fetchval(PORTING) == 1
    assert (await other.stop(within=10)).code == 0
    seen = emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] >= seen + 2)
    assert (await frozen.stop(within=10)).code == 0
    assert await runs(sql) == [(1, "superseded"), (2, "applied")]
    assert (await syncer.run("check", "--data")).code == 0
