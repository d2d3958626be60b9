"""The program beside others and beside the least that the work can cost, on the same responses.

    python -m benchmarks.polls --peers PYTHON [--sizes 1000 10000 100000 1000000] [--rounds 5] [--publish]

A round gives every system a database of its own and takes it through all steps; the systems take turns, so that
whatever else the machine does meets each of them. What is told are medians over the rounds, and ratios of medians.
After each step it is checked that what is current in the system's tables is what the endpoint said. Besides are
measured: whole processes, what the start of a command costs, and how long /livez waits while a daemon polls.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from benchmarks import stalls, startup
from benchmarks.polls import report
from benchmarks.polls.contenders import SYSTEMS
from benchmarks.polls.databases import Databases
from benchmarks.polls.results import FILE, Results
from benchmarks.polls.rounds import Rounds
from benchmarks.polls.targets import LARGEST, SIZE
from benchmarks.polls.workload import make, served
from benchmarks.processes import run
from benchmarks.server import embedded_server

SIZES: Final = (1_000, 10_000, SIZE, LARGEST)
ROUNDS: Final = 5
ROUNDS_OF_THE_LARGEST: Final = 1
"""It takes a quarter of the whole time, and no ratio is claimed of it."""
PARTS: Final = ("polls", "processes", "startup", "stalls")


class Benchmark:
    """One run.

    Args:
        given: What was said on the command line.
        databases: Where databases come from.
        progress: Where it is shown how far it is.
    """

    def __init__(self, given: argparse.Namespace, databases: Databases, progress: Progress) -> None:
        self._given = given
        self._databases = databases
        self._progress = progress
        self.results = Results.begin(databases.value(str, "show server_version"))

    def measure(self) -> None:
        """Measures all that is asked for."""
        begun = time.monotonic()
        if "startup" in self._given.parts:
            self.results.startup = startup.measure(self._databases)
        for numbers in self._given.sizes:
            with tempfile.TemporaryDirectory(prefix="syncer-bench-") as folder:
                self._measure_size(numbers, Path(folder))
            self.results.minutes = (time.monotonic() - begun) / 60
            if self._given.results:
                self.results.save(self._given.results)

    def _measure_size(self, numbers: int, folder: Path) -> None:
        parts = self._given.parts
        rounds = range(ROUNDS_OF_THE_LARGEST if numbers >= LARGEST else self._given.rounds)
        task = self._progress.add_task(f"{numbers:,} numbers: making them up", total=None)
        workload = make(numbers, folder)
        self.results.body_bytes[numbers] = workload.body_bytes
        with served(workload) as endpoint:
            stage = Rounds(numbers, workload, endpoint, self._databases, self._given.peers)
            for number in rounds if "polls" in parts else ():
                for system in SYSTEMS:
                    if system.takes_part(numbers, number) and (not self._given.only or system.name in self._given.only):
                        told = f"{numbers:,} numbers, round {number + 1} of {len(rounds)}: {system.name}"
                        self._progress.update(task, description=told)
                        stage.play(system, self.results.polls)
            for number in rounds if "processes" in parts and numbers == SIZE else ():
                self._progress.update(task, description=f"whole processes, round {number + 1} of {len(rounds)}")
                stage.play_processes(self.results.processes)
        for number in rounds if "stalls" in parts and numbers in {SIZE, LARGEST} else ():
            self._progress.update(task, description=f"{numbers:,} numbers: /livez, round {number + 1} of {len(rounds)}")
            waits = stalls.longest_waits(workload, self._databases)
            self.results.stalls.setdefault(numbers, []).append(waits)
        self._progress.remove_task(task)


def publish(results: Results, peers: str) -> None:
    """Keeps the figures, and writes the page and the picture that tell them."""
    results.save(FILE)
    report.PAGE.write_text(report.page(results))
    run(peers, "-m", "benchmarks.polls.picture")


def main() -> None:
    """Runs it all, and prints what it found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls", description=__doc__.splitlines()[0])
    parser.add_argument("--peers", metavar="PYTHON", required=True, help="of the environment that has dlt")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="of the polls, these systems alone")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md and its picture")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="where to write the figures, as far as there are any, after each size",
    )
    given = parser.parse_args()
    console = Console(width=160)
    columns = (*Progress.get_default_columns()[:1], TimeElapsedColumn())
    with embedded_server() as url, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        benchmark = Benchmark(given, Databases(url), progress)
        benchmark.measure()
    results = benchmark.results
    if given.publish:
        publish(results, given.peers)
    for section in reversed(report.sections(results)):
        console.print(section.table())
    console.print(f"{results.minutes:.1f} minutes")


if __name__ == "__main__":
    main()
