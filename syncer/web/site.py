"""The daemon's HTTP server: /livez, /readyz, /metrics and the status page."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from yarl import URL

from syncer.config.fields import is_loopback
from syncer.errors import ConfigurationError, DatabaseError, SyncerError, os_error_text
from syncer.store.engine import create_engine
from syncer.store.schema import schema_state
from syncer.store.server import find_write_obstacle
from syncer.telemetry.logs import log
from syncer.web.page import POLICY, Page
from syncer.web.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Self

    from aiohttp.typedefs import Handler
    from prometheus_client import CollectorRegistry

    from syncer.config.fields import ListenAddress
    from syncer.config.settings import Settings

READY_TIMEOUT_SECONDS: Final = 3.0
"""The daemon is not ready if the database takes longer than this to answer."""
STATEMENT_TIMEOUT_SECONDS: Final = 10.0
"""When the driver gives up on a statement; the statement timeout in PostgreSQL is shorter."""
_MIN_REFRESH: Final = timedelta(seconds=5)
_MAX_REFRESH: Final = timedelta(seconds=60)

_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGE_LOOPBACK_ONLY: Final = (
    "The page is served on a loopback address only, since it shows phone numbers to anyone who can reach it: "
    "set SYNCER_HTTP_PAGE=on to serve it here too.\n"
)
_NOT_FOUND: Final = "Not found. Available paths: /livez, /readyz, /metrics and the page at /.\n"
_PAGE_OFF: Final = "The page is switched off: SYNCER_HTTP_PAGE is off.\n"
_PAGE_LOCALHOST_ONLY: Final = (
    "The page answers to localhost only, so that no web site can read it through your browser: open it as "
    "http://127.0.0.1, or set SYNCER_HTTP_PAGE=on to let it answer to any name.\n"
)


class Site:
    """The daemon's HTTP server; it listens within `async with`.

    Args:
        settings: SYNCER_HTTP_PAGE, and the poll interval, from which the refresh interval of the page follows.
        address: The address to listen on; port 0 takes a free one.
        database_address: Returns the database URL; called for each new connection.
        registry: The metrics.
        is_live: Returns whether the scheduler is running.
        configured: Returns the names of the accounts that are polled now.
    """

    def __init__(
        self,
        settings: Settings,
        address: ListenAddress,
        database_address: Callable[[], str],
        registry: CollectorRegistry,
        *,
        is_live: Callable[[], bool],
        configured: Callable[[], Collection[str]],
    ) -> None:
        self._address = address
        # A pool of its own, so that requests take no connections from the polls.
        self._engine = create_engine(database_address, pool_size=2, command_timeout=STATEMENT_TIMEOUT_SECONDS)
        self._registry = registry
        self._is_live = is_live
        self._ready = SingleFlight(self._require_ready)
        self._page_mode = settings.http_page
        refresh = min(max(settings.poll_interval, _MIN_REFRESH), _MAX_REFRESH)
        self._page = Page(self._engine, configured, settings.timezone.key, refresh)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[_plain_text_errors])
        application.on_response_prepare.append(_add_headers)
        for path, handler in {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/": self._root,
        }.items():
            application.router.add_get(path, handler)
        # A client that reads slowly must not delay the stop of the daemon.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        except (OSError, UnicodeError) as error:
            await self._runner.cleanup()
            problem = os_error_text(error)
        else:
            log.info("http_listening", url=self.url, page=self._serves_page)
            return self
        raise ConfigurationError(
            f"cannot listen on SYNCER_HTTP_LISTEN={_host_and_port(self._address)} ({problem}): "
            "set another address or port, or off"
        )

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._page.close()
        await self._ready.close()
        await self._engine.dispose()

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        assert self._runner is not None  # noqa: S101 - it listens
        port: int = self._runner.addresses[0][1]
        return str(URL.build(scheme="http", host=self._address.host, port=port))

    @property
    def _serves_page(self) -> bool:
        return self._page_mode == "on" or (self._page_mode == "auto" and is_loopback(self._address.host))

    async def _livez(self, _: web.Request) -> web.Response:
        if self._is_live():
            return web.Response(text="live\n")
        return web.Response(status=503, text="not live: the scheduler has stopped looking for due accounts\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        try:
            await self._ready.get(max_wait=READY_TIMEOUT_SECONDS)
        except TimeoutError:
            seconds = f"{READY_TIMEOUT_SECONDS:g}"
            reason = f"database: no answer within {seconds} s; check that the server and the network are up"
        except SyncerError as error:
            reason = str(error)
        else:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"not ready: {reason}\n")

    async def _require_ready(self) -> None:
        (await schema_state(self._engine)).require_writable()
        if obstacle := await find_write_obstacle(self._engine):
            raise DatabaseError(f"database: {obstacle}")

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        # In a thread: with ten thousand accounts there are three hundred thousand lines.
        body = await asyncio.to_thread(encode, self._registry)
        response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
        response.enable_compression()
        return response

    async def _root(self, request: web.Request) -> web.Response:
        if not self._serves_page:
            return web.Response(status=404, text=_PAGE_OFF if self._page_mode == "off" else _PAGE_LOOPBACK_ONLY)
        if self._page_mode == "auto" and not _is_loopback_host(request.host):
            return web.Response(status=421, text=_PAGE_LOCALHOST_ONLY)
        document = await self._page.document(request.query, ",".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, [])))
        response = web.Response(
            status=document.status,
            text=document.html,
            content_type="text/html",
            headers={
                hdrs.CONTENT_LANGUAGE: document.language,
                hdrs.VARY: hdrs.ACCEPT_LANGUAGE,
                "Content-Security-Policy": POLICY,
            },
        )
        response.enable_compression()
        return response


@web.middleware
async def _plain_text_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers 404 and 405 with one line of plain text that names what exists."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return web.Response(
            status=405, text=f"The allowed methods here are {allowed}.\n", headers={hdrs.ALLOW: allowed}
        )
    except web.HTTPNotFound:
        return web.Response(
            status=404, text="Not found. Available paths: /livez, /readyz, /metrics and the page at /.\n"
        )


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "syncer"


def _is_loopback_host(host: str) -> bool:
    """Returns whether a Host header names a loopback address or localhost."""
    try:
        return is_loopback(URL.build(scheme="http", authority=host).host or "")
    except ValueError:
        return False


def _host_and_port(address: ListenAddress) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
