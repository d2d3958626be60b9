"""Superset with the bundle and half a year of the demo's history, on this machine, until Ctrl-C.

make superset
make superset SCREENSHOTS=folder     also leaves a picture of each tab in the folder, and ends by itself
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

from deploy.superset.bundle import FOLDER
from deploy.superset.dashboard import CHARTS
from deploy.superset.language import LANGUAGES
from deploy.superset.server import USER, Superset, SupersetError
from deploy.superset.verify import verify
from deploy.superset.visit import visit
from docs import demo_data
from syncer.daemon.signals import exit_cleanly_during_startup, install_stop_handlers
from syncer.telemetry.logs import configure_logging

_ANALYST: Final = "superset_analyst"


async def _prepare(url: str) -> tuple[str, str]:
    """Tells half a year up to now, and makes what Superset needs; its own database's address, and the analyst's."""
    await demo_data.generate(url, until=None)
    connection = await asyncpg.connect(url)
    password = secrets.token_urlsafe(18)
    await connection.execute(f"create user {_ANALYST} password '{password}' in role syncer_analyst")
    await connection.execute("create database superset")
    await connection.close()
    parts = urlsplit(url)._replace(scheme="postgresql+psycopg2")
    server = parts.netloc.rpartition("@")[2]
    own = urlunsplit(parts._replace(path="/superset"))
    return own, urlunsplit(parts._replace(netloc=f"{_ANALYST}:{password}@{server}"))


async def _until_told_to_stop() -> None:
    await install_stop_handlers().wait()


def _show(superset: Superset, screenshots: Path | None, console: Console) -> None:
    with console.status("Superset makes its tables"):
        superset.set_up()
    with console.status("Superset takes the bundle"):
        superset.import_bundle(FOLDER)
    with console.status("every chart is asked"):
        superset.serve()
        charts = asyncio.run(verify(superset))
    expected = len(LANGUAGES) * len(CHARTS)
    if charts != expected:
        raise SupersetError(f"Superset took {charts} of the bundle's {expected} charts")
    console.print(f"Superset has data for each of {charts} charts.")
    if screenshots is not None:
        with console.status("every tab is opened"):
            wrong = visit(superset, screenshots)
        if wrong:
            raise SupersetError("\n".join(wrong))
        console.print(f"{screenshots} has the pictures.")
        return
    for language in LANGUAGES:
        console.print(f"{superset.address}/superset/dashboard/syncer-{language}/", style="cyan")
    console.print(f"User {USER}, password {superset.password}. Ctrl-C ends it all.")
    asyncio.run(_until_told_to_stop())


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make superset")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    screenshots: Path | None = parser.parse_args().screenshots
    configure_logging("error", "console")
    exit_cleanly_during_startup()
    console = Console(highlight=False, soft_wrap=True)
    with demo_data.server() as url, tempfile.TemporaryDirectory(prefix="syncer-superset-") as folder:
        with console.status("telling half a year"):
            own, analyst = asyncio.run(_prepare(url))
        with Superset(Path(folder), own, analyst) as superset:
            try:
                _show(superset, screenshots, console)
            except SupersetError as error:
                console.print(str(error), markup=False, style="red")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
