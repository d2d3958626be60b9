"""Formats the results of a benchmark run for the console and as docs/benchmarks.md.

    python -m benchmarks.polls.report [FILE]

generates the page again from the stored results.
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
# Performance

How long a poll takes, compared with other programs and with the minimum for the same work. `make bench` measured this
on {begun:%d %B %Y}, in {minutes:.0f} minutes, and generated this page and the picture from
[the results](../benchmarks/polls/results.json). Everything ran on one machine: {machine}.

![Seconds by the number of records: syncer, other programs and the minimum for the same work](images/bench.svg)

Every system polls the same emulated responses: a first load, the same bytes again, the same records in another order,
1 % of the numbers changed without being moved, and all numbers changed. In each round, every system gets a new database
and a new process, and they run one after another. Figures are medians of the rounds. Unless stated otherwise, the
process is warm: it has already loaded and changed a few numbers of another account. After each step, the current rows
in the system's tables are compared with the response.

- **dlt scd2** also keeps history, with dlt's strategy of that name, through CSV and COPY, which is its fastest
  configuration here.
- **Core, executemany** and **Core, VALUES** are the upsert that is usually written by hand with SQLAlchemy,
  `ON CONFLICT … DO UPDATE … WHERE … IS DISTINCT FROM`, with one row or a thousand rows per statement. They keep no
  history.
- **request**, **request, digest** and **request, decode, COPY** are the minimum for the same work: to receive the
  bytes; to hash them as well; to decode typed records and write them by binary COPY to the program's own tables, with
  their keys and foreign keys.
- **rows alone** reads and writes only the rows that a step changes, which it knows in advance.
- **restarted** starts with nothing in memory, like a daemon after a restart.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title and an explanation."""

    title: str
    text: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def table(self) -> Table:
        """Returns the table for the console."""
        shown = Table(*self.header, title=self.title, caption=self.text, title_justify="left", caption_justify="left")
        for row in self.rows:
            shown.add_row(*row)
        return shown

    def markdown(self) -> str:
        """Returns the section as Markdown."""
        ruler = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, ruler, *self.rows)]
        return "\n".join([f"## {self.title}", "", *([self.text, ""] if self.text else []), *lines, ""])


def sections(results: Results) -> list[Section]:
    """Returns every section of the report."""
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
    text = "With 100,000 numbers, unless stated otherwise."
    return Section("Targets and measurements", text, ("", "target", "measured", "met"), rows)


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
            f"Rounds: {len(first.seconds) if first else 0}. In brackets: the multiple of the request and a digest.",
            *(f"{system} ran in one round only." for system in once),
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
    text = "Write-ahead log that a step generated, in KiB; full-page images after a checkpoint are included."
    return Section(f"Write-ahead log, {size:,} numbers", text, ("KiB", *STEPS), rows)


def _growth(results: Results) -> Iterator[Section]:
    found = growths(results)
    if found:
        between = tuple(f"{size:,} to" for size in results.sizes[:-1])
        rows = [(one.step, f"{one.exponent:.2f}", *(f"{slope:.2f}" for slope in one.between)) for one in found]
        text = "The exponent with which the time grows with the number of numbers; 1 is linear, less is sublinear."
        yield Section("Growth", text, ("exponent", "all sizes", *between), rows)
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
        constant = CONSTANT_BYTES // 2**20
        text = f"Peak memory of the process in any step, and the part beyond {constant} MiB divided by the body."
        yield Section("Memory", text, ("numbers", "body, MiB", "peak memory, MiB", "times the body"), rows)


def _processes(results: Results) -> Iterator[Section]:
    for size in results.sizes:
        steps = [step for step in STEPS if results.processes.find(size, PROGRAM, step)]
        if steps:
            rows = []
            for name in (PROGRAM, DLT):
                medians = [results.processes.seconds(size, name, step) for step in steps]
                rows.append((name, *("" if one is None else f"{one:.2f}" for one in medians)))
            text = "`syncer sync` and dlt, with the start of the interpreter and, in the first load, the schema."
            yield Section(f"Whole processes, {size:,} numbers", text, ("seconds", *steps), rows)


def _startup(results: Results) -> Iterator[Section]:
    if results.startup:
        rows = [
            (f"`{name}`", f"{median(seconds):.3f}", f"{startup.beyond_nothing(results.startup, name):.3f}")
            for name, seconds in results.startup.items()
        ]
        text = "`syncer sync` polls the vendor's documented sample of two numbers."
        yield Section("Start of a command", text, ("seconds", "whole process", f"beyond `{startup.NOTHING}`"), rows)


def _stalls(results: Results) -> Iterator[Section]:
    for size, rounds in results.stalls.items():
        waits = {
            step: [one[step] * 1000 for one in rounds if step in one]
            for step in dict.fromkeys(s for r in rounds for s in r)
        }
        rows = [(step, f"{median(longest):.0f}", f"{max(longest):.0f}") for step, longest in waits.items()]
        text = (
            "The longest wait for a response of /livez in each step, requested continuously while `syncer run` polled."
        )
        yield Section(
            f"/livez, {size:,} numbers", text, ("milliseconds", "median of the rounds", "maximum of the rounds"), rows
        )


def page(results: Results) -> str:
    """Returns the report as Markdown."""
    machine = ", ".join(
        value if name in {"processor", "system"} else f"{name} {value}" for name, value in results.machine.items()
    )
    opening = _OPENING.format(begun=results.begun, minutes=results.minutes, machine=machine)
    return "\n".join([opening, *(section.markdown() for section in sections(results))])


def main() -> None:
    """Writes docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.report", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="the stored results")
    PAGE.write_text(page(Results.load(parser.parse_args().file)))


if __name__ == "__main__":
    main()
