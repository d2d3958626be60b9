"""Reads whole views of schema `analytics`: one snapshot, bounded memory, and only an analyst's privileges needed."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from syncer.errors import ConfigurationError, SchemaError, StoredDataError
from syncer.store.driver_arguments import driver_arguments
from syncer.store.driver_errors import translate_errors
from syncer.store.engine import quote_identifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

_BATCH_ROWS: Final = 10_000

_VIEWS: Final = "select viewname from pg_catalog.pg_views where schemaname = 'analytics' order by viewname"
_SESSION_SETTINGS: Final = "select set_config('TimeZone', $1, true), set_config('DateStyle', 'ISO', true)"


class Column(NamedTuple):
    """A column's name, and PostgreSQL's name of its type, such as int8 or timestamptz."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class View:
    """A view to read, as a whole or for some accounts.

    Attributes:
        name: The view's name.
        columns: Its columns, in order.
        source: The SQL after FROM.
        arguments: The arguments for the parameters in `source`.
    """

    name: str
    columns: Sequence[Column]
    source: str
    arguments: Sequence[Any]

    def select(self, conversions: Mapping[str, str]) -> str:
        """Builds the query.

        Args:
            conversions: By type name, the SQL expression that converts a column of that type, with `{}` for the column.
        """
        names = [(quote_identifier(column.name), column.type) for column in self.columns]
        columns = (f"{conversions.get(type_name, '{}').format(f'v.{name}')} as {name}" for name, type_name in names)
        return f"select {', '.join(columns)} from {self.source}"  # noqa: S608 - names from the catalog


class _WriteError(Exception):
    """The output cannot be written. Wraps the OSError, to tell it apart from an OSError that asyncpg raises."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


@asynccontextmanager
async def open_snapshot(address: str, zone: ZoneInfo) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Opens a read-only connection that sees one snapshot until it is closed.

    Args:
        address: The database's libpq address.
        zone: The session's time zone.

    Raises:
        DatabaseError: The connection cannot be made.
    """
    dsn, arguments = driver_arguments(address)
    with translate_errors():
        connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn, statement_cache_size=0, **arguments)
    try:
        with translate_errors():
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            await connection.fetch(_SESSION_SETTINGS, zone.key)
        yield connection
    except BaseException:
        connection.terminate()
        raise
    await connection.close()


async def find_view(
    connection: asyncpg.Connection[Any], name: str, accounts: Sequence[str], at: datetime | None
) -> View:
    """Looks up a view.

    Args:
        connection: The connection of `open_snapshot`.
        name: The view's name.
        accounts: The accounts to read; empty for all.
        at: The time as of which to read the view `numbers`; None for now.

    Raises:
        ConfigurationError: There is no such view or account, or the view does not support `accounts` or `at`.
        SchemaError: There are no views at all.
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        names = [row["viewname"] for row in await connection.fetch(_VIEWS)]
        if not names:
            raise SchemaError("the database has no schema of syncer yet: run `syncer migrate`")
        if name not in names:
            raise ConfigurationError(f"there is no view {name!r}: the views are {', '.join(names)}")
        if at is not None and name != "numbers":
            raise ConfigurationError(f"--at works only with the view numbers, not with {name}")
        source = f"analytics.{quote_identifier(name)} v" if at is None else "analytics.numbers_as_of($1) v"
        arguments: list[Any] = [] if at is None else [at]
        prepared = await connection.prepare(f"select * from {source}")  # noqa: S608 - a name from the catalog
        columns = [Column(attribute.name, attribute.type.name) for attribute in prepared.get_attributes()]
        if accounts:
            if "account" not in {column.name for column in columns}:
                raise ConfigurationError(f"--account: the view {name} is the same for all accounts")
            await _require_accounts(connection, accounts)
            arguments.append(list(accounts))
            source += f" where v.account = any(${len(arguments)})"
    return View(name, columns, source, arguments)


_NUMBERS: Final = """
select distinct account_id, virtual_number_id from analytics.number_history
 where number = any($1::text[]) and ($2::text[] = '{}' or account = any($2::text[])) order by 1, 2
"""
_VIEWS_OF_NUMBERS: Final = """
select table_name from information_schema.columns
 where table_schema = 'analytics' and column_name in ('account_id', 'virtual_number_id')
 group by table_name having count(*) = 2 order by table_name
"""


async def find_views_of_number(
    connection: asyncpg.Connection[Any], spellings: Sequence[str], accounts: Sequence[str]
) -> list[View]:
    """Looks up all views about numbers, with the rows of those that have a phone number or had it.

    Args:
        connection: The connection of `open_snapshot`.
        spellings: The phone number, in each of its spellings.
        accounts: The accounts to read; empty for all.

    Returns:
        The views; none if no number has or had it.

    Raises:
        ConfigurationError: There is no such account.
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        if accounts:
            await _require_accounts(connection, accounts)
        numbers = await connection.fetch(_NUMBERS, spellings, accounts)
        if not numbers:
            return []
        arguments = [[row["account_id"] for row in numbers], [row["virtual_number_id"] for row in numbers]]
        condition = "(v.account_id, v.virtual_number_id) in (select * from unnest($1::integer[], $2::bigint[]))"
        views = []
        for (name,) in await connection.fetch(_VIEWS_OF_NUMBERS):
            source = f"analytics.{quote_identifier(name)} v"
            prepared = await connection.prepare(f"select * from {source}")  # noqa: S608 - a name from the catalog
            columns = [Column(attribute.name, attribute.type.name) for attribute in prepared.get_attributes()]
            views.append(View(name, columns, f"{source} where {condition}", arguments))
    return views


async def find_changes_since(
    connection: asyncpg.Connection[Any], view: View, cursor: Mapping[str, Any]
) -> tuple[View, dict[str, Any]]:
    """Returns the rows of the view `changes` that are newer than a cursor, and the cursor after them.

    Args:
        connection: The connection of `open_snapshot`.
        view: The view `changes`.
        cursor: The cursor of the rows that were read before; reading the view raises `InvalidValueError` if it is not
            of this database.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        newest = await connection.fetchval("select cursor from analytics.changes_cursor")
    return replace(view, source="analytics.changes_since($1) v", arguments=[json.dumps(cursor)]), json.loads(newest)


async def _require_accounts(connection: asyncpg.Connection[Any], accounts: Sequence[str]) -> None:
    known = {row["account"] for row in await connection.fetch("select account from analytics.accounts")}
    for account in accounts:
        if account not in known:
            raise StoredDataError(
                f"--account {account!r} was never polled: the accounts are {', '.join(sorted(known))}"
            )


async def write_csv(
    connection: asyncpg.Connection[Any],
    view: View,
    conversions: Mapping[str, str],
    delimiter: str,
    write: Callable[[bytes], object],
    *,
    quoted: Sequence[str] = (),
) -> None:
    """Writes a view as PostgreSQL's CSV in UTF-8, with a header. Null is an empty field, an empty string is "".

    Args:
        connection: The connection of `open_snapshot`.
        view: The view.
        conversions: See `View.select`.
        delimiter: The delimiter of fields.
        write: Writes bytes to the output.
        quoted: The columns whose values are always in quotes, except nulls.

    Raises:
        DatabaseError: PostgreSQL refused, or the connection broke.
        OSError: `write` raised it.
    """

    async def write_chunk(data: bytes) -> None:
        try:
            write(data)
        except OSError as error:
            raise _WriteError(error) from None

    try:
        with translate_errors():
            await connection.copy_from_query(
                view.select(conversions),
                *view.arguments,
                output=write_chunk,
                format="csv",
                header=True,
                delimiter=delimiter,
                encoding="UTF8",
                force_quote=quoted or None,
            )
    except _WriteError as error:
        raise error.cause from None


async def read_batches(
    connection: asyncpg.Connection[Any], view: View, conversions: Mapping[str, str]
) -> AsyncIterator[list[asyncpg.Record]]:
    """Yields the rows of a view, at most 10,000 at a time.

    Args:
        connection: The connection of `open_snapshot`.
        view: The view.
        conversions: See `View.select`.

    Raises:
        DatabaseError: PostgreSQL refused, or the connection broke.
    """
    with translate_errors():
        cursor = await connection.cursor(view.select(conversions), *view.arguments)
    while True:
        with translate_errors():
            rows = await cursor.fetch(_BATCH_ROWS)
        if not rows:
            return
        yield rows


async def count_rows(connection: asyncpg.Connection[Any], view: View, *, limit: int) -> int:
    """Counts the rows of a view, at most up to a limit.

    Raises:
        DatabaseError: PostgreSQL refused, or the connection broke.
    """
    query = f"select count(*) from (select from {view.source} limit {limit}) r"  # noqa: S608 - names from the catalog
    with translate_errors():
        return int(await connection.fetchval(query, *view.arguments))
