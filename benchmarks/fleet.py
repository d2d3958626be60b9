"""Ten thousand accounts polled by one `syncer run`: how late polls begin, what they cost, and in how much memory.

    python -m benchmarks.fleet --accounts 10000 --numbers 100 --interval 300 --minutes 10

Everything runs on this machine: the daemon as an operator starts it, with an accounts file; an endpoint of which each
token is an account, every 101st answer changed; PostgreSQL, as configured or embedded. How late a poll is stands in
the database: an account is due every interval from the moment that its schedule names.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from rich.console import Console
from rich.table import Table

from benchmarks.endpoint import endpoint
from benchmarks.processes import daemon
from benchmarks.server import configured_server, connected
from syncer.emulator import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGED_EVERY: Final = 101
"""Of so many answers one is changed: a prime, so that it is not always the same accounts'."""
CHANGED_NUMBERS: Final = 0.05
"""Of the numbers of an answer that changed."""
_KINDS: Final = 16
"""So many different lists are made up; which of them an account has is up to its token."""
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

# What a run was late, in seconds, since the moment that was its account's.
_LATENESS: Final = """
with late as (
    select r.account_id, r.started_at, r.outcome,
           mod(mod(extract(epoch from r.started_at - s.due_at), $1) + $1, $1)::float8 as seconds,
           floor(extract(epoch from r.started_at - min(r.started_at) over ()) / $1)::integer as round
      from syncer.sync_run r join syncer.account_schedule s using (account_id)
     where r.trigger = 'schedule'
)
select round, count(*) as polls, count(distinct account_id) as accounts,
       count(*) filter (where outcome = 'applied') as applied,
       count(*) filter (where outcome = 'failed') as failed,
       percentile_cont(array[0.5, 0.9, 0.99, 1]) within group (order by seconds)
           filter (where outcome in ('applied', 'unchanged')) as lateness
  from late group by round order by round
"""


def vendor(numbers: int, hanging: int) -> web.Application:
    """What answers: to each token, its account, but for the first ones, which wait for ever."""
    bodies = []
    for kind in range(_KINDS):
        fleet = Fleet(numbers=numbers, seed=kind, app_id=1 + kind)
        before = fleet.body()
        fleet.change_fraction(CHANGED_NUMBERS)
        bodies.append((before, fleet.body()))
    versions: dict[int, int] = {}
    answers = count(1)

    async def answer(request: web.Request) -> web.Response:
        account = int(request.headers[hdrs.AUTHORIZATION].rpartition("-")[2])
        if account < hanging:
            await asyncio.Event().wait()
        versions[account] = versions.get(account, 0) ^ (next(answers) % CHANGED_EVERY == 0)
        return web.Response(body=bodies[account % _KINDS][versions[account]], content_type="application/json")

    application = web.Application()
    application.router.add_get("/numbers/virtual-number", answer)
    return application


@contextmanager
def accounts_file(accounts: int) -> Iterator[Path]:
    """The file that configures so many accounts."""
    with tempfile.TemporaryDirectory(prefix="syncer-fleet-") as folder:
        file = Path(folder) / "accounts.toml"
        file.write_text(
            "\n".join(f'[[account]]\nname = "account {one}"\ntoken = "token-{one}"' for one in range(accounts))
        )
        yield file


@dataclass(frozen=True)
class Spent:
    """CPU seconds, and resident bytes, those that processes share counted with each of them."""

    seconds: float
    resident_bytes: int

    @classmethod
    def by(cls, pid: int) -> Spent:
        """What a process and its children have spent until now, those included that have ended."""
        ticks = pages = 0
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *children):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
                pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        return cls(ticks / _CLOCK_TICKS, pages * _PAGE_BYTES)


async def server_pid(database_url: str) -> int:
    """The process id of PostgreSQL, which has to run on this machine."""
    async with connected(database_url) as connection:
        return parent_pid(connection.get_server_pid())


def parent_pid(pid: int) -> int:
    """The process id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def watch(console: Console, minutes: float, processes: dict[str, int]) -> None:
    """Lets it run, and says every minute what each part of it takes."""
    table = Table("minute", *(f"{name}: CPU, MiB" for name in processes), "load", title="Per minute")
    before = {name: Spent.by(pid) for name, pid in processes.items()}
    begun = then = time.monotonic()
    while (elapsed := time.monotonic() - begun) < minutes * 60:
        time.sleep(min(60, minutes * 60 - elapsed))
        now = time.monotonic()
        row = []
        for name, pid in processes.items():
            spent = Spent.by(pid)
            share = (spent.seconds - before[name].seconds) / (now - then)
            row.append(f"{share:.0%}, {spent.resident_bytes / 2**20:.0f}")
            before[name] = spent
        table.add_row(f"{(now - begun) / 60:.1f}", *row, f"{os.getloadavg()[0]:.1f}")
        then = now
    console.print(table)


async def lateness(database_url: str, interval: int) -> Table:
    """How late polls began, one row an interval."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_LATENESS, interval)
    table = Table("interval", "polls", "a second", "accounts", "applied", "failed", "late: p50", "p90", "p99", "most")
    for row in rows:
        counts = [row["polls"], f"{row['polls'] / interval:.1f}", row["accounts"], row["applied"], row["failed"]]
        late = [f"{seconds:.2f} s" for seconds in row["lateness"] or []]
        table.add_row(str(row["round"] + 1), *map(str, counts), *late)
    return table


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--numbers", type=int, default=100, help="of each account")
    parser.add_argument("--interval", type=int, default=300, help="seconds from one poll of an account to the next")
    parser.add_argument("--hanging", type=int, default=0, help="so many of the accounts are never answered")
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    console = Console(width=160)
    with (
        configured_server() as url,
        endpoint(vendor, given.numbers, given.hanging) as served,
        accounts_file(given.accounts) as accounts,
        daemon(
            database_url=url,
            api_url=served.url,
            accounts_file=str(accounts),
            poll_interval=f"{given.interval}s",
            http_listen="off",
            log_level="error",
        ) as running,
    ):
        time.sleep(5)
        processes = {"daemon": running.pid, "endpoint": served.pid, "PostgreSQL": asyncio.run(server_pid(url))}
        watch(console, given.minutes, processes)
        console.print(asyncio.run(lateness(url, given.interval)))


if __name__ == "__main__":
    main()
