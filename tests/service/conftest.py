"""The program in processes of its own, on a database and an endpoint of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.builders import PolledAccount, settings_for
from tests.service.processes import TOKEN
from tests.service.scenarios import folder, program, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.emulator import Emulator
    from tests.service.processes import Program


__all__ = ["folder", "told"]


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
