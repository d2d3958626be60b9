"""Measures polls, and compares them with other programs and with the minimum for the same work.

    python -m benchmarks.polls --dlt-python PYTHON [--sizes 1000 10000 100000 1000000] [--rounds 5] [--publish]

In each round, every system gets a database of its own and runs all steps. The systems run alternately, so that other
load on the machine affects all of them. The results are medians of the rounds, and ratios of medians. After each step,
the current rows in the system's tables are compared with the response. Also measured are whole processes, the start of
a command, and how long /livez waits while a daemon polls.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress, TimeElapsedColumn

from benchmarks import stalls, startup
from benchmarks.polls import report
from benchmarks.polls.databases import Databases
from benchmarks.polls.results import FILE, Results
from benchmarks.polls.rounds import Rounds
from benchmarks.polls.systems import SYSTEMS
from benchmarks.polls.targets import LARGEST, SIZE
from benchmarks.polls.workload import make, served
from benchmarks.processes import compile_program, run
from benchmarks.server import embedded_server

SIZES: Final = (1_000, 10_000, SIZE, LARGEST)
ROUNDS: Final = 5
ROUNDS_OF_LARGEST: Final = 1
"""This round takes a quarter of the whole time, and no target is a ratio of its results."""
PARTS: Final = ("polls", "processes", "startup", "stalls")


class Benchmark:
    """One run of the benchmark.

    Args:
        arguments: The command line's arguments.
        databases: Creates the databases.
        progress: Shows what is being measured.
    """

    def __init__(self, arguments: argparse.Namespace, databases: Databases, progress: Progress) -> None:
        self._arguments = arguments
        self._databases = databases
        self._progress = progress
        self.results = Results.begin(databases.value(str, "show server_version"))

    def measure(self) -> None:
        """Measures everything that was requested."""
        compile_program()
        begun = time.monotonic()
        if "startup" in self._arguments.parts:
            self.results.startup = startup.measure(self._databases)
        for numbers in self._arguments.sizes:
            with tempfile.TemporaryDirectory(prefix="syncer-bench-") as folder:
                self._measure_size(numbers, Path(folder))
            self.results.minutes = (time.monotonic() - begun) / 60
            if self._arguments.results:
                self.results.save(self._arguments.results)

    def _measure_size(self, numbers: int, folder: Path) -> None:
        parts = self._arguments.parts
        rounds = range(ROUNDS_OF_LARGEST if numbers >= LARGEST else self._arguments.rounds)
        task = self._progress.add_task(f"{numbers:,} numbers: making the responses", total=None)
        workload = make(numbers, folder)
        self.results.body_bytes[numbers] = workload.body_bytes
        self.results.gzip_bytes[numbers] = workload.gzip_bytes
        with served(workload) as endpoint:
            measured = Rounds(numbers, workload, endpoint, self._databases, self._arguments.dlt_python)
            for number in rounds if "polls" in parts else ():
                for system in SYSTEMS:
                    if system.runs_in(numbers, number) and system.name in (self._arguments.only or [system.name]):
                        description = f"{numbers:,} numbers, round {number + 1} of {len(rounds)}: {system.name}"
                        self._progress.update(task, description=description)
                        measured.run_system(system, self.results.polls)
            for number in rounds if "processes" in parts and numbers == SIZE else ():
                self._progress.update(task, description=f"whole processes, round {number + 1} of {len(rounds)}")
                measured.run_processes(self.results.processes)
        for number in rounds if "stalls" in parts and numbers in {SIZE, LARGEST} else ():
            self._progress.update(task, description=f"{numbers:,} numbers: /livez, round {number + 1} of {len(rounds)}")
            waits = stalls.longest_waits(workload, self._databases)
            self.results.stalls.setdefault(numbers, []).append(waits)
        self._progress.remove_task(task)


def publish(results: Results, dlt_python: str) -> None:
    """Stores the results, and writes the page and the picture."""
    results.save(FILE)
    report.PAGE.write_text(report.page(results))
    run(dlt_python, "-m", "benchmarks.polls.picture")


def main() -> None:
    """Runs the benchmark and prints the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls", description=__doc__.splitlines()[0])
    parser.add_argument("--dlt-python", metavar="PYTHON", required=True, help="the environment that has dlt")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="measure only the polls of these systems")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md and its picture")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="write the results so far to this file, after each size",
    )
    arguments = parser.parse_args()
    console = Console(width=160)
    columns = (*Progress.get_default_columns()[:1], TimeElapsedColumn())
    with embedded_server() as url, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        benchmark = Benchmark(arguments, Databases(url), progress)
        benchmark.measure()
    results = benchmark.results
    if arguments.publish:
        publish(results, arguments.dlt_python)
    console.print(Markdown(report.page(results)))


if __name__ == "__main__":
    main()
