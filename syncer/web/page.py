"""The status page: reads the state of the accounts and renders it in the browser's language.

The page is one HTML document without scripts or external resources, so that its Content-Security-Policy can forbid the
browser to run or load anything: the values it shows come from the vendor and are not trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from syncer.errors import DatabaseError
from syncer.printable import escape_unprintable
from syncer.store.queries.account_list import ACCOUNTS_PER_PAGE, AccountPage, read_account_page, read_titles
from syncer.store.queries.notice_list import NoticeList, read_notices
from syncer.store.queries.recent_activity import RecentActivity, read_recent_activity
from syncer.store.queries.state_timeline import Timeline, read_timeline
from syncer.store.schema import schema_state
from syncer.web import query_cache, sections
from syncer.web.format import Formatter
from syncer.web.notice_section import notice_section
from syncer.web.query_cache import MAX_CACHED, QueryCache
from syncer.web.rendering import Document, Reader, environment
from syncer.web.translations import texts_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import Self

    from syncer.store.engine import Engine
    from syncer.store.queries.account_list import Titles
    from syncer.web.known_accounts import KnownAccounts
    from syncer.web.query_cache import QuerySlot

T = TypeVar("T")

RANGES: Final = (1, 7, 30, 180)
"""The ranges of the chart, in days; there is also one for all the history."""
_ALL_DAYS: Final = 36500


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
        reader: In which language.
        auto_refresh: Whether the page reloads itself.
    """

    selection: Selection
    reader: Reader
    auto_refresh: bool

    @classmethod
    def from_request(cls, query: Mapping[str, str], accept_language: str) -> Self:
        """Parses a query string and an Accept-Language header."""
        return cls(
            selection=Selection.from_query(query),
            reader=Reader.from_request(query, accept_language),
            auto_refresh=query.get("refresh") != "off",
        )

    def link(self, **overrides: str | int | None) -> str:
        """Returns the address of this request with some parameters overridden; None leaves a parameter out."""
        parameters: dict[str, str | int | None] = {
            "account": self.selection.account,
            "days": self.selection.days if self.selection.days != max(RANGES) else None,
            "lang": self.reader.explicit_language,
            "refresh": None if self.auto_refresh else "off",
        }
        return self.reader.link("/", **(parameters | overrides))


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The data of the page at one moment; None for a part whose query failed or timed out."""

    account_page: AccountPage
    titles: Titles
    timeline: Timeline | None
    recent: RecentActivity | None
    notices: NoticeList | None


class Page:
    """Renders the status page; call `close` at the end.

    Args:
        engine: The database.
        accounts: Which accounts there are.
        slot: What limits how many queries run at a time.
        time_zone: The time zone of times that do not belong to one account.
        refresh: How often the browser reloads the page.
    """

    def __init__(
        self, engine: Engine, accounts: KnownAccounts, slot: QuerySlot, time_zone: str, refresh: timedelta
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._time_zone = time_zone
        self._refresh = round(refresh.total_seconds())
        self._snapshots = QueryCache(self._query_snapshot, slot)
        self._template = environment().get_template("page.html")
        # A document depends on the arguments only, and many browsers ask for the same one.
        self._render_cached = lru_cache(maxsize=MAX_CACHED)(self._render)

    async def document(self, query: Mapping[str, str], accept_language: str) -> Document:
        """Renders the page for a query string and an Accept-Language header."""
        request = PageRequest.from_request(query, accept_language)
        if not await self._accounts.may_exist(request.selection.account):
            return Document(404, request.reader.language, self._render_cached(request, None, None))
        snapshot, problem = await self._snapshots.get(request.selection)
        is_unknown_account = request.selection.account and snapshot and not snapshot.account_page.accounts
        status = 503 if problem else 404 if is_unknown_account else 200
        return Document(status, request.reader.language, self._render_cached(request, snapshot, problem))

    async def close(self) -> None:
        """Cancels the running queries."""
        await self._snapshots.close()

    async def _query_snapshot(self, selection: Selection) -> Snapshot:
        engine, limit = self._engine, query_cache.STATEMENT_TIMEOUT_SECONDS
        (await schema_state(engine)).require_current()
        account_page = await read_account_page(
            engine, self._accounts.configured(), selection.account, selection.page, statement_seconds=limit
        )
        self._accounts.add(account.account for account in account_page.accounts)
        span = timedelta(days=selection.days)
        return Snapshot(
            account_page,
            await read_titles(engine, statement_seconds=limit),
            await _none_on_error(read_timeline(engine, selection.account, span, statement_seconds=limit)),
            await _none_on_error(read_recent_activity(engine, selection.account, statement_seconds=limit)),
            await _none_on_error(read_notices(engine, selection.account, statement_seconds=limit)),
        )

    def _render(self, request: PageRequest, snapshot: Snapshot | None, problem: str | None) -> str:
        texts = texts_for(request.reader.language)
        context = request.reader.context() | {
            "home": request.link(account=None, days=None),
            "in_language": lambda language: request.link(lang=language),
            "link": request.link,
            "refresh": self._refresh if request.auto_refresh else None,
            "problem": problem,
            "selection": request.selection,
            "snapshot": snapshot,
            "accounts_per_page": ACCOUNTS_PER_PAGE,
        }
        if snapshot is not None:
            context["format"] = Formatter(texts, snapshot.account_page.now)
            zones = {account.time_zone for account in snapshot.account_page.accounts}
            context["time_zone"] = zones.pop() if len(zones) == 1 else self._time_zone
            context["values"] = sections.ValueFormatter(texts, snapshot.titles, request.reader.language)
            context["states_section"] = snapshot.timeline and sections.states_section(
                snapshot.timeline, request.selection.days, (*RANGES, _ALL_DAYS)
            )
            context["run_changes"] = snapshot.recent and sections.changes_by_run(snapshot.recent.changed_runs)
            context["notices"] = snapshot.notices and notice_section(snapshot.notices, request.reader.language)
            context["run_groups"] = snapshot.recent and sections.group_runs(snapshot.recent.runs)
        return self._template.render(context)


async def _none_on_error(query: Awaitable[T]) -> T | None:
    try:
        return await query
    except DatabaseError:
        return None
