"""The program in processes of its own, on a database and an endpoint of the test's own."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.builders import PolledAccount, settings_for
from tests.service.processes import TOKEN
from tests.service.scenarios import AT_ONCE, SCENARIOS, open_folder, program, tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator
    from tests.service.processes import Program


@pytest.fixture(scope="session", autouse=True)
def told(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[dict[str, Future[None]]]:
    """What comes of the scenarios that are among the chosen tests; they begin before the first test does."""
    chosen = [item.name for item in request.session.items if item.name in SCENARIOS]
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(tell, name, server.url) for name in chosen}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every user can reach."""
    made = open_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account called `default`, on the test's own database."""
    made = program(folder, database, emulator.url)
    yield made
    await made.kill_all()


@pytest.fixture
async def account(engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """The same account in this process: what commands find was made by it in no time."""
    settings = settings_for(emulator, api_token=SecretStr(TOKEN))
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield polled
