"""A real PostgreSQL, a real endpoint, and accounts that are polled through both."""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from syncer.embedded import EmbeddedServer
from syncer.emulator import STATIC, Emulator
from syncer.store import schema
from syncer.store.engine import Engine
from tests.builders import PolledAccount, connect, settings_for
from tests.folders import public_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


# What is lost when the machine loses power is no matter here.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
}


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The project's own PostgreSQL, never one that happens to be on the machine."""
    with running_server() as running:
        yield running


@contextmanager
def running_server() -> Iterator[EmbeddedServer]:
    """A server with the database `migrated`, from which those of the tests are made.

    It is the project's own, or that of another version, whose programs are in the folder SYNCER_TEST_POSTGRES.
    """
    programs = os.environ.get("SYNCER_TEST_POSTGRES")
    with (
        public_folder("syncer-tests-") as folder,
        EmbeddedServer(folder, server_settings=_FAST, programs=Path(programs) if programs else None) as running,
    ):
        asyncio.run(_make_template(running.url))
        yield running


async def _make_template(url: str) -> None:
    connection = await asyncpg.connect(url)
    is_own = "SYNCER_TEST_POSTGRES" not in os.environ
    assert not is_own or (await connection.fetchval("show server_version")).startswith("18.")
    await connection.execute("create database migrated")
    await connection.close()
    engine = Engine(lambda: url.replace("/syncer", "/migrated"), command_timeout=None)
    await schema.migrate(engine)
    await engine.dispose()


@pytest.fixture
async def empty_database(server: EmbeddedServer) -> AsyncIterator[str]:
    """The address of a database of the test's own, without a schema."""
    async with _database(server, "template1") as url:
        yield url


@pytest.fixture
async def database(server: EmbeddedServer) -> AsyncIterator[str]:
    """The address of a database of the test's own, with the newest schema."""
    async with _database(server, "migrated") as url:
        yield url


class _database:  # noqa: N801 - reads as a function
    def __init__(self, server: EmbeddedServer, template: str) -> None:
        self._server_url, self._template = server.url, template
        self._name = f"test_{uuid.uuid4().hex[:12]}"

    async def __aenter__(self) -> str:
        await self._execute(f"create database {self._name} template {self._template} strategy file_copy")
        return self._server_url.rpartition("/")[0] + f"/{self._name}"

    async def __aexit__(self, *_: object) -> None:
        await self._execute(f"drop database {self._name} with (force)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        await connection.execute(statement)
        await connection.close()


@pytest.fixture
async def engine(database: str) -> AsyncIterator[Engine]:
    """Connections to the test's own database."""
    made = Engine(lambda: database)
    yield made
    await made.dispose()


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, beside those of the program."""
    connection = await connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """The emulated endpoint, whose numbers change only when the test says so."""
    async with Emulator(numbers=200, seed=1, rates=STATIC) as running:
        yield running


@pytest.fixture
async def account(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """An account that is polled with whatever response the test gives."""
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as polled:
        yield polled
