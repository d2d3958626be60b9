"""The daemon's HTTP server: /livez, /readyz, /metrics, and the pages for people."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs
from prometheus_client.exposition import choose_encoder
from yarl import URL

from syncer.config.hosts import is_loopback
from syncer.errors import ConfigurationError, DatabaseError, ListenError, SyncerError, os_error_text
from syncer.store.engine import Engine
from syncer.store.schema import schema_state
from syncer.store.server import find_write_obstacle
from syncer.telemetry.logs import log
from syncer.web.access import Access
from syncer.web.http_server import HttpServer, Response, StreamedResponse
from syncer.web.known_accounts import KnownAccounts
from syncer.web.list_page import ListPage
from syncer.web.number_pages import NumberPages
from syncer.web.page import Page
from syncer.web.query_cache import QuerySlot
from syncer.web.rendering import POLICY
from syncer.web.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from typing import Self

    from aiohttp.web import BaseRequest
    from multidict import MultiMapping

    from syncer.config.hosts import ListenAddress
    from syncer.config.settings import Settings
    from syncer.telemetry.metrics import Metrics
    from syncer.web.rendering import Document

READY_TIMEOUT_SECONDS: Final = 3.0
"""The daemon is not ready if the database takes longer than this to answer."""
STATEMENT_TIMEOUT_SECONDS: Final = 10.0
"""When the driver gives up on a statement; the statement timeout in PostgreSQL is shorter."""
MAX_OPEN_REQUESTS: Final = 64
"""Beyond so many requests that wait, all but those for /livez are refused."""
_MIN_REFRESH: Final = timedelta(seconds=5)
_MAX_REFRESH: Final = timedelta(seconds=60)

_PAGE_LOOPBACK_ONLY: Final = (
    "The page is served on a loopback address only, since it shows phone numbers to anyone who can reach it: "
    "set SYNCER_HTTP_PAGE=on to serve it here too.\n"
)
_NOT_FOUND: Final = "Not found. Available paths: /livez, /readyz, /metrics and the page at /.\n"
_PAGE_OFF: Final = "The page is switched off: SYNCER_HTTP_PAGE is off.\n"
_TOO_MANY: Final = "Too many requests are waiting: try again in a few seconds.\n"
_ALLOWED_METHODS: Final = (hdrs.METH_GET, hdrs.METH_HEAD)


class Site:
    """The daemon's HTTP server; it listens within `async with`.

    Args:
        settings: SYNCER_HTTP_PAGE, SYNCER_HTTP_HOSTS, and the poll interval, from which the page's refresh interval
            follows.
        address: The address to listen on; port 0 takes a free one.
        database_address: Returns the database URL; called for each new connection.
        metrics: The metrics.
        is_live: Returns whether the scheduler is running.
        configured: Returns the names of the accounts that are polled now.
    """

    def __init__(
        self,
        settings: Settings,
        address: ListenAddress,
        database_address: Callable[[], str],
        metrics: Metrics,
        *,
        is_live: Callable[[], bool],
        configured: Callable[[], Collection[str]],
    ) -> None:
        self._address = address
        # A pool of its own, so that requests take no connections from the polls.
        self._engine = Engine(
            database_address, pool_size=2, query_pool_size=5, command_timeout=STATEMENT_TIMEOUT_SECONDS
        )
        self._served_metrics = metrics
        self._is_live = is_live
        self._ready = SingleFlight(self._require_ready)
        self._piece = asyncio.Lock()
        self._access = Access(address.host, settings.http_hosts or ())
        self._page_mode = settings.http_page
        refresh = min(max(settings.poll_interval, _MIN_REFRESH), _MAX_REFRESH)
        self._accounts = KnownAccounts(self._engine, configured)
        slot = QuerySlot()
        self._page = Page(self._engine, self._accounts, slot, settings.timezone.key, refresh)
        self._number_pages = NumberPages(self._engine, self._accounts, slot)
        self._list_page = ListPage(self._engine, self._accounts, slot)
        self._server = HttpServer(self._respond, address.host, address.port)
        self._handlers: dict[str, Callable[[BaseRequest], Awaitable[StreamedResponse]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/": partial(self._serve_document, self._page.document),
            "/number": partial(self._serve_document, self._number_pages.document),
            "/numbers": partial(self._serve_document, self._list_page.document),
        }

    async def __aenter__(self) -> Self:
        try:
            await self._server.__aenter__()
        except (OSError, UnicodeError) as error:
            problem = os_error_text(error)
            is_forever = isinstance(error, UnicodeError | PermissionError)
        else:
            log.info("http_listening", url=self.url, page=self._serves_page)
            return self
        raise (ConfigurationError if is_forever else ListenError)(
            f"cannot listen on SYNCER_HTTP_LISTEN={_host_and_port(self._address)} ({problem}): "
            "set another address or port, or off"
        )

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__()
        for page in (self._page, self._number_pages, self._list_page, self._accounts):
            await page.close()
        await self._ready.close()
        await self._engine.dispose()

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        return str(URL.build(scheme="http", host=self._address.host, port=self._server.port))

    @property
    def paths(self) -> Collection[str]:
        """The paths that it answers."""
        return self._handlers.keys()

    @property
    def _serves_page(self) -> bool:
        return self._page_mode == "on" or (self._page_mode == "auto" and is_loopback(self._address.host))

    async def _respond(self, request: BaseRequest) -> StreamedResponse:
        if refusal := self._access.refusal(request):
            return refusal
        handler = self._handlers.get(request.path)
        if handler is None:
            return Response(status=404, text=_NOT_FOUND)
        if request.method not in _ALLOWED_METHODS:
            allowed = ", ".join(_ALLOWED_METHODS)
            return Response(
                status=405, text=f"The allowed methods here are {allowed}.\n", headers={hdrs.ALLOW: allowed}
            )
        if self._server.requests_open > MAX_OPEN_REQUESTS and request.path != "/livez":
            return Response(status=503, text=_TOO_MANY, headers={hdrs.RETRY_AFTER: "5"})
        return await handler(request)

    async def _livez(self, _: BaseRequest) -> Response:
        if self._is_live():
            return Response(text="live\n")
        return Response(status=503, text="not live: the scheduler has stopped looking for due accounts\n")

    async def _readyz(self, _: BaseRequest) -> Response:
        try:
            await self._ready.get(max_wait=READY_TIMEOUT_SECONDS)
        except TimeoutError:
            seconds = f"{READY_TIMEOUT_SECONDS:g}"
            reason = f"database: no answer within {seconds} s; check that the server and the network are up"
        except SyncerError as error:
            reason = str(error)
        else:
            return Response(text="ready\n")
        return Response(status=503, text=f"not ready: {reason}\n")

    async def _require_ready(self) -> None:
        (await schema_state(self._engine)).require_writable()
        if obstacle := await find_write_obstacle(self._engine):
            raise DatabaseError(f"database: {obstacle}")

    async def _metrics(self, request: BaseRequest) -> StreamedResponse:
        try:
            encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        except Exception:  # noqa: BLE001 - the client's version numbers are not numbers
            encode, content_type = choose_encoder("")
        response = StreamedResponse(headers={hdrs.CONTENT_TYPE: content_type})
        response.enable_compression()
        await response.prepare(request)
        # With ten thousand accounts there are three hundred thousand lines: polls go on between the pieces, for as long
        # as a piece takes, and however many scrapes there are, one piece is made at a time.
        clock = asyncio.get_running_loop().time
        pieces = self._served_metrics.encode(encode)
        while True:
            async with self._piece:
                started = clock()
                piece = next(pieces, None)
                await asyncio.sleep(clock() - started)
            if piece is None:
                break
            await response.write(piece)
        await response.write_eof()
        return response

    async def _serve_document(
        self, render: Callable[[MultiMapping[str], str], Awaitable[Document]], request: BaseRequest
    ) -> Response:
        if not self._serves_page:
            return Response(status=404, text=_PAGE_OFF if self._page_mode == "off" else _PAGE_LOOPBACK_ONLY)
        document = await render(request.query, ",".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, [])))
        headers = {
            hdrs.CONTENT_LANGUAGE: document.language,
            hdrs.VARY: hdrs.ACCEPT_LANGUAGE,
            "Content-Security-Policy": POLICY,
        }
        if document.location is not None:
            headers[hdrs.LOCATION] = document.location
        response = Response(status=document.status, text=document.html, content_type="text/html", headers=headers)
        response.enable_compression()
        return response


def _host_and_port(address: ListenAddress) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
