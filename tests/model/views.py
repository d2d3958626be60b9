"""The expected rows of the views in schema `analytics` for one account, computed from the model."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.model.model import TICK, ZONE, Period
from tests.model.response_parser import COLUMNS, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.model import AccountModel, Number

_TOLERANCE: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_T = TypeVar("_T")

_COUNTED: Final = ("numbers", "entered", "exited", "arrived", "returned", "removed")
_OF_MONTH: Final = ("opening", "closing", "arrived", "returned", "removed", "locks", "unlocks")
_COLUMNS_OF_DAYS: Final = ("active", "debt_lock", "freeze", "other")

View = dict[tuple[Any, ...], dict[str, Any]]
"""The rows of a view, by key."""


@dataclass(frozen=True)
class Dimensions:
    """The dimension tables: the English and Russian titles by value, and the ids by region."""

    titles: dict[str, dict[str | None, tuple[str | None, str | None]]]
    region_ids: dict[str | None, int | None]


@dataclass(frozen=True)
class AccountScenario:
    """The expected rows of the views, at a time by the database's own clock."""

    model: AccountModel
    account_id: int
    account: str
    dimensions: Dimensions
    now: datetime

    def rows(self) -> dict[str, View]:
        """Returns the rows by view and key."""
        return {
            "numbers_all": {(number,): self.number_row(number) for number in self.model.numbers},
            "numbers": self.numbers(),
            "number_history": dict(self._number_history()),
            "state_history": dict(self._state_history()),
            "state_spells": dict(self._state_spells()),
            "state_changes": dict(self._state_changes()),
            "redirect_history": dict(self._redirect_history()),
            "redirects": {
                key: _without(row, "closed_run_id") for key, row in self._redirect_history() if row["is_current"]
            },
            "assignments": dict(self._assignments()),
            "absences": dict(self._absences()),
            "register": {
                (number,): self._register_row(number)
                for number, stored in self.model.numbers.items()
                if not stored.is_removed
            },
            "freshness": self.freshness(),
        }

    def numbers(self) -> View:
        """Returns the rows of `numbers`."""
        return {
            (number,): _without(self.number_row(number), "removed_at")
            for number, stored in self.model.numbers.items()
            if not stored.is_removed
        }

    def number_row(self, number: int) -> dict[str, Any]:
        """Returns a number's row in `numbers_all`."""
        stored = self.model.numbers[number]
        times = ("first_seen_at", "changed_at", "changed_after", "last_read_at", "missing_since", "removed_at")
        return {
            **self._identity(number),
            **self._record(stored.values),
            **self._titles("type", stored.values),
            **self._titles("purpose", stored.values),
            **self._titles("state", stored.values),
            "state_since": (stay := _stay(stored))[0].valid_from,
            "state_since_earliest": stay[0].changed_after,
            "reason_since": stay[-1].valid_from,
            "reason_since_earliest": stay[-1].changed_after,
            "extra": canonical(stored.extra),
            "redirect_count": len(stored.open_redirects()),
            **{name: getattr(stored, name) for name in times},
        }

    def _number_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            all_versions = versions(stored)
            for former, version, following in _with_neighbours(all_versions):
                yield (
                    (number, version.valid_from),
                    {
                        **self._identity(number),
                        **self._record(version.values),
                        **self._titles("type", version.values),
                        **self._titles("purpose", version.values),
                        **self._titles("state", version.values),
                        **self._dated(number, version),
                        "began_by": _began_by(former, version),
                        "ended_by": _ended_by(version, following),
                    },
                )

    def _state_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            for row in stored.states:
                yield (
                    (number, row.valid_from),
                    {
                        **self._identity(number),
                        **row.values,
                        **self._titles("state", row.values),
                        **self._dated(number, row),
                        **attributes_at(stored, row.valid_from),
                    },
                )

    def _state_spells(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            stays: list[list[Period]] = []
            for former, row, _ in _with_neighbours(stored.states):
                if former and (former.valid_to, former.values["state"]) == (row.valid_from, row.values["state"]):
                    stays[-1].append(row)
                else:
                    stays.append([row])
            for former_stay, stay, next_stay in _with_neighbours(stays):
                first, last = stay[0], stay[-1]
                former = former_stay[-1] if former_stay else None
                following = next_stay[0] if next_stay else None
                began_by, ended_by = _began_by(former, first), _ended_by(last, following)
                spell = replace(
                    last,
                    values={},
                    valid_from=first.valid_from,
                    changed_after=first.changed_after,
                )
                yield (
                    (number, first.valid_from),
                    {
                        **self._identity(number),
                        **self._titles("state", first.values),
                        **_without(self._dated(number, spell), "run_id"),
                        **attributes_at(stored, first.valid_from),
                        "state": first.values["state"],
                        "first_reason": first.values["reason"],
                        "last_reason": last.values["reason"],
                        "began_by": began_by,
                        "from_state": former.values["state"] if former and began_by == "changed" else None,
                        "ended_by": ended_by,
                        "to_state": following.values["state"] if following and ended_by == "changed" else None,
                    },
                )

    def _state_changes(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            for former, row in zip(stored.states, stored.states[1:], strict=False):
                if former.valid_to != row.valid_from:
                    continue  # it was removed in between
                yield (
                    (number, row.valid_from),
                    {
                        **self._identity(number),
                        "changed_at": row.valid_from,
                        "changed_after": row.changed_after,
                        "changed_day": row.valid_from.astimezone(ZONE).date(),
                        **{f"from_{name}": value for name, value in former.values.items()},
                        **{f"to_{name}": value for name, value in row.values.items()},
                        **{f"from_{name}": title for name, title in self._titles("state", former.values).items()},
                        **{f"to_{name}": title for name, title in self._titles("state", row.values).items()},
                        "run_id": row.run_id,
                        "number_now": stored.values["number"],
                        **attributes_at(stored, row.valid_from),
                    },
                )

    def _redirect_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            for row in stored.redirects:
                redirect_id, redirect_from = row.key
                origin = self.model.numbers.get(redirect_id)
                is_own = origin is not None and origin.values["number"] == redirect_from
                yield (
                    (number, *row.key, row.valid_from),
                    {
                        **self._identity(number),
                        "redirect_number_id": redirect_id,
                        "redirect_from": redirect_from,
                        "redirect_from_key": f"{self.account_id}:{redirect_id}" if is_own else None,
                        **self._dated(number, row),
                        **attributes_at(stored, row.valid_from),
                    },
                )

    def _assignments(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            terms: list[list[Period]] = []
            for former, version, _ in _with_neighbours(versions(stored)):
                if former and _holder(former, former.valid_to) == _holder(version, version.valid_from):
                    terms[-1].append(version)
                else:
                    terms.append([version])
            for former_term, term, next_term in _with_neighbours(terms):
                first, last = term[0], term[-1]
                if first.values["employee_id"] is None:
                    continue
                row = replace(last, values={}, valid_from=first.valid_from, changed_after=first.changed_after)
                yield (
                    (number, first.valid_from),
                    {
                        **self._identity(number),
                        **self._dated(number, replace(row, run_id=first.run_id)),
                        **attributes(first.values),
                        "began_by": _began_by(former_term[-1] if former_term else None, first),
                        "ended_by": _ended_by(last, next_term[0] if next_term else None),
                    },
                )

    def _absences(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, stored in self.model.numbers.items():
            absences = dict(stored.absences)
            if stored.missing_since is not None and not stored.is_removed:
                absences[stored.missing_since] = {"run_id": stored.missing_run_id}
            for since, absence in absences.items():
                ended_at = absence.get("ended_at")
                yield (
                    (number, since),
                    {
                        **self._identity(number),
                        **attributes_at(stored, since - TICK),
                        **{name: absence.get(name) for name in ("run_id", "ended_at", "closed_run_id", "ended_by")},
                        "missing_since": since,
                        "is_current": ended_at is None,
                        "duration_seconds": seconds((ended_at or self.known_until) - since),
                        "began_day": since.astimezone(ZONE).date(),
                        "number_now": stored.values["number"],
                    },
                )

    def _register_row(self, number: int) -> dict[str, Any]:
        row, stored = self.number_row(number), self.model.numbers[number]
        same = ("number", "e164", "comment", "reason", "state_since", "region", "employee_id", "first_seen_at")
        titles = [f"{name}_title_{language}" for name in ("state", "type", "purpose") for language in ("en", "ru")]
        days_in_state = seconds(self.known_until - row["state_since"]) / 86400
        return {
            **self._identity(number),
            **{name: row[name] for name in (*same, "missing_since")},
            **{name: row[name] or row[name.partition("_")[0]] for name in titles},
            "days_in_state": int(days_in_state.to_integral_value(ROUND_HALF_UP)),
            "redirected_to": row["redirect_number"],
            "redirected_from": ", ".join(sorted(redirect_from for _, redirect_from in stored.open_redirects())) or None,
        }

    def redirect_paths(self) -> Counter[tuple[Any, ...]]:
        """Returns the rows of `redirect_paths`, by their number, its key, the way, and where it ends."""
        listed = {number: stored for number, stored in self.model.numbers.items() if not stored.is_removed}
        onward: dict[int, list[int]] = {}
        starts: list[tuple[int, str, bool, int]] = []
        for target, stored in listed.items():
            for source, redirect_from in stored.open_redirects():
                is_own = source in listed and listed[source].values["number"] == redirect_from
                starts.append((source, redirect_from, is_own, target))
                if is_own:
                    onward.setdefault(source, []).append(target)
        ends: Counter[tuple[Any, ...]] = Counter()
        for source, redirect_from, is_own, first_target in starts:
            ways = [[first_target]]
            while ways:
                way = ways.pop()
                before = [*([source] if is_own else []), *way[:-1]]
                is_loop = way[-1] in before
                if not is_loop and len(way) < 16 and way[-1] in onward:
                    ways += [[*way, target] for target in onward[way[-1]]]
                    continue
                state = listed[way[-1]].values["state"]
                key = f"{self.account_id}:{source}" if is_own else None
                path = " → ".join([redirect_from, *(listed[number].values["number"] for number in way)])
                ends[source, key, path, way[-1], state, len(way), is_loop, not is_loop and state == "active"] += 1
        return ends

    def _dated(self, number: int, row: Period) -> dict[str, Any]:
        return {
            **_period(row),
            "duration_seconds": seconds((row.valid_to or self.known_until) - row.valid_from),
            "began_day": row.valid_from.astimezone(ZONE).date(),
            "number_now": self.model.numbers[number].values["number"],
        }

    @property
    def known_until(self) -> datetime:
        """Until when open periods last: until now, or the last success if that is more than a day ago."""
        observed_at = self.model.observed_at
        return self.now if observed_at is None or observed_at > self.now - _DAY else observed_at

    def freshness(self) -> View:
        """Returns the account's row in `freshness`."""
        model = self.model
        ended = [run for _, run in sorted(model.runs.items()) if run.outcome not in {"running", "abandoned"}]
        last = ended[-1] if ended else None
        known = self._succeeded_by()
        row = {
            "account_id": self.account_id,
            "account": self.account,
            "last_success_at": model.observed_at,
            "lag_seconds": None if known is None else seconds(self.now - known),
            "clock_ahead": known != model.observed_at,
            "last_outcome": last and last.outcome,
            "last_error_kind": last and last.error_kind,
            "held": model.held,
            "unconfirmed": model.unconfirmed,
            "rejected": len(model.current_rejected),
        }
        return {(self.account_id,): row}

    def _succeeded_by(self) -> datetime | None:
        """Returns the time by which the newest success has certainly happened.

        Its own time is wrong if it is in the future, or if a later run began before it: the clock was ahead then. It is
        not younger than its beginning, nor than that of any later run, as far as these times have passed.
        """
        model = self.model
        if model.observed_at is None or model.success_run_id is None or model.success_started_at is None:
            return None
        later = [run.started_at for run_id, run in model.runs.items() if run_id > model.success_run_id]
        first = min(later, default=model.success_started_at)
        is_later_run_earlier = first < model.success_started_at - _TOLERANCE
        if model.observed_at <= self.now + _TOLERANCE and not is_later_run_earlier:
            return model.observed_at
        return min((time for time in (*later, model.success_started_at) if time <= self.now), default=None)

    def daily_states(self) -> View:
        """Returns the number of numbers by day, region, type and state; the days are those of the history and today."""
        return {key: {"numbers": row["numbers"]} for key, row in self._day_groups.items()}

    def daily_totals(self) -> View:
        """Returns the number of numbers by day and state."""
        totals: View = {}
        for (day, _, _, state), row in self._day_groups.items():
            totals.setdefault((day, state), {"numbers": 0})["numbers"] += row["numbers"]
        return totals

    def daily_flows(self) -> View:
        """Returns what came and went, and the time, by day, region, type and state."""
        return {key: _without(row, "numbers") for key, row in self._day_groups.items()}

    @cached_property
    def _day_groups(self) -> View:
        """Returns all that is counted of a day, region, type and state, zeros included."""
        ever = [(stored, version) for stored in self.model.numbers.values() for version in versions(stored)]
        states = {version.values["state"] for _, version in ever}
        begun: dict[tuple[Any, ...], datetime] = {}
        of_group: dict[tuple[Any, ...], list[tuple[Number, Period]]] = {}
        for stored, version in ever:
            begun[pair_of(version)] = min(version.valid_from, begun.get(pair_of(version), version.valid_from))
            of_group.setdefault((*pair_of(version), version.values["state"]), []).append((stored, version))
        groups: View = {
            (day, *pair, state): dict.fromkeys(_COUNTED, 0) | {"duration_seconds": timedelta()}
            for day in days(self.model, self.known_until)
            for pair, first in begun.items()
            for state in states
            if first < midnight(day + _DAY)
        }
        for (day, *group), row in groups.items():
            begins, ends = midnight(day), midnight(day + _DAY)
            for stored, version in of_group.get(tuple(group), []):
                if version.valid_from < ends and (version.valid_to is None or version.valid_to >= ends):
                    row["numbers"] += 1
                spent = min(version.valid_to or self.known_until, ends) - max(version.valid_from, begins)
                row["duration_seconds"] += max(spent, timedelta())
                for what, moment in _edges(stored, version):
                    row[what] += begins <= moment < ends
        return {key: row | {"duration_seconds": seconds(row["duration_seconds"])} for key, row in groups.items()}

    def monthly_kpi(self) -> View:
        """Returns what there was, came and went by month, region and type, from the month in which each pair began."""
        ever = [(stored, version) for stored in self.model.numbers.values() for version in versions(stored)]
        if not ever:
            return {}
        kpi: View = {}
        month = min(version.valid_from for _, version in ever).astimezone(ZONE).date().replace(day=1)
        while midnight(month) <= self.known_until:
            following = (month + 31 * _DAY).replace(day=1)
            begins, ends = midnight(month), midnight(following)
            for pair in {pair_of(version) for _, version in ever if version.valid_from < ends}:
                row: dict[str, Any] = dict.fromkeys(_OF_MONTH, 0) | {
                    "active_seconds": timedelta(),
                    "listed_seconds": timedelta(),
                }
                for stored, version in ever:
                    if pair_of(version) != pair:
                        continue
                    for name, moment in (("opening", begins), ("closing", ends)):
                        row[name] += version.valid_from < moment and (
                            version.valid_to is None or version.valid_to >= moment
                        )
                    state = version.values["state"]
                    for what, moment in _edges(stored, version):
                        if begins <= moment < ends and (column := _month_column(what, state)) is not None:
                            row[column] += 1
                    spent = min(version.valid_to or self.known_until, ends) - max(version.valid_from, begins)
                    row["listed_seconds"] += max(spent, timedelta())
                    row["active_seconds"] += max(spent, timedelta()) if state == "active" else timedelta()
                moved = row["closing"] - row["opening"] - row["arrived"] - row["returned"] + row["removed"]
                times = {name: seconds(row[name]) for name in ("active_seconds", "listed_seconds")}
                kpi[month, *pair] = row | times | {"moved_in": moved}
            month = following
        return kpi

    def number_days(self) -> View:
        """Returns the time in each state by number and day, for days on which the number was listed."""
        rows: View = {}
        for (number, day, state), share in self.state_share().items():
            row = rows.setdefault(
                (number, day), {f"{name}_seconds": Decimal(0) for name in ("listed", *_COLUMNS_OF_DAYS)}
            )
            row["listed_seconds"] += share["duration_seconds"]
            row[f"{state if state in _COLUMNS_OF_DAYS else 'other'}_seconds"] += share["duration_seconds"]
        return rows

    def state_share(self) -> View:
        """Returns the duration by number, day and state, and its share of the time when the number was listed."""
        shares: View = {}
        for number, stored in self.model.numbers.items():
            for day in days(self.model, self.known_until):
                durations: dict[str, timedelta] = {}
                for row in stored.states:
                    begins, ends = max(row.valid_from, midnight(day)), row.valid_to or self.known_until
                    duration = min(ends, midnight(day + _DAY)) - begins
                    if duration > timedelta():
                        state = row.values["state"]
                        durations[state] = durations.get(state, timedelta()) + duration
                whole = sum(durations.values(), timedelta())
                for state, duration in durations.items():
                    shares[number, day, state] = {
                        "duration_seconds": seconds(duration),
                        "share": _share(duration, whole),
                    }
        return shares

    def _identity(self, number: int) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "account": self.account,
            "virtual_number_id": number,
            "number_key": f"{self.account_id}:{number}",
        }

    def _record(self, values: dict[str, Any]) -> dict[str, Any]:
        region = values["region_name"]
        return {
            **{name: values[name] for name in COLUMNS if name != "region_name"},
            "e164": e164(values["number"]),
            "region": region,
            "region_id": self.dimensions.region_ids[region],
        }

    def _titles(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        english, russian = self.dimensions.titles[name][values[name]]
        return {f"{name}_title_en": english, f"{name}_title_ru": russian}


def _stay(stored: Number) -> list[Period]:
    """Returns the periods of the last unbroken stay of a number in one state, whatever its reasons."""
    stay = [stored.states[-1]]
    for period in reversed(stored.states[:-1]):
        if (period.valid_to, period.values["state"]) != (stay[0].valid_from, stay[0].values["state"]):
            break
        stay.insert(0, period)
    return stay


def attributes(values: dict[str, Any]) -> dict[str, Any]:
    """Returns what the rows about a period say of the number, from the version of its beginning."""
    return {
        "region": values["region_name"],
        **{name: values[name] for name in ("number", "type", "purpose", "employee_id")},
    }


def attributes_at(stored: Number, moment: datetime) -> dict[str, Any]:
    """Returns them as they were at a moment at which the number was listed."""
    return attributes([version for version in versions(stored) if version.valid_from <= moment][-1].values)


def _with_neighbours(rows: list[_T]) -> Iterator[tuple[_T | None, _T, _T | None]]:
    """Yields each row between the one before and the one after it."""
    return zip([None, *rows[:-1]], rows, [*rows[1:], None], strict=True)


def _holder(version: Period, moment: datetime | None) -> tuple[int | None, datetime | None]:
    return version.values["employee_id"], moment


def _began_by(former: Period | None, row: Period) -> str:
    if former is None:
        return "created"
    return "changed" if former.valid_to == row.valid_from else "restored"


def _ended_by(row: Period, following: Period | None) -> str | None:
    if row.valid_to is None:
        return None
    return "changed" if following is not None and following.valid_from == row.valid_to else "removed"


def versions(stored: Number) -> list[Period]:
    """Returns all versions of a number; the last is the current one, or ends with the removal."""
    if stored.is_removed:
        return stored.versions
    last = Period((), stored.values, stored.changed_at, stored.changed_after, stored.run_id)
    return [*stored.versions, last]


def pair_of(version: Period) -> tuple[Any, Any]:
    """Returns the region and the type of a version."""
    return version.values["region_name"], version.values["type"]


def _edges(stored: Number, version: Period) -> Iterator[tuple[str, datetime]]:
    """Yields what the beginning and the end of a version are for its state, and when they were."""
    listed = versions(stored)
    place = listed.index(version)
    before, after = listed[:place][-1:], listed[place + 1 :][:1]
    if not before:
        yield "arrived", version.valid_from
    elif before[0].valid_to != version.valid_from:
        yield "returned", version.valid_from
    elif before[0].values["state"] != version.values["state"]:
        yield "entered", version.valid_from
    if version.valid_to is not None and (not after or after[0].valid_from != version.valid_to):
        yield "removed", version.valid_to
    elif version.valid_to is not None and after[0].values["state"] != version.values["state"]:
        yield "exited", version.valid_to


def _month_column(what: str, state: str) -> str | None:
    """Returns the column of a month that an edge of a version counts in, if any does."""
    if what in {"entered", "exited"}:
        return {"entered": "locks", "exited": "unlocks"}[what] if state == "debt_lock" else None
    return what


def days(model: AccountModel, known_until: datetime) -> list[date]:
    """Returns the days from the first change until one day after the last, and the last day that counts."""
    moments = [
        moment
        for stored in model.numbers.values()
        for version in versions(stored)
        for moment in (version.valid_from, version.valid_to)
        if moment is not None
    ]
    if not moments:
        return []
    first, last = (moment.astimezone(ZONE).date() for moment in (min(moments), max(moments)))
    spanned = {first + position * _DAY for position in range((last - first).days + 2)}
    end = known_until.astimezone(ZONE).date()
    return sorted(day for day in spanned | {end} if day <= end)


def midnight(day: date) -> datetime:
    """Returns the start of a day in Moscow."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


def e164(number: str) -> str | None:
    """Returns the number as `+7…`; None unless it consists of 10 to 15 digits."""
    if re.fullmatch("[0-9]{10,15}", number) is None:
        return None
    if len(number) == 10:
        return f"+7{number}"
    return f"+7{number[1:]}" if len(number) == 11 and number[0] == "8" else f"+{number}"


def _share(part: timedelta, whole: timedelta) -> Decimal:
    """Returns a quotient with nine decimals, rounded exactly as PostgreSQL rounds: a half goes away from zero."""
    microsecond = timedelta(microseconds=1)
    return (Decimal(part // microsecond) / (whole // microsecond)).quantize(Decimal("1e-9"), ROUND_HALF_UP)


def seconds(durations: timedelta) -> Decimal:
    """Returns a duration in seconds, as the views have it."""
    return Decimal(durations // TICK) / 1_000_000


def _period(row: Period) -> dict[str, Any]:
    return {**_without(row.row(), *row.values), "valid_from": row.valid_from, "is_current": row.valid_to is None}


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
