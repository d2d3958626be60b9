"""The daemon over HTTP: /livez, /readyz, /metrics and the page for people."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from yarl import URL

from syncer.config.fields import is_loopback
from syncer.errors import ConfigurationError, SyncerError, os_error_text
from syncer.store.engine import create_engine
from syncer.store.schema import schema_state
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
"""How long the database may take to answer before the daemon is not ready."""
STATEMENT_TIMEOUT_SECONDS: Final = 10.0
"""Until a statement that does not answer is given up; PostgreSQL itself gives up sooner."""
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
    "The page is served on a loopback address only, since it shows phone numbers to whoever can reach it: "
    "set SYNCER_HTTP_PAGE=on to serve it here too.\n"
)
_PAGE_OFF: Final = "The page is switched off: SYNCER_HTTP_PAGE is off.\n"
_PAGE_LOCALHOST_ONLY: Final = (
    "The page answers to localhost only, so that no web site can read it through your browser: open it as "
    "http://127.0.0.1, or set SYNCER_HTTP_PAGE=on to let it answer to any name.\n"
)


class Site:
    """What the daemon says over HTTP; it listens within `async with`.

    Args:
        settings: SYNCER_HTTP_PAGE, and how often the page is worth loading anew.
        address: Where to listen; port 0 takes a free one.
        database_address: Where the database is, each time a connection is made.
        registry: The metrics.
        is_live: Whether due accounts are being looked for.
        configured: The names of the accounts that are polled.
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
        # Connections of its own: whoever looks takes none from the polls.
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
        # Nobody waits for whoever reads slowly when the daemon stops.
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
            f"SYNCER_HTTP_LISTEN is {_host_and_port(self._address)}, which cannot be listened at ({problem}): "
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
        """The address it listens at, without a path."""
        assert self._runner is not None  # noqa: S101 - it listens
        port: int = self._runner.addresses[0][1]
        return str(URL.build(scheme="http", host=self._address.host, port=port))

    @property
    def _serves_page(self) -> bool:
        return self._page_mode == "on" or (self._page_mode == "auto" and is_loopback(self._address.host))

    async def _livez(self, _: web.Request) -> web.Response:
        if self._is_live():
            return web.Response(text="live\n")
        return web.Response(status=503, text="not live: nobody looks for due accounts any more\n")

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
        (await schema_state(self._engine)).require_current()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        # Beside the event loop: ten thousand accounts have three hundred thousand lines.
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
    """Says in one line what there is, in place of what is not there or cannot be done."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return web.Response(status=405, text=f"Only {allowed} are answered here.\n", headers={hdrs.ALLOW: allowed})
    except web.HTTPNotFound:
        return web.Response(status=404, text="There are /livez, /readyz, /metrics and the page /.\n")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "syncer"


def _is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine as only someone on it does."""
    try:
        return is_loopback(URL.build(scheme="http", authority=host).host or "")
    except ValueError:
        return False


def _host_and_port(address: ListenAddress) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
