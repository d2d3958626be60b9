"""What the last runs of the matrix found, and what is missing in them for a release."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

BUILD: Final = Path(__file__).parents[2] / "build" / "matrix"
RESULTS: Final = BUILD / "results.json"
POSTGRES: Final = ("15", "16", "17", "18")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
_PRINT_PATH: Final = "import sys; print(sys.executable)"


class Run(NamedTuple):
    """One run of all tests.

    Attributes:
        postgres: The major version of PostgreSQL.
        python: The version of Python.
        commit: The commit that was tested; empty if the checkout had changes that were not committed.
        result: pytest's own summary, or that it did not come to one.
        passed: Whether all tests passed or were skipped.
        minutes: How long it took.
    """

    postgres: str
    python: str
    commit: str
    result: str
    passed: bool
    minutes: float


def python_programs(wanted: Sequence[str] = PYTHONS) -> dict[str, Path]:
    """Returns the interpreters that `python3.11` and so on run, by version. With pyenv, PYENV_VERSION names several."""
    found = {}
    for version in wanted:
        if program := shutil.which(f"python{version}"):
            asked = subprocess.run([program, "-c", _PRINT_PATH], capture_output=True, text=True, check=False)
            if asked.returncode == 0:  # a command of pyenv is there for each version, also for one that is not chosen
                found[version] = Path(asked.stdout.strip())
    return found


def read_runs() -> dict[tuple[str, str], Run]:
    """Returns the last run of each pair of versions."""
    runs = map(Run._make, json.loads(RESULTS.read_text())) if RESULTS.exists() else ()
    return {(run.postgres, run.python): run for run in runs}


def store_run(run: Run) -> None:
    """Stores a run in place of the one before it."""
    runs = read_runs() | {(run.postgres, run.python): run}
    BUILD.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(list(runs.values())))


def default_pairs(pythons: Collection[str]) -> list[tuple[str, str]]:
    """Returns each PostgreSQL with the oldest of these Pythons, and each of these Pythons with the newest PostgreSQL.

    Every Python sends the same SQL, and what depends on the server does not depend on the Python: other pairs take as
    long again, and hardly find more.
    """
    oldest, newest = min(pythons, key=PYTHONS.index), POSTGRES[-1]
    pairs = itertools.product(POSTGRES, sorted(pythons, key=PYTHONS.index))
    return [pair for pair in pairs if pair[0] == newest or pair[1] == oldest]


def find_gaps(commit: str) -> list[str]:
    """Returns what of the matrix did not pass on this commit, one sentence each, and which Python is not installed."""
    runs, installed = read_runs(), python_programs()
    gaps = [f"Python {version} is not installed here" for version in PYTHONS if version not in installed]
    for postgres, python in default_pairs(installed) if installed else ():
        run = runs.get((postgres, python))
        pair = f"PostgreSQL {postgres}, Python {python}"
        if run is None or run.commit != commit:
            gaps.append(f"{pair}: `make matrix` has not run on this commit")
        elif not run.passed:
            gaps.append(f"{pair}: {run.result}")
    return gaps
