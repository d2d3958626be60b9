"""The performance targets, and whether a run of the benchmark met them."""

from __future__ import annotations

from itertools import product
from math import isnan, nan
from statistics import linear_regression, median
from typing import TYPE_CHECKING, Final

from benchmarks import startup
from benchmarks.polls.results import BASE_MEMORY_BYTES
from benchmarks.polls.systems import (
    AFTER_TINY,
    ALL,
    CHANGED,
    DIGEST,
    DLT,
    FIRST,
    LOAD,
    MERGE,
    MERGE_REFERENCES,
    REQUEST,
    RESTARTED,
    ROWS,
    SHUFFLED,
    SYNCER,
    UNCHANGED,
    WITH_GZIP,
)
from benchmarks.polls.systems.steps import STEPS
from benchmarks.stalls import BETWEEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.polls.results import Results

    Row = tuple[str, str, str, str]
    """What is measured (after a slash: what it is divided by), the target, the measured value, whether it is met."""

SIZE: Final = 100_000
"""The number of numbers that a target applies to, unless it states another."""
LARGEST: Final = 1_000_000
_FEWEST_SIZES: Final = 2
"""Sizes that a line needs."""
_OWN_ROWS: Final = {"syncer.sync_run": 1, "syncer.account_fence": 1}


def targets(results: Results) -> Iterator[Row]:
    """Yields every target, in the order of the report."""

    def seconds(system: str, step: str) -> float:
        return results.polls.seconds(SIZE, system, step)

    digest, first = seconds(DIGEST, UNCHANGED), seconds(SYNCER, FIRST)
    yield _at_most("unchanged / request and digest", 1.2, seconds(SYNCER, UNCHANGED) / digest)
    yield _at_most("shuffled / request and digest", 2.5, seconds(SYNCER, SHUFFLED) / digest)
    for step in (UNCHANGED, SHUFFLED):
        yield _rows_written(results, step)
    for step, memory, bound in ((CHANGED, "with", 2.5), (RESTARTED, "without", 3.0)):
        what = f"1 % changed, {memory} the fingerprints in memory, minus rows alone / request and digest"
        yield _at_most(what, bound, (seconds(SYNCER, step) - seconds(ROWS, step)) / digest)
    yield _at_most("first load / request, decode and COPY", 1.2, first / seconds(LOAD, FIRST))
    yield _at_most("all changed / first load", 2, seconds(SYNCER, ALL) / first)
    # The target is "no slower"; a tenth allows for the variation between two medians.
    yield _at_most("first load after 300 tiny accounts / first load", 1.1, seconds(AFTER_TINY, FIRST) / first)
    for rival, (step, bound) in product((MERGE, MERGE_REFERENCES), ((UNCHANGED, 1.0), (CHANGED, 1.0), (FIRST, 1.2))):
        yield _at_most(f"{step}: syncer / {rival}", bound, seconds(SYNCER, step) / seconds(rival, step))
    _, cost = processor_cost_of_unchanged(results)
    yield _at_most("unchanged, gzip: processor time beyond the request, for each MB on the wire", 1.0, cost, " ms")
    for step, bound in ((UNCHANGED, 50), (CHANGED, 25)):
        yield _at_least(f"{step}, running processes: dlt / syncer", bound, seconds(DLT, step) / seconds(SYNCER, step))
    for step, bound in ((UNCHANGED, 12), (CHANGED, 12), (FIRST, 2)):
        dlt, ours = (results.processes.seconds(SIZE, name, step) for name in (DLT, SYNCER))
        yield _at_least(f"{step}, whole processes: dlt / `syncer sync`", bound, dlt / ours)
    for step in STEPS:
        yield _at_most(f"{step}: exponent of growth", 1.05, results.growth_exponent(SYNCER, step), unit="")
    what = f"peak memory beyond {BASE_MEMORY_BYTES // 2**20} MiB / the body, at any size"
    yield _at_most(what, 3, results.memory_multiple(SYNCER))
    for command, bound in ((startup.HELP, 0.3), (startup.SYNC, 1.0)):
        beyond = startup.seconds_beyond_nothing(results.startup, command)
        yield _at_most(f"`{command}` beyond `{startup.NOTHING}`", bound, beyond, " s")
    for numbers, bound in ((SIZE, 50), (LARGEST, 500)):
        waits = [max(one[step] for step in one if step != BETWEEN) for one in results.stalls.get(numbers, [])]
        what = f"longest wait for /livez while {numbers:,} numbers are polled"
        yield _at_most(what, bound, median(waits) * 1000 if waits else nan, " ms")


def processor_cost_of_unchanged(results: Results) -> tuple[float, float]:
    """Returns what an unchanged compressed response costs beyond its request; NaN if only one size was measured.

    Returns:
        The processor time in milliseconds of a response of any size, and that of each megabyte on the wire: the
        least-squares line through the measured sizes.
    """
    costs = {}
    for size in results.gzip_bytes:
        ours, request = (
            results.polls.processor_seconds(size, name + WITH_GZIP, UNCHANGED) for name in (SYNCER, REQUEST)
        )
        if not isnan(ours - request):
            costs[results.gzip_bytes[size] / 1e6] = (ours - request) * 1000
    if len(costs) < _FEWEST_SIZES:
        return nan, nan
    slope, intercept = linear_regression([*costs], [*costs.values()])
    return intercept, slope


def _at_most(what: str, bound: float, value: float, unit: str = " times") -> Row:
    return _row(what, f"at most {bound:g}{unit}", f"{value:.2f}{unit}", value, is_met=value <= bound)


def _at_least(what: str, bound: float, value: float) -> Row:
    return _row(what, f"at least {bound:g} times", f"{value:.1f} times", value, is_met=value >= bound)


def _row(what: str, target: str, measured: str, value: float, *, is_met: bool) -> Row:
    if isnan(value):
        return what, target, "not measured", "–"
    return what, target, measured, "yes" if is_met else "**no**"


def _rows_written(results: Results, step: str) -> Row:
    measurement = results.polls.find(SIZE, SYNCER, step)
    written = measurement.written if measurement else []
    most = max(written, key=lambda counts: sum(counts.values()), default={})
    measured = ", ".join(f"{table.removeprefix('syncer.')} {count}" for table, count in sorted(most.items()))
    is_met = all(counts == _OWN_ROWS for counts in written)
    return _row(f"{step}: rows written", "only of its run and account", measured, len(written) or nan, is_met=is_met)
