"""Takes systems through their steps, and sees that what they leave is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.polls.contenders import CHANGED, CURRENT, DLT, FIRST, PROGRAM, SHUFFLED, SYSTEMS, UNCHANGED
from benchmarks.polls.systems.turn import STEPS

if TYPE_CHECKING:
    from benchmarks.polls.contenders import System
    from benchmarks.polls.databases import Databases
    from benchmarks.polls.results import Figure, Figures
    from benchmarks.polls.workload import Workload

PROCESS_STEPS: Final = (FIRST, UNCHANGED, CHANGED)
FOLDER: Final = Path(__file__).parent / "systems"
CHECKOUT: Final = FOLDER.parents[2]
_TABLES: Final = (
    "select array_agg(oid::regclass::text) from pg_class where relkind = 'r' and relnamespace = 'syncer'::regnamespace"
)
_WAL: Final = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"


class Rounds:
    """Rounds of one size: each gives every system a database of its own.

    Args:
        numbers: How many there are.
        workload: The responses.
        endpoint: Where they are served.
        databases: Where databases come from.
        peers: The interpreter of the environment that has the peers.
    """

    def __init__(self, numbers: int, workload: Workload, endpoint: str, databases: Databases, peers: str) -> None:
        self._numbers = numbers
        self._workload = workload
        self._endpoint = endpoint
        self._databases = databases
        self._peers = peers

    def play(self, system: System, figures: Figures) -> None:
        """Takes a system through its steps once, in one process."""
        with self._databases.one() as database:
            command = self._command(system, database)
            with subprocess.Popen(  # noqa: S603 - this folder's own scripts
                command, cwd=CHECKOUT, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                for step in system.steps:
                    self._take_step(system, step, process, database, figures.of(self._numbers, system.name, step))
                if process.stdin is not None:
                    process.stdin.close()

    def _command(self, system: System, database: str, *arguments: str) -> list[str]:
        python = self._peers if system.is_peer else sys.executable
        url = self._databases.url(database)
        return [python, os.fspath(FOLDER / system.script), self._endpoint, url, *system.arguments, *arguments]

    def _take_step(
        self, system: System, step: str, process: subprocess.Popen[str], database: str, figure: Figure
    ) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        wal = self._databases.ask(_WAL)
        transaction = self._databases.ask("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        process.stdin.write(f"{STEPS.index(step)}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            sys.exit(f"{system.name} ended at the step '{step}' with exit code {process.wait()}")
        told = json.loads(line)
        figure.seconds.append(told["seconds"])
        figure.peak_bytes.append(told["peak_bytes"])
        figure.wal_bytes.append(self._databases.ask(_WAL) - wal)
        if system.name == PROGRAM and step in {UNCHANGED, SHUFFLED}:
            figure.written.append(self._written(database, transaction))
        self._check(system, step, database)

    def _written(self, database: str, transaction: int) -> dict[str, int]:
        """How many rows of each table were written since a transaction began."""
        ask = self._databases.ask
        counts = {
            table: ask(f"select count(*) from {table} where xmin::text::bigint >= {transaction}", database)  # noqa: S608 - a catalog's names
            for table in ask(_TABLES, database)
        }
        return {table: count for table, count in counts.items() if count}

    def _check(self, system: System, step: str, database: str) -> None:
        if system.current is not None:
            found = self._databases.ask(CURRENT.format(system.current), database)
            if found != self._workload.current[step]:
                sys.exit(f"{system.name} is wrong after the step '{step}': {found}")

    def play_processes(self, figures: Figures) -> None:
        """Takes `syncer sync` and dlt through their steps once, a process a step, on databases that are empty first."""
        systems = {one.name: one for one in SYSTEMS}
        for name in (PROGRAM, DLT):
            with self._databases.one("template0") as database, tempfile.TemporaryDirectory() as folder:
                for step in PROCESS_STEPS:
                    command = (
                        [sys.executable, "-m", "syncer", "sync"]
                        if name == PROGRAM
                        else self._command(systems[name], database, folder)
                    )
                    settings = {
                        "SYNCER_DATABASE_URL": self._databases.url(database),
                        "SYNCER_API_URL": f"{self._endpoint}/{STEPS.index(step)}",
                        "SYNCER_API_TOKEN": "token",
                    }
                    seconds = _seconds(command, settings, f"{STEPS.index(step)}\n")
                    figures.of(self._numbers, name, step).seconds.append(seconds)
                    self._check(systems[name], step, database)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.fspath(CHECKOUT)}


def _seconds(command: list[str], settings: dict[str, str], told: str) -> float:
    """How long a process takes, from its start to its end."""
    begun = time.perf_counter()
    ended = subprocess.run(  # noqa: S603 - the program's, and this folder's own scripts
        command, cwd=CHECKOUT, env=_environment() | settings, input=told, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if ended.returncode:
        sys.exit(f"{command[1:]} ended with exit code {ended.returncode}: {ended.stderr}")
    return seconds
