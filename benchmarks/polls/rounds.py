"""Runs the steps of the systems, and checks what they store."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from benchmarks.polls.systems import CHANGED, CHECKSUM, DLT, FIRST, SHUFFLED, SYNCER, SYSTEMS, UNCHANGED
from benchmarks.polls.systems.steps import STEPS
from benchmarks.processes import line_exchange, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.polls.databases import Databases
    from benchmarks.polls.results import Measurement, Measurements
    from benchmarks.polls.systems import System
    from benchmarks.polls.workload import Workload

PROCESS_STEPS: Final = (FIRST, UNCHANGED, CHANGED)
# Generates, from the catalog, a query that counts the rows of each table written since a transaction began.
_GENERATE_COUNT: Final = """
select string_agg(format('select %L, count(*) from %s where xmin::text::bigint >= %s', oid::regclass, oid::regclass,
                         $1::bigint), ' union all ')
  from pg_class where relkind = 'r' and relnamespace = 'syncer'::regnamespace
"""
_NEXT_TRANSACTION: Final = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_WAL_POSITION: Final = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"


class Rounds:
    """The rounds of one size; in each, every system gets a database of its own.

    Args:
        numbers: The number of numbers.
        workload: The responses.
        endpoint: The address where they are served.
        databases: Creates the databases.
        dlt_python: The interpreter of the environment that has dlt.
    """

    def __init__(self, numbers: int, workload: Workload, endpoint: str, databases: Databases, dlt_python: str) -> None:
        self._numbers = numbers
        self._workload = workload
        self._endpoint = endpoint
        self._databases = databases
        self._dlt_python = dlt_python

    def run_system(self, system: System, measurements: Measurements) -> None:
        """Runs all steps of a system once, in one process."""
        with self._databases.new() as database, line_exchange(*self._command(system, database)) as exchange:
            for step in system.steps:
                measurement = measurements.get_or_add(self._numbers, system.name, step)
                self._run_step(system, step, exchange, database, measurement)

    def _command(self, system: System, database: str, *arguments: str) -> tuple[str, ...]:
        python = self._dlt_python if system.needs_dlt else sys.executable
        module = f"benchmarks.polls.systems.{system.module}"
        endpoint = self._endpoint + system.transport
        return (python, "-m", module, endpoint, self._databases.url(database), *system.arguments, *arguments)

    def _run_step(
        self, system: System, step: str, exchange: Callable[[str], str], database: str, measurement: Measurement
    ) -> None:
        wal_position = self._databases.value(int, _WAL_POSITION)
        transaction = self._databases.value(int, _NEXT_TRANSACTION)
        report = json.loads(exchange(str(STEPS.index(step))))
        measurement.seconds.append(report["seconds"])
        measurement.processor_seconds.append(report["processor_seconds"])
        measurement.peak_bytes.append(report["peak_bytes"])
        measurement.wal_bytes.append(self._databases.value(int, _WAL_POSITION) - wal_position)
        if system.name == SYNCER and step in {UNCHANGED, SHUFFLED}:
            measurement.written.append(self._count_written_rows(database, transaction))
        self._check(system, step, database)

    def _count_written_rows(self, database: str, transaction: int) -> dict[str, int]:
        """Returns, per table, the number of rows written since a transaction began."""
        query = self._databases.value(str, _GENERATE_COUNT, transaction, name=database)
        return {table: count for table, count in self._databases.rows(query, name=database) if count}

    def _check(self, system: System, step: str, database: str) -> None:
        if system.current is not None:
            found = self._databases.value(str, CHECKSUM.format(system.current), name=database)
            if found != self._workload.checksums[step]:
                sys.exit(f"{system.name}: the numbers are wrong after the step '{step}': {found}")

    def run_processes(self, measurements: Measurements) -> None:
        """Runs `syncer sync` and dlt, one process per step, on databases that are empty at first."""
        systems = {system.name: system for system in SYSTEMS}
        for name in (SYNCER, DLT):
            with self._databases.new("template0") as database, tempfile.TemporaryDirectory() as folder:
                command = (
                    (sys.executable, "-m", "syncer", "sync")
                    if name == SYNCER
                    else self._command(systems[name], database, folder)
                )
                for step in PROCESS_STEPS:
                    settings = {
                        "SYNCER_DATABASE_URL": self._databases.url(database),
                        "SYNCER_API_URL": f"{self._endpoint}/{STEPS.index(step)}",
                        "SYNCER_API_TOKEN": "token",
                    }
                    seconds = run(*command, settings=settings, stdin=f"{STEPS.index(step)}\n")
                    measurements.get_or_add(self._numbers, name, step).seconds.append(seconds)
                    self._check(systems[name], step, database)
