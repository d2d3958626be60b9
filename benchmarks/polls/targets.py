"""The performance targets, and whether a run of the benchmark met them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import startup
from benchmarks.polls import growth
from benchmarks.polls.contenders import (
    AFTER_TINY,
    ALL,
    CHANGED,
    DIGEST,
    DLT,
    FIRST,
    LOAD,
    PROGRAM,
    RESTARTED,
    ROWS,
    SHUFFLED,
    UNCHANGED,
)
from benchmarks.stalls import BETWEEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.polls.results import Results

SIZE: Final = 100_000
"""The number of numbers that a target applies to, unless it states another."""
LARGEST: Final = 1_000_000
_ITS_OWN: Final = {"syncer.sync_run", "syncer.account"}


@dataclass(frozen=True, slots=True)
class Target:
    """One performance target.

    Attributes:
        what: What is measured, and what it is divided by.
        bound: The allowed value.
        measured: The measured value.
        met: Whether it is within the bound; None if it was not measured.
    """

    what: str
    bound: str
    measured: str = "not measured"
    met: bool | None = None


def targets(results: Results) -> list[Target]:
    """Returns every target, in the order of the report."""
    return [*_polls(results), *_beside_dlt(results), *_growth(results), *_start(results), *_stalls(results)]


def _at_most(what: str, bound: float, value: float | None, unit: str = " times") -> Target:
    if value is None:
        return Target(what, f"at most {bound:g}{unit}")
    return Target(what, f"at most {bound:g}{unit}", f"{value:.2f}{unit}", value <= bound)


def _at_least(what: str, bound: float, value: float | None) -> Target:
    if value is None:
        return Target(what, f"at least {bound:g} times")
    return Target(what, f"at least {bound:g} times", f"{value:.1f} times", value >= bound)


def _ratio(value: float | None, of: float | None) -> float | None:
    return None if value is None or of is None else value / of


def _polls(results: Results) -> Iterator[Target]:
    def seconds(system: str, step: str) -> float | None:
        return results.polls.seconds(SIZE, system, step)

    digest, first = seconds(DIGEST, UNCHANGED), seconds(PROGRAM, FIRST)
    yield _at_most("unchanged / request and digest", 1.2, _ratio(seconds(PROGRAM, UNCHANGED), digest))
    yield _at_most("shuffled / request and digest", 2.5, _ratio(seconds(PROGRAM, SHUFFLED), digest))
    for step in (UNCHANGED, SHUFFLED):
        yield _written(results, step)
    for step, name, bound in (
        (CHANGED, "with the fingerprints in memory", 2.5),
        (RESTARTED, "without the fingerprints in memory", 3.0),
    ):
        whole, rows = seconds(PROGRAM, step), seconds(ROWS, step)
        rest = None if whole is None or rows is None else whole - rows
        yield _at_most(f"1 % changed, {name}, minus rows alone / request and digest", bound, _ratio(rest, digest))
    yield _at_most("first load / request, decode and COPY", 1.2, _ratio(first, seconds(LOAD, FIRST)))
    yield _at_most("all changed / first load", 2, _ratio(seconds(PROGRAM, ALL), first))
    # The target is "no slower"; a tenth allows for the variation between two medians.
    yield _at_most("first load after 300 tiny accounts / first load", 1.1, _ratio(seconds(AFTER_TINY, FIRST), first))


def _written(results: Results, step: str) -> Target:
    what, bound = f"{step}: rows written", "only of its run and account"
    figure = results.polls.find(SIZE, PROGRAM, step)
    if figure is None or not figure.written:
        return Target(what, bound)
    written = max(figure.written, key=lambda counts: sum(counts.values()))
    counts_text = ", ".join(f"{table.removeprefix('syncer.')} {count}" for table, count in sorted(written.items()))
    return Target(what, bound, counts_text, all(one == dict.fromkeys(_ITS_OWN, 1) for one in figure.written))


def _beside_dlt(results: Results) -> Iterator[Target]:
    for step, bound in ((UNCHANGED, 50), (CHANGED, 25)):
        dlt, ours = (results.polls.seconds(SIZE, name, step) for name in (DLT, PROGRAM))
        yield _at_least(f"{step}, running processes: dlt / syncer", bound, _ratio(dlt, ours))
    for step, bound in ((UNCHANGED, 12), (CHANGED, 9), (FIRST, 2)):
        dlt, ours = (results.processes.seconds(SIZE, name, step) for name in (DLT, PROGRAM))
        yield _at_least(f"{step}, whole processes: dlt / `syncer sync`", bound, _ratio(dlt, ours))


def _growth(results: Results) -> Iterator[Target]:
    for one in growth.growths(results):
        yield _at_most(f"{one.step}: exponent of growth", 1.05, one.exponent, unit="")
    bodies = [one.bodies for one in growth.memory(results)]
    what = f"peak memory beyond {growth.CONSTANT_BYTES // 2**20} MiB / the body, at any size"
    yield _at_most(what, 3, max(bodies, default=None))


def _start(results: Results) -> Iterator[Target]:
    for command, bound in ((startup.HELP, 0.3), (startup.SYNC, 1.0)):
        beyond = startup.beyond_nothing(results.startup, command) if results.startup else None
        yield _at_most(f"`{command}` beyond `{startup.NOTHING}`", bound, beyond, " s")


def _stalls(results: Results) -> Iterator[Target]:
    for numbers, bound in ((SIZE, 0.05), (LARGEST, 0.5)):
        rounds = results.stalls.get(numbers, [])
        longest = [max(seconds for step, seconds in one.items() if step != BETWEEN) for one in rounds]
        what = f"longest wait for /livez while {numbers:,} numbers are polled"
        yield _at_most(what, bound * 1000, median(longest) * 1000 if longest else None, " ms")
