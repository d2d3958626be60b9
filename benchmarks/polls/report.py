"""Tells the figures of a run: on the console, and as docs/benchmarks.md.

    python -m benchmarks.polls.report [FILE]

writes the page anew from the figures that are kept.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.table import Table

from benchmarks import startup
from benchmarks.polls.contenders import DIGEST, DLT, FIRST, PROGRAM, SYSTEMS, UNCHANGED
from benchmarks.polls.growth import CONSTANT_BYTES, growths, memory
from benchmarks.polls.results import FILE, Results
from benchmarks.polls.systems.turn import STEPS
from benchmarks.polls.targets import targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_VERDICTS: Final = {True: "yes", False: "**no**", None: "–"}
_OPENING: Final = """\
# How fast it is

`make bench` measured this, and wrote this page and the picture from [its figures](../benchmarks/polls/results.json): on
{begun:%d %B %Y}, in {minutes:.0f} minutes, on one machine that ran everything: {machine}.

![Seconds by the number of numbers: syncer, its peers and the least that the work can cost](images/bench.svg)

Every system polls the same emulated sequence: a first load, the same bytes again, the same records in another order,
1 % of the numbers changed in their places, and all of them. A round gives each system a new database and a process of
its own, and they take turns. Figures are medians of the rounds, in processes that have long been running where nothing
else is said: they have loaded and changed a few numbers of another account before.
After each step it is checked that what is current in the system's tables is what the endpoint said.

- **dlt scd2** keeps history as well, by its strategy of that name, through CSV and COPY, its fastest form here.
- **Core, executemany** and **Core, VALUES** are the upsert that is usually written by hand with SQLAlchemy,
  `ON CONFLICT … DO UPDATE … WHERE … IS DISTINCT FROM`, a row or a thousand rows a statement. They keep no history.
- **request**, **request, digest** and **request, decode, COPY** are the least that the work can cost: the bytes; their
  digest; a typed decode and binary COPY into the program's own tables, with their keys and foreign keys.
- **rows alone** reads and writes just the rows that a step changes, which it knows beforehand.
- **restarted** begins with nothing in memory, as a daemon that was started anew.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A table, and what has to be said about it."""

    title: str
    text: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def table(self) -> Table:
        """For the console."""
        shown = Table(*self.header, title=self.title, caption=self.text, title_justify="left", caption_justify="left")
        for row in self.rows:
            shown.add_row(*row)
        return shown

    def markdown(self) -> str:
        """For the page."""
        ruler = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, ruler, *self.rows)]
        return "\n".join([f"## {self.title}", "", *([self.text, ""] if self.text else []), *lines, ""])


def sections(results: Results) -> list[Section]:
    """All that a run found."""
    return [
        _targets(results),
        *(_seconds(results, size) for size in reversed(results.sizes)),
        *(_wal(results, size) for size in results.sizes[-2:]),
        *_growth(results),
        *_processes(results),
        *_startup(results),
        *_stalls(results),
    ]


def _targets(results: Results) -> Section:
    rows = [(one.what, one.bound, one.measured, _VERDICTS[one.met]) for one in targets(results)]
    text = "With 100,000 numbers, where nothing else is said."
    return Section("What is demanded, and what was measured", text, ("", "demanded", "measured", "met"), rows)


def _seconds(results: Results, size: int) -> Section:
    floor, rows, once = results.polls.seconds(size, DIGEST, UNCHANGED), list[tuple[str, ...]](), list[str]()
    for system in SYSTEMS:
        medians = [results.polls.seconds(size, system.name, step) for step in STEPS]
        if not any(medians):
            continue
        if size >= system.once_from:
            once.append(system.name)
        cells = ("" if one is None else f"{one:.3f}" + (f" ({one / floor:.1f})" if floor else "") for one in medians)
        peak = results.polls.peak_bytes(size, system.name) or 0
        rows.append((system.name, *cells, f"{peak / 2**20:.0f}"))
    first = results.polls.find(size, PROGRAM, FIRST)
    text = " ".join(
        [
            f"Rounds: {len(first.seconds) if first else 0}. In brackets: how many times the request and a digest.",
            *(f"{system} took part in one." for system in once),
        ]
    )
    title = f"{size:,} numbers, {results.body_bytes[size] / 1e6:.1f} MB"
    return Section(title, text, ("seconds", *STEPS, "peak MiB"), rows)


def _wal(results: Results, size: int) -> Section:
    rows = []
    for system in SYSTEMS:
        found = [results.polls.find(size, system.name, step) for step in STEPS]
        if any(found) and system.current is not None:
            cells = ("" if one is None else f"{median(one.wal_bytes) / 1024:,.0f}" for one in found)
            rows.append((system.name, *cells))
    text = "What PostgreSQL wrote to its log in a step, in KiB; whole pages after a checkpoint included."
    return Section(f"Written ahead, {size:,} numbers", text, ("KiB", *STEPS), rows)


def _growth(results: Results) -> Iterator[Section]:
    found = growths(results)
    if found:
        between = tuple(f"{size:,} to" for size in results.sizes[:-1])
        rows = [(one.step, f"{one.exponent:.2f}", *(f"{slope:.2f}" for slope in one.between)) for one in found]
        text = "By what power of the numbers the time grows; 1 is as they do, less is slower than they do."
        yield Section("Growth", text, ("exponent", "over all", *between), rows)
    spent = memory(results)
    if spent:
        rows = [
            (
                f"{one.numbers:,}",
                f"{one.body_bytes / 2**20:,.1f}",
                f"{one.peak_bytes / 2**20:,.0f}",
                f"{one.bodies:.2f}",
            )
            for one in spent
        ]
        text = f"The most that the process had in any step; times the body, beyond {CONSTANT_BYTES // 2**20} MiB."
        yield Section("Memory", text, ("numbers", "body, MiB", "memory, MiB", "times the body"), rows)


def _processes(results: Results) -> Iterator[Section]:
    for size in results.sizes:
        steps = [step for step in STEPS if results.processes.find(size, PROGRAM, step)]
        if steps:
            rows = []
            for name in (PROGRAM, DLT):
                medians = [results.processes.seconds(size, name, step) for step in steps]
                rows.append((name, *("" if one is None else f"{one:.2f}" for one in medians)))
            text = "`syncer sync` and dlt, start of the interpreter and, at first, making of the schema included."
            yield Section(f"Whole processes, {size:,} numbers", text, ("seconds", *steps), rows)


def _startup(results: Results) -> Iterator[Section]:
    if results.startup:
        rows = [
            (f"`{name}`", f"{median(seconds):.3f}", f"{startup.beyond_nothing(results.startup, name):.3f}")
            for name, seconds in results.startup.items()
        ]
        text = "`syncer sync` polls the vendor's documented sample of two numbers."
        yield Section("Start", text, ("seconds", "whole process", f"beyond `{startup.NOTHING}`"), rows)


def _stalls(results: Results) -> Iterator[Section]:
    for size, rounds in results.stalls.items():
        waits = {
            step: [one[step] * 1000 for one in rounds if step in one]
            for step in dict.fromkeys(s for r in rounds for s in r)
        }
        rows = [(step, f"{median(longest):.0f}", f"{max(longest):.0f}") for step, longest in waits.items()]
        text = "The longest that /livez waited in each step, asked without a pause while `syncer run` polled."
        yield Section(f"/livez, {size:,} numbers", text, ("milliseconds", "median of the rounds", "of all"), rows)


def page(results: Results) -> str:
    """All that a run found, as Markdown."""
    machine = ", ".join(
        value if name in {"processor", "system"} else f"{name} {value}" for name, value in results.machine.items()
    )
    opening = _OPENING.format(begun=results.begun, minutes=results.minutes, machine=machine)
    return "\n".join([opening, *(section.markdown() for section in sections(results))])


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.report", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="with the figures")
    PAGE.write_text(page(Results.load(parser.parse_args().file)))


if __name__ == "__main__":
    main()
