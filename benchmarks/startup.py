"""What a command costs before it does anything: whole processes beside `python -c pass`.

    python -m benchmarks.startup [--runs 20]

`syncer sync` polls the vendor's documented sample, which is served on this machine, into a database that has the
schema. The commands take turns, so that whatever else the machine does meets each of them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from benchmarks.polls.databases import Databases
from benchmarks.polls.workload import Workload, served
from benchmarks.processes import run
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
    """The seconds that each command took, by its name."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    with tempfile.TemporaryDirectory(prefix="syncer-startup-") as folder, databases.one() as database:
        shutil.copy(_SAMPLE, Path(folder, "sample.json"))
        with served(Workload(Path(folder), 0, {})) as endpoint:
            settings = {
                "SYNCER_DATABASE_URL": databases.url(database),
                "SYNCER_API_URL": f"{endpoint}/sample",
                "SYNCER_API_TOKEN": "token",
                "SYNCER_LOG_LEVEL": "error",
            }
            for _ in range(runs + 1):  # the first of each is not counted: it fills the cache of files
                for name, command in _COMMANDS.items():
                    seconds[name].append(run(sys.executable, *command, settings=settings))
    return {name: taken[1:] for name, taken in seconds.items()}


def beyond_nothing(measured: Mapping[str, Sequence[float]], command: str) -> float:
    """How many seconds a command takes more than an interpreter that does nothing; medians."""
    return median(measured[command]) - median(measured[NOTHING])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    with embedded_server() as url:
        measured = measure(Databases(url), given.runs)
    table = Table("command", "median s", "least s", "most s", f"beyond {NOTHING}")
    for name, seconds in measured.items():
        beyond = beyond_nothing(measured, name)
        table.add_row(name, *(f"{one:.3f}" for one in (median(seconds), min(seconds), max(seconds))), f"{beyond:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
