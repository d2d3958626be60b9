"""Databases to measure in, on an embedded server with its usual settings."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from syncer.embedded import EmbeddedServer
from syncer.store.engine import create_engine
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


class Databases:
    """A server whose databases are made one at a time; a context manager, and nothing is left of it afterwards."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="syncer-bench-"))
        self._folder.chmod(0o755)
        self._embedded = EmbeddedServer(self._folder).__enter__()
        self._server = self._embedded.url.rpartition("/")[0]
        self._made = 0
        self.ask("create database migrated")
        asyncio.run(self._migrate())
        return self

    def __exit__(self, *_: object) -> None:
        self._embedded.stop()
        shutil.rmtree(self._folder)

    async def _migrate(self) -> None:
        engine = create_engine(lambda: f"{self._server}/migrated", command_timeout=None)
        await migrate(engine)
        await engine.dispose()

    @contextmanager
    def one(self, template: str = "migrated") -> Iterator[str]:
        """The name of a database, dropped in the end; it has the program's schema, or what another template has."""
        self._made += 1
        name = f"measured_{self._made}"
        self.ask(f"create database {name} template {template}")
        self.ask("checkpoint")
        try:
            yield name
        finally:
            self.ask(f"drop database {name} with (force)")

    def url(self, name: str) -> str:
        """The address of a database, password included."""
        return f"{self._server}/{name}"

    def ask(self, statement: str, name: str = "postgres") -> Any:  # noqa: ANN401 - whatever it selects
        """Executes a statement; what it returned first."""
        return asyncio.run(self._ask(statement, name))

    async def _ask(self, statement: str, name: str) -> Any:  # noqa: ANN401 - likewise
        connection = await asyncpg.connect(self.url(name))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()
