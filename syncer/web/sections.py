"""What the page's sections show, made of what was asked: plain data for the template."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final
from zlib import crc32

from syncer.store.queries.state_timeline import STEPS
from syncer.web.chart import stacked
from syncer.web.format import clipped, phone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.store.queries.account_list import Titles
    from syncer.store.queries.recent_activity import Change, ChangedRun, Run
    from syncer.store.queries.state_timeline import Timeline
    from syncer.web.chart import Chart
    from syncer.web.translations import Language

OTHERS: Final = ""
"""Stands for the states beyond those that are told apart."""
_MOST_STATES: Final = 8
_MOST_RUNS: Final = 12
_TICKS: Final = 4
_KNOWN: Final = ("active", "debt_lock", "freeze", "activation", "unconfirmed", "inactive")
_UNKNOWN_COLOURS: Final = 4
_PHONES: Final = {"number", "redirect_number", "dgn_number", "from_redirect_numbers"}
_SWITCHES: Final = {"true": "yes", "false": "no"}


def colour(state: str) -> str:
    """The class that gives a state its colour: its own if the vendor documents it, else one of a few."""
    if state in _KNOWN:
        return f"s-{state}"
    return "s-others" if state == OTHERS else f"s-unknown{crc32(state.encode()) % _UNKNOWN_COLOURS}"


class Values:
    """Spells the values of a number's fields for people.

    Args:
        say: The texts of the language.
        titles: The vendor's words and their titles.
        language: The language.
    """

    def __init__(self, say: Mapping[str, str], titles: Titles, language: Language) -> None:
        self._say = say
        self._titles = titles
        self._language = language

    def state(self, word: str) -> str:
        """A state's title; the vendor's word where it documents none."""
        return self._say["other_states"] if word == OTHERS else self.of("state", word)

    def of(self, field: str | None, value: str | None) -> str:
        """A field's value."""
        if value is None:
            return self._say["empty"]
        if field in _PHONES:
            return clipped(phone(value))
        if field and field.startswith("is_"):
            return self._say[_SWITCHES[value]]
        title = self._titles.get((field or "", value))
        return clipped((title and getattr(title, self._language)) or value)


@dataclass(frozen=True, slots=True)
class Count:
    """How many numbers are in a state now, and how many more than at the beginning."""

    state: str
    now: int
    difference: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The numbers by state over time.

    Attributes:
        largest: The state that has most numbers now; `but_largest` leaves it out, None if nothing remains.
        ticks: The moments below the axis, the same distance apart.
        points: The end of each step, and how many numbers were in each state then, for whoever points at it.
        ranges: How many days can be asked for, and whether they were; the last one is all there is.
    """

    counts: list[Count]
    all_states: Chart
    largest: str
    but_largest: Chart | None
    span: timedelta
    ticks: list[datetime]
    points: list[tuple[datetime, list[tuple[str, int]]]]
    ranges: list[tuple[int, bool]]


def counted(timeline: Timeline, days: int, ranges: Sequence[int]) -> Counted | None:
    """The time line for people; None if there never was a number."""
    numbers = {state: values for state, values in timeline.numbers.items() if any(values)}
    if not numbers:
        return None
    if len(numbers) > _MOST_STATES:
        kept = list(numbers)[: _MOST_STATES - 1]
        rest = [numbers.pop(state) for state in list(numbers) if state not in kept]
        numbers[OTHERS] = [sum(values) for values in zip(*rest, strict=True)]
    largest, *others = numbers
    moments = timeline.moments
    possible = [one for one in ranges[:-1] if timedelta(days=one) < timeline.full_span]
    chosen = days if days in possible else ranges[-1]
    return Counted(
        counts=[Count(state, values[-1], values[-1] - values[0]) for state, values in numbers.items()],
        # A step shows how it ended, so that the last one shows what is now.
        all_states=stacked({state: values[1:] for state, values in numbers.items()}, parts=2),
        largest=largest,
        but_largest=stacked({state: numbers[state][1:] for state in others}) if others else None,
        span=timeline.step * STEPS,
        ticks=moments[:: STEPS // _TICKS],
        points=[
            (moments[place], [(state, values[place]) for state, values in numbers.items() if values[place]])
            for place in range(1, len(moments))
        ],
        ranges=[(one, one == chosen) for one in (*possible, ranges[-1])],
    )


@dataclass(frozen=True, slots=True)
class ChangedNumber:
    """What happened to a number; `reason` is the one that its new state came with, and then none of the changes."""

    number: str
    reason: str | None
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class Changed:
    """A run's changes by number; `window` is when most of them happened: after the one moment and by the other."""

    run: ChangedRun
    window: tuple[datetime | None, datetime]
    numbers: list[ChangedNumber]


def changed(runs: Sequence[ChangedRun]) -> list[Changed]:
    """The changes of runs, those of one number together."""
    return [
        Changed(
            run,
            Counter((change.changed_after, change.changed_at) for change in run.changes).most_common(1)[0][0],
            [_changed_number(list(of_one)) for _, of_one in groupby(run.changes, lambda one: one.virtual_number_id)],
        )
        for run in runs
    ]


def _changed_number(changes: list[Change]) -> ChangedNumber:
    reason = None
    if any(change.field == "state" for change in changes):
        reason = next((change.new_value for change in changes if change.field == "reason"), None)
        changes = [change for change in changes if change.field != "reason"]
    return ChangedNumber(changes[0].number, reason, changes)


@dataclass(frozen=True, slots=True)
class RunsInARow:
    """Runs of one account that came to the same one after another; `first` began before `last`."""

    first: Run
    last: Run
    count: int


def runs(latest: Sequence[Run]) -> list[RunsInARow]:
    """The latest runs; those that found nothing new, or failed the same way, in a row count as one.

    Args:
        latest: The newest first.
    """

    def came_to(run: Run) -> tuple[object, ...]:
        alike = run.outcome in {"unchanged", "failed"}
        return (run.account, run.outcome, run.error, run.held, run.rejected, None if alike else run.run_id)

    rows = [list(row) for _, row in groupby(latest, came_to)]
    return [RunsInARow(first=row[-1], last=row[0], count=len(row)) for row in rows[:_MOST_RUNS]]
