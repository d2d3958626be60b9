"""The demo data, which is told once for all who ask it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from docs import answers, demo_data

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from syncer.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def told(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database with the demo data."""

    async def execute(statement: str, url: str = server.url) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute("create database told template migrated"))
    url = server.url.rpartition("/")[0] + "/told"
    asyncio.run(demo_data.fill(url))
    asyncio.run(execute("analyze", url))  # as autovacuum does elsewhere
    yield url
    asyncio.run(execute("drop database told with (force)"))


@pytest.fixture
async def analyst(told: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the demo data with an analyst's rights and no more."""
    connection = await answers.connect(told)
    yield connection
    await connection.close()
