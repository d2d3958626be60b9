"""Draws the results of a run as docs/images/bench.svg.

    python -m benchmarks.polls.picture [FILE [TARGET]]

Runs in the benchmark's environment, which has matplotlib.
"""

from __future__ import annotations

import argparse
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.polls.results import FILE, Results
from benchmarks.polls.systems import (
    ALL,
    CHANGED,
    DIGEST,
    DLT,
    EXECUTEMANY,
    FIRST,
    LOAD,
    MERGE,
    RESTARTED,
    ROWS,
    SHUFFLED,
    SYNCER,
    UNCHANGED,
    VALUES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    Curves = Mapping[str, Mapping[int, float]]
    """Values by number of numbers, for each curve."""

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "bench.svg"
MINIMUM: Final = "minimum for the same work"
COMPARED: Final = (SYNCER, DLT, VALUES, EXECUTEMANY, MERGE)
STYLES: Final[dict[str, dict[str, Any]]] = {
    SYNCER: {"color": "#0b6bcb", "linewidth": 3},
    "syncer, restarted": {"color": "#0b6bcb", "linestyle": "--"},
    DLT: {"color": "#c23030"},
    VALUES: {"color": "#9a5fc0"},
    EXECUTEMANY: {"color": "#d9822b"},
    MERGE: {"color": "#2b8a57"},
    MINIMUM: {"color": "#7b8794", "linestyle": ":"},
}
TITLES: Final = {
    FIRST: "First load\ndotted: request, decode, COPY",
    UNCHANGED: "Unchanged\ndotted: request and digest",
    SHUFFLED: "Shuffled\ndotted: request and digest",
    CHANGED: "1 % changed\ndotted: request, digest, rows alone",
    ALL: "All changed\ndotted: request, digest, rows alone",
}


def seconds(results: Results, step: str) -> Curves:
    """Returns the duration of a step in seconds."""

    def curve(system: str, step: str = step) -> dict[int, float]:
        return {size: results.polls.seconds(size, system, step) for size in results.sizes}

    curves = {name: curve(name) for name in COMPARED}
    digest, rows = curve(DIGEST, UNCHANGED), curve(ROWS)
    if step == CHANGED:
        curves["syncer, restarted"] = curve(SYNCER, RESTARTED)
    if step == FIRST:
        return curves | {MINIMUM: curve(LOAD)}
    if step in {CHANGED, ALL}:
        return curves | {MINIMUM: {size: digest[size] + rows[size] for size in results.sizes}}
    return curves | {MINIMUM: digest}


def peak_memory(results: Results) -> Curves:
    """Returns the peak memory in MiB; the minimum is the response itself."""
    curves = {name: {size: results.polls.peak_bytes(size, name) / 2**20 for size in results.sizes} for name in COMPARED}
    return curves | {MINIMUM: {size: body / 2**20 for size, body in results.body_bytes.items()}}


def draw(results: Results) -> Figure:
    """Draws six logarithmic panels: the five steps, and memory."""
    mpl.rcParams |= {"svg.hashsalt": "syncer", "axes.spines.right": False, "axes.spines.top": False}
    figure = Figure(figsize=(12, 8), layout="constrained", facecolor="white")
    panels = figure.subplots(2, 3, sharex=True)
    by_step = [seconds(results, step) for step in TITLES]
    values = [value for curves in by_step for curve in curves.values() for value in curve.values() if not isnan(value)]
    for axes, title, curves in zip(panels.flat, TITLES.values(), by_step, strict=False):
        _draw_panel(axes, title, curves, unit="seconds")
        axes.set_ylim(min(values) / 1.5, max(values) * 1.5)  # the same for all, so that they can be compared
    _draw_panel(panels.flat[-1], "Peak memory\ndotted: the response itself", peak_memory(results), unit="MiB")
    figure.suptitle("Duration and peak memory of a poll, by the number of numbers; medians of one run", fontsize=15)
    handles = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()}
    figure.legend(handles=[handles[name] for name in STYLES if name in handles], loc="outside lower center", ncols=4)
    return figure


def _draw_panel(axes: Axes, title: str, curves: Curves, unit: str) -> None:
    for name, style in reversed(STYLES.items()):
        points = [(size, value) for size, value in curves.get(name, {}).items() if not isnan(value)]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name, **style)
    axes.set(xscale="log", yscale="log", ylabel=unit)
    axes.set_title(title, loc="left", fontsize=11)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.3)


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.picture", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="the stored results")
    parser.add_argument("target", nargs="?", type=Path, default=PICTURE, help="the picture")
    arguments = parser.parse_args()
    draw(Results.load(arguments.file)).savefig(arguments.target, metadata={"Date": None})


if __name__ == "__main__":
    main()
