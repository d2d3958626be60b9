"""Fixtures that run the program as processes, with one database and one endpoint per test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.builders import PolledAccount, settings_for
from tests.service.processes import TOKEN
from tests.service.scenarios import folder, program, scenario_results

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine
    from tests.service.processes import Program


__all__ = ["folder", "scenario_results"]


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account, `default`, on the database of the test."""
    created = program(folder, database, emulator.url)
    yield created
    await created.kill_all()


@pytest.fixture
async def account(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """The same account in this process, to prepare quickly what the commands find."""
    settings = settings_for(emulator, api_token=SecretStr(TOKEN))
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield polled
