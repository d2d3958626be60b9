"""The page for people: looks at the accounts, and tells what it sees in the language of the browser.

It is one document without a script and without anything from elsewhere, so that it may forbid the browser to run or
load anything at all: what it shows comes from the vendor and is not to be trusted.
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
from syncer.store.queries.account_list import ACCOUNTS_PER_PAGE, AccountPage, read_account_page, read_titles
from syncer.store.queries.recent_activity import RecentActivity, read_recent_activity
from syncer.store.queries.state_timeline import Timeline, read_timeline
from syncer.store.schema import schema_state
from syncer.web import chart, sections
from syncer.web.format import Formatter, shorten, format_phone
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
"""How many days back the time line can be asked for; longer than the longest is all there is."""
_ALL_DAYS: Final = 36500
_STATEMENT_TIMEOUT_SECONDS: Final = 5
_MAX_WAIT_SECONDS: Final = 10.0
_MIN_CACHE_SECONDS: Final = 2.0
_CACHE_TIME_FACTOR: Final = 20.0
_MAX_CACHED: Final = 32

_STYLE: Final = (files("syncer.web") / "templates" / "page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style and the data of its icon, and nothing else."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the accounts is looked at: one of them or all, which page of them, how many days back."""

    account: str | None
    page: int
    days: int

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """The view that a query asks for; what makes no sense in it does not count."""
        account, page, days = (query.get(name, "") for name in ("account", "page", "days"))
        return cls(
            account=account if account and account.isprintable() else None,
            page=int(page) if re.fullmatch("[1-9][0-9]{0,5}", page) else 1,
            days=int(days) if days in map(str, (*RANGES, _ALL_DAYS)) else max(RANGES),
        )


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a browser wants: `explicit_language` is the language that its address names, if any, `language` the one it gets."""

    selection: Selection
    explicit_language: Language | None
    language: Language
    auto_refresh: bool

    @classmethod
    def of(cls, query: Mapping[str, str], accept_language: str) -> Self:
        """The wish of a query and an Accept-Language."""
        explicit_language = next((one for one in LANGUAGES if one == query.get("lang")), None)
        return cls(
            selection=Selection.from_query(query),
            explicit_language=explicit_language,
            language=explicit_language or preferred_language(accept_language),
            auto_refresh=query.get("refresh") != "off",
        )

    def link(self, **overrides: object) -> str:
        """An address that keeps what is wished, but for what is changed; None stands for what need not be said."""
        days = self.selection.days if self.selection.days != max(RANGES) else None
        refresh = None if self.auto_refresh else "off"
        parameters = {"account": self.selection.account, "days": days, "lang": self.explicit_language, "refresh": refresh}
        query = {name: value for name, value in (parameters | overrides).items() if value is not None}
        return f"?{urlencode(query)}" if query else "/"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What was seen, at one moment; None where it could not be asked in time."""

    account_page: AccountPage
    titles: Titles
    timeline: Timeline | None
    recent: RecentActivity | None


@dataclass(frozen=True, slots=True)
class Document:
    """What is sent to the browser."""

    status: int
    language: Language
    html: str


class Page:
    """The page; to be closed.

    Args:
        engine: The database.
        configured: The names of the accounts that are polled, at any moment.
        time_zone: Of moments that are no account's.
        refresh: How often it is loaded anew.
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
        self._template = _environment().get_template("page.html")
        # All of a document follows from these, and many look at the same one.
        self._render_cached = lru_cache(maxsize=_MAX_CACHED)(self._render)

    async def document(self, query: Mapping[str, str], accept_language: str) -> Document:
        """The page as a query and a browser's Accept-Language want it."""
        request = PageRequest.from_request(query, accept_language)
        flight = self._cached_snapshot(request.selection)
        problem = None
        try:
            snapshot: Snapshot | None = await flight.get(max_wait=_MAX_WAIT_SECONDS)
        except (SyncerError, TimeoutError) as error:
            problem = str(error) or f"database: no answer within {_MAX_WAIT_SECONDS:g} s"
            snapshot = flight.last_result
        status = 503 if problem else 404 if request.selection.account and snapshot and not snapshot.account_page.accounts else 200
        return Document(status, request.language, self._render_cached(request, snapshot, problem))

    async def close(self) -> None:
        """Ends what is being asked."""
        for flight in self._snapshots.values():
            await flight.close()

    def _cached_snapshot(self, selection: Selection) -> SingleFlight[Snapshot]:
        flight = self._snapshots.get(selection)
        if flight is None:
            flight = SingleFlight(lambda: self._load_snapshot(selection), min_ttl=_MIN_CACHE_SECONDS, ttl_factor=_CACHE_TIME_FACTOR)
            self._snapshots[selection] = flight
        self._snapshots.move_to_end(selection)
        while len(self._snapshots) > _MAX_CACHED:
            self._snapshots.popitem(last=False)
        return flight

    async def _load_snapshot(self, selection: Selection) -> Snapshot:
        async with self._query_slot:
            (await schema_state(self._engine)).require_current()
            account_page = await read_account_page(
                self._engine, self._configured(), selection.account, selection.page, statement_seconds=_STATEMENT_TIMEOUT_SECONDS
            )
            span = timedelta(days=selection.days)
            return Snapshot(
                account_page,
                await read_titles(self._engine, statement_seconds=_STATEMENT_TIMEOUT_SECONDS),
                await _none_on_error(read_timeline(self._engine, selection.account, span, statement_seconds=_STATEMENT_TIMEOUT_SECONDS)),
                await _none_on_error(read_recent_activity(self._engine, selection.account, statement_seconds=_STATEMENT_TIMEOUT_SECONDS)),
            )

    def _render(self, request: PageRequest, snapshot: Snapshot | None, problem: str | None) -> str:
        texts = texts_for(request.language)
        context: dict[str, Any] = {
            "style": Markup(_STYLE),  # noqa: S704 - ours
            "say": texts,
            "language": request.language,
            "other_language": LANGUAGES[1 - LANGUAGES.index(request.language)],
            "link": request.link,
            "refresh": self._refresh if request.auto_refresh else None,
            "problem": problem,
            "view": request.selection,
            "seen": snapshot,
        }
        if snapshot is not None:
            context["spell"] = Formatter(texts, snapshot.account_page.now)
            zones = {one.time_zone for one in snapshot.account_page.accounts}
            context["time_zone"] = zones.pop() if len(zones) == 1 else self._time_zone
            context["values"] = sections.ValueFormatter(texts, snapshot.titles, request.language)
            context["counted"] = snapshot.timeline and sections.states_section(snapshot.timeline, request.selection.days, (*RANGES, _ALL_DAYS))
            context["changed"] = snapshot.recent and sections.changes_by_run(snapshot.recent.changed_runs)
            context["runs"] = snapshot.recent and sections.group_runs(snapshot.recent.runs)
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
        "colour": sections.colour_class,
        "width": chart.WIDTH,
        "height": chart.HEIGHT,
        "a_page": ACCOUNTS_PER_PAGE,
    }
    environment.filters |= {
        "phone": format_phone,
        "clipped": shorten,
        "accepting": accept_removals_command,
        # What is filled in is escaped unless it is markup of ours.
        "fill": lambda text, **values: Markup(text).format(**values),  # noqa: S704 - the texts are ours
    }
    return environment
