"""Maps failed requests to errors: statuses other than 200, and exceptions of the connection.

The messages name hosts and settings, but never a token, a password, or any other part of an address or a header.
"""

from __future__ import annotations

import os
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from syncer.errors import (
    ForbiddenError,
    HttpStatusError,
    NetworkError,
    PollError,
    RateLimitedError,
    ResponseTimeoutError,
    TlsError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from syncer.config.accounts import Account

_CHECK_ADDRESS = "check the address (SYNCER_API_URL, or api_url in the accounts file)"
_CHECK_NETWORK = "check the network, the firewall and SYNCER_API_PROXY"
_CHECK_TLS = "check the address, or name the certificate authority's file in SYNCER_API_CA_FILE"


def error_for_status(response: aiohttp.ClientResponse, account: Account) -> PollError:
    """Returns the error for a status other than 200.

    Args:
        response: The response. Its body is not read, since it may repeat the token.
        account: The account whose token was sent.
    """
    host, status = response.url.host_port_subcomponent, response.status
    wait = _retry_after_seconds(response.headers)
    asked_wait = "" if wait is None else f", and asks to wait {wait:g} s"
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(
            f"{host} answered 401, so the token of {account.token_source} is not valid (generating a new token revokes "
            f"the old one): generate a token in the Личный кабинет and put it in {account.token_source}",
            http_status=status,
        )
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError(
            f"{host} answered 403, most likely because this machine's IP address is not on the allow-list: add it to "
            "the list in the Личный кабинет, or use a proxy whose address is on it (SYNCER_API_PROXY)",
            http_status=status,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(
            f"{host} answered 429, too many requests{asked_wait}: raise SYNCER_POLL_INTERVAL if this persists",
            retry_after=wait,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"{host} answered {status}, a server error{asked_wait}: ask the vendor if this persists"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message = (
            f"{host} answered {status}, a redirect{_redirect_target(response, account)}, which is not followed because "
            f"it would send the token along: {_CHECK_ADDRESS}"
        )
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        message = "the proxy answered 407, so it rejected the user name or password: check SYNCER_API_PROXY"
    else:
        message = f"{host} answered {status} instead of 200: {_CHECK_ADDRESS}"
    return HttpStatusError(message, http_status=status, retry_after=wait)


def _redirect_target(response: aiohttp.ClientResponse, account: Account) -> str:
    """Returns the host of a redirect, unless it may contain the token or a phone number; the rest is never shown."""
    try:
        host = response.url.join(URL(response.headers.get("Location", ""))).host
    except ValueError:
        host = None
    if not host or "%" in host or re.search("[0-9]{7}", host) is not None:  # a "%" could hide anything
        return ""
    return f" to {host}" if account.token.get_secret_value().lower() not in host.lower() else ""


def _retry_after_seconds(headers: CIMultiDictProxy[str]) -> float | None:
    """Returns the delay that `Retry-After` asks for, as a number of seconds or as a date."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until = _parse_http_date(text)
    if until is None:
        return None
    # Relative to the endpoint's own clock if it sends one, since ours may be wrong.
    now = _parse_http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _parse_http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def error_for_exception(error: aiohttp.ClientError | OSError, url: URL, *, seconds: float, received: int) -> PollError:
    """Returns the error for an exception of the connection; the exception may contain the request's headers.

    Args:
        error: The exception that aiohttp raised.
        url: The address of the request.
        seconds: The timeout of the whole request.
        received: How many decoded bytes of the body had been received.
    """
    host = url.host_port_subcomponent
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NetworkError(f"connecting to {host} timed out: {_CHECK_NETWORK}")
    if isinstance(error, TimeoutError):
        return ResponseTimeoutError(
            f"the response of {host} was not complete after {seconds:g} s, with {received} bytes received: raise "
            "SYNCER_API_TIMEOUT if it is just slow",
            response_bytes=received or None,
        )
    if (problem := _tls_problem(error)) is not None:
        return TlsError(f"the TLS handshake with {host} failed ({problem}): {_CHECK_TLS}")
    message = _network_message(error, host)
    return NetworkError(f"{message}, after {received} bytes" if received else message, response_bytes=received or None)


def _network_message(error: aiohttp.ClientError | OSError, host: str | None) -> str:  # noqa: PLR0911 - a table
    match error:
        case aiohttp.ClientConnectorDNSError():
            reason = _connect_error_reason(error)
            return f"the name {host} cannot be resolved ({reason}): {_CHECK_ADDRESS} and this machine's DNS"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered {status} instead of connecting to {host}: check SYNCER_API_PROXY"
        case aiohttp.ClientProxyConnectionError():
            return f"cannot connect to the proxy ({_connect_error_reason(error)}): check SYNCER_API_PROXY"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {host} ({_connect_error_reason(error)}): {_CHECK_NETWORK}"
        case aiohttp.ClientResponseError():
            return f"the response of {host} is not HTTP: {_CHECK_ADDRESS}"
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return f"{host} sent a body that does not match its Content-Encoding header"
        case _:
            return f"{host} closed the connection before the response was complete"


def _connect_error_reason(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    # asyncio adds addresses to strerror; a negative number is a resolver error, for which os.strerror has no text.
    return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror or str(cause)


def _tls_problem(error: BaseException | None) -> str | None:
    """Returns the reason if TLS failed, in the handshake or later (the server may reject our certificate only then)."""
    while isinstance(error, aiohttp.ClientError):  # some are also SSLErrors, but without its attributes
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    return None
