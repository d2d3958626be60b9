"""Two years of history that look as if polls had written them, and how long proving the invariants on them takes.

    python -m benchmarks.history

`make_history` writes the same rows every time, by the scripts of the folder `history`, in databases of its own that are
dropped when their block ends: beside the one that SYNCER_DATABASE_URL names, or on an embedded server in a temporary
folder. Every number lives through six versions, as one of five kinds of life; a tenth of a million rows take the same
shape as a million.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.table import Table

from benchmarks.server import configured_server, connected, make_schema
from syncer.store.engine import create_engine
from syncer.store.invariants import find_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

NUMBERS: Final = 100_000
_LOOKS: Final = 2 * 365 * 24
_SCRIPTS: Final = tuple(sorted(Path(__file__).with_name("history").glob("*.sql")))


async def make_history(url: str, numbers: int = NUMBERS, *, accounts: int = 2) -> None:
    """Fills a database that has the newest schema and no account: ten rows of history for each number.

    Args:
        url: The database's address.
        numbers: How many, in all accounts together; a multiple of five times `accounts` gives exactly ten rows each.
        accounts: How many share them; they have the same ids.
    """
    async with connected(url) as connection:
        async with connection.transaction():
            await connection.execute("set local synchronous_commit = off")
            await connection.execute("set local jit = off")
            await connection.execute("create temp table scale (numbers integer, accounts integer, looks integer)")
            await connection.execute("insert into scale values ($1, $2, $3)", numbers, accounts, _LOOKS)
            for script in _SCRIPTS:
                await connection.execute(script.read_text())
                await _analyze_staged(connection)
        await connection.execute("vacuum analyze")


async def _analyze_staged(connection: asyncpg.Connection[Any]) -> None:
    """Nobody else does it for temporary tables."""
    for name in await connection.fetch("select relname from pg_class where relpersistence = 't' and relkind = 'r'"):
        await connection.execute(f"analyze pg_temp.{name[0]}")


@asynccontextmanager
async def database_with_history(server_url: str, numbers: int = NUMBERS, *, accounts: int = 2) -> AsyncIterator[str]:
    """The address of a database of its own beside the given one, with the newest schema and a history."""
    name = f"syncer_benchmark_{os.getpid()}_{numbers}"
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    async with connected(server_url) as owner:
        await owner.execute(f"create database {name}")
        try:
            await make_schema(url)
            await make_history(url, numbers, accounts=accounts)
            yield url
        finally:
            await owner.execute(f"drop database {name} with (force)")


async def rows_of_history(url: str) -> int:
    """How many rows the three history tables have."""
    async with connected(url) as connection:
        count = await connection.fetchval(
            """
            select (select count(*) from syncer.virtual_number_history) + (select count(*) from syncer.state_history)
                   + (select count(*) from syncer.virtual_number_redirect)
            """
        )
    return int(count)


async def seconds_to_prove(url: str) -> float:
    """How long `syncer check --data` takes to find nothing.

    Raises:
        AssertionError: It found something.
    """
    engine = create_engine(lambda: url)
    begun = time.perf_counter()
    broken = [str(violation) async for violation in find_violations(engine)]
    seconds = time.perf_counter() - begun
    await engine.dispose()
    if broken:
        raise AssertionError("\n".join(broken[:10]))
    return seconds


async def _measure(server_url: str) -> Table:
    table = Table("numbers", "rows of history", "seconds", "seconds a million rows", title="Proving the invariants")
    for numbers in (NUMBERS // 10, NUMBERS):
        async with database_with_history(server_url, numbers) as url:
            rows = await rows_of_history(url)
            seconds = min([await seconds_to_prove(url) for _ in range(3)])
        table.add_row(f"{numbers:,}", f"{rows:,}", f"{seconds:.2f}", f"{seconds / rows * 1e6:.2f}")
    return table


def main() -> None:
    """Measures and prints."""
    with configured_server() as url:
        Console().print(asyncio.run(_measure(url)))


if __name__ == "__main__":
    main()
