"""Measures queries on the views of schema `analytics`, with two years of history of a hundred thousand numbers.

    python -m benchmarks.queries [--numbers 100000] [--accounts 1] [--lives 1 10] [--runs 7] [--no-plans]

Runs each query of the folder `queries` as an analyst, once to warm the cache and then several times, and prints the
median. Writes each query's plan to NN_name.plan.txt, without the parts that differ from run to run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.history import NUMBERS, count_history_rows, database_with_history
from benchmarks.server import configured_server
from docs import answers

if TYPE_CHECKING:
    import asyncpg

QUERIES: Final = tuple(sorted(Path(__file__).with_name("queries").glob("*.sql")))
_EXPLAIN: Final = "explain (analyze, buffers, costs off, timing off, summary off)"
_VARYING_LINE: Final = re.compile(r" *(Worker \d|Buffers: temp|Planning:|Sort Method|Pre-sorted|Full-sort|Storage)")
_PAGES: Final = re.compile(r"shared(?: (hit|read|dirtied|written)=(\d+))+(.*)")


def stable_plan(plan: list[str]) -> str:
    """Returns a plan without what differs from run to run; pages are counted whether cached or read."""
    lines = []
    for line in plan:
        if line.startswith("Planning:"):
            break
        if not _VARYING_LINE.match(line):
            lines.append(_PAGES.sub(lambda found: f"{_pages_in(found[0])} pages", line))
    return "\n".join([*lines, ""])


def _pages_in(buffers: str) -> int:
    return sum(map(int, re.findall(r"(?:hit|read)=(\d+)", buffers.partition("temp")[0])))


class Measured(NamedTuple):
    """What one query took.

    Attributes:
        size: The size of the data, in words.
        rows: How many rows it returned.
        seconds: The median of several runs.
    """

    size: str
    rows: int
    seconds: float


async def measure_query(analyst: asyncpg.Connection[Any], query: str, runs: int) -> tuple[float, int]:
    """Returns the median seconds of several runs after a first one, and the number of rows."""
    rows = await analyst.fetch(query)
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        await analyst.fetch(query)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), len(rows)


async def measure(
    numbers: int, accounts: int, lives: int, runs: int, *, keep_plans: bool, console: Console
) -> dict[str, Measured]:
    """Generates the data and measures each query.

    Returns:
        The size of the data, and what was measured, by the query's name.
    """
    measured = {}
    with (
        configured_server() as server_url,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("generating two years of history", total=len(QUERIES) + 1)
        async with database_with_history(server_url, numbers, accounts=accounts, lives=lives) as url:
            size = f"{numbers:,} numbers, {await count_history_rows(url):,} rows of history, accounts: {accounts}"
            analyst = await answers.connect_as_analyst(url)
            for path in QUERIES:
                progress.update(bar, advance=1, description=path.stem)
                query = path.read_text()
                seconds, rows = await measure_query(analyst, query, runs)
                measured[path.stem] = Measured(size, rows, seconds)
                if keep_plans:
                    plan = [row[0] for row in await analyst.fetch(f"{_EXPLAIN} {query}")]
                    path.with_suffix(".plan.txt").write_text(f"{size}\n\n{stable_plan(plan)}")
            await analyst.close()
    return measured


def main() -> None:
    """Measures and prints the results: a column for each length of history; the plans are those of the last one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=NUMBERS)
    parser.add_argument("--accounts", type=int, default=1, help="the accounts that share the numbers")
    parser.add_argument(
        "--lives", type=int, nargs="+", default=[1], help="how much history: each has ten rows a number"
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-plans", action="store_true", help="do not write the plans")
    arguments = parser.parse_args()
    console, keep_plans = Console(), not arguments.no_plans
    columns = [
        asyncio.run(
            measure(
                arguments.numbers, arguments.accounts, lives, arguments.runs, keep_plans=keep_plans, console=console
            )
        )
        for lives in arguments.lives
    ]
    sizes = [next(iter(column.values())).size for column in columns]
    table = Table("query", *(f"{heading}\n{size}" for size in sizes for heading in ("rows", "median ms")))
    for name in columns[0]:
        cells = [(f"{column[name].rows:,}", f"{column[name].seconds * 1000:.0f}") for column in columns]
        table.add_row(name, *(cell for pair in cells for cell in pair))
    console.print(table)


if __name__ == "__main__":
    main()
