"""The demo history, generated once for all tests; a test file can override `demo_history` with other data."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from docs import answers, demo_data
from tests.builders import execute, migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

    from syncer.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def demo_history(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database with the demo history."""
    with migrated_database(server.url, "demo_history") as url:
        asyncio.run(demo_data.generate(url))
        asyncio.run(execute(url, "analyze"))  # autovacuum does this in a real database
        yield url


@pytest.fixture
async def analyst(demo_history: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the demo history with the privileges of an analyst."""
    connection = await answers.connect_as_analyst(demo_history)
    yield connection
    await connection.close()
