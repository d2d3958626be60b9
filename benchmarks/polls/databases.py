"""Databases to measure in."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from benchmarks.server import connected, make_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

T = TypeVar("T")


class Databases:
    """The databases of a server, made one at a time.

    Args:
        server: The address of any database on it.
    """

    def __init__(self, server: str) -> None:
        self._server = server.rpartition("/")[0]
        self._made = 0
        self.execute("create database migrated")
        asyncio.run(make_schema(self.url("migrated")))

    @contextmanager
    def one(self, template: str = "migrated") -> Iterator[str]:
        """The name of a database, dropped in the end; it has the program's schema, or what another template has."""
        self._made += 1
        name = f"measured_{self._made}"
        self.execute(f"create database {name} template {template}")
        self.execute("checkpoint")
        try:
            yield name
        finally:
            self.execute(f"drop database {name} with (force)")

    def url(self, name: str) -> str:
        """The address of a database, password included."""
        return f"{self._server}/{name}"

    def execute(self, statement: str) -> None:
        """Executes a statement of which nothing is expected."""
        self.rows(statement)

    def value(self, kind: type[T], query: str, *arguments: object, name: str = "postgres") -> T:
        """What a query of one row and one column returns.

        Args:
            kind: The type of that.
            query: The query.
            arguments: Its parameters.
            name: The database that is asked.

        Raises:
            TypeError: It is of another type.
        """
        ((found,),) = self.rows(query, *arguments, name=name)
        if not isinstance(found, kind):
            raise TypeError(f"{found!r} is no {kind.__name__}: {query}")
        return found

    def rows(self, query: str, *arguments: object, name: str = "postgres") -> list[asyncpg.Record]:
        """What a query returns."""
        return asyncio.run(self._rows(query, arguments, name))

    async def _rows(self, query: str, arguments: tuple[object, ...], name: str) -> list[asyncpg.Record]:
        async with connected(self.url(name)) as connection:
            return await connection.fetch(query, *arguments)
