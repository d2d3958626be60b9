"""The demo data, which is told once for all who ask it; a file that has another `told` asks that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docs import answers, demo_data
from tests.builders import execute, kept_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

    from syncer.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def told(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database with the demo data."""
    with kept_database(server.url, "told") as url:
        asyncio.run(demo_data.fill(url))
        asyncio.run(execute(url, "analyze"))  # as autovacuum does elsewhere
        yield url


@pytest.fixture
async def analyst(told: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to what was told, with an analyst's rights and no more."""
    connection = await answers.connect(told)
    yield connection
    await connection.close()
