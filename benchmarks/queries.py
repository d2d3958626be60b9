"""How long analysts wait for the views of schema `analytics`, with two years of a hundred thousand numbers.

    python -m benchmarks.queries [--numbers 100000] [--accounts 1] [--runs 7] [--no-plans]

Runs each query of the folder `queries` as an analyst, once to warm the cache and then several times, and prints the
median. How PostgreSQL answered it is written beside it as NN_name.plan.txt, without what differs from run to run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.history import NUMBERS, database_with_history, rows_of_history
from benchmarks.server import configured_server
from docs import answers

if TYPE_CHECKING:
    import asyncpg

QUERIES: Final = tuple(sorted(Path(__file__).with_name("queries").glob("*.sql")))
_EXPLAIN: Final = "explain (analyze, buffers, costs off, timing off, summary off)"
_OF_ONE_RUN: Final = re.compile(r" *(Worker \d|Buffers: temp|Planning:|Sort Method|Pre-sorted|Full-sort|Storage)")
_PAGES: Final = re.compile(r"shared(?: (hit|read|dirtied|written)=(\d+))+(.*)")


def lasting(plan: list[str]) -> str:
    """A plan without what another run of the same query may say otherwise: pages count alike, cached or not."""
    lines = []
    for line in plan:
        if line.startswith("Planning:"):
            break
        if not _OF_ONE_RUN.match(line):
            lines.append(_PAGES.sub(lambda found: f"{_pages_in(found[0])} pages", line))
    return "\n".join([*lines, ""])


def _pages_in(told: str) -> int:
    return sum(map(int, re.findall(r"(?:hit|read)=(\d+)", told.partition("temp")[0])))


async def seconds_to_answer(analyst: asyncpg.Connection[Any], query: str, runs: int) -> tuple[float, int]:
    """The median of several runs after a first one, and how many rows there are."""
    rows = await analyst.fetch(query)
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        await analyst.fetch(query)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), len(rows)


async def measure(numbers: int, accounts: int, runs: int, *, keep_plans: bool, console: Console) -> Table:
    """Makes the data and asks each query."""
    with (
        configured_server() as server_url,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("making two years of history", total=len(QUERIES) + 1)
        async with database_with_history(server_url, numbers, accounts=accounts) as url:
            size = f"{numbers:,} numbers, {await rows_of_history(url):,} rows of history, accounts: {accounts}"
            table = Table("query", "rows", "median ms", title=size, title_justify="left")
            analyst = await answers.connect_as_analyst(url)
            for path in QUERIES:
                progress.update(bar, advance=1, description=path.stem)
                query = path.read_text()
                seconds, rows = await seconds_to_answer(analyst, query, runs)
                table.add_row(path.stem, f"{rows:,}", f"{seconds * 1000:.0f}")
                if keep_plans:
                    plan = [row[0] for row in await analyst.fetch(f"{_EXPLAIN} {query}")]
                    path.with_suffix(".plan.txt").write_text(f"{size}\n\n{lasting(plan)}")
            await analyst.close()
    return table


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=NUMBERS)
    parser.add_argument("--accounts", type=int, default=1, help="how many share the numbers")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-plans", action="store_true", help="leave the recorded plans as they are")
    given = parser.parse_args()
    console = Console()
    console.print(
        asyncio.run(measure(given.numbers, given.accounts, given.runs, keep_plans=not given.no_plans, console=console))
    )


if __name__ == "__main__":
    main()
