"""The geometry of a stacked area chart: paths for an SVG that is stretched to the available width.

Axis labels and legend are not part of the drawing: they are HTML text next to it, so that their size does not change
with the width of the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH: Final = 1200
HEIGHT: Final = 240
_ROUND_STEP_TENTHS: Final = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)


@dataclass(frozen=True, slots=True)
class Layer:
    """The area of one series; `path` is the `d` attribute of an SVG path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A stacked area chart.

    Attributes:
        layers: The areas, from bottom to top.
        axis: The labels of the vertical axis, from top to bottom; the last one is 0.
    """

    layers: list[Layer]
    axis: list[int]


def stack_areas(series: Mapping[str, Sequence[int]], *, step_count: int = 4) -> Chart:
    """Computes a stacked area chart, the first series at the bottom.

    Args:
        series: The values of each series by its name, one per time step. All series have the same length, at least 1,
            and no negative values.
        step_count: How many steps the vertical axis is divided into.
    """
    length = len(next(iter(series.values())))
    total, layers, tops = [0] * length, [], {}
    for name, values in series.items():
        tops[name] = [below + value for below, value in zip(total, values, strict=True)]
        total = tops[name]
    step = _round_up(max(total), step_count)
    lower = [0] * length
    for name, upper in tops.items():
        layers.append(Layer(name, _area_path(upper, lower, step * step_count)))
        lower = upper
    return Chart(layers, [step * index for index in range(step_count, -1, -1)])


def _round_up(highest: int, step_count: int) -> int:
    """Returns the smallest round step with which `step_count` steps reach the highest value."""
    scale = 1
    while True:
        for tenths in _ROUND_STEP_TENTHS:
            if tenths * scale % 10 == 0 and tenths * scale // 10 * step_count >= highest:
                return tenths * scale // 10
        scale *= 10


def _area_path(upper: Sequence[int], lower: Sequence[int], top: int) -> str:
    """Returns the SVG path of the area between two stepped lines."""
    upper_edge = _step_corners(upper, top)
    lower_edge = [f"{x},{y}" for x, y in reversed(_step_corners(lower, top))]
    return "M" + "L".join([*(f"{x},{y}" for x, y in upper_edge), *lower_edge]) + "Z"


def _step_corners(values: Sequence[int], top: int) -> list[tuple[str, str]]:
    width = WIDTH / len(values)
    corners = [(0.0, values[0])]
    for index, (before, value) in enumerate(pairwise(values), start=1):
        if value != before:
            corners += [(index * width, before), (index * width, value)]
    corners.append((WIDTH, values[-1]))
    return [(f"{x:g}", f"{HEIGHT - value / top * HEIGHT:.6g}") for x, value in corners]
