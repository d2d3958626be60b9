"""The errors of the program, as a tree.

    SyncerError
    ├── ConfigurationError            a setting is missing or invalid; exit code 2
    │   ├── StoredDataError           what is in the database does not permit what was asked for
    │   └── ListenError               the address to listen on is not free or not there now
    ├── EmbeddedServerError           the embedded PostgreSQL cannot run
    │   └── NoDatabaseError           no embedded database was ever created, and this command creates none
    ├── NoticeError                   a channel cannot send notices
    ├── OutputError                   standard output cannot be written
    ├── SchemaError                   the database's schema is not the one this version requires, or cannot be created
    └── PollError                     a poll failed, the data are unchanged; `kind` is the contract's `error_kind`
        ├── UnauthorizedError         401
        ├── ForbiddenError            403
        ├── RateLimitedError          429                                   retried
        ├── HttpStatusError           any other status except 200           retried if 408, 425 or 5xx
        ├── ResponseTimeoutError      the response took too long            retried
        ├── NetworkError              no connection, or it broke            retried
        ├── TlsError                  the certificate or the handshake failed
        ├── TooLargeError             more decoded bytes than allowed
        ├── NotJsonError              not JSON, or truncated
        ├── NotAnArrayError           JSON, but not an array
        ├── WrongAccountError         records of another Личный кабинет
        ├── DatabaseError             PostgreSQL returned an error or could not be reached
        │   ├── DuplicateKeyError     a key exists already
        │   └── InvalidValueError     a function refused a value that it was given
        └── InternalError             any other exception: a fault of the program, or too little memory

Each message is one line: what is wrong, what was found, what to do. It never contains a secret.
"""

from __future__ import annotations

import os
import shlex
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEMPORARY_STATUSES: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class SyncerError(Exception):
    """An error that an operator can cause or fix; its message is shown as it is, without a traceback."""

    database: str | None = None
    """Where the database is that was in use."""


class ConfigurationError(SyncerError):
    """Settings are missing or invalid. Each problem names the variable, its value unless secret, and what is allowed.

    Args:
        problems: One sentence for each problem.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class StoredDataError(ConfigurationError):
    """What is in the database does not permit what a command was asked for."""


class ListenError(ConfigurationError):
    """The address to listen on is in use or does not exist now: a program may free it, or a network come up."""


class EmbeddedServerError(SyncerError):
    """The embedded PostgreSQL cannot be found, created, started or reached."""


class NoDatabaseError(EmbeddedServerError):
    """There is no embedded database, and no address of another one."""


class NoticeError(SyncerError):
    """A channel of the notify file cannot send notices: its receiver, its address or its credentials are wrong."""


class OutputError(SyncerError):
    """Standard output is closed, or cannot be written."""


class SchemaError(SyncerError):
    """The database's schema is not the one this version requires, or cannot be; the message says what to do."""


class PollError(SyncerError):
    """A poll failed; it changed only the run's row.

    Attributes:
        kind: The contract's `error_kind`.
        retryable: Whether the request may be repeated within the same poll.
        http_status: The status of the response; None if there was none.
        response_bytes: How many decoded bytes were received before the failure; None if there were none.
        retry_after: How many seconds the endpoint asked to wait before the next request; None if it did not.
    """

    kind: ClassVar[str]
    retryable: bool = False
    retry_after: float | None = None

    def __init__(self, message: str, *, http_status: int | None = None, response_bytes: int | None = None) -> None:
        # PostgreSQL stores neither NUL nor half of a surrogate pair, and the text may contain what others sent.
        super().__init__(message.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00"))
        self.http_status = http_status
        self.response_bytes = response_bytes


class UnauthorizedError(PollError):
    """401: the token is not valid, or no longer valid."""

    kind = "unauthorized"


class ForbiddenError(PollError):
    """403: usually, this machine's IP address is not on the account's allow-list."""

    kind = "forbidden"


class HttpStatusError(PollError):
    """Any other status except 200."""

    kind = "http_status"

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message, http_status=http_status)
        self.retryable = http_status >= HTTPStatus.INTERNAL_SERVER_ERROR or http_status in _TEMPORARY_STATUSES


class RateLimitedError(HttpStatusError):
    """429: too many requests."""

    kind = "rate_limited"

    def __init__(self, message: str) -> None:
        super().__init__(message, http_status=HTTPStatus.TOO_MANY_REQUESTS)


class ResponseTimeoutError(PollError):
    """The whole request took longer than allowed."""

    kind = "timeout"
    retryable = True


class NetworkError(PollError):
    """No connection was made, or it broke before the response was complete."""

    kind = "network"
    retryable = True


class TlsError(PollError):
    """The endpoint's certificate is not trusted, or the TLS handshake failed."""

    kind = "tls"


class TooLargeError(PollError):
    """The decoded response is larger than allowed."""

    kind = "too_large"


class NotJsonError(PollError):
    """The body is not JSON, or is truncated."""

    kind = "not_json"


class NotAnArrayError(PollError):
    """The body is JSON, but not an array."""

    kind = "not_an_array"


class WrongAccountError(PollError):
    """The records belong to another Личный кабинет, so the token is that of another account.

    Args:
        account: The account's name.
        expected: The account's `app_id`.
        carried: An `app_id` that records carry.
    """

    kind = "wrong_account"

    def __init__(self, account: str, expected: int, carried: int) -> None:
        name = "-- " * account.startswith("-") + shlex.quote(account)
        super().__init__(
            f"the records carry app_id {carried}, this account's is {expected}: the token is of another Личный "
            "кабинет; nothing was changed; put the right token back, or give the new one an account name of its own; "
            f"if the vendor gave the same Личный кабинет another app_id, run: syncer account accept-app-id {name}"
        )


class DatabaseError(PollError):
    """PostgreSQL returned an error, closed the connection, or could not be reached."""

    kind = "database"


class UnknownTimeZoneError(DatabaseError):
    """PostgreSQL does not know the time zone of an account, so it could not tell the account's days apart.

    Args:
        account: The name of the account.
        zone: The name of its time zone, which Python knows.
    """

    def __init__(self, account: str, zone: str) -> None:
        plain = zone.removeprefix("posix/").removeprefix("right/")
        proposed = plain if plain != zone else "an IANA name, such as Europe/Moscow,"
        super().__init__(
            f"account {account}: the database's server does not know the time zone {zone}: write {proposed} in "
            "SYNCER_TIMEZONE, or in time_zone in the accounts file"
        )


class DuplicateKeyError(DatabaseError):
    """PostgreSQL refused a row because its key exists already."""


class InvalidValueError(DatabaseError):
    """A function of PostgreSQL refused a value that it was given."""


class InternalError(PollError):
    """A fault of the program, or too little memory: whatever no other error describes.

    Args:
        error: The exception. Its text is left out, since it may contain a secret.
        event: The event of the log that has the traceback.
    """

    kind = "internal"

    def __init__(self, error: Exception, *, event: str = "poll_crashed") -> None:
        self.is_fault = not isinstance(error, MemoryError)
        super().__init__(
            f"a fault of the program ({type(error).__name__}): please report it, with the traceback that {event} "
            "has in the log"
            if self.is_fault
            else "the program ran out of memory: give the process more, or lower SYNCER_API_MAX_BYTES"
        )


def in_sentence(names: Iterable[str]) -> str:
    """Returns names as a sentence lists them: "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun in the singular or the plural: "1 number", "2 numbers"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def os_error_text(error: Exception) -> str:
    """Returns the operating system's message for an error, without what asyncio adds to it, or else its text."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)
