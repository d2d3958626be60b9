"""Runs Superset on this machine with the bundle and half a year of demo history, until Ctrl-C.

make superset
make superset SCREENSHOTS=folder     compares what each chart plots with the history, saves screenshots, and exits
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from rich.console import Console

from deploy.superset import bundle
from deploy.superset.check import LANGUAGES, check
from deploy.superset.server import USER, Superset, SupersetError
from docs import demo_data
from syncer.daemon.signals import exit_cleanly_during_startup, install_stop_handlers
from syncer.telemetry.logs import configure_logging

_ANALYST_USER: Final = "superset_analyst"


async def prepare(url: str) -> tuple[str, str]:
    """Generates half a year of history up to now; returns the URLs of Superset's own database and of the analyst."""
    await demo_data.generate(url, until=None)
    connection = await asyncpg.connect(url)
    password = secrets.token_urlsafe(18)
    await connection.execute(f"create user {_ANALYST_USER} password '{password}' in role syncer_analyst")
    await connection.execute("create database superset")
    await connection.close()
    parts = urlsplit(url)._replace(scheme="postgresql+psycopg2")
    server = parts.netloc.rpartition("@")[2]
    superset_url = urlunsplit(parts._replace(path="/superset"))
    return superset_url, urlunsplit(parts._replace(netloc=f"{_ANALYST_USER}:{password}@{server}"))


async def _wait_for_stop_signal() -> None:
    await install_stop_handlers().wait()


def _run(superset: Superset, url: str, imported: Path, screenshots: Path | None, console: Console) -> None:
    bundle.make(imported)
    with console.status("Superset is creating its tables"):
        superset.set_up()
    with console.status("Superset is importing the bundle"):
        superset.import_bundle(imported / "bundle")
        superset.serve()
    if screenshots is not None:
        with console.status("opening every tab"):
            problems = check(superset, url, screenshots)
        if problems:
            raise SupersetError("\n".join(problems))
        console.print(f"Every chart plots what the history contains. The screenshots are in {screenshots}.")
        return
    for language in LANGUAGES:
        console.print(f"{superset.address}/superset/dashboard/syncer-{language}/", style="cyan")
    console.print(f"User {USER}, password {superset.password}. Press Ctrl-C to stop.")
    asyncio.run(_wait_for_stop_signal())


def main() -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="make superset")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    screenshots: Path | None = parser.parse_args().screenshots
    configure_logging("error", "console")
    exit_cleanly_during_startup()
    console = Console(highlight=False, soft_wrap=True)
    with demo_data.server() as url, tempfile.TemporaryDirectory(prefix="syncer-superset-") as folder:
        with console.status("generating half a year of history"):
            superset_url, analyst_url = asyncio.run(prepare(url))
        with Superset(Path(folder), superset_url, analyst_url) as superset:
            try:
                _run(superset, url, Path(folder) / "import", screenshots, console)
            except SupersetError as error:
                console.print(str(error), markup=False, style="red")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
