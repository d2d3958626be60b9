"""Measures whether the daemon leaks: memory, descriptors, threads, connections and tasks while it polls every second.

    python -m benchmarks.soak [--minutes 60] [--numbers 1000] [--warm-up 20] [--samples FILE.csv]

`syncer run` is a process of its own. Its endpoint's numbers change at every poll, every tenth response has a fault, and
every two minutes the database terminates all its connections. The time after the warm-up is divided into blocks; in one
block, every kind of fault occurs once.

Counts are constant except while connections break, so each block is represented by its median. Memory is not: it
contains a response while this is processed, longer on a slow machine. So each block is represented by its minimum, the
memory at rest.

Both change in steps. A pool that was broken opens one connection less than before, the second thread is first needed
after forty minutes, and memory grows when more happens at the same time than ever before: in an hour on a busy machine
by 0.7 MiB after 14 minutes, 0.3 after 42 and 0.06 after 53, and by not one page in the 27 minutes, 1,600 polls, between
the first two; Python's own allocations were the same 3,300 polls later. A least-squares line through a single step has
a slope that is significant. Therefore the slope is the mean step from block to block, and the spread of the steps gives
its confidence interval: a leak in each poll appears in every block, and so is detected.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import re
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import ClientSession
from rich.console import Console
from rich.table import Table

from benchmarks.server import connection_to, embedded_server
from syncer.emulator import REALISTIC, Emulator, faults
from tests.service.processes import TOKEN
from tests.service.scenarios import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import asyncpg

    from syncer.emulator.fault import Fault
    from tests.service.processes import Process

SAMPLE_SECONDS: Final = 2.0
BLOCK_SECONDS: Final = 120.0
MIN_BLOCKS: Final = 8
FAULT_EVERY: Final = 10
"""One of this many responses has a fault."""
CONSTANT_SIZE: Final = replace(REALISTIC, arrivals=0, permanent_removals=0)
"""Numbers leave and return, but none are new: a growing list would need more memory anyway."""
BREAK_SECONDS: Final = 120.0
"""The interval at which the database terminates all the daemon's connections."""
FAULTS: Final[tuple[Fault, ...]] = (
    faults.Status(status=500, requests=1),
    faults.Truncated(requests=1),
    faults.Reset(requests=1),
    faults.Html(requests=1),
    faults.BrokenRecords(requests=1, count=3),
    faults.PartialList(requests=1),
    faults.Status(status=429, retry_after=1, requests=1),
    faults.CutOff(requests=1),
    faults.WrongAccount(requests=1),
    faults.UnknownFields(requests=1),
    faults.Redirect(requests=1),
    faults.RepeatedRecords(requests=1, differing=True),
)
CONFIDENCE: Final = 0.95


class Sample(NamedTuple):
    """The daemon's resources at one time: seconds since it started, MiB, and counts."""

    seconds: float
    memory: float
    descriptors: int
    threads: int
    connections: int
    tasks: int


MEASURES: Final = {
    "memory": "resident memory at rest, MiB",
    "descriptors": "open file descriptors",
    "threads": "threads",
    "connections": "database connections",
    "tasks": "tasks of the event loop",
}


class Trend(NamedTuple):
    """A slope in units per hour, and half the width of its confidence interval."""

    slope: float
    margin: float

    @property
    def is_constant(self) -> bool:
        """Whether zero is inside the confidence interval."""
        return abs(self.slope) <= self.margin


async def take_sample(daemon: Process, sql: asyncpg.Connection, site: ClientSession, begun: float) -> Sample:
    """Measures a running daemon from outside; the number of tasks comes from its metrics."""
    process = Path(f"/proc/{daemon.pid}")
    status = dict(line.split(":", 1) for line in process.joinpath("status").read_text().splitlines())
    connections = await sql.fetchval("select count(*) from pg_stat_activity where application_name = 'syncer'")
    async with site.get("/metrics") as response:
        (tasks,) = re.findall(r"^syncer_tasks (\d+)", await response.text(), flags=re.MULTILINE)
    return Sample(
        seconds=time.monotonic() - begun,
        memory=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in process.joinpath("fd").iterdir()),
        threads=int(status["Threads"]),
        connections=connections,
        tasks=int(tasks),
    )


async def inject_faults(emulator: Emulator, sql: asyncpg.Connection) -> None:
    """Changes numbers at every request, injects faults, and terminates connections."""
    upcoming: Iterator[Fault] = cycle(FAULTS)
    seen, broken_at = 0, time.monotonic()
    while True:
        if emulator.requests[TOKEN] > seen:
            seen = emulator.requests[TOKEN]
            emulator.step()
            if seen % FAULT_EVERY == 0:
                emulator.fault = next(upcoming)
        if time.monotonic() - broken_at > BREAK_SECONDS:
            broken_at = time.monotonic()
            await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name='syncer'")
        await asyncio.sleep(0.1)


def block_values(samples: Sequence[Sample], measure: str, since: float) -> list[tuple[float, float]]:
    """Returns the mean time in hours and the value of a measure for each block after the warm-up."""
    represent = min if measure == "memory" else statistics.median
    parts: dict[int, list[Sample]] = {}
    for one in samples:
        if one.seconds >= since:
            parts.setdefault(int((one.seconds - since) // BLOCK_SECONDS), []).append(one)
    return [
        (
            statistics.fmean(one.seconds for one in part) / 3600,
            represent([getattr(one, measure) for one in part]),
        )
        for part in parts.values()
        if part[-1].seconds - part[0].seconds > BLOCK_SECONDS / 2  # the last one may be incomplete
    ]


def trend_of_steps(points: Sequence[tuple[float, float]]) -> Trend:
    """Returns the mean step between neighbouring points, with its confidence interval."""
    steps = [(after - before) / (later - sooner) for (sooner, before), (later, after) in pairwise(points)]
    return Trend(statistics.fmean(steps), students_t(len(steps) - 1) * statistics.stdev(steps) / len(steps) ** 0.5)


def students_t(degrees_of_freedom: int) -> float:
    """Returns the half width of the confidence interval in standard errors: Cornish-Fisher, exact enough from 5."""
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return z + (z**3 + z) / (4 * degrees_of_freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees_of_freedom**2)


async def soak(folder: Path, url: str, minutes: float, numbers: int) -> tuple[list[Sample], dict[str, int], list[int]]:
    """Runs the daemon for some minutes.

    Returns:
        The samples; the number of runs by outcome or kind of error; the exit codes of the daemon and of `check --data`.
    """
    samples = []
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(numbers=numbers, rates=CONSTANT_SIZE))
        sql = await stack.enter_async_context(connection_to(url))
        syncer = program(folder, url, emulator.url)
        stack.push_async_callback(syncer.kill_all)
        daemon = await syncer.start(
            "run", poll_interval="1s", api_attempts="2", api_timeout="10s", http_listen="127.0.0.1:0"
        )
        site = await stack.enter_async_context(ClientSession((await daemon.wait_for_event("http_listening"))["url"]))
        begun = time.monotonic()
        injecting = asyncio.create_task(inject_faults(emulator, sql))
        while daemon.is_running and time.monotonic() - begun < minutes * 60:
            samples.append(await take_sample(daemon, sql, site, begun))
            await asyncio.sleep(SAMPLE_SECONDS)
        injecting.cancel()
        emulator.fault = None
        exited = await (daemon.stop() if daemon.is_running else daemon.wait())
        checked = await syncer.run("check", "--data")
        rows = await sql.fetch(
            "select coalesce(error_kind, outcome), count(*) from syncer.sync_run group by 1 order by 2"
        )
    return samples, dict(map(tuple, rows)), [exited.code, checked.code]


def trend_table(samples: Sequence[Sample], warm_up: float) -> Table:
    """Returns one row per measure: its values after the warm-up, at the end and at most, and its trend."""
    table = Table("", "first", "last", "maximum", "slope per hour", "95 % from", "to", "zero inside", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for measure, title in MEASURES.items():
        points = block_values(samples, measure, warm_up)
        values = [value for _, value in points]
        trend = trend_of_steps(points)
        table.add_row(
            title,
            *(f"{value:.1f}" for value in (values[0], values[-1], max(values))),
            *(f"{value:+.2f}" for value in (trend.slope, trend.slope - trend.margin, trend.slope + trend.margin)),
            "yes" if trend.is_constant else "no",
        )
    return table


def main() -> int:
    """Runs the daemon and prints the trends; returns 0 if it exited without error and its data are valid."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--numbers", type=int, default=1000)
    parser.add_argument("--warm-up", type=float, default=20, help="minutes before the trends begin")
    parser.add_argument("--samples", type=Path, help="write the samples to this CSV file")
    arguments = parser.parse_args()
    if (arguments.minutes - arguments.warm_up) * 60 < MIN_BLOCKS * BLOCK_SECONDS:
        parser.error(f"a trend needs {MIN_BLOCKS * BLOCK_SECONDS / 60:g} minutes after the warm-up")
    console = Console(width=None if sys.stdout.isatty() else 130)
    with embedded_server() as url, tempfile.TemporaryDirectory(prefix="syncer-soak-") as folder:
        samples, outcomes, codes = asyncio.run(soak(Path(folder), url, arguments.minutes, arguments.numbers))
    if arguments.samples is not None:
        with arguments.samples.open("w", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *samples])
    console.print(f"{sum(outcomes.values())} polls: {', '.join(f'{count} {kind}' for kind, count in outcomes.items())}")
    console.print(f"exit codes of run and of check --data: {codes}")
    console.print(trend_table(samples, arguments.warm_up * 60))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
