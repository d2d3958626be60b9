"""Creates databases to measure in."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from benchmarks.server import connection_to, migrate_to_newest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

T = TypeVar("T")


class Databases:
    """Creates databases on a server, one at a time.

    Args:
        server: The address of any database on the server.
    """

    def __init__(self, server: str) -> None:
        self._server = server.rpartition("/")[0]
        self._created = 0
        self.execute("create database migrated")
        asyncio.run(migrate_to_newest(self.url("migrated")))

    @contextmanager
    def new(self, template: str = "migrated") -> Iterator[str]:
        """Creates a database from a template, by default with the program's schema; yields its name, and drops it."""
        self._created += 1
        name = f"measured_{self._created}"
        self.execute(f"create database {name} template {template}")
        self.execute("checkpoint")
        try:
            yield name
        finally:
            self.execute(f"drop database {name} with (force)")

    def url(self, name: str) -> str:
        """Returns the address of a database, including the password."""
        return f"{self._server}/{name}"

    def execute(self, statement: str) -> None:
        """Executes a statement that returns nothing."""
        self.rows(statement)

    def value(self, kind: type[T], query: str, *arguments: object, name: str = "postgres") -> T:
        """Returns the value of a query that has one row and one column.

        Args:
            kind: The expected type.
            query: The query.
            arguments: Its parameters.
            name: The database.

        Raises:
            TypeError: The value has another type.
        """
        ((found,),) = self.rows(query, *arguments, name=name)
        if not isinstance(found, kind):
            raise TypeError(f"{found!r} is not of type {kind.__name__}: {query}")
        return found

    def rows(self, query: str, *arguments: object, name: str = "postgres") -> list[asyncpg.Record]:
        """Returns the rows of a query."""
        return asyncio.run(self._rows(query, arguments, name))

    async def _rows(self, query: str, arguments: tuple[object, ...], name: str) -> list[asyncpg.Record]:
        async with connection_to(self.url(name)) as connection:
            return await connection.fetch(query, *arguments)
