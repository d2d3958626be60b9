"""The endpoint: one request, its limits, its retries → bytes.

What the bytes mean is for others. A gzip whose end is missing decodes to a JSON array whose end is missing, and is
refused for that; a corrupt one is a broken transfer, `network`, and asked for again.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Self

import aiohttp
import stamina
from yarl import URL

from syncer import __version__
from syncer.endpoint.http_errors import error_for_exception, error_for_status
from syncer.errors import ConfigurationError, PollError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings

_PATH = "/numbers/virtual-number"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json; charset=UTF-8",  # the vendor requires it on every request, GET included
    "User-Agent": f"syncer/{__version__}",
}
_CONNECT_SECONDS = 10.0
LARGE_BODY_BYTES = 2**18
"""A body that grows larger needs one of `MAX_LARGE_BODIES` places, or waits for it unread."""
MAX_LARGE_BODIES = 8
"""What bounds the memory: so many bodies of SYNCER_API_MAX_BYTES, and `LARGE_BODY_BYTES` for each of the other polls."""


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
        self._timeout_seconds = settings.api_timeout.total_seconds()
        self._proxy = None if settings.api_proxy is None else settings.api_proxy.get_secret_value()
        self._ssl_context = _create_ssl_context(settings.api_ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._large_body_slots = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def __aenter__(self) -> Self:
        # The endpoint may think for as long as the whole request may take, so that silence has no shorter limit.
        # Connecting has: half at most, so that it is always told apart from a slow answer.
        timeout = aiohttp.ClientTimeout(
            total=self._timeout_seconds,
            sock_connect=min(_CONNECT_SECONDS, self._timeout_seconds / 2),
            sock_read=self._timeout_seconds,
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl_context),  # the daemon limits the polls at once
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            middlewares=[_disable_aiohttp_retry],
            proxy=self._proxy,
            timeout=timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(
        self, account: Account, *, deadline_seconds: float | None = None, body_slot: AsyncExitStack | None = None
    ) -> Response:
        """Get the account's numbers, asking again for what a retry can cure.

        Args:
            account: Whose numbers.
            deadline_seconds: From now; after it nothing is waited for, and a `Retry-After` that would end later is
                not waited for at all. A request under way may take its own time beyond it. None: the poll interval.
            room: Keeps the place that a large body takes, until whoever is done with the body closes it. None: the
                caller asks for one body at a time.

        Returns:
            The response to the first request that was answered with 200 and arrived whole.

        Raises:
            PollError: What the last request failed with.
        """
        seconds = account.poll_interval.total_seconds() if deadline_seconds is None else deadline_seconds
        attempts = stamina.retry_context(
            on=_retry_hook(asyncio.get_running_loop().time() + seconds),
            attempts=self._attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=10.0,
            wait_jitter=1.0,
        )
        async for attempt in attempts:
            with attempt:
                async with AsyncExitStack() as slot:
                    response = await self._request(account, attempt.num, slot)
                    if body_slot is not None:
                        body_slot.push_async_exit(slot.pop_all())
                    return response
        raise AssertionError("stamina returns or raises")

    async def _request(self, account: Account, attempt: int, slot: AsyncExitStack) -> Response:
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
                    raise error_for_status(response, account)
                await self._read(response, body, slot)
                # Costs no copy: BytesIO gives away the very bytes it wrote into.
                return Response(body=body.getvalue(), http_status=status, attempts=attempt)
        except (aiohttp.ClientError, OSError) as error:
            failure = error_for_exception(error, url, seconds=self._timeout_seconds, received=body.tell())
            failure.http_status = status
        # Raised out here: an error of aiohttp may hold the request's headers, so none may hang on it as its context.
        raise failure

    async def _read(self, response: aiohttp.ClientResponse, body: BytesIO, slot: AsyncExitStack) -> None:
        """Append the decoded body; aiohttp stops reading the socket while some hundred kilobytes wait to be taken."""
        if (response.content_length or 0) > self._max_bytes:  # it says so itself: not a byte of it is read
            raise self._too_large(response, body)
        async for chunk in response.content.iter_any():
            if body.tell() + len(chunk) > self._max_bytes:
                raise self._too_large(response, body)
            if body.tell() <= LARGE_BODY_BYTES < body.tell() + len(chunk):
                await slot.enter_async_context(self._large_body_slots)
            body.write(chunk)

    def _too_large(self, response: aiohttp.ClientResponse, body: BytesIO) -> TooLargeError:
        return TooLargeError(
            f"{response.url.host_port_subcomponent} sends more than the {self._max_bytes} bytes that "
            "SYNCER_API_MAX_BYTES allows: raise it if the list is really that long",
            http_status=response.status,
            response_bytes=body.tell() or None,
        )


async def _disable_aiohttp_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from asking again by itself when a connection breaks: attempts are counted, and waited for, here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError from error


def _retry_hook(deadline: float) -> Callable[[Exception], bool | float]:
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


def _create_ssl_context(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Trust the system's certificate authorities, as aiohttp does when told True, and those of the file besides."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an SSLError too, when there is no certificate in it
        problem = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else "cannot be read"
        raise ConfigurationError(
            f"SYNCER_API_CA_FILE is '{ca_file}', which {problem}: it must be a PEM file of certificate authorities"
        ) from None
    return context
