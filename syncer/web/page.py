"""The status page: reads the state of the accounts and renders it in the browser's language.

The page is one HTML document without scripts or external resources, so that its Content-Security-Policy can forbid the
browser to run or load anything: the values it shows come from the vendor and are not trusted.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from syncer.errors import DatabaseError, SyncerError
from syncer.outcome import accept_removals_command
from syncer.printable import escape_unprintable
from syncer.store.queries.account_list import (
    ACCOUNTS_PER_PAGE,
    AccountPage,
    read_account_names,
    read_account_page,
    read_titles,
)
from syncer.store.queries.recent_activity import RecentActivity, read_recent_activity
from syncer.store.queries.state_timeline import Timeline, read_timeline
from syncer.store.schema import schema_state
from syncer.web import chart, sections
from syncer.web.format import Formatter, format_phone, shorten
from syncer.web.single_flight import SingleFlight
from syncer.web.translations import LANGUAGES, preferred_language, texts_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from typing import Any, Self

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.store.queries.account_list import Titles
    from syncer.web.translations import Language

T = TypeVar("T")

RANGES: Final = (1, 7, 30, 180)
"""The ranges of the chart, in days; there is also one for all the history."""
_ALL_DAYS: Final = 36500
_STATEMENT_TIMEOUT_SECONDS: Final = 5
_MAX_WAIT_SECONDS: Final = 10.0
_MIN_CACHE_SECONDS: Final = 2.0
_CACHE_TIME_FACTOR: Final = 20.0
_MAX_CACHED: Final = 32
_MAX_QUEUED: Final = 8
"""How many selections may wait while another one is loaded; fewer than are cached."""
_NAMES_CACHE_SECONDS: Final = 60.0
"""How long it is remembered which accounts are stored, so that any number of unknown names needs one query."""

_STYLE: Final = (files("syncer.web") / "templates" / "page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: allows its own style and its `data:` icon, and nothing else."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which data the page shows: one account or all of them, which page of the list, how many days of history."""

    account: str | None
    page: int
    days: int

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Parses a query string; other invalid parameters than an account are ignored."""
        account, page, days = (query.get(name, "") for name in ("account", "page", "days"))
        return cls(
            account=escape_unprintable(account) or None,
            page=int(page) if re.fullmatch("[1-9][0-9]{0,5}", page) else 1,
            days=int(days) if days in map(str, (*RANGES, _ALL_DAYS)) else max(RANGES),
        )


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for the page.

    Attributes:
        selection: Which data to show.
        explicit_language: The language that the address names, if any.
        language: The language to render in.
        auto_refresh: Whether the page reloads itself.
    """

    selection: Selection
    explicit_language: Language | None
    language: Language
    auto_refresh: bool

    @classmethod
    def from_request(cls, query: Mapping[str, str], accept_language: str) -> Self:
        """Parses a query string and an Accept-Language header."""
        explicit_language = next((language for language in LANGUAGES if language == query.get("lang")), None)
        return cls(
            selection=Selection.from_query(query),
            explicit_language=explicit_language,
            language=explicit_language or preferred_language(accept_language),
            auto_refresh=query.get("refresh") != "off",
        )

    def link(self, **overrides: object) -> str:
        """Returns the address of this request with some parameters overridden; None leaves a parameter out."""
        days = self.selection.days if self.selection.days != max(RANGES) else None
        refresh = None if self.auto_refresh else "off"
        parameters = {
            "account": self.selection.account,
            "days": days,
            "lang": self.explicit_language,
            "refresh": refresh,
        }
        query = {name: value for name, value in (parameters | overrides).items() if value is not None}
        return f"?{urlencode(query)}" if query else "/"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The data of the page at one moment; None for a part whose query failed or timed out."""

    account_page: AccountPage
    titles: Titles
    timeline: Timeline | None
    recent: RecentActivity | None


@dataclass(frozen=True, slots=True)
class Document:
    """A response to the browser."""

    status: int
    language: Language
    html: str


class Page:
    """Renders the status page; call `close` at the end.

    Args:
        engine: The database.
        configured: Returns the names of the accounts that are polled now.
        time_zone: The time zone of times that do not belong to one account.
        refresh: How often the browser reloads the page.
    """

    def __init__(
        self, engine: AsyncEngine, configured: Callable[[], Collection[str]], time_zone: str, refresh: timedelta
    ) -> None:
        self._engine = engine
        self._configured = configured
        self._time_zone = time_zone
        self._refresh = round(refresh.total_seconds())
        self._snapshots: OrderedDict[Selection, SingleFlight[Snapshot]] = OrderedDict()
        self._query_slot = asyncio.Semaphore()
        self._queued = 0
        self._names = SingleFlight(
            lambda: read_account_names(engine, statement_seconds=_STATEMENT_TIMEOUT_SECONDS),
            min_ttl=_NAMES_CACHE_SECONDS,
        )
        self._template = _environment().get_template("page.html")
        # A document depends on the arguments only, and many browsers ask for the same one.
        self._render_cached = lru_cache(maxsize=_MAX_CACHED)(self._render)

    async def document(self, query: Mapping[str, str], accept_language: str) -> Document:
        """Renders the page for a query string and an Accept-Language header."""
        request = PageRequest.from_request(query, accept_language)
        if not await self._may_exist(request.selection.account):
            return Document(404, request.language, self._render_cached(request, None, None))
        flight = self._cached_snapshot(request.selection)
        problem = None
        try:
            snapshot: Snapshot | None = await flight.get(max_wait=_MAX_WAIT_SECONDS)
        except (SyncerError, TimeoutError) as error:
            problem = str(error) or f"database: no answer within {_MAX_WAIT_SECONDS:g} s"
            snapshot = flight.last_result
        is_unknown_account = request.selection.account and snapshot and not snapshot.account_page.accounts
        status = 503 if problem else 404 if is_unknown_account else 200
        return Document(status, request.language, self._render_cached(request, snapshot, problem))

    async def close(self) -> None:
        """Cancels the running queries."""
        await self._names.close()
        for flight in self._snapshots.values():
            await flight.close()

    async def _may_exist(self, account: str | None) -> bool:
        """Whether an account is configured or stored, or that is not known."""
        if account is None or account in self._configured():
            return True
        try:
            names: set[str] | None = await self._names.get(max_wait=_MAX_WAIT_SECONDS)
        except (SyncerError, TimeoutError):
            names = self._names.last_result
        return names is None or account in names

    def _cached_snapshot(self, selection: Selection) -> SingleFlight[Snapshot]:
        flight = self._snapshots.get(selection)
        if flight is None:
            flight = SingleFlight(
                lambda: self._load_snapshot(selection), min_ttl=_MIN_CACHE_SECONDS, ttl_factor=_CACHE_TIME_FACTOR
            )
            self._snapshots[selection] = flight
        self._snapshots.move_to_end(selection)
        if len(self._snapshots) > _MAX_CACHED:
            oldest = next(key for key, cached in self._snapshots.items() if not cached.is_running)
            del self._snapshots[oldest]
        return flight

    async def _load_snapshot(self, selection: Selection) -> Snapshot:
        if self._queued >= _MAX_QUEUED:
            raise DatabaseError("database: busy with other requests for this page; try again in a few seconds")
        self._queued += 1
        try:
            await self._query_slot.acquire()
        finally:
            self._queued -= 1
        try:
            return await self._query_snapshot(selection)
        finally:
            self._query_slot.release()

    async def _query_snapshot(self, selection: Selection) -> Snapshot:
        engine, limit = self._engine, _STATEMENT_TIMEOUT_SECONDS
        (await schema_state(engine)).require_current()
        account_page = await read_account_page(
            engine, self._configured(), selection.account, selection.page, statement_seconds=limit
        )
        if self._names.last_result is not None:  # the page links to these accounts
            self._names.last_result.update(account.account for account in account_page.accounts)
        span = timedelta(days=selection.days)
        return Snapshot(
            account_page,
            await read_titles(engine, statement_seconds=limit),
            await _none_on_error(read_timeline(engine, selection.account, span, statement_seconds=limit)),
            await _none_on_error(read_recent_activity(engine, selection.account, statement_seconds=limit)),
        )

    def _render(self, request: PageRequest, snapshot: Snapshot | None, problem: str | None) -> str:
        texts = texts_for(request.language)
        context: dict[str, Any] = {
            "style": Markup(_STYLE),  # noqa: S704 - ours
            "texts": texts,
            "language": request.language,
            "other_language": LANGUAGES[1 - LANGUAGES.index(request.language)],
            "link": request.link,
            "refresh": self._refresh if request.auto_refresh else None,
            "problem": problem,
            "selection": request.selection,
            "snapshot": snapshot,
        }
        if snapshot is not None:
            context["format"] = Formatter(texts, snapshot.account_page.now)
            zones = {account.time_zone for account in snapshot.account_page.accounts}
            context["time_zone"] = zones.pop() if len(zones) == 1 else self._time_zone
            context["values"] = sections.ValueFormatter(texts, snapshot.titles, request.language)
            context["states_section"] = snapshot.timeline and sections.states_section(
                snapshot.timeline, request.selection.days, (*RANGES, _ALL_DAYS)
            )
            context["run_changes"] = snapshot.recent and sections.changes_by_run(snapshot.recent.changed_runs)
            context["run_groups"] = snapshot.recent and sections.group_runs(snapshot.recent.runs)
        return self._template.render(context)


async def _none_on_error(query: Awaitable[T]) -> T | None:
    try:
        return await query
    except DatabaseError:
        return None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("syncer.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "colour_class": sections.colour_class,
        "width": chart.WIDTH,
        "height": chart.HEIGHT,
        "accounts_per_page": ACCOUNTS_PER_PAGE,
    }
    environment.filters |= {
        "phone": format_phone,
        "shorten": shorten,
        "accept_command": accept_removals_command,
        # Values are escaped unless they are our own Markup.
        "fill": lambda text, **values: Markup(text).format(**values),  # noqa: S704 - the texts are ours
    }
    return environment
