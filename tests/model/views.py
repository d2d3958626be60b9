"""What the views of schema `analytics` must say of one account, told from the model alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tests.model.model import TICK, Period
from tests.model.reading import COLUMNS, meaning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.model import AccountModel, Number

ZONE: Final = ZoneInfo("Europe/Moscow")
_DAY: Final = timedelta(days=1)

View = dict[tuple[Any, ...], dict[str, Any]]
"""By key, the rows of a view."""


@dataclass(frozen=True)
class Words:
    """What the dimensions say: by word its English and Russian titles, by region its id."""

    titles: dict[str, dict[str | None, tuple[str | None, str | None]]]
    region_ids: dict[str | None, int | None]


@dataclass(frozen=True)
class AccountScenario:
    """The views' rows, as the model has them at a moment of the database's own clock."""

    model: AccountModel
    account_id: int
    account: str
    words: Words
    now: datetime

    def rows(self) -> dict[str, View]:
        """By view: by key, its rows."""
        return {
            "numbers_all": {(number,): self.number_row(number) for number in self.model.numbers},
            "numbers": {
                (number,): _without(self.number_row(number), "removed_at")
                for number, known in self.model.numbers.items()
                if not known.is_removed
            },
            "number_history": dict(self._number_history()),
            "state_history": dict(self._state_history()),
            "state_changes": dict(self._state_changes()),
            "redirect_history": dict(self._redirect_history()),
            "redirects": {
                key: _without(row, "closed_run_id") for key, row in self._redirect_history() if row["is_current"]
            },
            "freshness": self.freshness(),
        }

    def number_row(self, number: int) -> dict[str, Any]:
        """A number's row of `numbers_all`."""
        known = self.model.numbers[number]
        times = ("first_seen_at", "changed_at", "changed_after", "last_read_at", "missing_since", "removed_at")
        return {
            **self._whose(number),
            **self._record(known.values),
            **self._titles("type", known.values),
            **self._titles("purpose", known.values),
            **self._titles("state", known.values),
            "state_since": known.states[-1].valid_from,
            "state_since_earliest": known.states[-1].changed_after,
            "extra": meaning(known.extra),
            "redirect_count": len(known.open_redirects()),
            **{name: getattr(known, name) for name in times},
        }

    def _number_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, known in self.model.numbers.items():
            for version in versions(known):
                yield (
                    (number, version.valid_from),
                    self._whose(number) | self._record(version.values) | _without(_period(version), "closed_run_id"),
                )

    def _state_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, known in self.model.numbers.items():
            for row in known.states:
                yield (
                    (number, row.valid_from),
                    {
                        **self._whose(number),
                        **row.values,
                        **self._titles("state", row.values),
                        **_period(row),
                        "duration_seconds": seconds((row.valid_to or self.now) - row.valid_from),
                    },
                )

    def _state_changes(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, known in self.model.numbers.items():
            for former, row in zip(known.states, known.states[1:], strict=False):
                if former.valid_to != row.valid_from:
                    continue  # it was removed, and returned
                yield (
                    (number, row.valid_from),
                    {
                        **self._whose(number),
                        "changed_at": row.valid_from,
                        "changed_after": row.changed_after,
                        **{f"from_{name}": value for name, value in former.values.items()},
                        **{f"to_{name}": value for name, value in row.values.items()},
                        **{f"from_{name}": title for name, title in self._titles("state", former.values).items()},
                        **{f"to_{name}": title for name, title in self._titles("state", row.values).items()},
                        "run_id": row.run_id,
                    },
                )

    def _redirect_history(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        for number, known in self.model.numbers.items():
            for row in known.redirects:
                redirect_id, redirect_from = row.key
                origin = self.model.numbers.get(redirect_id)
                is_own = origin is not None and origin.values["number"] == redirect_from
                yield (
                    (number, *row.key, row.valid_from),
                    {
                        **self._whose(number),
                        "redirect_number_id": redirect_id,
                        "redirect_from": redirect_from,
                        "redirect_from_key": f"{self.account_id}:{redirect_id}" if is_own else None,
                        **_period(row),
                        "duration_seconds": seconds((row.valid_to or self.now) - row.valid_from),
                    },
                )

    def freshness(self) -> View:
        """The account's row."""
        model = self.model
        ended = [run for _, run in sorted(model.runs.items()) if run.outcome not in {"running", "abandoned"}]
        last = ended[-1] if ended else None
        row = {
            "account_id": self.account_id,
            "account": self.account,
            "last_success_at": model.observed_at,
            "lag_seconds": None if model.observed_at is None else seconds(self.now - model.observed_at),
            "last_outcome": last and last.outcome,
            "last_error_kind": last and last.error_kind,
            "held": model.held,
            "rejected": len(model.standing_rejected),
        }
        return {(self.account_id,): row}

    def daily_states(self) -> View:
        """By day, region, type and state: how many numbers; of the days that the history spans, and of today."""
        counted: View = {}
        for day in days(self.model, self.now):
            ended = midnight(day + _DAY)
            for known in self.model.numbers.values():
                for version in versions(known):
                    if version.valid_from < ended and (version.valid_to is None or version.valid_to >= ended):
                        key = (day, *(version.values[name] for name in ("region_name", "type", "state")))
                        counted.setdefault(key, {"numbers": 0})["numbers"] += 1
        return counted

    def state_share(self) -> View:
        """By number, day and state: how long, and which share of the time in which the number was listed."""
        shares: View = {}
        for number, known in self.model.numbers.items():
            for day in days(self.model, self.now):
                lasted: dict[str, timedelta] = {}
                for row in known.states:
                    begins, ends = max(row.valid_from, midnight(day)), row.valid_to or self.now
                    for_so_long = min(ends, midnight(day + _DAY)) - begins
                    if for_so_long > timedelta():
                        state = row.values["state"]
                        lasted[state] = lasted.get(state, timedelta()) + for_so_long
                whole = sum(lasted.values(), timedelta())
                for state, for_so_long in lasted.items():
                    shares[number, day, state] = {
                        "duration_seconds": seconds(for_so_long),
                        "share": round(for_so_long / whole, 9),
                    }
        return shares

    def _whose(self, number: int) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "account": self.account,
            "virtual_number_id": number,
            "number_key": f"{self.account_id}:{number}",
            "number": self.model.numbers[number].values["number"],
        }

    def _record(self, values: dict[str, Any]) -> dict[str, Any]:
        region = values["region_name"]
        return {
            **{name: values[name] for name in COLUMNS if name != "region_name"},
            "e164": e164(values["number"]),
            "region": region,
            "region_id": self.words.region_ids[region],
        }

    def _titles(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        english, russian = self.words.titles[name][values[name]]
        return {f"{name}_title_en": english, f"{name}_title_ru": russian}


def versions(known: Number) -> list[Period]:
    """All versions of a number's record, the latest known one last: it ends with the removal."""
    last = Period((), known.values, known.changed_at, known.changed_after, known.run_id)
    if known.removed_at is not None:
        last.valid_to, last.closed_after = known.removed_at, known.last_read_at
    return [*known.versions, last]


def days(model: AccountModel, now: datetime) -> list[date]:
    """The days from the first change to the last one and the day after it, and today."""
    moments = [
        moment
        for known in model.numbers.values()
        for version in versions(known)
        for moment in (version.valid_from, version.valid_to)
        if moment is not None
    ]
    if not moments:
        return []
    first, last = (moment.astimezone(ZONE).date() for moment in (min(moments), max(moments)))
    spanned = [first + position * _DAY for position in range((last - first).days + 2)]
    return [*spanned, now.astimezone(ZONE).date()]


def midnight(day: date) -> datetime:
    """When a day begins in Moscow."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


def e164(number: str) -> str | None:
    """`+7…`; None unless it has 10 to 15 digits and nothing else."""
    if re.fullmatch("[0-9]{10,15}", number) is None:
        return None
    if len(number) == 10:
        return f"+7{number}"
    return f"+7{number[1:]}" if len(number) == 11 and number[0] == "8" else f"+{number}"


def seconds(lasted: timedelta) -> Decimal:
    """A duration as the views have it."""
    return Decimal(lasted // TICK) / 1_000_000


def _period(row: Period) -> dict[str, Any]:
    return {**_without(row.row(), *row.values), "valid_from": row.valid_from, "is_current": row.valid_to is None}


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
