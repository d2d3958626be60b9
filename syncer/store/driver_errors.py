"""Turns errors of asyncpg and the network into plain sentences, which repeat no value and no password."""

from __future__ import annotations

import re
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from syncer.errors import DatabaseError, DuplicateKeyError, EmbeddedServerError, InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE_URL: Final = "SYNCER_DATABASE_URL"
"""The variable with the database's address that an error names, unless it has another one as a note."""
BROKEN: Final = asyncpg.InternalClientError
"""What asyncpg raises on a session that the server has ended, while it still waits for the connection to close. It
derives from none of asyncpg's other errors."""
_CLOSED: Final = re.compile("connection (is|was) closed")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns errors of asyncpg and the network into DatabaseError with a message of one plain sentence.

    Raises:
        DatabaseError: In place of any such error.
    """
    kind = DatabaseError
    try:
        yield
    except EmbeddedServerError as error:
        message = str(error)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, BROKEN, OSError) as error:
        message = _error_message(error)
        match error:
            case asyncpg.UniqueViolationError():
                kind = DuplicateKeyError
            case asyncpg.InvalidParameterValueError():
                kind = InvalidValueError
    else:
        return
    # Without a cause: a traceback would show the chain of the driver's error, which may contain the address.
    raise kind(message) from None


def _error_message(error: BaseException) -> str:
    """Describes a database error in one line: what happened, and what to do."""
    problem = _problem(error)
    variable = next(iter(getattr(error, "__notes__", ())), DATABASE_URL)
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            todo = f"check user and password in {variable}"
        case asyncpg.InvalidCatalogNameError():
            todo = f"create the database, or correct its name in {variable}"
        case asyncpg.InsufficientPrivilegeError():
            todo = "let an administrator grant what is missing"
        case asyncpg.ReadOnlySQLTransactionError():
            todo = "the server is a standby or read-only: point SYNCER_DATABASE_URL at the primary"
        case asyncpg.QueryCanceledError():
            todo = "the query takes too long for this server, or an administrator cancelled it"
        case asyncpg.DiskFullError() | asyncpg.OutOfMemoryError():
            todo = "make room on the database server"
        case asyncpg.LockNotAvailableError():
            todo = "another poll of this account or an administrator holds a lock; the next poll tries again"
        case TimeoutError():
            problem, todo = "PostgreSQL did not answer in time", "check that the server and the network are up"
        case OSError() | asyncpg.InterfaceError() | asyncpg.PostgresConnectionError() | asyncpg.InternalClientError():
            todo = _connection_todo(error, problem, variable)
        case _:
            todo = "check the server's log"
    return f"database: {problem}; {todo}"


def _connection_todo(error: BaseException, problem: str, variable: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"check the host's name and sslrootcert in {variable}"
    if "root certificate" in problem:
        return (
            f"name the file with the server's certificate authority in sslrootcert in {variable}, or set "
            "sslrootcert=system for the authorities of this machine"
        )
    return f"check that the server is up and {variable} is right"


def _problem(error: BaseException) -> str:
    """Describes what happened, without any value that was to be stored.

    The text of an asyncpg error has PostgreSQL's DETAIL, which repeats a refused row; and both asyncpg and PostgreSQL
    quote a value that cannot be converted.
    """
    message = str(error.args[0]) if isinstance(error, asyncpg.PostgresError) and error.args else str(error)
    if isinstance(error, asyncpg.DataError):
        message = re.sub(r'"(?:[^"]|"")*"', '"…"', message, flags=re.DOTALL)
        message = re.sub(r"^(invalid input for query argument \$\d+).*", r"\1", message, flags=re.DOTALL)
    message = " ".join(message.split())
    if isinstance(error, BROKEN):
        return f"the connection broke ({message or type(error).__name__})"
    if isinstance(error, asyncpg.ConnectionDoesNotExistError | asyncpg.InterfaceError) and _CLOSED.search(message):
        return "the connection broke"  # asyncpg's message names whatever it was at, or was asked next
    return message or type(error).__name__
