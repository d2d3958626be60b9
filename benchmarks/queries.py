"""Measures queries on the views of schema `analytics`, with two years of history of a hundred thousand numbers.

    python -m benchmarks.queries [--numbers 100000] [--accounts 1] [--lives 1 10] [--runs 7] [--no-plans] [--all]

Runs each query of the folder `queries` as an analyst, once to warm the cache and then several times, and prints the
median. Writes each query's plan to NN_name.plan.txt, without the parts that differ from run to run. With --all it also
runs the queries of docs/analytics.md and those of the dashboards' tiles, and prints all of them, the slowest first.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.documented import documented_queries
from benchmarks.history import NUMBERS, count_history_rows, database_with_history
from benchmarks.server import configured_server
from benchmarks.tiles import grafana_tiles, superset_tiles
from docs import answers

LONGEST_SECONDS: Final = 60.0
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
        rows: How many rows it returned; None if it was cancelled.
        seconds: The median of several runs.
    """

    size: str
    rows: int | None
    seconds: float


async def measure_query(analyst: asyncpg.Connection[Any], query: str, runs: int) -> tuple[float, int | None]:
    """Returns the median seconds of several runs after a first one, and the number of rows.

    A query that takes longer than a minute is cancelled, and has no number of rows.
    """
    try:
        rows = await analyst.fetch(query)
    except asyncpg.QueryCanceledError:
        return LONGEST_SECONDS, None
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        await analyst.fetch(query)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), len(rows)


async def measure(url: str, runs: int, *, keep_plans: bool, with_all: bool, progress: Progress) -> dict[str, Measured]:
    """Measures each query in a database with a generated history.

    Returns:
        The size of the data, and what was measured, by the query's name.
    """
    measured = {}
    analyst = await answers.connect_as_analyst(url)
    await analyst.execute(f"set statement_timeout = '{LONGEST_SECONDS:.0f}s'")
    names = [name for (name,) in await analyst.fetch("select account from analytics.accounts")]
    numbers = await analyst.fetchval("select count(*) from analytics.numbers_all")
    size = f"{numbers:,} numbers, {await count_history_rows(url):,} rows of history, accounts: {len(names)}"
    queries = {path.stem: path.read_text() for path in QUERIES}
    if with_all:
        queries |= {f"page: {name}": query for name, query in (await documented_queries(analyst)).items()}
        queries |= {f"Superset: {name}": query for name, query in superset_tiles().items()}
        queries |= {f"Grafana: {name}": query for name, query in grafana_tiles(names).items()}
    bar = progress.add_task("measuring", total=len(queries))
    for name, query in queries.items():
        progress.update(bar, advance=1, description=name)
        seconds, rows = await measure_query(analyst, query, runs)
        measured[name] = Measured(size, rows, seconds)
    for path in QUERIES if keep_plans else ():
        plan = [row[0] for row in await analyst.fetch(f"{_EXPLAIN} {path.read_text()}")]
        path.with_suffix(".plan.txt").write_text(f"{size}\n\n{stable_plan(plan)}")
    await analyst.close()
    return measured


async def measure_new_databases(arguments: argparse.Namespace, console: Console) -> list[dict[str, Measured]]:
    """Generates a history of each length, one after another, and measures the queries."""
    columns = []
    with (
        configured_server() as server_url,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        for lives in arguments.lives:
            bar = progress.add_task("generating two years of history", total=None)
            async with database_with_history(
                server_url, arguments.numbers, accounts=arguments.accounts, lives=lives
            ) as url:
                progress.remove_task(bar)
                columns.append(
                    await measure(
                        *(url, arguments.runs),
                        keep_plans=not arguments.no_plans,
                        with_all=arguments.all,
                        progress=progress,
                    )
                )
    return columns


def print_columns(columns: list[dict[str, Measured]], console: Console) -> None:
    """Prints a column for each length of history, the slowest queries of the last one first."""
    sizes = [next(iter(column.values())).size for column in columns]
    table = Table("query", *(f"{heading}\n{size}" for size in sizes for heading in ("rows", "median ms")))
    for name in sorted(columns[-1], key=lambda name: columns[-1][name].seconds, reverse=True):
        cells: list[str] = []
        for column in columns:
            rows, seconds = column[name].rows, column[name].seconds
            cells += ("cancelled" if rows is None else f"{rows:,}", f"{seconds * 1000:.0f}")
        table.add_row(name, *cells)
    console.print(table)


def main() -> None:
    """Measures and prints the results; the plans are those of the last length of history."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=NUMBERS)
    parser.add_argument("--accounts", type=int, default=1, help="the accounts that share the numbers")
    parser.add_argument(
        "--lives", type=int, nargs="+", default=[1], help="how much history: each has ten rows a number"
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-plans", action="store_true", help="do not write the plans")
    parser.add_argument("--all", action="store_true", help="also the queries of the pages and of the dashboards' tiles")
    arguments, console = parser.parse_args(), Console()
    print_columns(asyncio.run(measure_new_databases(arguments, console)), console)


if __name__ == "__main__":
    main()
