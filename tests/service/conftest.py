"""The program in processes of its own, on a database and an endpoint of the test's own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.builders import PolledAccount, settings_for
from tests.service.processes import TOKEN, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.emulator import Emulator


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every user can reach, unlike tmp_path."""
    made = Path(tempfile.mkdtemp(prefix="syncer-service-")).resolve()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account called `default`, on the test's own database."""
    program = Program(
        folder,
        {
            "database_url": database,
            "api_url": emulator.url,
            "api_token": TOKEN,
            "api_attempts": "1",
            "http_listen": "off",
        },
    )
    yield program
    await program.kill_all()


@pytest.fixture
async def account(engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """The same account in this process: what commands find was made by it in no time."""
    settings = settings_for(emulator, api_token=SecretStr(TOKEN))
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield polled
