"""The PostgreSQL that is measured, its schema, and connections to it."""

from __future__ import annotations

import os
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from syncer.embedded import EmbeddedServer
from syncer.store.engine import create_engine, driver_arguments
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping


@contextmanager
def configured_server() -> Iterator[str]:
    """The address that SYNCER_DATABASE_URL holds, or that of an embedded server where it holds none."""
    configured = os.environ.get("SYNCER_DATABASE_URL")
    if configured:
        yield configured
        return
    with embedded_server() as url:
        yield url


@contextmanager
def embedded_server(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of an embedded server of which nothing is left in the end; `settings` are PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="syncer-benchmark-") as folder:
        Path(folder).chmod(0o755)  # as root the server runs as another user, who must get in
        with EmbeddedServer(Path(folder), server_settings=settings) as server:
            yield server.url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the database at an address as libpq writes it."""
    dsn, arguments = driver_arguments(url)
    named = {"server_settings": {"application_name": "benchmark"}}  # lest it be counted among the program's
    connection = await asyncpg.connect(dsn, **arguments | named)
    try:
        yield connection
    finally:
        await connection.close()


async def make_schema(url: str) -> None:
    """Brings a database to the newest schema, however long that takes."""
    engine = create_engine(lambda: url, command_timeout=None)
    await migrate(engine)
    await engine.dispose()
