"""The geometry of a stacked area chart: paths for an SVG that is stretched to whatever width there is.

What people read, axis labels and legend, is no part of it: it stands beside the drawing as text, so that it has one
size on a phone and on a wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH: Final = 1200
HEIGHT: Final = 240
_ROUND: Final = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)


@dataclass(frozen=True, slots=True)
class Layer:
    """The area of one series; `path` is what an SVG path draws."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Areas on top of each other.

    Attributes:
        layers: The lowest first.
        axis: The labels of the vertical axis, the highest first; the last one is 0.
    """

    layers: list[Layer]
    axis: list[int]


def stacked(series: Mapping[str, Sequence[int]], *, parts: int = 4) -> Chart:
    """Stacks series, the first one lowest.

    Args:
        series: The values of each, one a step; as many as of any other, one at least, none below 0.
        parts: Into how many parts the vertical axis is divided.
    """
    length = len(next(iter(series.values())))
    floor, layers, ceilings = [0] * length, [], {}
    for name, values in series.items():
        ceilings[name] = [low + value for low, value in zip(floor, values, strict=True)]
        floor = ceilings[name]
    part = _round_up(max(floor), parts)
    below = [0] * length
    for name, ceiling in ceilings.items():
        layers.append(Layer(name, _area(ceiling, below, part * parts)))
        below = ceiling
    return Chart(layers, [part * place for place in range(parts, -1, -1)])


def _round_up(highest: int, parts: int) -> int:
    """The smallest round number of which so many reach the highest value."""
    scale = 1
    while True:
        for tenths in _ROUND:
            if tenths * scale % 10 == 0 and tenths * scale // 10 * parts >= highest:
                return tenths * scale // 10
        scale *= 10


def _area(upper: Sequence[int], lower: Sequence[int], top: int) -> str:
    """What lies between two lines of steps."""
    there = _steps(upper, top)
    back = [f"{x},{y}" for x, y in reversed(_steps(lower, top))]
    return "M" + "L".join([*(f"{x},{y}" for x, y in there), *back]) + "Z"


def _steps(values: Sequence[int], top: int) -> list[tuple[str, str]]:
    width = WIDTH / len(values)
    corners = [(0.0, values[0])]
    for place, (before, value) in enumerate(pairwise(values), start=1):
        if value != before:
            corners += [(place * width, before), (place * width, value)]
    corners.append((WIDTH, values[-1]))
    return [(f"{x:g}", f"{HEIGHT - value / top * HEIGHT:.6g}") for x, value in corners]
