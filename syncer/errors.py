"""Every way the program fails, as a tree.

    SyncerError
    ├── ConfigurationError            what the operator set cannot be used; exit code 2
    ├── EmbeddedServerError           the embedded PostgreSQL cannot run
    ├── SchemaError                   the database's schema is not the one this version requires
    └── PollError                     a poll failed and changed nothing; `kind` is the contract's `error_kind`
        ├── UnauthorizedError         401
        ├── ForbiddenError            403
        ├── RateLimitedError          429                                   a retry can cure it
        ├── HttpStatusError           any other status but 200              a retry can cure 5xx
        ├── ResponseTimeoutError      too slow                              a retry can cure it
        ├── NetworkError              no connection, or it broke            a retry can cure it
        ├── TlsError                  the certificate or the handshake
        ├── TooLargeError             more decoded bytes than allowed
        ├── NotJsonError              not JSON, or cut short
        ├── NotAnArrayError           JSON, but not an array
        ├── WrongAccountError         another Личный кабинет answered
        └── DatabaseError             PostgreSQL refused or could not be reached

The text of each is one line for a person: what is wrong, what was found, what to do. It never holds a secret.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import ClassVar


class SyncerError(Exception):
    """Anything an operator can cause or cure; its text is shown as it is, without a traceback."""


class ConfigurationError(SyncerError):
    """A setting is missing or wrong: the text names the variable, what it holds (never a secret), what is allowed."""


class EmbeddedServerError(SyncerError):
    """The embedded PostgreSQL cannot be found, made, started or reached."""


class SchemaError(SyncerError):
    """The database's schema is older or newer than the one this version requires; the text says which command to run."""


class PollError(SyncerError):
    """A poll failed and changed nothing but its run's row.

    Attributes:
        kind: The contract's `error_kind`.
        retryable: Whether asking again within the same poll can cure it.
        http_status: The status the endpoint answered with, where it answered.
        response_bytes: How many decoded bytes arrived before it failed, where any did.
    """

    kind: ClassVar[str]
    retryable: bool = False

    def __init__(self, message: str, *, http_status: int | None = None, response_bytes: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.response_bytes = response_bytes


class UnauthorizedError(PollError):
    """401: the token is not, or no longer, valid."""

    kind = "unauthorized"


class ForbiddenError(PollError):
    """403: most often this machine's address is not on the account's allow-list."""

    kind = "forbidden"


class HttpStatusError(PollError):
    """Any other status but 200. `retry_after` is the wait, in seconds, that the endpoint asked for."""

    kind = "http_status"

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        response_bytes: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, http_status=http_status, response_bytes=response_bytes)
        self.retry_after = retry_after
        self.retryable = http_status >= HTTPStatus.INTERNAL_SERVER_ERROR  # the server's fault, so it may pass


class RateLimitedError(HttpStatusError):
    """429: asked too often."""

    kind = "rate_limited"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, http_status=429, retry_after=retry_after)
        self.retryable = True


class ResponseTimeoutError(PollError):
    """The request, whole, took longer than allowed."""

    kind = "timeout"
    retryable = True


class NetworkError(PollError):
    """No connection, or one that broke before the response was whole."""

    kind = "network"
    retryable = True


class TlsError(PollError):
    """The endpoint's certificate or the TLS handshake."""

    kind = "tls"


class TooLargeError(PollError):
    """The response, decoded, is larger than allowed."""

    kind = "too_large"


class NotJsonError(PollError):
    """The body is not JSON, or was cut short."""

    kind = "not_json"


class NotAnArrayError(PollError):
    """The body is JSON, but not an array."""

    kind = "not_an_array"


class WrongAccountError(PollError):
    """The records belong to another Личный кабинет: the token was swapped."""

    kind = "wrong_account"


class DatabaseError(PollError):
    """PostgreSQL refused, went away, or could not be reached."""

    kind = "database"


def os_error_text(error: Exception) -> str:
    """The system's own words for an error, where it has some, without what asyncio puts around them."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)
