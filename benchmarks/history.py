"""Generates two years of history as polls would have written it, and measures how long checking the invariants takes.

    python -m benchmarks.history [--numbers 10000 100000] [--lives 1]

`generate_history` writes the same rows every time, with the scripts of the folder `history`. The databases are new, on
the server of SYNCER_DATABASE_URL or on an embedded one, and are dropped afterwards. Every number has six versions in
each of its lives, and follows one of five life cycles; a history of a hundred thousand rows has the same proportions as
one of a million.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.table import Table

from benchmarks.server import configured_server, connection_to, migrate_to_newest
from syncer.store.day_summaries import summarise_days
from syncer.store.engine import Engine
from syncer.store.invariants import find_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

NUMBERS: Final = 100_000
_DAYS: Final = 2 * 365
_POLLS: Final = _DAYS * 24
END: Final = date(2024, 7, 1) + timedelta(days=_DAYS)
"""The day on which the history ends."""
A_NUMBER: Final = "79000000043"
_SCRIPTS: Final = tuple(sorted(Path(__file__).with_name("history").glob("*.sql")))


async def generate_history(url: str, numbers: int = NUMBERS, *, accounts: int = 2, lives: int = 1) -> None:
    """Fills a database that has the newest schema and no accounts with ten rows of history per number and life.

    Args:
        url: The database's address.
        numbers: The number of numbers in all accounts; a multiple of five times `accounts` gives exactly ten rows each.
        accounts: The number of accounts that share them; all use the same ids.
        lives: How often each number goes through its life cycle in the two years; there are as many polls per hour.
    """
    async with connection_to(url) as connection:
        async with connection.transaction():
            await connection.execute("set local synchronous_commit = off")
            await connection.execute("set local jit = off")
            await connection.execute(
                "create temp table scale (numbers integer, accounts integer, polls integer, lives integer)"
            )
            await connection.execute("insert into scale values ($1, $2, $3, $4)", numbers, accounts, _POLLS, lives)
            for script in _SCRIPTS:
                await connection.execute(script.read_text())
                await _analyze_temporary_tables(connection)
        account_ids = [account_id for (account_id,) in await connection.fetch("select account_id from syncer.account")]
        await _summarise_days(url, account_ids)
        await connection.execute("vacuum analyze")


async def _summarise_days(url: str, account_ids: Sequence[int]) -> None:
    """Summarises the days that have ended, as a daemon has done after two years."""
    engine = Engine(lambda: url, command_timeout=None)
    for account_id in account_ids:
        while await summarise_days(engine, account_id) == "more":
            pass
    await engine.dispose()


async def _analyze_temporary_tables(connection: asyncpg.Connection[Any]) -> None:
    """Updates the statistics of temporary tables, which autovacuum does not process."""
    for name in await connection.fetch("select relname from pg_class where relpersistence = 't' and relkind = 'r'"):
        await connection.execute(f"analyze pg_temp.{name[0]}")


@asynccontextmanager
async def database_with_history(
    server_url: str, numbers: int = NUMBERS, *, accounts: int = 2, lives: int = 1
) -> AsyncIterator[str]:
    """Creates a database with the newest schema and a history on the server; yields its address, and drops it."""
    name = f"syncer_benchmark_{os.getpid()}_{numbers}"
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    async with connection_to(server_url) as owner:
        await owner.execute(f"create database {name}")
        try:
            await migrate_to_newest(url)
            await generate_history(url, numbers, accounts=accounts, lives=lives)
            yield url
        finally:
            await owner.execute(f"drop database {name} with (force)")


async def count_history_rows(url: str) -> int:
    """Returns the number of rows in the history tables, and of what is in force."""
    async with connection_to(url) as connection:
        count = await connection.fetchval(
            """
            select (select count(*) from syncer.number_version) + (select count(*) from syncer.state_period)
                   + (select count(*) from syncer.redirect_period)
            """
        )
    return int(count)


async def measure_check(url: str) -> float:
    """Returns how many seconds `syncer check --data` takes when it finds nothing.

    Raises:
        AssertionError: It found a violation.
    """
    engine = Engine(lambda: url)
    begun = time.perf_counter()
    violations = [str(violation) async for violation in find_violations(engine)]
    seconds = time.perf_counter() - begun
    await engine.dispose()
    if violations:
        raise AssertionError("\n".join(violations[:10]))
    return seconds


async def _measure(server_url: str, sizes: Sequence[int], lives: int) -> Table:
    table = Table("numbers", "rows of history", "seconds", "seconds per million rows", title="Checking the invariants")
    for numbers in sizes:
        async with database_with_history(server_url, numbers, lives=lives) as url:
            rows = await count_history_rows(url)
            seconds = min([await measure_check(url) for _ in range(3)])
        table.add_row(f"{numbers:,}", f"{rows:,}", f"{seconds:.2f}", f"{seconds / rows * 1e6:.2f}")
    return table


def main() -> None:
    """Measures and prints the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, nargs="+", default=[NUMBERS // 10, NUMBERS])
    parser.add_argument("--lives", type=int, default=1, help="how much history: each has ten rows a number")
    arguments = parser.parse_args()
    with configured_server() as url:
        Console().print(asyncio.run(_measure(url, arguments.numbers, arguments.lives)))


if __name__ == "__main__":
    main()
