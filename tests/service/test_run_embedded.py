"""`syncer run` with nothing but a token: its own PostgreSQL, whose data live on and whose processes do not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.service.processes import TOKEN, processes_of, titles, until
from tests.service.scenarios import told_at_once

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

RUNS = ("psql", "-X", "-A", "-t", "-c", "select run_id, outcome from syncer.sync_run order by 1 limit 2")
SLEEPING = ("psql", "-X", "-A", "-t", "-c", "select count(*) from pg_stat_activity where query = 'select pg_sleep(2)'")


@told_at_once
async def test_the_data_live_on_the_other_commands_work_beside_it_and_no_process_is_left(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    state = folder / "state"
    syncer.settings = {**syncer.settings, "database_url": None, "data_dir": str(state)}
    daemon = await syncer.start("run", poll_interval="1h")
    await daemon.says("poll_finished", outcome="applied")

    # Beside it: each uses the server that is running.
    sleeper = await syncer.start("psql", "-X", "-A", "-t", "-c", "select pg_sleep(2)")
    await until(lambda: titles().count("select pg_sleep(2)") == 2)
    password = (state / "password").read_text()
    assert password not in titles()
    sync = await syncer.run("sync")
    assert sync.result == (0, "default: unchanged: 200 received, 200 unchanged\n")
    status = await syncer.run("status")
    assert "default  " in status.out
    assert (await sleeper.finished()).result == (0, "\n")
    assert daemon.is_running

    assert (await daemon.end(within=20)).code == 0
    assert processes_of(state) == set()

    # Alone: a command runs the server for as long as it needs it.
    assert (await syncer.run(*RUNS)).result == (0, "1|applied\n2|unchanged\n")
    assert processes_of(state) == set()

    # The server killed: the daemon starts it again, and goes on.
    daemon = await syncer.start("run", poll_interval="1s")
    seen = emulator.requests[TOKEN]
    await until(lambda: emulator.requests[TOKEN] > seen)
    os.kill(int((state / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    seen = emulator.requests[TOKEN]
    await until(lambda: emulator.requests[TOKEN] > seen + 1)
    assert len(processes_of(state)) > 1

    # The daemon killed: the server goes with it, and the next one finds the data.
    daemon.send(signal.SIGKILL)
    assert (await daemon.finished()).code == -signal.SIGKILL
    await until(lambda: not processes_of(state), within=20)
    assert (await syncer.run(*RUNS)).result == (0, "1|applied\n2|unchanged\n")
    assert processes_of(state) == set()


async def test_the_folder_of_postgresqls_programs_may_stand_in_the_env_file(syncer: Program, folder: Path) -> None:
    syncer.write(".env", f"SYNCER_PG_BINDIR={folder}\n")
    refused = await syncer.run("status", database_url=None, data_dir=str(folder / "state"))
    assert refused.code == 1
    assert refused.complaint() == (
        f"syncer: SYNCER_PG_BINDIR is {folder}: it must be a folder with postgres, initdb, psql"
    )
