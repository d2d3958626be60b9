"""An HTTP server that strangers cannot use to stop the process.

aiohttp's server accepts any number of connections and waits for a request for an hour. asyncio logs a traceback for
each connection that it cannot accept, and aiohttp one for each request that is not HTTP. Here the number of connections
and the time that each may take are limited, and a client's mistake is answered and not logged.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion10, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from syncer.errors import os_error_text
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

MAX_CONNECTIONS: Final = 128
"""Open connections, at most. Beyond it, the connection that has waited longest for a request is closed."""
FILES_PER_CONNECTION: Final = 4
"""Connections get at most one in this many of the files that the process may open; polls need the others."""
HEAD_TIMEOUT_SECONDS: Final = 10.0
"""How long a client may take to send a request's line and headers."""
IDLE_TIMEOUT_SECONDS: Final = 75.0
"""How long a connection may wait for its next request: longer than Prometheus' usual interval and nginx' 60 seconds."""
RESPONSE_TIMEOUT_SECONDS: Final = 60.0
"""How long a request may take until the client has read the response."""
ACCEPT_RETRY_SECONDS: Final = 1.0
"""Pause after a connection could not be accepted, as when no more files may be opened."""
REPORT_SECONDS: Final = 60.0
"""An event that strangers can cause is logged once in this time, at most."""
_BACKLOG: Final = 128
_SHUTDOWN_SECONDS: Final = 0.5
"""A client that reads slowly must not delay the stop of the daemon."""
_CLIENT_ERRORS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class StreamedResponse(web.StreamResponse):
    """A response with the headers that every response has, and without aiohttp's `Server` header."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop(hdrs.SERVER, None)
        for name, value in _HEADERS.items():
            self.headers.setdefault(name, value)


class Response(StreamedResponse, web.Response):
    """A response that is sent as a whole."""


class RareLog:
    """Logs each event once per minute at most, with the number of its occurrences since the last time."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._silent_until: dict[str, float] = {}

    def warning(self, event: str, **fields: object) -> None:
        """Logs an event, or counts it."""
        now = asyncio.get_running_loop().time()
        self._counts[event] = self._counts.get(event, 0) + 1
        if now >= self._silent_until.get(event, 0.0):
            self._silent_until[event] = now + REPORT_SECONDS
            log.warning(event, times=self._counts.pop(event), **fields)


class Connection(web.RequestHandler):
    """One client's connection: aborts it when the client takes too long.

    Attributes:
        waiting_since: Since when the connection waits for a request, by the loop's clock; None during a request.
    """

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's type lacks the None that it allows
            auto_decompress=False,  # bodies are ignored
        )
        self._server = server
        self._clock = loop
        self._open_transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_idle = False
        self.waiting_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts to wait for the first request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP connection
        self._open_transport = transport
        self._server.connections_open.add(self)
        self.waiting_since = self._clock.time()
        self._set_deadline(HEAD_TIMEOUT_SECONDS)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parses a part of a request. Its first part limits the time until its head is complete."""
        if self._is_idle:
            self._is_idle = False
            self._set_deadline(HEAD_TIMEOUT_SECONDS)
        super().data_received(data)

    def begin_request(self) -> None:
        """Starts the time that a request may take."""
        self.waiting_since, self._is_idle = None, False
        self._set_deadline(RESPONSE_TIMEOUT_SECONDS)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends the response, and then waits for the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.waiting_since, self._is_idle = self._clock.time(), True
            self._set_deadline(IDLE_TIMEOUT_SECONDS)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the connection, and cancels its request."""
        self._server.connections_open.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._open_transport, self._deadline = None, None
        super().connection_lost(exc)

    def abort(self) -> None:
        """Closes the connection without waiting for the client to read what was sent."""
        if self._open_transport is not None:
            self._open_transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp passes it
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp passes it
        message: str | None = None,  # noqa: ARG002 - aiohttp passes it
    ) -> web.StreamResponse:
        """Answers a request that is not HTTP, without repeating or logging anything of it."""
        return _malformed_request(status)

    def log_exception(self, *_: object, **__: object) -> None:
        """Logs an exception, unless the client caused it."""
        if not isinstance(sys.exception(), _CLIENT_ERRORS):
            log.exception("http_connection_crashed")

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._open_transport is not None:
            self._deadline = self._clock.call_later(seconds, self.abort)


class HttpServer(web.Server):
    """Listens within `async with`.

    Args:
        handle: Answers a request; cancelled if the client disconnects.
        host: The name or address to listen on.
        port: The port; 0 takes a free one.

    Attributes:
        connections_open: The open connections.
    """

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[StreamedResponse]], host: str, port: int) -> None:
        super().__init__(self._handle_request, handler_cancellation=True)
        self._handle = handle
        self._address = host, port
        self._listeners: list[socket.socket] = []
        self._accept_tasks: list[asyncio.Task[None]] = []
        self._max_connections = min(MAX_CONNECTIONS, _max_open_files() // FILES_PER_CONNECTION)
        self._rare_log = RareLog()
        self.connections_open: set[Connection] = set()

    def __call__(self) -> web.RequestHandler:
        """Creates the protocol of a new connection."""
        return Connection(self, asyncio.get_running_loop())

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            for family, _, _, _, address in await loop.getaddrinfo(
                *self._address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                listener = socket.create_server(address, family=family, backlog=_BACKLOG)
                listener.setblocking(False)
                self._listeners.append(listener)
        except BaseException:
            self._close_listeners()
            raise
        self._accept_tasks = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._accept_tasks:
            task.cancel()
        await asyncio.gather(*self._accept_tasks, return_exceptions=True)
        self._close_listeners()
        self.pre_shutdown()
        await self.shutdown(_SHUTDOWN_SECONDS)
        for connection in list(self.connections_open):
            connection.abort()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listeners[0].getsockname()[1]
        return port

    @property
    def requests_open(self) -> int:
        """How many requests have come whose responses are not sent yet."""
        return sum(connection.waiting_since is None for connection in self.connections_open)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
                if self._make_room():
                    await loop.connect_accepted_socket(self, accepted)
                else:
                    accepted.close()
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next connection may be accepted
                self._rare_log.warning("http_accept_failed", error=os_error_text(error))
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)

    def _make_room(self) -> bool:
        """Closes the connection that has waited longest for a request if there are too many.

        Returns:
            Whether there is room for another connection.
        """
        if len(self.connections_open) < self._max_connections:
            return True
        self._rare_log.warning("http_connections_full", limit=self._max_connections)
        waiting = [connection for connection in self.connections_open if connection.waiting_since is not None]
        if not waiting:
            return False
        min(waiting, key=lambda connection: connection.waiting_since or 0.0).abort()
        return True

    async def _handle_request(self, request: web.BaseRequest) -> StreamedResponse:
        assert isinstance(request.protocol, Connection)  # noqa: S101 - `__call__` creates no other
        request.protocol.begin_request()
        if request.version < HttpVersion10:
            return _malformed_request()
        try:
            return await self._handle(request)
        except Exception:  # noqa: BLE001 - a bug must be logged and answered
            log.exception("http_request_crashed")
            return Response(status=500, text="Internal error: see the log.\n")

    def _close_listeners(self) -> None:
        while self._listeners:
            self._listeners.pop().close()


def _malformed_request(status: int = 400) -> Response:
    response = Response(status=status, text="This is not a valid HTTP request.\n")
    response.force_close()
    return response


def _max_open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
