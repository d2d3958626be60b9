"""Takes systems through their steps, and sees that what they leave is right."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from benchmarks.polls.contenders import CHANGED, CURRENT, DLT, FIRST, PROGRAM, SHUFFLED, SYSTEMS, UNCHANGED
from benchmarks.polls.systems.turn import STEPS
from benchmarks.processes import conversation, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.polls.contenders import System
    from benchmarks.polls.databases import Databases
    from benchmarks.polls.results import Figure, Figures
    from benchmarks.polls.workload import Workload

PROCESS_STEPS: Final = (FIRST, UNCHANGED, CHANGED)
# A query, made by the catalog, of how many rows of each table were written since a transaction began.
_COUNTING: Final = """
select string_agg(format('select %L, count(*) from %s where xmin::text::bigint >= %s', oid::regclass, oid::regclass,
                         $1::bigint), ' union all ')
  from pg_class where relkind = 'r' and relnamespace = 'syncer'::regnamespace
"""
_TRANSACTION: Final = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
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
        with self._databases.one() as database, conversation(*self._command(system, database)) as tell:
            for step in system.steps:
                self._take_step(system, step, tell, database, figures.of(self._numbers, system.name, step))

    def _command(self, system: System, database: str, *arguments: str) -> tuple[str, ...]:
        python = self._peers if system.is_peer else sys.executable
        module = f"benchmarks.polls.systems.{system.module}"
        return (python, "-m", module, self._endpoint, self._databases.url(database), *system.arguments, *arguments)

    def _take_step(self, system: System, step: str, tell: Callable[[str], str], database: str, figure: Figure) -> None:
        wal = self._databases.value(int, _WAL)
        transaction = self._databases.value(int, _TRANSACTION)
        told = json.loads(tell(str(STEPS.index(step))))
        figure.seconds.append(told["seconds"])
        figure.peak_bytes.append(told["peak_bytes"])
        figure.wal_bytes.append(self._databases.value(int, _WAL) - wal)
        if system.name == PROGRAM and step in {UNCHANGED, SHUFFLED}:
            figure.written.append(self._written(database, transaction))
        self._check(system, step, database)

    def _written(self, database: str, transaction: int) -> dict[str, int]:
        """How many rows of each table were written since a transaction began."""
        counting = self._databases.value(str, _COUNTING, transaction, name=database)
        return {table: count for table, count in self._databases.rows(counting, name=database) if count}

    def _check(self, system: System, step: str, database: str) -> None:
        if system.current is not None:
            found = self._databases.value(str, CURRENT.format(system.current), name=database)
            if found != self._workload.current[step]:
                sys.exit(f"{system.name} is wrong after the step '{step}': {found}")

    def play_processes(self, figures: Figures) -> None:
        """Takes `syncer sync` and dlt through their steps once, a process a step, on databases that are empty first."""
        systems = {one.name: one for one in SYSTEMS}
        for name in (PROGRAM, DLT):
            with self._databases.one("template0") as database, tempfile.TemporaryDirectory() as folder:
                of_dlt = self._command(systems[name], database, folder)
                command = (sys.executable, "-m", "syncer", "sync") if name == PROGRAM else of_dlt
                for step in PROCESS_STEPS:
                    settings = {
                        "SYNCER_DATABASE_URL": self._databases.url(database),
                        "SYNCER_API_URL": f"{self._endpoint}/{STEPS.index(step)}",
                        "SYNCER_API_TOKEN": "token",
                    }
                    seconds = run(*command, settings=settings, told=f"{STEPS.index(step)}\n")
                    figures.of(self._numbers, name, step).seconds.append(seconds)
                    self._check(systems[name], step, database)
