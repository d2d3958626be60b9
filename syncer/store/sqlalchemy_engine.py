"""Creates SQLAlchemy's engine, which connects as the program does. Only a process that uses it imports this module."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from syncer.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    import asyncpg
    from sqlalchemy.engine.interfaces import DBAPIConnection

    Connect: TypeAlias = Callable[..., Coroutine[Any, Any, asyncpg.Connection[Any]]]

_KEPT_CONNECTIONS: Final = 2


def create(connect: Connect, pool_size: int, pool_timeout: float) -> AsyncEngine:
    """Creates SQLAlchemy's engine.

    Args:
        connect: Opens a connection.
        pool_size: How many connections may be open. Up to `_KEPT_CONNECTIONS` stay open once they were needed.
        pool_timeout: Seconds to wait for one while all are in use.
    """
    kept = min(pool_size, _KEPT_CONNECTIONS)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        # Not as `async_creator`, beside which SQLAlchemy ignores the other two. A statement without a name is not kept.
        connect_args={
            "async_creator_fn": connect,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        pool_size=kept,
        max_overflow=pool_size - kept,
        pool_timeout=pool_timeout,
    )
    event.listen(engine.sync_engine, "checkout", _reject_closed)
    return engine


def _reject_closed(connection: DBAPIConnection, *_: object) -> None:
    """Makes the pool reconnect if the server has closed the connection; a ping would take four round trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@contextmanager
def driver_errors() -> Iterator[None]:
    """Raises the driver's error in place of the one that SQLAlchemy has wrapped around it.

    Raises:
        DatabaseError: In place of an error that is SQLAlchemy's own.
    """
    try:
        yield
    except DBAPIError as error:
        if error.orig is None:
            raise
        driver_error = error.orig.__cause__ or error.orig
    except SQLAlchemyError as error:
        driver_error = DatabaseError(f"database: {' '.join(str(error.args[0]).split())}; check the server's log")
    else:
        return
    raise driver_error from None
