# ruff: noqa: S608 - the queries are put together from constants
"""One who looks at an account's views after each poll, remembers what they said, and keeps a copy from the feed."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.feed import Change, Copy, Feed
from tests.model.model import TICK
from tests.model.reading import meaning
from tests.model.views import AccountScenario, View, Words, days, versions

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tests.model.model import AccountModel, Number


# By view: the columns that are its key.
_VIEWS: Final = {
    "numbers_all": ("virtual_number_id",),
    "numbers": ("virtual_number_id",),
    "number_history": ("virtual_number_id", "valid_from"),
    "state_history": ("virtual_number_id", "valid_from"),
    "state_changes": ("virtual_number_id", "changed_at"),
    "redirect_history": ("virtual_number_id", "redirect_number_id", "redirect_from", "valid_from"),
    "redirects": ("virtual_number_id", "redirect_number_id", "redirect_from", "valid_from"),
    "freshness": ("account_id",),
}
_DAILY_STATES: Final = """
select day, region, type, state, numbers from analytics.daily_states where account_id = $1 and day = any($2)
"""
_STATE_SHARE: Final = """
select virtual_number_id, day, state, duration_seconds, round(share, 9)::float8 as share
  from analytics.state_share where account_id = $1 and day = any($2)
"""

_NO_WORDS: Final = Words({name: {None: (None, None)} for name in ("type", "purpose", "state")}, {None: None})


class Seen(NamedTuple):
    """What was looked at, what it must say, and what it says."""

    what: str
    wanted: Any
    found: Any


class Analyst:
    """Reads the views of one account, and nothing else of the database."""

    def __init__(self, model: AccountModel) -> None:
        self._model = model
        self._feed = Feed()
        self._copy = Copy()
        self._numbers_at: dict[datetime, View] = {}

    def follow(self) -> None:
        """Notes what the last poll changed."""
        self._feed.follow(self._model)

    async def glance(self, sql: asyncpg.Connection, account: str) -> list[Seen]:
        """Looks at what may differ although nothing was written but a run."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            told = await _told(sql, self._model, account, _NO_WORDS)
            return [await _seen(sql, told, "freshness", told.freshness())]

    async def look(self, sql: asyncpg.Connection, account: str) -> list[Seen]:
        """Looks at the present, and at one moment of the past."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            told = await _told(sql, self._model, account, await _words(sql))
            seen = [await _seen(sql, told, view, wanted) for view, wanted in told.rows().items()]
            by_view = {one.what: one for one in seen}
            if self._model.observed_at is not None:
                self._numbers_at[self._model.observed_at] = by_view["numbers"].wanted
            moments = self._moments()
            return [
                *seen,
                Seen("changes", self._feed.changes, await _changes(sql, told.account_id)),
                *await self._copied(sql, told.account_id, by_view),
                *[await self._as_of(sql, told, moment) for moment in moments[len(moments) // 2 :][:1]],
            ]

    async def look_back(self, sql: asyncpg.Connection, account: str) -> list[Seen]:
        """Looks at all of the past: at every moment of a change and just before it, and at the days."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            told = await _told(sql, self._model, account, await _words(sql))
            asked = told.account_id, days(self._model, told.now)
            shares, counted = await sql.fetch(_STATE_SHARE, *asked), await sql.fetch(_DAILY_STATES, *asked)
            share_of, counted_of = ("virtual_number_id", "day", "state"), ("day", "region", "type", "state")
            said, states = told.state_share(), told.daily_states()
            return [
                *[await self._as_of(sql, told, moment) for moment in self._moments()],
                Seen("daily_states", states, _alike(states, _by_key(counted, counted_of))),
                Seen("state_share", said, _alike(said, _by_key(shares, share_of))),
            ]

    async def _copied(self, sql: asyncpg.Connection, account_id: int, by_view: dict[str, Seen]) -> list[Seen]:
        await self._copy.catch_up(sql, account_id)
        numbers = {key[0]: self._copy.of(row) for key, row in by_view["numbers_all"].found.items()}
        redirects = {key[:3]: key[3] for key in by_view["redirects"].found}
        return [
            Seen("a copy's numbers", numbers, self._copy.numbers),
            Seen("a copy's redirects", redirects, self._copy.redirects),
        ]

    def _moments(self) -> list[datetime]:
        return [moment for at in sorted(self._numbers_at) for moment in (at - TICK, at)]

    async def _as_of(self, sql: asyncpg.Connection, told: AccountScenario, moment: datetime) -> Seen:
        wanted = self._numbers_as_of(moment)
        rows = await sql.fetch(
            "select * from analytics.numbers_as_of($1) where account_id = $2", moment, told.account_id
        )
        return Seen(f"numbers_as_of({moment})", wanted, _alike(wanted, _by_key(rows, ("virtual_number_id",))))

    def _numbers_as_of(self, moment: datetime) -> View:
        """What `numbers` said then, but for what came out later, and for what is not versioned."""
        at = max((at for at in self._numbers_at if at <= moment), default=None)
        said = {} if at is None else self._numbers_at[at]
        return {
            (number,): row | _with_hindsight(row, self._model.numbers[number], moment)
            for (number,), row in said.items()
            if not _is_known_as_removed(self._model.numbers[number], row["missing_since"])
        }


def _is_known_as_removed(known: Number, missing_since: datetime | None) -> bool:
    """Whether an absence came to be believed: a removal is dated when the number was missing first."""
    ends = {version.valid_to for version in versions(known)}
    return missing_since is not None and missing_since in ends


def _with_hindsight(row: dict[str, Any], known: Number, moment: datetime) -> dict[str, Any]:
    is_current = not known.is_removed and known.changed_at == row["changed_at"]
    was_read_last = is_current and known.last_read_at is not None and known.last_read_at <= moment
    return {
        "extra": meaning(known.extra) if is_current else None,
        "last_read_at": known.last_read_at if was_read_last else None,
        "missing_since": row["missing_since"] if row["missing_since"] == known.missing_since else None,
    }


async def _told(sql: asyncpg.Connection, model: AccountModel, account: str, words: Words) -> AccountScenario:
    account_id = await sql.fetchval("select account_id from analytics.accounts where account = $1", account)
    return AccountScenario(model, account_id, account, words, await sql.fetchval("select now()"))


async def _words(sql: asyncpg.Connection) -> Words:
    words = deepcopy(_NO_WORDS)
    for dimension, titles in words.titles.items():
        rows = await sql.fetch(f"select {dimension}, title_en, title_ru from analytics.{dimension}s")
        titles.update({row[0]: (row[1], row[2]) for row in rows})
    regions = await sql.fetch("select region, region_id from analytics.regions")
    words.region_ids.update({row["region"]: row["region_id"] for row in regions})
    return words


async def _seen(sql: asyncpg.Connection, told: AccountScenario, view: str, wanted: View) -> Seen:
    rows = await sql.fetch(f"select * from analytics.{view} where account_id = $1", told.account_id)
    return Seen(view, wanted, _alike(wanted, _by_key(rows, _VIEWS[view])))


def _by_key(rows: list[asyncpg.Record], key: tuple[str, ...]) -> View:
    """The rows by some of their columns; what comes a second time stands out."""
    found: View = {}
    for row in rows:
        place = tuple(row[name] for name in key)
        found[(*place, "a second time") if place in found else place] = _values(row)
    return found


def _values(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    if values.get("extra") is not None:
        values["extra"] = meaning(json.loads(values["extra"]))
    return values


async def _changes(sql: asyncpg.Connection, account_id: int) -> Counter[Change]:
    rows = await sql.fetch("select * from analytics.changes where account_id = $1", account_id)
    return Counter(Change(*(row[name] for name in Change._fields)) for row in rows)


def _alike(wanted: View, found: View) -> View:
    """The columns that the model tells: views may gain others."""
    names = {name for row in wanted.values() for name in row}
    return {key: {name: row[name] for name in row if name in names} for key, row in found.items()}
