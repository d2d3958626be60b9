"""The page that lists numbers: those of an account or of all accounts, by state, region and type, a page at a time."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from syncer.printable import escape_unprintable
from syncer.store.queries.account_list import read_titles
from syncer.store.queries.number_list import (
    MAX_GROUPS,
    NUMBERS_PER_PAGE,
    NumberFilter,
    Order,
    read_number_page,
)
from syncer.store.schema import schema_state
from syncer.web import query_cache, sections
from syncer.web.format import Formatter
from syncer.web.query_cache import MAX_CACHED, QueryCache
from syncer.web.rendering import Document, Reader, environment
from syncer.web.translations import texts_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multidict import MultiMapping

    from syncer.store.engine import Engine
    from syncer.store.queries.account_list import Titles
    from syncer.store.queries.number_list import NumberGroup, NumberPage
    from syncer.web.known_accounts import KnownAccounts
    from syncer.web.query_cache import QuerySlot

_SINGLE: Final = ("account", "region", "type", "order", "page")
_MAX_STATES: Final = 12
_MAX_COUNTED: Final = 100
"""How many combinations of region and type are shown with their counts."""
_PAGE: Final = re.compile("[1-9][0-9]{0,5}")


class ListRequest(NamedTuple):
    """Which numbers to show."""

    wanted: NumberFilter
    page: int
    order: Order


class BadParameterError(Exception):
    """A parameter of the address is unknown or wrong; the message is that parameter."""


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The data of the page."""

    numbers: NumberPage
    titles: Titles


class Option(NamedTuple):
    """A value of a filter, with how many numbers have it."""

    value: str
    numbers: int


class Counted(NamedTuple):
    """How many numbers of a region and type are in each state."""

    region: str | None
    type: str | None
    states: list[Option]


class ListPage:
    """Renders the list of numbers; call `close` at the end.

    Args:
        engine: The database.
        accounts: Which accounts there are.
        slot: What limits how many queries run at a time.
    """

    def __init__(self, engine: Engine, accounts: KnownAccounts, slot: QuerySlot) -> None:
        self._engine = engine
        self._accounts = accounts
        self._lists = QueryCache(self._read, slot)
        self._template = environment().get_template("numbers.html")
        self._render_cached = lru_cache(maxsize=MAX_CACHED)(self._render)

    async def document(self, query: MultiMapping[str], accept_language: str) -> Document:
        """Renders the page for a query string and an Accept-Language header."""
        reader = Reader.from_request(query, accept_language)
        texts = texts_for(reader.language)
        everything = ListRequest(NumberFilter(), 1, "number")
        try:
            request = _parse(query)
        except BadParameterError as error:
            message = texts["bad_address"].format(parameter=error)
            return Document(400, reader.language, self._render(reader, everything, None, None, message))
        if not await self._accounts.may_exist(request.wanted.account):
            html = self._render(reader, everything, None, None, texts["no_such_account"])
            return Document(404, reader.language, html)
        listed, problem = await self._lists.get(request)
        unknown = None if listed is None else _unknown_value(request.wanted, listed)
        if unknown is not None:
            message = texts["no_such_value"].format(value=unknown)
            return Document(404, reader.language, self._render(reader, everything, None, None, message))
        html = self._render_cached(reader, request, listed, problem, None)
        return Document(503 if problem else 200, reader.language, html)

    async def close(self) -> None:
        """Cancels the running queries."""
        await self._lists.close()

    async def _read(self, request: ListRequest) -> Listed:
        limit = query_cache.STATEMENT_TIMEOUT_SECONDS
        (await schema_state(self._engine)).require_current()
        return Listed(
            await read_number_page(self._engine, *request, statement_seconds=limit),
            await read_titles(self._engine, statement_seconds=limit),
        )

    def _render(
        self, reader: Reader, request: ListRequest, listed: Listed | None, problem: str | None, message: str | None
    ) -> str:
        wanted = request.wanted
        address: dict[str, Any] = {
            "account": wanted.account,
            "state": wanted.states,
            "region": wanted.region,
            "type": wanted.type,
            "order": None if request.order == "number" else request.order,
        }

        def link(**overrides: str | int | None) -> str:
            return reader.link("/numbers", **(address | overrides))

        is_blocked_now = address == address | {"account": None, "state": ("debt_lock", "freeze"), "order": "since"}
        context = reader.context() | {
            "home": reader.link("/"),
            "here": "blocked_now" if is_blocked_now else "numbers",
            "in_language": lambda language: link(page=request.page if request.page > 1 else None, lang=language),
            "link": link,
            "message": message,
            "problem": problem,
            "wanted": wanted,
            "order": request.order,
            "listed": listed,
        }
        if listed is not None:
            groups = listed.numbers.groups
            states = _options(groups, "state")
            context |= {
                "format": Formatter(texts_for(reader.language), listed.numbers.now),
                "values": sections.ValueFormatter(texts_for(reader.language), listed.titles, reader.language),
                "states": states[:_MAX_STATES] + [one for one in states[_MAX_STATES:] if one.value in wanted.states],
                "regions": sorted(_options(groups, "region")),
                "types": _options(groups, "type"),
                "counted": _counted(groups),
                "pages": max(listed.numbers.count - 1, 0) // NUMBERS_PER_PAGE + 1,
                "max_counted": _MAX_COUNTED,
            }
        return self._template.render(context)


def _parse(query: MultiMapping[str]) -> ListRequest:
    """Parses the parameters of the address.

    Raises:
        BadParameterError: One of them is unknown or wrong.
    """
    given: dict[str, str] = {}
    for name in query:
        if name not in {*_SINGLE, "state", "lang"} or (name in _SINGLE and len(query.getall(name)) > 1):
            raise BadParameterError(escape_unprintable(name))
        if name in _SINGLE and query[name]:
            given[name] = escape_unprintable(query[name])
    page, order = given.get("page", "1"), given.get("order", "number")
    if not _PAGE.fullmatch(page):
        raise BadParameterError(f"page={page}")
    if order not in get_args(Order):
        raise BadParameterError(f"order={order}")
    states = dict.fromkeys(escape_unprintable(state) for state in query.getall("state", []) if state)
    wanted = NumberFilter(given.get("account"), tuple(states), given.get("region"), given.get("type"))
    return ListRequest(wanted, int(page), "since" if order == "since" else "number")


def _unknown_value(wanted: NumberFilter, listed: Listed) -> str | None:
    """Returns a value that is asked for and that neither a number has nor the vendor documents."""
    groups, titles = listed.numbers.groups, listed.titles
    if len(groups) == MAX_GROUPS:  # there are more, which may have it
        return None
    asked = [("state", state) for state in wanted.states] + [("region", wanted.region), ("type", wanted.type)]
    for field, value in asked:
        is_known = (field, value) in titles or any(getattr(group, field) == value for group in groups)
        if value is not None and not is_known:
            return value
    return None


def _options(groups: Iterable[NumberGroup], field: str) -> list[Option]:
    counts: Counter[str] = Counter()
    for group in groups:
        value = getattr(group, field)
        if value is not None:
            counts[value] += group.numbers
    return [Option(*one) for one in counts.most_common()]


def _counted(groups: Iterable[NumberGroup]) -> list[Counted]:
    """Returns the counts by region and type, the most numbers first."""
    counts: dict[tuple[str | None, str | None], list[Option]] = {}
    for group in groups:
        counts.setdefault((group.region, group.type), []).append(Option(group.state, group.numbers))
    rows = [Counted(*key, states) for key, states in counts.items()]
    return sorted(rows, key=lambda row: -sum(state.numbers for state in row.states))
