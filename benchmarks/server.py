"""Starts PostgreSQL for a benchmark, migrates its schema, and connects to it."""

from __future__ import annotations

import os
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from syncer.embedded import EmbeddedServer
from syncer.store.driver_arguments import driver_arguments
from syncer.store.engine import Engine
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping


@contextmanager
def configured_server(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yields the address in SYNCER_DATABASE_URL; if it is not set, that of an embedded server with these settings."""
    configured = os.environ.get("SYNCER_DATABASE_URL")
    if configured:
        yield configured
        return
    with embedded_server(settings) as url:
        yield url


@contextmanager
def embedded_server(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Starts an embedded server with PostgreSQL's `settings`, yields its address, and deletes it at the end."""
    with tempfile.TemporaryDirectory(prefix="syncer-benchmark-") as folder:
        Path(folder).chmod(0o755)  # if this is root, the server runs as another user
        with EmbeddedServer(Path(folder), server_settings=settings) as server:
            yield server.url


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Connects to the database at a libpq address."""
    dsn, arguments = driver_arguments(url)
    named = {"server_settings": {"application_name": "benchmark"}}  # not to be counted as one of the program's
    connection = await asyncpg.connect(dsn, **arguments | named)
    try:
        yield connection
    finally:
        await connection.close()


async def migrate_to_newest(url: str) -> None:
    """Migrates a database to the newest schema, without a time limit."""
    engine = Engine(lambda: url, command_timeout=None)
    await migrate(engine)
    await engine.dispose()
