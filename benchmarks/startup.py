"""Measures the start of a command: whole processes, compared with `python -c pass`.

    python -m benchmarks.startup [--runs 20]

`syncer sync` polls the vendor's documented sample, which is served on this machine, into a database that has the
schema. The commands run alternately, so that other load on the machine affects all of them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from math import nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from benchmarks.polls.databases import Databases
from benchmarks.polls.workload import Workload, served
from benchmarks.processes import compile_program, run
from benchmarks.server import embedded_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING: Final = "python -c pass"
HELP: Final = "syncer --help"
SYNC: Final = "syncer sync"
RUNS: Final = 20
_COMMANDS: Final = {NOTHING: ("-c", "pass"), HELP: ("-m", "syncer", "--help"), SYNC: ("-m", "syncer", "sync")}
_SAMPLE: Final = Path(__file__).parents[1] / "tests" / "samples" / "documented.json"


def measure(databases: Databases, runs: int = RUNS) -> dict[str, list[float]]:
    """Returns the seconds that each command took, by its name."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    with tempfile.TemporaryDirectory(prefix="syncer-startup-") as folder, databases.new() as database:
        shutil.copy(_SAMPLE, Path(folder, "sample.json"))
        with served(Workload(Path(folder), 0, 0, {})) as endpoint:
            settings = {
                "SYNCER_DATABASE_URL": databases.url(database),
                "SYNCER_API_URL": f"{endpoint}/sample",
                "SYNCER_API_TOKEN": "token",
                "SYNCER_LOG_LEVEL": "error",
            }
            for _ in range(runs + 1):  # the first of each is not counted: it fills the file cache
                for name, command in _COMMANDS.items():
                    seconds[name].append(run(sys.executable, *command, settings=settings))
    return {name: repetitions[1:] for name, repetitions in seconds.items()}


def seconds_beyond_nothing(measured: Mapping[str, Sequence[float]], command: str) -> float:
    """Returns by how much a command's median exceeds that of an interpreter that does nothing; NaN if not measured."""
    if not measured:
        return nan
    return median(measured[command]) - median(measured[NOTHING])


def main() -> None:
    """Measures and prints the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    compile_program()
    with embedded_server() as url:
        measured = measure(Databases(url), arguments.runs)
    table = Table("command", "median s", "minimum s", "maximum s", f"beyond {NOTHING}")
    for name, seconds in measured.items():
        beyond = seconds_beyond_nothing(measured, name)
        table.add_row(name, *(f"{one:.3f}" for one in (median(seconds), min(seconds), max(seconds))), f"{beyond:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
