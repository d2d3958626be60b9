"""`syncer run` with nothing but a token: its own PostgreSQL, whose data live on and whose processes do not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.service.processes import TOKEN, command_lines, processes_of, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

RUNS = ("psql", "-X", "-A", "-t", "-c", "select run_id, outcome from syncer.sync_run order by 1 limit 2")
SLEEPING = ("psql", "-X", "-A", "-t", "-c", "select count(*) from pg_stat_activity where query = 'select pg_sleep(2)'")


@run_concurrently
async def test_the_data_survive_other_commands_work_at_the_same_time_and_no_process_is_left(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    state = folder / "state"
    syncer.settings = {**syncer.settings, "database_url": None, "data_dir": str(state)}
    daemon = await syncer.start("run", poll_interval="1h")
    await daemon.wait_for_event("poll_finished", outcome="applied")

    # While the daemon runs, other commands use its server.
    sleeper = await syncer.start("psql", "-X", "-A", "-t", "-c", "select pg_sleep(2)")
    await wait_until(lambda: command_lines().count("select pg_sleep(2)") == 2)
    password = (state / "password").read_text()
    assert password not in command_lines()
    sync = await syncer.run("sync")
    assert sync.result == (0, "default: unchanged: 200 received, 200 unchanged\n")
    status = await syncer.run("status")
    assert status.out.startswith("default  200 numbers: ")
    assert (await sleeper.wait()).result == (0, "\n")
    assert daemon.is_running

    assert (await daemon.stop(within=20)).code == 0
    assert processes_of(state) == set()

    # Without the daemon, a command runs the server for itself.
    assert (await syncer.run(*RUNS)).result == (0, "1|applied\n2|unchanged\n")
    assert processes_of(state) == set()

    # When the server is killed, the daemon restarts it and goes on.
    daemon = await syncer.start("run", poll_interval="1s")
    requests_before = emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] > requests_before)
    os.kill(int((state / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    requests_before = emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] > requests_before + 1)
    assert len(processes_of(state)) > 1

    # When the daemon is killed, the server stops too, and the next command finds the data.
    daemon.send(signal.SIGKILL)
    assert (await daemon.wait()).code == -signal.SIGKILL
    await wait_until(lambda: not processes_of(state), within=20)
    assert (await syncer.run(*RUNS)).result == (0, "1|applied\n2|unchanged\n")
    assert processes_of(state) == set()


async def test_the_env_file_can_set_the_folder_of_postgresqls_programs(syncer: Program, folder: Path) -> None:
    syncer.write(".env", f"SYNCER_PG_BINDIR={folder}\n")
    refused = await syncer.run("status", database_url=None, data_dir=str(folder / "state"))
    assert refused.code == 1
    assert refused.error_line() == (
        f"syncer: SYNCER_PG_BINDIR is {folder}: it must be a folder with postgres, initdb, psql"
    )
