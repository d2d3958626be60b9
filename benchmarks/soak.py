"""Whether the daemon grows: what it takes, sampled while it polls once a second for as long as one likes to wait.

    python -m benchmarks.soak [--minutes 60] [--numbers 1000] [--warm-up 20] [--samples FILE.csv]

`syncer run` is a process of its own on an endpoint whose numbers change at every poll, where every tenth answer is
spoiled and now and then the database breaks all its connections. What comes after the warm-up is taken in blocks of
time, each as long as all kinds of faults take to come once.

Counts keep a level, but for moments in which connections break: of each block counts the median. Memory has none. A
response is in it while it is worked on, for longer on a slow machine: so of each block counts what is taken at rest,
the least.

Both move in steps. A pool that was broken opens one connection less than before, a second thread is wanted for the
first time after forty minutes, and memory grows when more happens at once than ever before: in an hour on a busy
machine by 0.7 MiB after 14 minutes, 0.3 after 42 and 0.06 after 53, and by not a page in the 27 minutes, 1,600 polls,
between the first two; what Python itself holds was the same 3,300 polls later. Through a single step, up or down, least
squares see a slope that is certain. So the slope is the mean step from block to block, and the spread of the steps says
how certain it is: what each poll leaves behind comes in every block, and shows at once.
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

from benchmarks.server import connected, embedded_server
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
FEWEST_BLOCKS: Final = 8
FAULT_EVERY: Final = 10
"""Of so many answers one is spoiled."""
LEVEL: Final = replace(REALISTIC, arrivals=0, permanent_removals=0)
"""Numbers go and return and nobody is new: of a list that grows, more memory would mean nothing."""
BREAK_SECONDS: Final = 120.0
"""How often the database breaks all the daemon's connections."""
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
UNCERTAINTY: Final = 0.95
WIDTH, HEIGHT = 100, 12


class Sample(NamedTuple):
    """What the daemon takes at a moment: seconds since it started, MiB, and counts."""

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
AT_REST: Final = "memory"


class Line(NamedTuple):
    """A slope: units an hour, and by how much that may be wrong."""

    slope: float
    margin: float

    @property
    def is_level(self) -> bool:
        """Whether zero lies inside the confidence interval."""
        return abs(self.slope) <= self.margin


async def sample(daemon: Process, sql: asyncpg.Connection, site: ClientSession, begun: float) -> Sample:
    """Looks at a running daemon from outside; of its tasks it tells itself."""
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


async def disturb(emulator: Emulator, sql: asyncpg.Connection) -> None:
    """Lets numbers change at every request, spoils some answers, breaks connections."""
    spoiled: Iterator[Fault] = cycle(FAULTS)
    seen, broken_at = 0, time.monotonic()
    while True:
        if emulator.requests[TOKEN] > seen:
            seen = emulator.requests[TOKEN]
            emulator.step()
            if seen % FAULT_EVERY == 0:
                emulator.fault = next(spoiled)
        if time.monotonic() - broken_at > BREAK_SECONDS:
            broken_at = time.monotonic()
            await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name='syncer'")
        await asyncio.sleep(0.1)


def blocks(samples: Sequence[Sample], measure: str, since: float) -> list[tuple[float, float]]:
    """The mean moment, in hours, and what counts of a measure, for each block of time after the warm-up."""
    fold = min if measure == AT_REST else statistics.median
    parts: dict[int, list[Sample]] = {}
    for one in samples:
        if one.seconds >= since:
            parts.setdefault(int((one.seconds - since) // BLOCK_SECONDS), []).append(one)
    return [
        (
            statistics.fmean(one.seconds for one in part) / 3600,
            fold([getattr(one, measure) for one in part]),
        )
        for part in parts.values()
        if part[-1].seconds - part[0].seconds > BLOCK_SECONDS / 2  # the last one may be cut short
    ]


def line_of_steps(points: Sequence[tuple[float, float]]) -> Line:
    """The mean step from point to point, with the half width of its confidence interval."""
    steps = [(after - before) / (later - sooner) for (sooner, before), (later, after) in pairwise(points)]
    return Line(statistics.fmean(steps), students_t(len(steps) - 1) * statistics.stdev(steps) / len(steps) ** 0.5)


def students_t(freedom: int) -> float:
    """How many standard errors the confidence interval reaches; Cornish and Fisher's expansion, good from 5 up."""
    z = statistics.NormalDist().inv_cdf((1 + UNCERTAINTY) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def drawn(samples: Sequence[Sample], measure: str) -> str:
    """A measure's curve as text, a column a stretch of time."""
    values = [float(getattr(one, measure)) for one in samples]
    columns = [
        statistics.fmean(values[start : max(stop, start + 1)])
        for start, stop in ((i * len(values) // WIDTH, (i + 1) * len(values) // WIDTH) for i in range(WIDTH))
    ]
    low, high = min(columns), max(columns)
    step = (high - low) / (HEIGHT - 1) or 1.0
    rows = []
    for level in reversed(range(HEIGHT)):
        marks = "".join("•" if round((value - low) / step) == level else " " for value in columns)
        rows.append(f"{low + level * step:9.1f} ┤{marks.rstrip()}")
    return "\n".join([*rows, f"{'':9} └{'─' * WIDTH} {samples[-1].seconds / 60:.0f} min"])


async def soak(folder: Path, url: str, minutes: float, numbers: int) -> tuple[list[Sample], dict[str, int], list[int]]:
    """Runs the daemon for so long.

    Returns:
        The samples; how often each outcome or kind of failure came; the exit codes of the daemon and of `check --data`.
    """
    samples = []
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(numbers=numbers, rates=LEVEL))
        sql = await stack.enter_async_context(connected(url))
        syncer = program(folder, url, emulator.url)
        stack.push_async_callback(syncer.kill_all)
        daemon = await syncer.start(
            "run", poll_interval="1s", api_attempts="2", api_timeout="10s", http_listen="127.0.0.1:0"
        )
        site = await stack.enter_async_context(ClientSession((await daemon.wait_for_event("http_listening"))["url"]))
        begun = time.monotonic()
        disturbing = asyncio.create_task(disturb(emulator, sql))
        while daemon.is_running and time.monotonic() - begun < minutes * 60:
            samples.append(await sample(daemon, sql, site, begun))
            await asyncio.sleep(SAMPLE_SECONDS)
        disturbing.cancel()
        emulator.fault = None
        ended = await (daemon.stop() if daemon.is_running else daemon.wait())
        checked = await syncer.run("check", "--data")
        rows = await sql.fetch(
            "select coalesce(error_kind, outcome), count(*) from syncer.sync_run group by 1 order by 2"
        )
    return samples, dict(map(tuple, rows)), [ended.code, checked.code]


def told(samples: Sequence[Sample], warm_up: float) -> Table:
    """A row a measure: where it stood when the warm-up was over, where it stands at the end, and its line."""
    table = Table("", "first", "last", "largest", "slope, an hour", "95 % from", "to", "zero inside", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for measure, title in MEASURES.items():
        points = blocks(samples, measure, warm_up)
        values = [value for _, value in points]
        line = line_of_steps(points)
        table.add_row(
            title,
            *(f"{value:.1f}" for value in (values[0], values[-1], max(values))),
            *(f"{value:+.2f}" for value in (line.slope, line.slope - line.margin, line.slope + line.margin)),
            "yes" if line.is_level else "no",
        )
    return table


def main() -> int:
    """Runs, prints, and tells whether the daemon ended well and its data are right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--numbers", type=int, default=1000)
    parser.add_argument("--warm-up", type=float, default=20, help="minutes that the lines leave out")
    parser.add_argument("--samples", type=Path, help="a CSV file to write them to")
    given = parser.parse_args()
    if (given.minutes - given.warm_up) * 60 < FEWEST_BLOCKS * BLOCK_SECONDS:
        parser.error(f"a line needs {FEWEST_BLOCKS * BLOCK_SECONDS / 60:g} minutes after the warm-up")
    console = Console(width=None if sys.stdout.isatty() else 130)
    with embedded_server() as url, tempfile.TemporaryDirectory(prefix="syncer-soak-") as folder:
        samples, outcomes, codes = asyncio.run(soak(Path(folder), url, given.minutes, given.numbers))
    if given.samples is not None:
        with given.samples.open("w", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *samples])
    console.print(f"{sum(outcomes.values())} polls: {', '.join(f'{count} {kind}' for kind, count in outcomes.items())}")
    console.print(f"exit codes of run and of check --data: {codes}")
    console.print(told(samples, given.warm_up * 60))
    console.print(f"\nresident memory, MiB\n{drawn(samples, 'memory')}", highlight=False)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
