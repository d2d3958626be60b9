"""Sends HTTP requests to receivers, follows no redirects, and reads only the beginning of their answers."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import aiohttp
import msgspec

from syncer import __version__
from syncer.endpoint.retry_after import parse_retry_after
from syncer.notices.connections import NoAnswerError, connection_failure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import SimpleNamespace, TracebackType

    from yarl import URL

MAX_RETRY_AFTER: Final = timedelta(hours=1)
"""A receiver that asks to wait longer is tried again after this."""
_MAX_ANSWER_BYTES: Final = 2**16
_ANSWER_SECONDS: Final = 5.0
"""How long the body of an answer may take: it only says more about a failure."""
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": f"syncer/{__version__}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    Attributes:
        peer: Who answered, for messages.
        headers: Its headers.
        body: The beginning of its body; nothing of it if a message was accepted.
    """

    peer: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the receiver has done what it was asked."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_uncertain(self) -> bool:
        """Whether the answer is a gateway's, which does not know whether the receiver has the message."""
        return self.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}

    @property
    def retry_after(self) -> timedelta | None:
        """How long the receiver asks to wait, at most an hour."""
        if self.status not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            return None
        seconds, _ = parse_retry_after(self.headers)
        return None if seconds is None else min(timedelta(seconds=seconds), MAX_RETRY_AFTER)

    @property
    def json(self) -> Mapping[str, object]:
        """The body, if it is an object in JSON; otherwise an empty one."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            return {}

    @property
    def explanation(self) -> str:
        """What the receiver says about a failure, in its own words."""
        for key in ("description", "message", "error", "detail"):
            if isinstance(text := self.json.get(key), str):
                return text
        return self.body.decode(errors="replace")


@dataclass(slots=True)
class _Progress:
    is_connected: bool = False


class HttpClient:
    """A client for any number of receivers; an async context manager that owns the connections.

    Args:
        timeout_seconds: How long a request may take, with connecting and with what is read of the answer.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_connection)
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            # Messages are few. A connection that was kept may be closed when the next one is sent, which may have
            # arrived then or not.
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        tls_context: ssl.SSLContext,
        proxy: URL | None = None,
    ) -> Answer:
        """Sends one request and returns its answer, whatever its status is.

        Raises:
            NoAnswerError: There was none.
        """
        assert self._session is not None, "HttpClient is an async context manager"  # noqa: S101 - a slip of the caller
        peer = url.host_port_subcomponent or ""
        if proxy is not None:
            peer += " (through the proxy)"
        progress = _Progress()
        try:
            async with (
                asyncio.timeout(self.timeout_seconds) as clock,
                self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    proxy=proxy,
                    ssl=tls_context,
                    trace_request_ctx=progress,
                ) as response,
            ):
                # Once a message was accepted, nothing that follows can change that.
                is_read = method == "GET" or response.status >= HTTPStatus.MULTIPLE_CHOICES
                received = await _read_beginning(response, clock) if is_read else b""
                response.close()
                return Answer(peer, response.status, response.headers, received)
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            failure = self._failure(error, peer, progress)
        # Raised outside the except block: an error of aiohttp contains the request, and with it the secrets.
        raise failure

    def _failure(
        self, error: aiohttp.ClientError | OSError | UnicodeError, peer: str, progress: _Progress
    ) -> NoAnswerError:
        if isinstance(error, TimeoutError):
            found = "did not answer" if progress.is_connected else "could not be connected to"
            sentence = f"{peer} {found} within {self.timeout_seconds:g} s"
        elif isinstance(error, aiohttp.ClientHttpProxyError):
            is_login = error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
            check = "its user name and password" if is_login else "the channel's proxy"
            sentence = f"the proxy answered {error.status} instead of connecting: check {check}"
        elif isinstance(error, aiohttp.ClientConnectorError | UnicodeError):
            is_about_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
            sentence = connection_failure(_cause_of(error), "the proxy" if is_about_proxy else peer)
        elif isinstance(error, aiohttp.ClientResponseError):
            sentence = f"what {peer} answered is not HTTP: check the address and the port"
        else:
            sentence = f"{peer} closed the connection without an answer"
        return NoAnswerError(sentence, is_uncertain=progress.is_connected)


def _cause_of(error: BaseException) -> BaseException:
    """Returns the exception of the socket or of TLS, which aiohttp's exceptions have as their cause."""
    while isinstance(error, aiohttp.ClientError) and error.__cause__ is not None:
        error = error.__cause__
    return error


async def _read_beginning(response: aiohttp.ClientResponse, clock: asyncio.Timeout) -> bytes:
    """Returns what arrives of the body in time; the status, which is known, is more important."""
    received = bytearray()
    deadline = min(clock.when() or math.inf, asyncio.get_running_loop().time() + _ANSWER_SECONDS)
    clock.reschedule(None)
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout_at(deadline):
            while len(received) < _MAX_ANSWER_BYTES and (chunk := await response.content.readany()):
                received += chunk
    return bytes(received[:_MAX_ANSWER_BYTES])


async def _note_connection(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.is_connected = True
