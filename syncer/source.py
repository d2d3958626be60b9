"""The endpoint: one request, its limits, its retries → bytes.

What the bytes mean is for others. A gzip whose end is missing decodes to a JSON array whose end is missing, and is
refused for that; a corrupt one is a broken transfer, `network`, and asked for again.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Self

import aiohttp
import stamina
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from syncer import __version__
from syncer.errors import (
    ConfigurationError,
    ForbiddenError,
    HttpStatusError,
    NetworkError,
    PollError,
    RateLimitedError,
    ResponseTimeoutError,
    TlsError,
    TooLargeError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from multidict import CIMultiDictProxy

    from syncer.settings import Account, Settings

_PATH = "/numbers/virtual-number"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json; charset=UTF-8",  # the vendor requires it on every request, GET included
    "User-Agent": f"syncer/{__version__}",
}
_CONNECT_SECONDS = 10.0
_CHUNK_BYTES = 2**18  # what aiohttp buffers anyway; larger ones gain nothing
_CHECK_ADDRESS = "check the address (SYNCER_API_URL, or api_url in the accounts file)"
_CHECK_NETWORK = "check the network, the firewall and SYNCER_API_PROXY"
_CHECK_TLS = "check the address, or name the certificate authority's file in SYNCER_API_CA_FILE"


@dataclass(frozen=True, slots=True)
class Response:
    """What the endpoint answered.

    Attributes:
        body: The decoded body, whatever it is.
        http_status: 200.
        attempts: How many requests it took.
    """

    body: bytes
    http_status: int
    attempts: int


class Source:
    """Asks the endpoint for the numbers of an account; an async context manager that owns the connections.

    One serves any number of accounts at once. Neither its errors nor what hangs on them hold a token or the proxy's
    password.
    """

    def __init__(self, settings: Settings) -> None:
        self._attempts = settings.api_attempts
        self._max_bytes = settings.api_max_bytes
        self._seconds = settings.api_timeout.total_seconds()
        self._proxy = None if settings.api_proxy is None else settings.api_proxy.get_secret_value()
        self._tls = _tls_context(settings.api_ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # The endpoint may think for as long as the whole request may take, so that silence has no shorter limit.
        # Connecting has: half at most, so that it is always told apart from a slow answer.
        timeout = aiohttp.ClientTimeout(
            total=self._seconds,
            sock_connect=min(_CONNECT_SECONDS, self._seconds / 2),
            sock_read=self._seconds,
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            middlewares=[_ask_once],
            proxy=self._proxy,
            timeout=timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, account: Account, *, deadline_seconds: float | None = None) -> Response:
        """Get the account's numbers, asking again for what a retry can cure.

        Args:
            account: Whose numbers.
            deadline_seconds: From now; after it nothing is waited for, and a `Retry-After` that would end later is
                not waited for at all. A request under way may take its own time beyond it. None: the poll interval.

        Returns:
            The response to the first request that was answered with 200 and arrived whole.

        Raises:
            PollError: What the last request failed with.
        """
        seconds = account.poll_interval.total_seconds() if deadline_seconds is None else deadline_seconds
        attempts = stamina.retry_context(
            on=_backoff(asyncio.get_running_loop().time() + seconds),
            attempts=self._attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=10.0,
            wait_jitter=1.0,
        )
        async for attempt in attempts:
            with attempt:
                return await self._ask(account, attempt.num)
        raise AssertionError("stamina returns or raises")

    async def _ask(self, account: Account, attempt: int) -> Response:
        assert self._session is not None, "Source is an async context manager"  # noqa: S101 - a slip of the caller
        url = URL(account.api_url + _PATH)
        token = account.token.get_secret_value()
        authorization = f"{account.auth_scheme} {token}" if account.auth_scheme else token
        status: int | None = None
        body = BytesIO()
        try:
            async with self._session.get(
                url, headers={"Authorization": authorization}, allow_redirects=False
            ) as response:
                status = response.status
                if status != HTTPStatus.OK:
                    raise _refusal(response, account)
                await self._read(response, body)
                # Costs no copy: BytesIO gives away the very bytes it wrote into.
                return Response(body=body.getvalue(), http_status=status, attempts=attempt)
        except (aiohttp.ClientError, OSError) as error:
            failure = self._failure(error, _where(url), body.tell())
            failure.http_status = status
        # Raised out here: an error of aiohttp may hold the request's headers, so none may hang on it as its context.
        raise failure

    async def _read(self, response: aiohttp.ClientResponse, body: BytesIO) -> None:
        """Append the decoded body; aiohttp stops reading the socket while a chunk's worth waits to be taken."""
        received = response.content_length or 0  # refused before it is read, if it says so itself
        if received <= self._max_bytes:
            received = 0
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                received += len(chunk)
                if received > self._max_bytes:
                    break
                body.write(chunk)
            else:
                return
        raise TooLargeError(
            f"{_where(response.url)} sends more than the {self._max_bytes} bytes that SYNCER_API_MAX_BYTES allows: "
            "raise it if the list is really that long",
            http_status=response.status,
            response_bytes=body.tell() or None,
        )

    def _failure(self, error: aiohttp.ClientError | OSError, where: str, received: int) -> PollError:
        """Say what an error of the connection means, without the error itself."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return NetworkError(f"no connection to {where} in time: {_CHECK_NETWORK}")
        if isinstance(error, TimeoutError):
            return ResponseTimeoutError(
                f"{where} had not answered in full after {self._seconds:g} s, with {received} bytes received: if it is "
                "merely slow, raise SYNCER_API_TIMEOUT",
                response_bytes=received or None,
            )
        if (problem := _tls_problem(error)) is not None:
            return TlsError(f"the TLS handshake with {where} failed ({problem}): {_CHECK_TLS}")
        text = _network_text(error, where)
        return NetworkError(f"{text}, after {received} bytes" if received else text, response_bytes=received or None)


async def _ask_once(request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from asking again by itself when a connection breaks: attempts are counted, and waited for, here."""
    try:
        return await ask(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError from error


def _network_text(error: aiohttp.ClientError | OSError, where: str) -> str:  # noqa: PLR0911 - a table
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {where} is not found ({_reason(error)}): {_CHECK_ADDRESS} and this machine's DNS"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered {status} instead of connecting to {where}: check SYNCER_API_PROXY"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy ({_reason(error)}): check SYNCER_API_PROXY"
        case aiohttp.ClientConnectorError():
            return f"no connection to {where} ({_reason(error)}): {_CHECK_NETWORK}"
        case aiohttp.ClientResponseError():
            return f"{where} answered something that is not HTTP: {_CHECK_ADDRESS}"
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return f"{where} sent a body that is not in the encoding that its header names"
        case _:
            return f"{where} broke the connection off before its answer was whole"


def _reason(error: aiohttp.ClientConnectorError) -> str:
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


def _refusal(response: aiohttp.ClientResponse, account: Account) -> PollError:
    """Say what a status other than 200 means."""
    where, status = _where(response.url), response.status
    wait = _retry_after(response.headers)
    asks = "" if wait is None else f" and asks to wait {wait:g} s"
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(
            f"{where} answered 401, so the token of {account.token_source} is not valid or no longer, since a newly "
            "generated one ends the one before it: generate a token in the Личный кабинет and set it there",
            http_status=status,
        )
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError(
            f"{where} answered 403, most likely because this machine's IP address is not on the allow-list: add it to "
            "the list in the Личный кабинет, or go through an address that is on it (SYNCER_API_PROXY)",
            http_status=status,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(
            f"{where} answered 429, it was asked too often{asks}: if this goes on, raise SYNCER_POLL_INTERVAL",
            retry_after=wait,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = f"{where} answered {status}, a failure on its side{asks}: if this goes on, ask the vendor"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = (
            f"{where} answered {status}, a redirect{_target(response)} that is not followed, since the token would go "
            f"with it: {_CHECK_ADDRESS}"
        )
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        text = "the proxy answered 407, it wants another user name or password: check SYNCER_API_PROXY"
    else:
        text = f"{where} answered {status}, and the numbers come with 200 only: {_CHECK_ADDRESS}"
    return HttpStatusError(text, http_status=status, retry_after=wait)


def _where(url: URL) -> str:
    return url.host_port_subcomponent or "the endpoint"


def _target(response: aiohttp.ClientResponse) -> str:
    """Say which host a redirect points to; the rest of its address may hold anything."""
    try:
        host = response.url.join(URL(response.headers.get("Location", ""))).host
    except ValueError:
        host = None
    return f" to {host}" if host else ""


def _retry_after(headers: CIMultiDictProxy[str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, which gives them as a number or as a date."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    # Counted from the endpoint's own clock, where it tells it: ours may be wrong.
    now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _backoff(deadline: float) -> Callable[[Exception], bool | float]:
    """Make the hook that tells stamina whether to ask again: no, after its own wait, or after this many seconds.

    Args:
        deadline: On the clock of the event loop.
    """

    def decide(error: Exception) -> bool | float:
        if not isinstance(error, PollError) or not error.retryable:
            return False
        left = deadline - asyncio.get_running_loop().time()
        wait = getattr(error, "retry_after", None)
        if not wait:  # "Retry-After: 0" asks for no wait, but the usual one does no harm
            return left > 0
        return float(wait) if wait <= left else False

    return decide


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the system's certificate authorities, and those of the file besides."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # an SSLError too, when there is no certificate in it
            problem = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise ConfigurationError(
                f"SYNCER_API_CA_FILE is '{ca_file}', which {problem}: it must be a PEM file of certificate authorities"
            ) from None
    return context
