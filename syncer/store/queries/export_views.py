"""The views of schema `analytics`, read whole: in one snapshot, in bounded memory, with an analyst's rights alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from syncer.errors import ConfigurationError, SchemaError
from syncer.store.engine import driver_arguments, translate_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

_BATCH_ROWS: Final = 10_000

_VIEWS: Final = "select viewname from pg_catalog.pg_views where schemaname = 'analytics' order by viewname"
_SESSION: Final = "select set_config('TimeZone', $1, true), set_config('DateStyle', 'ISO', true)"


class Column(NamedTuple):
    """A column's name, and PostgreSQL's name of its type, such as int8 or timestamptz."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class View:
    """A view to read, or the part of it that was asked for.

    Attributes:
        name: Its name.
        columns: Its columns, in order.
        source: What stands behind FROM.
        arguments: The values of the parameters in it.
    """

    name: str
    columns: Sequence[Column]
    source: str
    arguments: Sequence[Any]

    def select(self, spelled: Mapping[str, str]) -> str:
        """The query; columns of the types in `spelled` are spelled by the expression there, for `{}` as the column."""
        columns = (
            f"{spelled.get(column.type, '{}').format(f'v.{_quoted(column.name)}')} as {_quoted(column.name)}"
            for column in self.columns
        )
        return f"select {', '.join(columns)} from {self.source}"  # noqa: S608 - names from the catalog


class _NotTakenError(Exception):
    """Whoever takes the bytes cannot. No OSError itself, for the driver raises those too."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


@asynccontextmanager
async def open_snapshot(address: str, zone: ZoneInfo) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection that sees one snapshot until it is closed, changes nothing, and tells times in a zone.

    Raises:
        DatabaseError: It cannot be made.
    """
    dsn, arguments = driver_arguments(address)
    with translate_errors():
        connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn, statement_cache_size=0, **arguments)
    try:
        with translate_errors():
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            await connection.fetch(_SESSION, zone.key)
        yield connection
    except BaseException:
        connection.terminate()
        raise
    await connection.close()


async def find_view(
    connection: asyncpg.Connection[Any], name: str, accounts: Sequence[str], at: datetime | None
) -> View:
    """Looks a view up.

    Args:
        connection: See `open_snapshot`.
        name: Its name.
        accounts: The only accounts that are wanted; none are all.
        at: The moment as of which `numbers` are wanted; None is now.

    Raises:
        ConfigurationError: There is no such view or account, or the view is not one of accounts or of moments.
        SchemaError: There are no views at all.
        DatabaseError: The database cannot be asked.
    """
    with translate_errors():
        names = [row["viewname"] for row in await connection.fetch(_VIEWS)]
        if not names:
            raise SchemaError("the database has no schema of syncer yet: run `syncer migrate`")
        if name not in names:
            raise ConfigurationError(f"there is no view {name!r}: those are {', '.join(names)}")
        if at is not None and name != "numbers":
            raise ConfigurationError(f"--at is of the view numbers alone, and this is {name}")
        source = f"analytics.{_quoted(name)} v" if at is None else "analytics.numbers_as_of($1) v"
        arguments: list[Any] = [] if at is None else [at]
        prepared = await connection.prepare(f"select * from {source}")  # noqa: S608 - a name from the catalog
        columns = [Column(attribute.name, attribute.type.name) for attribute in prepared.get_attributes()]
        if accounts:
            await _require_accounts(connection, name, columns, accounts)
            arguments.append(list(accounts))
            source += f" where v.account = any(${len(arguments)})"
    return View(name, columns, source, arguments)


async def _require_accounts(
    connection: asyncpg.Connection[Any], view: str, columns: Sequence[Column], accounts: Sequence[str]
) -> None:
    if "account" not in {column.name for column in columns}:
        raise ConfigurationError(f"--account: the view {view} is the same for all accounts")
    known = {row["account"] for row in await connection.fetch("select account from analytics.accounts")}
    for account in accounts:
        if account not in known:
            raise ConfigurationError(f"--account {account!r} was never polled: those are {', '.join(sorted(known))}")


async def write_csv(
    connection: asyncpg.Connection[Any],
    view: View,
    spelled: Mapping[str, str],
    delimiter: str,
    write: Callable[[bytes], object],
) -> None:
    """Writes a view as CSV with a header, in UTF-8, as PostgreSQL itself does: null is nothing, "" is an empty text.

    Raises:
        DatabaseError: PostgreSQL refused or went away.
        OSError: `write` raised it.
    """

    async def take(data: bytes) -> None:
        try:
            write(data)
        except OSError as error:
            raise _NotTakenError(error) from None

    try:
        with translate_errors():
            await connection.copy_from_query(
                view.select(spelled),
                *view.arguments,
                output=take,
                format="csv",
                header=True,
                delimiter=delimiter,
                encoding="UTF8",
            )
    except _NotTakenError as error:
        raise error.cause from None


async def read_batches(
    connection: asyncpg.Connection[Any], view: View, spelled: Mapping[str, str]
) -> AsyncIterator[list[asyncpg.Record]]:
    """The rows of a view, at most 10,000 at a time.

    Raises:
        DatabaseError: PostgreSQL refused or went away.
    """
    with translate_errors():
        cursor = await connection.cursor(view.select(spelled), *view.arguments)
    while True:
        with translate_errors():
            rows = await cursor.fetch(_BATCH_ROWS)
        if not rows:
            return
        yield rows


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
