"""Opens and keeps connections to PostgreSQL, and begins transactions on them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from syncer.config.database_address import describe_location
from syncer.errors import DatabaseError
from syncer.store.driver_arguments import driver_arguments
from syncer.store.driver_errors import BROKEN, DATABASE_URL, translate_errors
from syncer.store.keepalive import enable_keepalive

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import AsyncIterator, Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MIN_SERVER_VERSION: Final = 15
"""The oldest major version of PostgreSQL that is supported."""

COMMAND_TIMEOUT: Final = 120.0
"""Seconds to wait for the response to a statement: a dead socket may report no error."""

CLOSE_TIMEOUT: Final = 0.5
"""Seconds that closing a connection gracefully may take before it is aborted."""

POOL_TIMEOUT: Final = 30.0
"""Seconds to wait for a connection of the pool while all are in use."""

_FIRST_WITH_TRANSACTION_TIMEOUT: Final = 17

_KEPT_STATEMENTS: Final = 100
"""Statements that stay prepared on a connection, more than a poll and the daemon have."""


class Connection(asyncpg.Connection):
    """A connection that exposes its socket, and that closes without waiting for a server that may be unreachable."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:  # noqa: ANN401 - asyncpg's own
        super().__init__(protocol, transport, *rest)
        self.socket: TransportSocket = transport.get_extra_info("socket")

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as asyncpg has it
        """Closes the connection gracefully; aborts it if the server does not respond in time, or cannot be reached.

        A statement that was cancelled or timed out is cancelled on the server first.
        """
        with suppress(TimeoutError, OSError, BROKEN):
            await super().close(timeout=CLOSE_TIMEOUT)


class Engine:
    """The connections to a database: a pool of asyncpg's, and one of SQLAlchemy's, which is made when it is first used.

    Polls and all short statements use asyncpg's connections. SQLAlchemy's are for migrations and for queries that are
    put together from parts; a process that needs neither does not import it, which takes a quarter of the time of a
    short command.

    asyncpg's statements stay prepared for some minutes where a connection is one session of the server. Behind
    PgBouncer, which may run each transaction in another session, and with Citus, no statement stays prepared. Those of
    SQLAlchemy never do: among them are searches, whose best plan depends on what is searched for.
    """

    def __init__(
        self,
        address: Callable[[], str],
        *,
        variable: str = DATABASE_URL,
        pool_size: int = 10,
        query_pool_size: int = 5,
        command_timeout: float | None = COMMAND_TIMEOUT,
    ) -> None:
        """Takes what each new connection needs; opens none.

        Args:
            address: Returns the current libpq address, which may change.
            variable: The variable with the address, which errors of connecting name.
            pool_size: How many of asyncpg's connections may be open; each stays open once it was needed.
            query_pool_size: How many of SQLAlchemy's may be open.
            command_timeout: Seconds to wait for the response to a statement; None is forever.
        """
        self._address = address
        self._variable = variable
        self._pool_size = pool_size
        self._query_pool_size = query_pool_size
        self._command_timeout = command_timeout
        self._kept_statements = _KEPT_STATEMENTS
        self._places = asyncio.Semaphore(pool_size)
        self._unused: list[Connection] = []
        self._sqlalchemy: AsyncEngine | None = None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Takes a connection out of asyncpg's pool for the time of the block.

        It is closed afterwards if a statement has timed out or was cancelled, since a rollback would hang too; if the
        server has ended the session, which may still look open; and if the block has left a transaction open.

        Raises:
            DatabaseError: All connections were in use for `POOL_TIMEOUT`.
        """
        places = self._places
        try:
            async with asyncio.timeout(POOL_TIMEOUT):
                await places.acquire()
        except TimeoutError:
            raise DatabaseError(
                f"database: all {self._pool_size} connections were in use for {POOL_TIMEOUT:.0f} s; look at what the "
                "server is at, or waits for"
            ) from None
        try:
            connection = await self._take_unused() or await self._connect()
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError, BROKEN):
                # Shielded, so that the server cancels the statement even if this task is cancelled again meanwhile.
                await asyncio.shield(connection.close())
                raise
            except BaseException:
                await self._give_back(connection, places)
                raise
            await self._give_back(connection, places)
        finally:
            places.release()

    async def _take_unused(self) -> Connection | None:
        """Takes the connection that was used last, which is the most likely one to have its statements prepared."""
        while self._unused:
            connection = self._unused.pop()
            if not connection.is_closed():
                return connection
            await connection.close()  # frees what asyncpg keeps of it
        return None

    async def _give_back(self, connection: Connection, places: asyncio.Semaphore) -> None:
        if connection.is_closed():
            return
        if places is self._places and not connection.is_in_transaction():
            self._unused.append(connection)
        else:
            await connection.close()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Opens a connection of SQLAlchemy's for the time of the block; its errors are those of asyncpg."""
        from syncer.store import sqlalchemy_engine  # noqa: PLC0415 - a quarter of the time of a sync that migrates nothing

        engine = self._sqlalchemy
        if engine is None:
            engine = self._sqlalchemy = sqlalchemy_engine.create(self._connect, self._query_pool_size, POOL_TIMEOUT)
            # A command reads the schema by asyncpg, and then all else by SQLAlchemy: one connection is enough for both.
            await self._close_unused()
        with sqlalchemy_engine.driver_errors():
            async with engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Opens a connection of SQLAlchemy's, with a transaction that is committed at the end of the block."""
        async with self.connect() as connection, connection.begin():
            yield connection

    async def dispose(self) -> None:
        """Closes the connections that are not in use, and lets each other one be closed when it is given back.

        The engine can be used again: it opens others.
        """
        self._places = asyncio.Semaphore(self._pool_size)  # a connection with a place among the old ones is not kept
        try:
            await self._close_unused()
        finally:
            engine, self._sqlalchemy = self._sqlalchemy, None
            if engine is not None:
                await engine.dispose()

    async def _close_unused(self) -> None:
        unused, self._unused = self._unused, []
        await asyncio.gather(*(connection.close() for connection in unused))

    async def _connect(self, *_: object, **__: object) -> Connection:
        """Opens a connection; what SQLAlchemy would pass on to `asyncpg.connect` is ignored."""
        try:
            connection = await self._open_connection()
            if self._kept_statements and not await _can_keep_statements(connection):
                self._kept_statements = 0
                connection = await self._open_connection()
        except Exception as error:
            error.add_note(self._variable)
            raise
        return connection

    async def _open_connection(self) -> Connection:
        address = self._address()
        dsn, arguments = driver_arguments(address)
        try:
            connection = await asyncpg.connect(
                dsn,
                command_timeout=self._command_timeout,
                statement_cache_size=self._kept_statements,
                connection_class=Connection,
                **arguments,
            )
        except socket.gaierror as error:
            location = describe_location(address)
            raise OSError(f"the host's name in {location} cannot be resolved ({error.strerror})") from None
        except (asyncpg.InterfaceError, OSError):  # an untrusted certificate is a ValueError too
            raise
        except ValueError as error:  # most often UnicodeError, for a host name that cannot be encoded for DNS
            raise asyncpg.ClientConfigurationError(f"the host name in the address is not valid ({error})") from None
        enable_keepalive(connection.socket, dict(parse_qsl(urlsplit(address).query)))
        return connection


async def _can_keep_statements(connection: Connection) -> bool:
    """Returns whether the connection is one session of the server, without Citus; closes it if it is not.

    A pooler has a process id of its own for each client, which is not that of the session that answers.
    """
    try:
        # Without parameters it is sent unprepared; of its result asyncpg returns the number of rows then.
        status = await connection.execute(f"""
            select where pg_backend_pid() = {connection.get_server_pid()}
                     and to_regclass('pg_catalog.pg_dist_partition') is null""")
    except BaseException:
        connection.terminate()
        raise
    if status == "SELECT 1":
        return True
    await connection.close()
    return False


@asynccontextmanager
async def read_snapshot(
    engine: Engine, *, statement_seconds: float | None = None, exported: str | None = None
) -> AsyncIterator[AsyncConnection]:
    """Opens a read-only transaction with one snapshot of the data.

    Args:
        engine: The database.
        statement_seconds: The statement timeout; None for none but the engine's.
        exported: The name of a snapshot that another such transaction, still open, has exported; None for a new one.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    with translate_errors():
        async with engine.connect() as connection:
            await connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            if exported is not None:
                await connection.exec_driver_sql(f"set transaction snapshot '{exported}'")
            if statement_seconds is not None:
                await connection.exec_driver_sql(f"set local statement_timeout = '{statement_seconds * 1000:.0f}ms'")
            yield connection


def quote_identifier(name: str) -> str:
    """Returns a name as SQL writes it, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


async def driver_connection(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    """Returns asyncpg's connection, for binary COPY and for statements of many rows, which bypass SQLAlchemy."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert isinstance(raw, asyncpg.Connection)  # noqa: S101 - an open connection has one
    return raw


@asynccontextmanager
async def autocommit_connection(engine: Engine) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Opens asyncpg's connection in autocommit mode: each statement is one transaction and one round trip.

    Raises:
        DatabaseError: PostgreSQL refused, or cannot be reached.
    """
    with translate_errors():
        async with engine.acquire() as connection:
            yield connection


def local_settings(settings: Mapping[str, str]) -> str:
    """Returns a statement that sets parameters until the transaction ends.

    The first of them makes Citus pass the others on to the servers that have the rows, which it does for no parameter
    that `set_config` sets; to other servers it means nothing. In a block, each is passed on alone: of several
    statements in one string, all would be passed on for each, with the one that begins the transaction.
    """
    every = {"citus.propagate_set_commands": "local", **settings}
    each = " ".join(f"set local {name} = '{value}';" for name, value in every.items())
    return f"do $$begin {each} end$$"


@asynccontextmanager
async def limited_transaction(engine: Engine, settings: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Begins a transaction with some settings, in one round trip; it commits when the block ends, unless it raises.

    Args:
        engine: The database.
        settings: Parameters and their values; a `transaction_timeout` is left out where the server does not know it.

    Raises:
        DatabaseError: PostgreSQL refused, or cannot be reached.
    """
    async with autocommit_connection(engine) as connection:
        if connection.get_server_version().major < _FIRST_WITH_TRANSACTION_TIMEOUT:
            settings = {name: value for name, value in settings.items() if name != "transaction_timeout"}
        try:
            await connection.execute(f"BEGIN; {local_settings(settings)}")
            yield connection
        except (TimeoutError, asyncio.CancelledError, BROKEN):
            raise  # the connection is closed then, which rolls back: another statement would hang, too
        except BaseException:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")


@asynccontextmanager
async def invalidate_on_timeout(connection: AsyncConnection) -> AsyncIterator[None]:
    """Invalidates the connection when a statement of asyncpg's times out or is cancelled: a rollback would hang too.

    It does the same when the server has ended the session: the connection is not usable, though it may not be closed.
    """
    try:
        yield
    except (TimeoutError, asyncio.CancelledError, BROKEN):
        await connection.invalidate()
        raise
