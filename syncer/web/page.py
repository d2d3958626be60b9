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
from syncer.web.format import Spelling, clipped, phone
from syncer.web.single_flight import SingleFlight
from syncer.web.translations import LANGUAGES, preferred, words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from typing import Any, Self

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.store.queries.account_list import Titles
    from syncer.web.translations import Language

T = TypeVar("T")

RANGES: Final = (1, 7, 30, 180)
"""How many days back the time line can be asked for; longer than the longest is all there is."""
_ALL: Final = 36500
_STATEMENT_SECONDS: Final = 5
_WAIT_SECONDS: Final = 10.0
_KEPT_SECONDS: Final = 2.0
_KEPT_TIMES: Final = 20.0
_MOST_VIEWS: Final = 32

_STYLE: Final = (files("syncer.web") / "templates" / "page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style and the data of its icon, and nothing else."""


@dataclass(frozen=True, slots=True)
class View:
    """What of the accounts is looked at: one of them or all, which page of them, how many days back."""

    account: str | None
    page: int
    days: int

    @classmethod
    def asked_for(cls, query: Mapping[str, str]) -> Self:
        """The view that a query asks for; what makes no sense in it does not count."""
        account, page, days = (query.get(name, "") for name in ("account", "page", "days"))
        return cls(
            account=account if account and account.isprintable() else None,
            page=int(page) if re.fullmatch("[1-9][0-9]{0,5}", page) else 1,
            days=int(days) if days in map(str, (*RANGES, _ALL)) else max(RANGES),
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a browser wants: `chosen` is the language that its address names, if any, `language` the one it gets."""

    view: View
    chosen: Language | None
    language: Language
    refreshes: bool

    @classmethod
    def of(cls, query: Mapping[str, str], accept_language: str) -> Self:
        """The wish of a query and an Accept-Language."""
        chosen = next((one for one in LANGUAGES if one == query.get("lang")), None)
        return cls(
            view=View.asked_for(query),
            chosen=chosen,
            language=chosen or preferred(accept_language),
            refreshes=query.get("refresh") != "off",
        )

    def link(self, **changed: object) -> str:
        """An address that keeps what is wished, but for what is changed; None stands for what need not be said."""
        days = self.view.days if self.view.days != max(RANGES) else None
        refresh = None if self.refreshes else "off"
        kept = {"account": self.view.account, "days": days, "lang": self.chosen, "refresh": refresh}
        wanted = {name: value for name, value in (kept | changed).items() if value is not None}
        return f"?{urlencode(wanted)}" if wanted else "/"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
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
        self._views: OrderedDict[View, SingleFlight[Seen]] = OrderedDict()
        self._one_at_a_time = asyncio.Semaphore()
        self._template = _environment().get_template("page.html")
        # All of a document follows from these, and many look at the same one.
        self._rendered = lru_cache(maxsize=_MOST_VIEWS)(self._render)

    async def document(self, query: Mapping[str, str], accept_language: str) -> Document:
        """The page as a query and a browser's Accept-Language want it."""
        wish = Wish.of(query, accept_language)
        shared = self._shared(wish.view)
        problem = None
        try:
            seen: Seen | None = await shared.answer(within=_WAIT_SECONDS)
        except (SyncerError, TimeoutError) as error:
            problem = str(error) or f"database: no answer within {_WAIT_SECONDS:g} s"
            seen = shared.last_good
        status = 503 if problem else 404 if wish.view.account and seen and not seen.account_page.accounts else 200
        return Document(status, wish.language, self._rendered(wish, seen, problem))

    async def close(self) -> None:
        """Ends what is being asked."""
        for shared in self._views.values():
            await shared.close()

    def _shared(self, view: View) -> SingleFlight[Seen]:
        shared = self._views.get(view)
        if shared is None:
            shared = SingleFlight(lambda: self._look(view), at_least=_KEPT_SECONDS, times=_KEPT_TIMES)
            self._views[view] = shared
        self._views.move_to_end(view)
        while len(self._views) > _MOST_VIEWS:
            self._views.popitem(last=False)
        return shared

    async def _look(self, view: View) -> Seen:
        async with self._one_at_a_time:
            (await schema_state(self._engine)).require_wanted()
            account_page = await read_account_page(
                self._engine, self._configured(), view.account, view.page, statement_seconds=_STATEMENT_SECONDS
            )
            span = timedelta(days=view.days)
            return Seen(
                account_page,
                await read_titles(self._engine, statement_seconds=_STATEMENT_SECONDS),
                await _in_time(read_timeline(self._engine, view.account, span, statement_seconds=_STATEMENT_SECONDS)),
                await _in_time(read_recent_activity(self._engine, view.account, statement_seconds=_STATEMENT_SECONDS)),
            )

    def _render(self, wish: Wish, seen: Seen | None, problem: str | None) -> str:
        say = words(wish.language)
        told: dict[str, Any] = {
            "style": Markup(_STYLE),  # noqa: S704 - ours
            "say": say,
            "language": wish.language,
            "other_language": LANGUAGES[1 - LANGUAGES.index(wish.language)],
            "link": wish.link,
            "refresh": self._refresh if wish.refreshes else None,
            "problem": problem,
            "view": wish.view,
            "seen": seen,
        }
        if seen is not None:
            told["spell"] = Spelling(say, seen.account_page.now)
            zones = {one.time_zone for one in seen.account_page.accounts}
            told["time_zone"] = zones.pop() if len(zones) == 1 else self._time_zone
            told["values"] = sections.Values(say, seen.titles, wish.language)
            told["counted"] = seen.timeline and sections.counted(seen.timeline, wish.view.days, (*RANGES, _ALL))
            told["changed"] = seen.recent and sections.changed(seen.recent.changed_runs)
            told["runs"] = seen.recent and sections.runs(seen.recent.runs)
        return self._template.render(told)


async def _in_time(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
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
        "colour": sections.colour,
        "width": chart.WIDTH,
        "height": chart.HEIGHT,
        "a_page": ACCOUNTS_PER_PAGE,
    }
    environment.filters |= {
        "phone": phone,
        "clipped": clipped,
        "accepting": accept_removals_command,
        # What is filled in is escaped unless it is markup of ours.
        "fill": lambda text, **values: Markup(text).format(**values),  # noqa: S704 - the texts are ours
    }
    return environment
