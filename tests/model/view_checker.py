# ruff: noqa: S608 - the queries are built from constants
"""Compares an account's views with the model after each poll, and a replica that is built from the feed."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.change_feed import Change, ExpectedFeed, FeedReplica, by_place
from tests.model.model import TICK
from tests.model.response_parser import canonical
from tests.model.views import AccountScenario, Dimensions, View, days, versions

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tests.model.change_feed import CopiedFeed
    from tests.model.model import AccountModel, Number


# The key columns of each view.
_VIEWS: Final = {
    "numbers_all": ("virtual_number_id",),
    "numbers": ("virtual_number_id",),
    "number_history": ("virtual_number_id", "valid_from"),
    "state_history": ("virtual_number_id", "valid_from"),
    "state_spells": ("virtual_number_id", "valid_from"),
    "state_changes": ("virtual_number_id", "changed_at"),
    "redirect_history": ("virtual_number_id", "redirect_number_id", "redirect_from", "valid_from"),
    "redirects": ("virtual_number_id", "redirect_number_id", "redirect_from", "valid_from"),
    "assignments": ("virtual_number_id", "valid_from"),
    "absences": ("virtual_number_id", "missing_since"),
    "register": ("virtual_number_id",),
    "freshness": ("account_id",),
}
# The key columns of each view of days and months.
_DAY_VIEWS: Final = {
    "daily_states": ("day", "region", "type", "state"),
    "daily_totals": ("day", "state"),
    "daily_flows": ("day", "region", "type", "state"),
    "number_days": ("virtual_number_id", "day"),
}
_MONTHS: Final = ("month", "region", "type")
_STATE_SHARE: Final = """
select virtual_number_id, day, state, duration_seconds, round(share, 9) as share
  from analytics.state_share where account_id = $1 and day = any($2)
"""

_REDIRECT_PATHS: Final = """
select virtual_number_id, number_key, path, target_number_id, target_state, hops, is_loop, works
  from analytics.redirect_paths where account_id = $1
"""

_NO_DIMENSIONS: Final = Dimensions({name: {None: (None, None)} for name in ("type", "purpose", "state")}, {None: None})


class Comparison(NamedTuple):
    """What is compared, and its expected and actual value."""

    what: str
    expected: Any
    actual: Any


class ViewChecker:
    """Checks the views of one account; it reads nothing else in the database."""

    def __init__(self, model: AccountModel) -> None:
        self._model = model
        self._feed = ExpectedFeed()
        self._replica = FeedReplica()
        self._numbers_at: dict[datetime, View] = {}
        self._unknown_before: set[datetime] = set()
        self._changes_at: list[datetime] = []

    def record_poll(self) -> None:
        """Records what the last poll changed."""
        self._feed.record_poll(self._model)
        if self._model.observed_at is not None:
            self._changes_at.append(self._model.observed_at)

    def fields_changed(self) -> int:
        """Returns how many values of fields the feed has as changes of a number that existed."""
        return sum(count for change, count in self._feed.changes.items() if change.kind in {"changed", "state"})

    async def check_freshness(self, sql: asyncpg.Connection, account: str) -> list[Comparison]:
        """Checks the view that changes even if only a run was written."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            scenario = await _load_scenario(sql, self._model, account, _NO_DIMENSIONS)
            return [await _compare_view(sql, scenario, "freshness", scenario.freshness())]

    async def remember_numbers(self, sql: asyncpg.Connection, account: str) -> None:
        """Remembers what the view `numbers` must have now, to compare it later with `numbers_as_of`."""
        scenario = await _load_scenario(sql, self._model, account, await _load_dimensions(sql))
        self._remember(scenario.numbers())

    async def check_views(self, sql: asyncpg.Connection, account: str, feed: CopiedFeed) -> list[Comparison]:
        """Checks all views, and `numbers_as_of` at one time in the past."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            scenario = await _load_scenario(sql, self._model, account, await _load_dimensions(sql))
            comparisons = [
                await _compare_view(sql, scenario, view, expected) for view, expected in scenario.rows().items()
            ]
            by_view = {one.what: one for one in comparisons}
            self._remember(by_view["numbers"].expected)
            moments = self._moments()
            return [
                *comparisons,
                Comparison(
                    "redirect_paths",
                    scenario.redirect_paths(),
                    Counter(tuple(row) for row in await sql.fetch(_REDIRECT_PATHS, scenario.account_id)),
                ),
                Comparison("changes", self._feed.changes, _changes(feed, scenario.account_id)),
                *self._compare_replica(feed, scenario.account_id, by_view),
                *[await self._compare_as_of(sql, scenario, moment) for moment in moments[len(moments) // 2 :][:1]],
            ]

    async def check_history(self, sql: asyncpg.Connection, account: str) -> list[Comparison]:
        """Checks the views of the past: `numbers_as_of` at and just before every change, and the views by day."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            scenario = await _load_scenario(sql, self._model, account, await _load_dimensions(sql))
            asked = scenario.account_id, days(self._model, scenario.known_until)
            shares = await sql.fetch(_STATE_SHARE, *asked)
            expected_shares, months = scenario.state_share(), scenario.monthly_kpi()
            found_months = await sql.fetch("select * from analytics.monthly_kpi where account_id = $1", asked[0])
            return [
                *[await self._compare_as_of(sql, scenario, moment) for moment in self._moments()],
                *[await _compare_days(sql, scenario, view) for view in _DAY_VIEWS],
                Comparison("monthly_kpi", months, _with_columns_of(months, _by_key(found_months, _MONTHS))),
                Comparison(
                    "state_share",
                    expected_shares,
                    _with_columns_of(expected_shares, _by_key(shares, ("virtual_number_id", "day", "state"))),
                ),
            ]

    def _compare_replica(self, feed: CopiedFeed, account_id: int, by_view: dict[str, Comparison]) -> list[Comparison]:
        self._replica.apply(feed.new, account_id)
        numbers_now = {
            row["virtual_number_id"]: row["number_now"] for row in feed.source if row["account_id"] == account_id
        }
        numbers = {key[0]: self._replica.expected_row(row) for key, row in by_view["numbers_all"].actual.items()}
        redirects = {key[:3]: key[3] for key in by_view["redirects"].actual}
        return [
            Comparison(
                "number_now in changes",
                {number: stored.values["number"] for number, stored in self._model.numbers.items()},
                numbers_now,
            ),
            Comparison("the replica's numbers", numbers, self._replica.numbers),
            Comparison("the replica's redirects", redirects, self._replica.redirects),
        ]

    def _remember(self, numbers: View) -> None:
        """Remembers the view `numbers` since the last success, and whether polls before it were not compared."""
        at = self._model.observed_at
        if at is None:
            return
        if self._changes_at[:1] not in ([], [at]):
            self._unknown_before.add(at)
        self._numbers_at[at] = numbers
        self._changes_at = []

    def _moments(self) -> list[datetime]:
        """Returns the times at which the numbers are known: each poll that was compared, and just before it."""
        before = {at - TICK for at in self._numbers_at if at not in self._unknown_before}
        return sorted({*self._numbers_at, *before})

    async def _compare_as_of(self, sql: asyncpg.Connection, scenario: AccountScenario, moment: datetime) -> Comparison:
        expected = self._expected_as_of(moment, scenario.account)
        rows = await sql.fetch(
            "select * from analytics.numbers_as_of($1) where account_id = $2", moment, scenario.account_id
        )
        return Comparison(
            f"numbers_as_of({moment})", expected, _with_columns_of(expected, _by_key(rows, ("virtual_number_id",)))
        )

    def _expected_as_of(self, moment: datetime, account: str) -> View:
        """Returns the rows of `numbers` at that time, with what was learned later, and without unversioned values."""
        at = max((at for at in self._numbers_at if at <= moment), default=None)
        expected_shares = {} if at is None else self._numbers_at[at]
        return {
            (number,): row | {"account": account} | _unversioned_columns(row, self._model.numbers[number], moment)
            for (number,), row in expected_shares.items()
            if not _is_applied_removal(self._model.numbers[number], row["missing_since"])
        }


def compare_copy(feed: CopiedFeed) -> Comparison:
    """Compares the feed with its copy. It leaves out the names of accounts, since these can change."""
    return Comparison("the copy of the feed", by_place(feed.source), feed.copied)


def _is_applied_removal(stored: Number, missing_since: datetime | None) -> bool:
    """Returns whether a missing number was removed later: its removal has the time when it was first missing."""
    ends = {version.valid_to for version in versions(stored)}
    return missing_since is not None and missing_since in ends


def _unversioned_columns(row: dict[str, Any], stored: Number, moment: datetime) -> dict[str, Any]:
    is_current = not stored.is_removed and stored.changed_at == row["changed_at"]
    was_read_last = is_current and stored.last_read_at is not None and stored.last_read_at <= moment
    return {
        "extra": canonical(stored.extra) if is_current else None,
        "last_read_at": stored.last_read_at if was_read_last else None,
    }


async def _load_scenario(
    sql: asyncpg.Connection, model: AccountModel, account: str, dimensions: Dimensions
) -> AccountScenario:
    account_id = await sql.fetchval("select account_id from analytics.accounts where account = $1", account)
    return AccountScenario(model, account_id, account, dimensions, await sql.fetchval("select now()"))


async def _load_dimensions(sql: asyncpg.Connection) -> Dimensions:
    dimensions = deepcopy(_NO_DIMENSIONS)
    for dimension, titles in dimensions.titles.items():
        rows = await sql.fetch(f"select {dimension}, title_en, title_ru from analytics.{dimension}s")
        titles.update({row[0]: (row[1], row[2]) for row in rows})
    regions = await sql.fetch("select region, region_id from analytics.regions")
    dimensions.region_ids.update({row["region"]: row["region_id"] for row in regions})
    return dimensions


async def _compare_view(sql: asyncpg.Connection, scenario: AccountScenario, view: str, expected: View) -> Comparison:
    rows = await sql.fetch(f"select * from analytics.{view} where account_id = $1", scenario.account_id)
    return Comparison(view, expected, _with_columns_of(expected, _by_key(rows, _VIEWS[view])))


async def _compare_days(sql: asyncpg.Connection, scenario: AccountScenario, view: str) -> Comparison:
    expected: View = getattr(scenario, view)()
    rows = await sql.fetch(
        f"select * from analytics.{view} where account_id = $1 and day = any($2)",
        scenario.account_id,
        days(scenario.model, scenario.known_until),
    )
    return Comparison(view, expected, _with_columns_of(expected, _by_key(rows, _DAY_VIEWS[view])))


def _by_key(rows: list[asyncpg.Record], key: tuple[str, ...]) -> View:
    """Returns the rows by their key; a repeated key gets another one, so that the comparison fails."""
    actual: View = {}
    for row in rows:
        place = tuple(row[name] for name in key)
        actual[(*place, "a second time") if place in actual else place] = _values(row)
    return actual


def _values(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    if values.get("extra") is not None:
        values["extra"] = canonical(json.loads(values["extra"]))
    return values


def _changes(feed: CopiedFeed, account_id: int) -> Counter[Change]:
    rows = [row for row in feed.source if row["account_id"] == account_id]
    return Counter(Change(*(row[name] for name in Change._fields)) for row in rows)


def _with_columns_of(expected: View, actual: View) -> View:
    """Returns only the columns that the model has: views may have others."""
    names = {name for row in expected.values() for name in row}
    return {key: {name: row[name] for name in row if name in names} for key, row in actual.items()}
