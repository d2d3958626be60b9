"""Connections to PostgreSQL, from an address as libpq writes it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from syncer.errors import DatabaseError, EmbeddedServerError
from syncer.store.keepalive import KEEPALIVE_PARAMETERS, enable_keepalive

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

MIN_SERVER_VERSION: Final = 15
"""The oldest major version of PostgreSQL that will do."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds until a connection that does not come about is given up."""

COMMAND_TIMEOUT: Final = 120.0
"""Seconds until a statement that does not answer is given up: a socket may be dead without saying so."""

CLOSE_TIMEOUT: Final = 0.5
"""Seconds until a connection that is no longer wanted is ended without a farewell."""

# libpq's parameters that asyncpg does not know, and that change nothing about what is sent or who is trusted: of
# those that could, `syncer.config.fields` takes no value that does.
_WITHOUT_EFFECT: Final = {
    "channel_binding",
    "fallback_application_name",
    "gssencmode",
    "load_balance_hosts",
    "require_auth",
    "requirepeer",
    "sslcompression",
    "sslsni",
}


class Connection(asyncpg.Connection):
    """A connection whose socket is known and whose end is not waited for, since the way to the server may be gone."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:  # noqa: ANN401 - asyncpg's own
        super().__init__(protocol, transport, *rest)
        self.socket: TransportSocket = transport.get_extra_info("socket")

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as asyncpg has it
        """Says farewell; if that does not get through, goes without it."""
        with suppress(TimeoutError):
            await super().close(timeout=CLOSE_TIMEOUT)


def create_engine(
    address: Callable[[], str], *, pool_size: int = 5, command_timeout: float | None = COMMAND_TIMEOUT
) -> AsyncEngine:
    """An engine whose connections go where `address` points at the moment each is made.

    No statement is kept prepared on the server, so that PgBouncer may hand each transaction another connection.
    """

    async def connect() -> Connection:
        here = address()
        dsn, arguments = driver_arguments(here)
        connection = await asyncpg.connect(
            dsn,
            command_timeout=command_timeout,
            statement_cache_size=0,
            connection_class=Connection,
            **arguments,
        )
        enable_keepalive(connection.socket, dict(parse_qsl(urlsplit(here).query)))
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        connect_args={"prepared_statement_cache_size": 0},
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=30,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: DBAPIConnection, *_: object) -> None:
    """Has the pool connect anew if the server has hung up; to ask it would take four trips each time."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def read_snapshot(engine: AsyncEngine, *, statement_seconds: int | None = None) -> AsyncIterator[AsyncConnection]:
    """A transaction that reads one state of the data, and in which no statement takes longer.

    Raises:
        DatabaseError: The database cannot be asked, or a statement takes too long.
    """
    with translate_errors():
        async with engine.connect() as connection:
            await connection.execute(text("set transaction isolation level repeatable read, read only"))
            if statement_seconds is not None:
                await connection.execute(text(f"set local statement_timeout = '{statement_seconds}s'"))
            yield connection


def driver_arguments(address: str) -> tuple[str, dict[str, Any]]:
    """What asyncpg takes in place of a libpq address: the address it understands, and arguments beside it."""
    parts = urlsplit(address)
    arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, "server_settings": {"application_name": "syncer"}}
    kept = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "connect_timeout":
            arguments["timeout"] = float(value) or None
        elif name == "application_name":
            arguments["server_settings"] = {"application_name": value}
        elif name not in _WITHOUT_EFFECT and name not in KEEPALIVE_PARAMETERS:
            kept.append((name, value))
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(kept, quote_via=quote), "")), arguments


async def driver_connection(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    """The driver's own connection, for what goes past SQLAlchemy: binary COPY, and rows by the hundred thousand."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert isinstance(raw, asyncpg.Connection)  # noqa: S101 - an open connection has one
    return raw


@asynccontextmanager
async def autocommit_connection(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The driver's own connection, where each statement is a transaction of its own and costs no further trip.

    Raises:
        DatabaseError: PostgreSQL refused, or there is no way to it.
    """
    with translate_errors():
        async with engine.connect() as session, invalidate_on_timeout(session):
            yield await driver_connection(session)


@asynccontextmanager
async def invalidate_on_timeout(connection: AsyncConnection) -> AsyncIterator[None]:
    """Leaves a connection on which a statement of the driver's was given up: who is silent answers no rollback."""
    try:
        yield
    except (TimeoutError, asyncio.CancelledError):
        await connection.invalidate()
        raise


def redacted(address: str) -> str:
    """The host, port and database of an address, without user, password or parameters."""
    parts = urlsplit(address)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns what the driver raises into one plain sentence.

    Raises:
        DatabaseError: In place of any error of the driver, the pool or the network under them.
    """
    try:
        yield
    except EmbeddedServerError as error:
        sentence = str(error)
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        sentence = error_message(error)
    else:
        return
    # From nothing, so that no traceback tells the chain of the driver's error, which may hold the address.
    raise DatabaseError(sentence) from None


def error_message(error: BaseException) -> str:
    """One line that says what PostgreSQL, or the way to it, refused."""
    cause = error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig else error
    found = _found(cause)
    match cause:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            todo = "check user and password in SYNCER_DATABASE_URL"
        case asyncpg.InvalidCatalogNameError():
            todo = "create the database, or correct its name in SYNCER_DATABASE_URL"
        case asyncpg.InsufficientPrivilegeError():
            todo = "let an administrator grant what is missing"
        case asyncpg.ReadOnlySQLTransactionError():
            todo = "the server is a standby or read-only: point SYNCER_DATABASE_URL at the primary"
        case asyncpg.QueryCanceledError():
            todo = "the question takes too long for this server, or an administrator ended it"
        case asyncpg.DiskFullError() | asyncpg.OutOfMemoryError():
            todo = "make room on the database server"
        case asyncpg.LockNotAvailableError():
            todo = "another poll of this account or an administrator holds a lock; the next poll tries again"
        case TimeoutError():
            found, todo = "PostgreSQL did not answer in time", "check that the server and the way to it are up"
        case OSError() | asyncpg.InterfaceError() | asyncpg.PostgresConnectionError():
            todo = "check that the server is up and SYNCER_DATABASE_URL is right"
        case _:
            todo = "look in the server's log"
    return f"database: {found}; {todo}"


def _found(cause: BaseException) -> str:
    words = " ".join(str(cause).split())
    if isinstance(cause, asyncpg.InterfaceError) and "connection is closed" in words:
        return "the connection broke"  # whatever could no longer be done on it
    return words or type(cause).__name__
