"""The pages of numbers: a search by phone number, employee or comment, and the life of one number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from syncer.printable import escape_unprintable
from syncer.store.engine import read_snapshot
from syncer.store.queries.account_list import read_titles
from syncer.store.queries.number_life import read_number_life
from syncer.store.queries.number_search import (
    MAX_SPELLING_CHARS,
    FoundNumbers,
    NumberKey,
    find_numbers,
    find_numbers_by_words,
    read_found_numbers,
    spellings,
)
from syncer.store.schema import schema_state
from syncer.web import query_cache, sections
from syncer.web.format import Formatter
from syncer.web.query_cache import MAX_CACHED, QueryCache
from syncer.web.rendering import Document, Reader, environment
from syncer.web.strip import draw_strip
from syncer.web.translations import texts_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from syncer.store.engine import Engine
    from syncer.store.queries.account_list import Titles
    from syncer.store.queries.number_life import NumberLife
    from syncer.store.queries.number_search import FoundNumber
    from syncer.web.known_accounts import KnownAccounts
    from syncer.web.query_cache import QuerySlot

MAX_ROWS: Final = 200
"""How many periods and changes of a number are shown, the newest ones."""
_SECONDS_IF_FOUND: Final = 0.5
_SECONDS_IF_NOT: Final = 2.0
_PARAMETERS: Final = ({"number"}, {"account", "id"}, set[str]())
"""The parameters that belong together; there may be `lang` too."""
_ID: Final = re.compile("-?[0-9]{1,18}", re.ASCII)


class BadAddressError(Exception):
    """A parameter of the address is unknown or wrong; the message is that parameter."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """The numbers that a search found.

    Attributes:
        is_complete: Whether all were searched, and all that were found are here.
        has_words: Whether words were found, and not a phone number.
    """

    now: datetime
    numbers: list[FoundNumber]
    titles: Titles
    is_complete: bool
    has_words: bool


@dataclass(frozen=True, slots=True, eq=False)
class LifeResult:
    """The life of a number; None if there is no such number."""

    now: datetime
    life: NumberLife | None
    titles: Titles


class _SearchKey(NamedTuple):
    """What is searched: a phone number, in all its spellings, or words; both if it may be either."""

    spellings: tuple[str, ...]
    words: str


class _LifeKey(NamedTuple):
    account: str
    virtual_number_id: int


class NumberPages:
    """Renders the pages of numbers; call `close` at the end.

    Args:
        engine: The database.
        accounts: Which accounts there are.
        slot: What limits how many queries run at a time.
    """

    def __init__(self, engine: Engine, accounts: KnownAccounts, slot: QuerySlot) -> None:
        self._engine = engine
        self._accounts = accounts
        self._searches = QueryCache(self._search, slot)
        self._lives = QueryCache(self._read_life, slot)
        templates = environment()
        self._search_template = templates.get_template("search.html")
        self._life_template = templates.get_template("number.html")
        self._render_life_cached = lru_cache(maxsize=MAX_CACHED)(self._render_life)

    async def document(self, query: Mapping[str, str], accept_language: str) -> Document:
        """Renders the page for a query string and an Accept-Language header."""
        reader = Reader.from_request(query, accept_language)
        try:
            given = _checked_parameters(query)
        except BadAddressError as error:
            return self._form(reader, 400, message="bad_address", parameter=str(error))
        if "number" in given:
            return await self._found(reader, given["number"].strip())
        if "id" in given:
            return await self._life(reader, _LifeKey(given["account"], int(given["id"])))
        return self._form(reader, 200)

    async def close(self) -> None:
        """Cancels the running queries."""
        await self._searches.close()
        await self._lives.close()

    async def _found(self, reader: Reader, asked: str) -> Document:
        key = _search_key(asked)
        if not any(key):
            return self._form(reader, 400, message="not_a_number", asked=asked)
        found, problem = await self._searches.get(key)
        if found is None:
            return self._form(reader, 503, problem=problem, asked=asked)
        if not found.numbers:
            missing = "words_not_found" if key.words else "number_not_found"
            message = missing if found.is_complete else "earlier_not_searched"
            return self._form(reader, 404, message=message, asked=asked, number=asked)
        if len(found.numbers) == 1 and found.is_complete:
            (one,) = found.numbers
            address = reader.link("/number", account=one.account, id=one.virtual_number_id)
            return Document(303, reader.language, "", address)
        return self._form(reader, 503 if problem else 200, problem=problem, asked=asked, found=found)

    def _form(
        self,
        reader: Reader,
        status: int,
        *,
        asked: str = "",
        found: SearchResult | None = None,
        problem: str | None = None,
        message: str | None = None,
        **values: str,
    ) -> Document:
        texts = texts_for(reader.language)
        context = self._context(reader, "find_number", number=asked or None) | {
            "asked": escape_unprintable(asked),
            "message": message and texts[message].format(**{k: escape_unprintable(v) for k, v in values.items()}),
            "problem": problem,
            "found": found,
        }
        if found is not None:
            context["heading"] = "found_by_words" if found.has_words else "several_found"
            context["incomplete"] = "more_found" if found.has_words else "earlier_not_searched"
            context["format"] = Formatter(texts, found.now)
            context["values"] = sections.ValueFormatter(texts, found.titles, reader.language)
        return Document(status, reader.language, self._search_template.render(context))

    async def _life(self, reader: Reader, key: _LifeKey) -> Document:
        if not await self._accounts.may_exist(key.account):
            return self._form(reader, 404, message="no_such_account")
        result, problem = await self._lives.get(key)
        if result is None:
            return self._form(reader, 503, problem=problem)
        if result.life is None:
            return self._form(reader, 404, message="no_such_number")
        html = self._render_life_cached(reader, result, problem)
        return Document(503 if problem else 200, reader.language, html)

    def _render_life(self, reader: Reader, result: LifeResult, problem: str | None) -> str:
        life = result.life
        assert life is not None  # noqa: S101 - the caller has checked it
        texts = texts_for(reader.language)
        context = self._context(reader, "number", account=life.account, id=life.virtual_number_id) | {
            "life": life,
            "problem": problem,
            "now": result.now,
            "strip": draw_strip(life.states, result.now),
            "changes": [change for change in reversed(life.changes) if change.kind != "state"],
            "max_rows": MAX_ROWS,
            "format": Formatter(texts, result.now),
            "values": sections.ValueFormatter(texts, result.titles, reader.language),
        }
        return self._life_template.render(context)

    @staticmethod
    def _context(reader: Reader, here: str, **address: str | int | None) -> dict[str, Any]:
        return reader.context() | {
            "home": reader.link("/"),
            "here": here,
            "in_language": lambda language: reader.link("/number", **(address | {"lang": language})),
        }

    async def _search(self, key: _SearchKey) -> SearchResult:
        limit = query_cache.STATEMENT_TIMEOUT_SECONDS
        (await schema_state(self._engine)).require_current()
        found = FoundNumbers([], is_complete=True)
        if key.spellings:
            found = await find_numbers(
                self._engine, key.spellings, None, seconds_if_found=_SECONDS_IF_FOUND, seconds_if_not=_SECONDS_IF_NOT
            )
        has_words = bool(key.words) and not found.keys
        if has_words:
            found = await find_numbers_by_words(self._engine, key.words, statement_seconds=limit)
        return SearchResult(
            await _clock(self._engine),
            await read_found_numbers(self._engine, found.keys, statement_seconds=limit) if found.keys else [],
            await read_titles(self._engine, statement_seconds=limit),
            found.is_complete,
            has_words,
        )

    async def _read_life(self, key: _LifeKey) -> LifeResult:
        limit = query_cache.STATEMENT_TIMEOUT_SECONDS
        (await schema_state(self._engine)).require_current()
        async with read_snapshot(self._engine, statement_seconds=limit) as connection:
            account_id = await connection.scalar(
                text("select account_id from syncer.account where name = :name"), {"name": key.account}
            )
        life = None
        if account_id is not None:
            number = NumberKey(account_id, key.virtual_number_id)
            life = await read_number_life(self._engine, number, statement_seconds=limit, max_rows=MAX_ROWS)
        return LifeResult(await _clock(self._engine), life, await read_titles(self._engine, statement_seconds=limit))


async def _clock(engine: Engine) -> datetime:
    async with read_snapshot(engine) as connection:
        now: datetime = await connection.scalar(text("select syncer.clock()"))
        return now


def _search_key(asked: str) -> _SearchKey:
    try:
        accepted = tuple(spellings(asked))
    except ValueError:
        accepted = ()
    # PostgreSQL's texts cannot have every character.
    may_be_words = any(map(str.isalpha, asked)) and escape_unprintable(asked) == asked
    return _SearchKey(accepted, asked if may_be_words and len(asked) <= MAX_SPELLING_CHARS else "")


def _checked_parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Returns the parameters of the address without the language.

    Raises:
        BadAddressError: One of them is unknown, wrong, or does not belong to the others.
    """
    given = {name: escape_unprintable(value) if name != "number" else value for name, value in query.items()}
    given.pop("lang", None)
    for names in _PARAMETERS:
        if given.keys() == names:
            if "id" in given and not _ID.fullmatch(given["id"]):
                raise BadAddressError("id")
            return given
    unknown = [name for name in given if not any(name in names for names in _PARAMETERS)]
    raise BadAddressError(escape_unprintable((unknown or list(given))[0]))
