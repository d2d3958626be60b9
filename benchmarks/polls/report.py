"""Formats the results of a benchmark run as Markdown.

    python -m benchmarks.polls.report [FILE]

generates docs/benchmarks.md again from the stored results.
"""

from __future__ import annotations

import argparse
from math import isnan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import startup
from benchmarks.polls.results import FILE, Results
from benchmarks.polls.systems import (
    ALL,
    CHANGED,
    DIGEST,
    DLT,
    FIRST,
    OVER_LINK,
    REQUEST,
    SHUFFLED,
    SYNCER,
    SYSTEMS,
    UNCHANGED,
    WITH_GZIP,
)
from benchmarks.polls.systems.steps import GZIP, STEPS
from benchmarks.polls.targets import SIZE, processor_cost_of_unchanged, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.polls.systems import System

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
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

- **COPY and MERGE** is what is written by hand for PostgreSQL 18: msgspec decodes typed records, a binary COPY brings
  them into a temporary table, and one `MERGE … WHEN NOT MATCHED BY SOURCE` changes the current rows and returns what
  becomes history. It keeps the history of states, reasons and redirects, in tables of its own with fewer columns,
  indexes and foreign keys, and has no guard against responses that lack numbers. A response whose SHA-256 is that of
  the last one is only counted. **COPY and MERGE, with references** also has tables of the types, purposes, states and
  regions, to which each number refers, as the program's tables do.
- **dlt scd2** also keeps history, with dlt's strategy of that name, through CSV and COPY, which is its fastest
  configuration here.
- **Core, executemany** and **Core, VALUES** are the upsert that is usually written by hand with SQLAlchemy,
  `ON CONFLICT … DO UPDATE … WHERE … IS DISTINCT FROM`, with one row or a thousand rows per statement. They keep no
  history.
- **request**, **request, digest** and **request, decode, COPY** are the minimum for the same work: to receive the
  bytes; to hash them as well; to decode typed records and write them by binary COPY to the program's own tables, with
  their keys and foreign keys. **request, decode, COPY, primary keys only** writes to the same tables without foreign
  keys and without other indexes: the difference is what these cost.
- **rows alone** reads and writes only the rows that a step changes, which it knows in advance.
- **restarted** starts with nothing in memory, like a daemon after a restart.
"""


def page(results: Results) -> str:
    """Returns the report as Markdown."""
    machine = ", ".join(
        value if name in {"processor", "system"} else f"{name} {value}" for name, value in results.machine.items()
    )
    return "\n".join(
        [
            _OPENING.format(begun=results.begun, minutes=results.minutes, machine=machine),
            _section(
                "Targets and measurements",
                "With 100,000 numbers, unless stated otherwise.",
                ("", "target", "measured", "met"),
                targets(results),
            ),
            *(_seconds(results, size) for size in reversed(results.sizes)),
            *_gzip(results),
            *_link(results),
            *(_wal(results, size) for size in results.sizes[-2:]),
            *_processes(results),
            *_startup(results),
            *_stalls(results),
        ]
    )


def _section(title: str, text: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    table = [f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows)]
    return "\n".join([f"## {title}", "", text, "", *table, ""])


def _cells(values: Iterable[float], spec: str) -> list[str]:
    """Formats values; one that was not measured becomes an empty cell."""
    return ["" if isnan(value) else format(value, spec) for value in values]


def _seconds(results: Results, size: int) -> str:
    minimum, rows = results.polls.seconds(size, DIGEST, UNCHANGED), []
    for system in _systems():
        seconds = [results.polls.seconds(size, system.name, step) for step in STEPS]
        if not all(map(isnan, seconds)):
            multiples = ["" if isnan(minimum) else f" ({one / minimum:.1f})" for one in seconds]
            cells = [cell and cell + multiple for cell, multiple in zip(_cells(seconds, ".3f"), multiples, strict=True)]
            rows.append((system.name, *cells, f"{results.polls.peak_bytes(size, system.name) / 2**20:.0f}"))
    first = results.polls.find(size, SYNCER, FIRST)
    text = " ".join(
        [
            f"Rounds: {len(first.seconds) if first else 0}. In brackets: the multiple of the request and a digest.",
            *(f"{one.name} ran in one round only." for one in _systems() if one.max_numbers >= size >= one.once_from),
        ]
    )
    title = f"{size:,} numbers, {results.body_bytes[size] / 1e6:.1f} MB"
    return _section(title, text, ("seconds", *STEPS, "peak MiB"), rows)


def _systems(transport: str = "") -> list[System]:
    """Returns the systems to which the responses are sent in this way."""
    return [system for system in SYSTEMS if system.transport == transport]


def _gzip(results: Results) -> Iterator[str]:
    size = max((size for size in results.sizes if size <= SIZE), default=0)
    steps, rows = (FIRST, UNCHANGED, SHUFFLED, CHANGED, ALL), []
    for system in _systems(GZIP):
        seconds = [results.polls.seconds(size, system.name, step) for step in steps]
        if not all(map(isnan, seconds)):
            processor = results.polls.processor_seconds(size, system.name, UNCHANGED) * 1000
            rows.append((system.name.removesuffix(WITH_GZIP), *_cells(seconds, ".3f"), *_cells([processor], ".1f")))
    if rows:
        text = (
            "The same responses, compressed with level 6. `request` does not inflate them; the digest is that of the "
            f"bytes as received. The last column is the processor time of the process in the step '{UNCHANGED}', in "
            "milliseconds; of an unchanged response, nothing is inflated."
        )
        fixed, per_megabyte = processor_cost_of_unchanged(results)
        if not isnan(fixed):
            text += (
                f" Beyond the request, syncer needs {fixed:.1f} ms for a response of any size, and "
                f"{per_megabyte:.2f} ms for each megabyte on the wire."
            )
        title = f"With gzip, {size:,} numbers, {results.gzip_bytes[size] / 1e6:.1f} MB on the wire"
        yield _section(title, text, ("seconds", *steps, "processor ms"), rows)


def _link(results: Results) -> Iterator[str]:
    size = max((size for size in results.sizes if size <= SIZE), default=0)
    steps, rows = (FIRST, UNCHANGED, SHUFFLED, CHANGED), []
    for coding in ("", WITH_GZIP):
        ours, last_byte = (
            SYNCER + OVER_LINK + coding,
            results.polls.seconds(size, REQUEST + OVER_LINK + coding, UNCHANGED),
        )
        seconds = [results.polls.seconds(size, ours, step) for step in steps]
        if not all(map(isnan, seconds)):
            rows.append((f"request{coding}", "", *_cells([last_byte], ".3f"), "", ""))
            rows.append((f"syncer{coding}", *_cells(seconds, ".3f")))
            rows.append((f"syncer{coding}, after the last byte", *_cells([one - last_byte for one in seconds], ".3f")))
    if rows:
        text = (
            "The endpoint writes 12.5 MB in a second, as a link of 100 Mbit/s delivers them. `request` ends with the "
            "last byte. What comes after it is the work on the response, which begins when all of it is there. In one "
            "round."
        )
        yield _section(f"Over a link of 100 Mbit/s, {size:,} numbers", text, ("seconds", *steps), rows)


def _wal(results: Results, size: int) -> str:
    rows = []
    for system in _systems():
        kibibytes = [results.polls.wal_bytes(size, system.name, step) / 1024 for step in STEPS]
        if system.current is not None and not all(map(isnan, kibibytes)):
            rows.append((system.name, *_cells(kibibytes, ",.0f")))
    text = "Write-ahead log that a step generated, in KiB; full-page images after a checkpoint are included."
    return _section(f"Write-ahead log, {size:,} numbers", text, ("KiB", *STEPS), rows)


def _processes(results: Results) -> Iterator[str]:
    for size in results.sizes:
        steps = [step for step in STEPS if results.processes.find(size, SYNCER, step)]
        if steps:
            rows = [
                (name, *_cells([results.processes.seconds(size, name, step) for step in steps], ".2f"))
                for name in (SYNCER, DLT)
            ]
            text = "`syncer sync` and dlt, with the start of the interpreter and, in the first load, the schema."
            yield _section(f"Whole processes, {size:,} numbers", text, ("seconds", *steps), rows)


def _startup(results: Results) -> Iterator[str]:
    if results.startup:
        rows = [
            (f"`{name}`", f"{median(seconds):.3f}", f"{startup.seconds_beyond_nothing(results.startup, name):.3f}")
            for name, seconds in results.startup.items()
        ]
        text = "`syncer sync` polls the vendor's documented sample of two numbers."
        yield _section("Start of a command", text, ("seconds", "whole process", f"beyond `{startup.NOTHING}`"), rows)


def _stalls(results: Results) -> Iterator[str]:
    text = "The longest wait for a response of /livez in each step, requested continuously while `syncer run` polled."
    header = ("milliseconds", "median of the rounds", "maximum of the rounds")
    for size, rounds in results.stalls.items():
        waits = {
            step: [one[step] * 1000 for one in rounds if step in one]
            for step in dict.fromkeys(step for one in rounds for step in one)
        }
        rows = [(step, f"{median(longest):.0f}", f"{max(longest):.0f}") for step, longest in waits.items()]
        yield _section(f"/livez, {size:,} numbers", text, header, rows)


def main() -> None:
    """Writes docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.report", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="the stored results")
    PAGE.write_text(page(Results.load(parser.parse_args().file)))


if __name__ == "__main__":
    main()
