"""Draws the figures of a run: docs/images/bench.svg, from those that are kept.

    python -m benchmarks.polls.picture [FILE [TARGET]]

It runs in the environment of the peers, which has matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.polls.contenders import (
    ALL,
    CHANGED,
    DIGEST,
    DLT,
    EXECUTEMANY,
    FIRST,
    LOAD,
    PEERS,
    PROGRAM,
    RESTARTED,
    ROWS,
    SHUFFLED,
    UNCHANGED,
    VALUES,
)
from benchmarks.polls.results import FILE, Results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "bench.svg"
_INK: Final = "#1f2933"
_PALE: Final = "#7b8794"
_GRID: Final = "#e8ecf0"
_MIB: Final = 2**20


class Style(NamedTuple):
    """How a curve looks, and what it is called."""

    told: str
    color: str
    width: float = 1.7
    dashes: str | tuple[int, tuple[float, ...]] = "-"
    marker: str = "o"


LEAST: Final = "the least"
STYLES: Final = {
    PROGRAM: Style("syncer", "#0b6bcb", width=3.0),
    RESTARTED: Style("syncer, restarted", "#0b6bcb", dashes=(0, (3.0, 1.6)), marker=""),
    DLT: Style("dlt scd2", "#c23030"),
    VALUES: Style("Core, VALUES", "#9a5fc0"),
    EXECUTEMANY: Style("Core, executemany", "#d9822b"),
    LEAST: Style("the least that the work can cost", _PALE, dashes=(0, (1.0, 1.5)), marker=""),
}
NAMES: Final = {
    FIRST: ("First load", "dotted: request, decode, COPY"),
    UNCHANGED: ("Unchanged", "dotted: request and digest"),
    SHUFFLED: ("Shuffled", "dotted: request and digest"),
    CHANGED: ("1 % changed", "dotted: request, digest, the rows alone"),
    ALL: ("All changed", "dotted: request, digest, the rows alone"),
}


def curves(results: Results, step: str) -> dict[str, dict[int, float]]:
    """Seconds by the number of numbers, of each system that takes the step."""

    def seconds(system: str, taken: str = step) -> dict[int, float]:
        found = {size: results.polls.seconds(size, system, taken) for size in results.sizes}
        return {size: one for size, one in found.items() if one is not None}

    drawn = {name: seconds(name) for name in (*PEERS, PROGRAM)}
    if step == CHANGED:
        drawn[RESTARTED] = seconds(PROGRAM, RESTARTED)
    digest, rows = seconds(DIGEST, UNCHANGED), seconds(ROWS)
    if step == FIRST:
        drawn[LEAST] = seconds(LOAD)
    elif step in {CHANGED, ALL}:
        drawn[LEAST] = {size: digest[size] + rows[size] for size in digest.keys() & rows.keys()}
    else:
        drawn[LEAST] = digest
    return drawn


def peaks(results: Results) -> dict[str, dict[int, float]]:
    """The most memory in MiB by the number of numbers; the least is the response itself."""
    drawn = {
        name: {size: peak / _MIB for size in results.sizes if (peak := results.polls.peak_bytes(size, name))}
        for name in (*PEERS, PROGRAM)
    }
    return drawn | {LEAST: {size: bytes_ / _MIB for size, bytes_ in results.body_bytes.items()}}


def draw(results: Results) -> Canvas:
    """Six logarithmic panels: the five steps, and memory."""
    mpl.rcParams |= {"font.family": "DejaVu Sans", "svg.hashsalt": "syncer", "text.color": _INK}
    canvas = Canvas(figsize=(12, 8), facecolor="white")
    panels = canvas.subplots(2, 3, sharex=True)
    canvas.subplots_adjust(left=0.068, right=0.972, top=0.775, bottom=0.058, wspace=0.26, hspace=0.36)
    canvas.text(0.022, 0.949, "What a poll takes", fontsize=20, fontweight="bold")
    told = (
        "by how many numbers the account has; both axes logarithmic; medians of one run in which the systems took turns"
    )
    canvas.text(0.022, 0.914, told, fontsize=10.5, color=_PALE)
    canvas.legend(
        handles=[
            Line2D([], [], color=one.color, linewidth=one.width, linestyle=one.dashes, label=one.told)
            for one in STYLES.values()
        ],
        loc="upper left",
        bbox_to_anchor=(0.014, 0.9),
        ncols=len(STYLES),
        frameon=False,
        fontsize=10,
        handlelength=2.0,
        columnspacing=1.7,
    )
    drawn = [curves(results, step) for step in NAMES]
    taken = [seconds for one in drawn for points in one.values() for seconds in points.values()]
    for axes, (title, least), one in zip(panels.flat, NAMES.values(), drawn, strict=False):
        _panel(axes, title, least, one, _seconds)
        axes.set_ylim(min(taken) / 1.5, max(taken) * 1.5)  # the same for all, so that they can be compared
    _panel(panels.flat[-1], "Most memory", "dotted: the response itself", peaks(results), _mebibytes)
    return canvas


def _panel(
    axes: Axes, title: str, least: str, drawn: Mapping[str, Mapping[int, float]], spelled: Callable[[float], str]
) -> None:
    for name in reversed(STYLES):
        points = sorted(drawn.get(name, {}).items())
        if points:
            style = STYLES[name]
            axes.plot(
                *zip(*points, strict=True),
                color=style.color,
                linewidth=style.width,
                linestyle=style.dashes,
                marker=style.marker,
                markersize=2.6 + style.width,
                markeredgecolor="white",
                markeredgewidth=0.8,
                solid_capstyle="round",
                clip_on=False,
                zorder=3,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", pad=20)
    axes.text(0, 1.035, least, transform=axes.transAxes, fontsize=9, color=_PALE)
    axes.grid(color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _numbers(value)))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: spelled(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(length=0, labelsize=9.5, labelcolor=_INK, labelbottom=True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _numbers(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"


def _mebibytes(value: float) -> str:
    return f"{value:g} MiB"


def main() -> None:
    """Draws it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.picture", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="with the figures")
    parser.add_argument("target", nargs="?", type=Path, default=PICTURE, help="where to draw them")
    given = parser.parse_args()
    draw(Results.load(given.file)).savefig(given.target, metadata={"Date": None})


if __name__ == "__main__":
    main()
