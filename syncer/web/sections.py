"""Turns query results into what the sections of the page show: plain data for the template."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final
from zlib import crc32

from syncer.phone_numbers import PHONE_FIELDS, format_phone
from syncer.store.queries.state_timeline import STEPS
from syncer.titles import with_id
from syncer.web.chart import stack_areas
from syncer.web.format import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.store.queries.account_list import Titles
    from syncer.store.queries.recent_activity import Change, ChangedRun, Run
    from syncer.store.queries.state_timeline import Timeline
    from syncer.web.chart import Chart
    from syncer.web.translations import Language

OTHER_STATES: Final = ""
"""The name under which the states beyond `_MAX_STATES` are added up."""
_MAX_STATES: Final = 8
_MAX_RUN_GROUPS: Final = 12
_AXIS_LABELS: Final = 4
_DOCUMENTED_STATES: Final = ("active", "debt_lock", "freeze", "activation", "unconfirmed", "inactive")
_UNKNOWN_STATE_COLOURS: Final = 4
_FIELD_IN_ERROR: Final = re.compile(r"at `\$\.([a-z_]+)")
_BOOLEAN_TEXTS: Final = {"true": "yes", "false": "no"}


def invalid_field(error: str) -> str | None:
    """Returns the field whose value a record was rejected for, as its error names it; None if it names none."""
    found = _FIELD_IN_ERROR.search(error)
    return found[1] if found else None


def colour_class(state: str) -> str:
    """Returns the CSS class of a state's colour: its own for a state the vendor documents, else one of a few."""
    if state in _DOCUMENTED_STATES:
        return f"s-{state}"
    return "s-others" if state == OTHER_STATES else f"s-unknown{crc32(state.encode()) % _UNKNOWN_STATE_COLOURS}"


class ValueFormatter:
    """Formats the values of a number's fields.

    Args:
        texts: The texts of the language.
        titles: The titles of the vendor's values.
        language: The language.
    """

    def __init__(self, texts: Mapping[str, str], titles: Titles, language: Language) -> None:
        self._texts = texts
        self._titles = titles
        self._language = language

    def state(self, state: str) -> str:
        """Returns the title of a state, or the vendor's value if it has no title."""
        return self._texts["other_states"] if state == OTHER_STATES else self.format("state", state)

    def format(self, field: str | None, value: str | None, name: str | None = None) -> str:
        """Formats the value of a field; if it is the id of something that has a name, with that."""
        if value is None:
            return self._texts["empty"]
        if name is not None:
            return shorten(with_id(value, name))
        if field in PHONE_FIELDS:
            return shorten(format_phone(value))
        if field and field.startswith("is_"):
            return self._texts[_BOOLEAN_TEXTS[value]]
        title = self._titles.get((field or "", value))
        return shorten((title and getattr(title, self._language)) or value)


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many numbers are in a state now, and the difference to the moment that the section compares with."""

    state: str
    now: int
    difference: int


@dataclass(frozen=True, slots=True)
class StatesSection:
    """The section "Numbers by state".

    Attributes:
        counts: The figures of the table, in the order of the chart.
        all_states: The chart of all states.
        largest: The state with the most numbers now.
        without_largest: The chart of all other states; None if there are none.
        span: The time that the charts cover.
        axis_moments: The moments that label the time axis, at equal distances.
        points: The end of each time step with the number count of each state, for the tooltips.
        compared_to: The start of the chart, or the first moment at which there were numbers.
        ranges: The ranges on offer, in days, each with whether it is the one shown; the last one is all the history.
    """

    counts: list[StateCount]
    all_states: Chart
    largest: str
    without_largest: Chart | None
    span: timedelta
    axis_moments: list[datetime]
    points: list[tuple[datetime, list[tuple[str, int]]]]
    compared_to: datetime
    ranges: list[tuple[int, bool]]


def states_section(timeline: Timeline, days: int, ranges: Sequence[int]) -> StatesSection | None:
    """Prepares the charts and the table; returns None if there never was a number."""
    numbers = {state: values for state, values in timeline.numbers.items() if any(values)}
    if not numbers:
        return None
    if len(numbers) > _MAX_STATES:
        kept = list(numbers)[: _MAX_STATES - 1]
        rest = [numbers.pop(state) for state in list(numbers) if state not in kept]
        numbers[OTHER_STATES] = [sum(values) for values in zip(*rest, strict=True)]
    largest, *others = numbers
    moments = timeline.timestamps
    available = [length for length in ranges[:-1] if timedelta(days=length) < timeline.full_span]
    chosen = days if days in available else ranges[-1]
    first = next(index for index in range(len(moments)) if any(values[index] for values in numbers.values()))
    return StatesSection(
        counts=[StateCount(state, values[-1], values[-1] - values[first]) for state, values in numbers.items()],
        # A step shows the counts at its end, so that the last step shows the counts of now.
        all_states=stack_areas({state: values[1:] for state, values in numbers.items()}, step_count=2),
        largest=largest,
        without_largest=stack_areas({state: numbers[state][1:] for state in others}) if others else None,
        span=timeline.step * STEPS,
        axis_moments=moments[:: STEPS // _AXIS_LABELS],
        points=[
            (moments[index], [(state, values[index]) for state, values in numbers.items() if values[index]])
            for index in range(1, len(moments))
        ],
        compared_to=moments[first],
        ranges=[(length, length == chosen) for length in (*available, ranges[-1])],
    )


@dataclass(frozen=True, slots=True)
class NumberChanges:
    """The changes of one number; the reason of a change of state is in `reason` instead of `changes`."""

    virtual_number_id: int
    number: str
    reason: str | None
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class RunChanges:
    """The changes of one run by number; most of them happened between the two moments of `window`."""

    run: ChangedRun
    window: tuple[datetime | None, datetime]
    numbers: list[NumberChanges]


def changes_by_run(runs: Sequence[ChangedRun]) -> list[RunChanges]:
    """Groups the changes of each run by number."""
    return [
        RunChanges(
            run,
            Counter((change.changed_after, change.changed_at) for change in run.changes).most_common(1)[0][0],
            [
                _number_changes(list(changes))
                for _, changes in groupby(run.changes, lambda change: change.virtual_number_id)
            ],
        )
        for run in runs
    ]


def _number_changes(changes: list[Change]) -> NumberChanges:
    reason = None
    if any(change.field == "state" for change in changes):
        reason = next((change.new_value for change in changes if change.field == "reason"), None)
        changes = [change for change in changes if change.field != "reason"]
    return NumberChanges(changes[0].virtual_number_id, changes[0].number, reason, changes)


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Consecutive runs of one account with the same result, from `first` to `last`."""

    first: Run
    last: Run
    count: int


def group_runs(latest: Sequence[Run]) -> list[RunGroup]:
    """Groups consecutive runs that were unchanged, or that failed with the same error.

    Runs between which others may have been deleted are not consecutive.

    Args:
        latest: The latest runs, the newest first.
    """

    def group_key(run: Run) -> tuple[object, ...]:
        is_repeatable = run.outcome in {"unchanged", "failed"} and not run.is_day_summed
        result = (run.outcome, run.error, run.held, run.rejected)
        return (run.account, *result, run.summed_day, None if is_repeatable else run.run_id)

    groups = [list(group) for _, group in groupby(latest, group_key)]
    return [RunGroup(first=group[-1], last=group[0], count=len(group)) for group in groups[:_MAX_RUN_GROUPS]]
