"""Why the numbers did not come: every status but 200, and every way a connection fails, as an error with a sentence.

The sentences name hosts and settings, never a token, a password or anything else of an address or a header.
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
    """Say what a status other than 200 means.

    Args:
        response: Its body is left alone: it may repeat the token.
        account: Whose token was refused, if it was that.
    """
    host, status = response.url.host_port_subcomponent, response.status
    wait = _retry_after_seconds(response.headers)
    asked_wait = "" if wait is None else f" and asks to wait {wait:g} s"
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(
            f"{host} answered 401, so the token of {account.token_source} is not valid or no longer, since a newly "
            "generated one ends the one before it: generate a token in the Личный кабинет and set it there",
            http_status=status,
        )
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError(
            f"{host} answered 403, most likely because this machine's IP address is not on the allow-list: add it to "
            "the list in the Личный кабинет, or go through an address that is on it (SYNCER_API_PROXY)",
            http_status=status,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(
            f"{host} answered 429, it was asked too often{asked_wait}: raise SYNCER_POLL_INTERVAL if this goes on",
            retry_after=wait,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = f"{host} answered {status}, a failure on its side{asked_wait}: ask the vendor if this goes on"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = (
            f"{host} answered {status}, a redirect{_redirect_target(response, account)} that is not followed, since the token "
            f"would go with it: {_CHECK_ADDRESS}"
        )
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        text = "the proxy answered 407, it wants another user name or password: check SYNCER_API_PROXY"
    else:
        text = f"{host} answered {status}, and the numbers come with 200 only: {_CHECK_ADDRESS}"
    return HttpStatusError(text, http_status=status, retry_after=wait)


def _redirect_target(response: aiohttp.ClientResponse, account: Account) -> str:
    """Say which host a redirect points to, unless that repeats the token; the rest of its address may hold anything."""
    try:
        host = response.url.join(URL(response.headers.get("Location", ""))).host
    except ValueError:
        host = None
    return f" to {host}" if host and account.token.get_secret_value().lower() not in host else ""


def _retry_after_seconds(headers: CIMultiDictProxy[str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, which gives them as a number or as a date."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until = _parse_http_date(text)
    if until is None:
        return None
    # Counted from the endpoint's own clock, where it tells it: ours may be wrong.
    now = _parse_http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _parse_http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def error_for_exception(error: aiohttp.ClientError | OSError, url: URL, *, seconds: float, received: int) -> PollError:
    """Say what an error of the connection means, without the error itself, which may hold the request's headers.

    Args:
        error: What aiohttp raised.
        url: What was asked for.
        seconds: How long the request, whole, was allowed to take.
        received: How many decoded bytes of the body had arrived.
    """
    host = url.host_port_subcomponent
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NetworkError(f"no connection to {host} in time: {_CHECK_NETWORK}")
    if isinstance(error, TimeoutError):
        return ResponseTimeoutError(
            f"{host} had not answered in full after {seconds:g} s, with {received} bytes received: if it is "
            "merely slow, raise SYNCER_API_TIMEOUT",
            response_bytes=received or None,
        )
    if (problem := _tls_problem(error)) is not None:
        return TlsError(f"the TLS handshake with {host} failed ({problem}): {_CHECK_TLS}")
    text = _network_message(error, host)
    return NetworkError(f"{text}, after {received} bytes" if received else text, response_bytes=received or None)


def _network_message(error: aiohttp.ClientError | OSError, host: str | None) -> str:  # noqa: PLR0911 - a table
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {host} is not found ({_connect_error_reason(error)}): {_CHECK_ADDRESS} and this machine's DNS"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered {status} instead of connecting to {host}: check SYNCER_API_PROXY"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy ({_connect_error_reason(error)}): check SYNCER_API_PROXY"
        case aiohttp.ClientConnectorError():
            return f"no connection to {host} ({_connect_error_reason(error)}): {_CHECK_NETWORK}"
        case aiohttp.ClientResponseError():
            return f"{host} answered something that is not HTTP: {_CHECK_ADDRESS}"
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return f"{host} sent a body that is not in the encoding that its header names"
        case _:
            return f"{host} broke the connection off before its answer was whole"


def _connect_error_reason(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    # asyncio puts addresses into strerror; a negative number comes from the resolver and has no text in errno.
    return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror or str(cause)


def _tls_problem(error: BaseException | None) -> str | None:
    """Return what TLS says is wrong, if it was TLS: in a handshake, or later, when it is we who are not trusted."""
    while isinstance(error, aiohttp.ClientError):  # some of which are SSLErrors too, without its attributes
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    return None
