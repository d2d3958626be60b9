"""The geometry of a strip that shows the states of one number over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from syncer.web.chart import WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.store.queries.number_life import StatePeriod

_MIN_WIDTH: Final = 1.0
"""A period is drawn at least this wide, so that a short one can be seen."""
_LABELS: Final = 4


class Stretch(NamedTuple):
    """A rectangle of the strip; consecutive periods of one state are one stretch."""

    state: str
    x: float
    width: float
    begins_at: datetime
    ends_at: datetime


class Strip(NamedTuple):
    """A strip; times in which the number was removed are empty.

    Attributes:
        stretches: The rectangles, from left to right.
        axis_moments: The moments that label the time axis, at equal distances.
    """

    stretches: list[Stretch]
    axis_moments: list[datetime]


def draw_strip(periods: Sequence[StatePeriod], now: datetime) -> Strip | None:
    """Computes the strip of a number's states, oldest first; returns None if there are none."""
    if not periods:
        return None
    start = periods[0].valid_from
    end = max(now, periods[-1].valid_to or now)
    merged: list[tuple[str, datetime, datetime]] = []
    for period in periods:
        begins_at, ends_at = period.valid_from, period.valid_to or end
        if merged and merged[-1][0] == period.state and merged[-1][2] == begins_at:
            begins_at = merged.pop()[1]
        merged.append((period.state, begins_at, ends_at))
    units = WIDTH / max((end - start).total_seconds(), 1e-6)
    stretches = [
        Stretch(
            state,
            round(min((begins_at - start).total_seconds() * units, WIDTH - _MIN_WIDTH), 2),
            round(max((ends_at - begins_at).total_seconds() * units, _MIN_WIDTH), 2),
            begins_at,
            ends_at,
        )
        for state, begins_at, ends_at in merged
    ]
    return Strip(stretches, [start + (end - start) * part / _LABELS for part in range(_LABELS + 1)])
