"""The program beside others and beside the least that the work can cost, on the same responses.

    python -m benchmarks.polls [--sizes 1000 10000 100000] [--rounds 5] [--peers PYTHON] [--results FILE]

A round gives every system a database of its own and takes it through all steps; the systems take turns, so that
whatever else the machine does meets each of them. What is told are medians over the rounds, and ratios of medians.
After each step it is checked that what is current in the system's tables is what the endpoint said.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.polls.systems.turn import STEPS
from benchmarks.polls.workload import make, served
from syncer.embedded import EmbeddedServer
from syncer.store.engine import create_engine
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.polls.workload import Workload

FOLDER: Final = Path(__file__).parent / "systems"
CHECKOUT: Final = FOLDER.parents[2]
UNLEARNED: Final = "1 % changed, restarted"
"""A step for those alone that remember something in memory."""


@dataclass(frozen=True, slots=True)
class System:
    """A program that is given the steps.

    Attributes:
        script: In the folder `systems`.
        arguments: After the endpoint's and the database's address.
        steps: Those that it takes.
        is_peer: Whether it is another's, with an environment of its own.
        most_numbers: With more of them it would take too long.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    steps: tuple[str, ...] = STEPS
    is_peer: bool = False
    most_numbers: int = 10**9


ONCE: Final = tuple(step for step in STEPS if step != UNLEARNED)
SYSTEMS: Final = (
    System("request", "floor.py", ("request",), ("unchanged",)),
    System("request, digest", "floor.py", ("digest",), ("unchanged",)),
    System("request, decode, COPY", "floor.py", ("load",), ("first load",)),
    System("rows alone", "floor.py", ("rows",), ("first load", "1 % changed", "all changed")),
    System("syncer", "program.py"),
    System("Core, executemany", "upsert.py", ("executemany",), ONCE, most_numbers=100_000),
    System("Core, VALUES", "upsert.py", ("values",), ONCE, most_numbers=100_000),
    System("dlt scd2", "scd2.py", (), ONCE, is_peer=True, most_numbers=100_000),
)


@dataclass
class Results:
    """Seconds, peak bytes and WAL bytes of every turn, by numbers, system and step."""

    seconds: defaultdict[tuple[int, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_bytes: defaultdict[tuple[int, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    wal_bytes: defaultdict[tuple[int, str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    body_bytes: dict[int, int] = field(default_factory=dict)

    def median(self, numbers: int, system: str, step: str) -> float | None:
        """The median of the rounds' seconds; None where the system does not take the step."""
        found = self.seconds.get((numbers, system, step))
        return median(found) if found else None


class Databases:
    """Databases with the program's schema, on an embedded server with its usual settings."""

    def __init__(self, url: str) -> None:
        self._server = url.rpartition("/")[0]
        self._made = 0

    async def migrate(self) -> None:
        """Makes the one that the others are copied from."""
        await self.execute("create database migrated")
        engine = create_engine(lambda: f"{self._server}/migrated", command_timeout=None)
        await migrate(engine)
        await engine.dispose()

    async def execute(self, statement: str) -> Any:  # noqa: ANN401 - whatever it selects
        """Executes a statement on the server; what it returned first."""
        connection = await asyncpg.connect(f"{self._server}/postgres")
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address of a database that is dropped in the end."""
        self._made += 1
        name = f"round_{self._made}"
        asyncio.run(self.execute(f"create database {name} template migrated"))
        asyncio.run(self.execute("checkpoint"))
        try:
            yield f"{self._server}/{name}"
        finally:
            asyncio.run(self.execute(f"drop database {name} with (force)"))


def play(
    system: System, numbers: int, workload: Workload, endpoint: str, databases: Databases, python: str, results: Results
) -> None:
    """Takes a system through its steps once."""
    with databases.one() as database:
        process = subprocess.Popen(  # noqa: S603 - this folder's own scripts
            [python, FOLDER / system.script, endpoint, database, *system.arguments],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": os.fspath(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        for step in system.steps:
            written = asyncio.run(databases.execute("select pg_current_wal_insert_lsn() - '0/0'"))
            process.stdin.write(f"{STEPS.index(step)}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{system.name} ended at the step '{step}' with exit code {process.wait()}")
            told = json.loads(line)
            # The floors of the response alone write nothing, so there is nothing to check.
            if len(system.steps) > 1 and told["current"] != workload.current[step]:
                sys.exit(f"{system.name} is wrong after the step '{step}': {told['current']}")
            results.seconds[numbers, system.name, step].append(told["seconds"])
            wal = asyncio.run(databases.execute("select pg_current_wal_insert_lsn() - '0/0'")) - written
            results.wal_bytes[numbers, system.name, step].append(int(wal))
        results.peak_bytes[numbers, system.name].append(told["peak_bytes"])
        process.stdin.close()
        process.wait()


def table(numbers: int, results: Results) -> Table:
    """Medians in seconds of all systems for one size, and their ratio to the floor of a request and a digest."""
    shown = Table(
        "seconds", *STEPS, "peak MiB", title=f"{numbers:,} numbers, {results.body_bytes[numbers] / 1e6:.1f} MB"
    )
    floor = results.median(numbers, "request, digest", "unchanged") or 1
    for system in SYSTEMS:
        medians = [results.median(numbers, system.name, step) for step in STEPS]
        if any(medians):
            cells = ["" if one is None else f"{one:.3f} ({one / floor:.1f})" for one in medians]
            peak = median(results.peak_bytes[numbers, system.name]) / 2**20
            shown.add_row(system.name, *cells, f"{peak:.0f}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it all and prints a table a size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter of an environment that has dlt")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="these systems alone")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where to write every figure as JSON")
    given = parser.parse_args(arguments)
    results, console, begun = Results(), Console(), time.monotonic()
    systems = [
        one for one in SYSTEMS if (given.peers or not one.is_peer) and (given.only is None or one.name in given.only)
    ]
    folder = Path(tempfile.mkdtemp(prefix="syncer-bench-"))
    folder.chmod(0o755)
    with EmbeddedServer(folder) as server, Progress(console=Console(stderr=True), transient=True) as progress:
        databases = Databases(server.url)
        asyncio.run(databases.migrate())
        for numbers in given.sizes:
            workload = make(numbers)
            results.body_bytes[numbers] = len(workload.bodies[STEPS[0]])
            taking = [one for one in systems if numbers <= one.most_numbers]
            task = progress.add_task(f"{numbers:,} numbers", total=given.rounds * len(taking))
            with served(workload) as endpoint:
                for _ in range(given.rounds):
                    for system in taking:
                        python = given.peers if system.is_peer else sys.executable
                        play(system, numbers, workload, endpoint, databases, python, results)
                        progress.advance(task)
            progress.remove_task(task)
            console.print(table(numbers, results))
    shutil.rmtree(folder)
    if given.results:
        rows = [
            {"numbers": size, "system": system, "step": step, "seconds": seconds, "wal_bytes": results.wal_bytes[key]}
            for key, seconds in results.seconds.items()
            for size, system, step in [key]
        ]
        given.results.write_text(json.dumps(rows, indent=1) + "\n")
    console.print(f"{time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
