"""Measures one `syncer run` that polls tens of thousands of accounts: how late polls start, CPU time and memory.

    python -m benchmarks.fleet --accounts 1000 10000 50000 --old-runs 50

makes the table of docs/operations.md, in an hour and a half on a machine that does nothing else: a row for each number
of accounts, and one more for the largest while retention deletes fifty old runs of each account. Each row is of fifteen
minutes (`--minutes`), after one interval in which all numbers are new.

Everything runs on this machine: the daemon, started as by an operator, with an accounts file; an endpoint with an
account for each token, of whose responses one in three differs in a number from the one before; PostgreSQL, configured
or embedded. How late a poll is follows from the database: an account is due once per interval, counted from the time in
its schedule. With rules, notices of all events are sent to a webhook, which the endpoint serves, too. Each row has an
embedded server of its own; a configured database keeps the accounts of the rows before.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import secrets
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from isal.igzip import compress as gzip_compress
from rich.console import Console
from rich.table import Table

from benchmarks.endpoint import endpoint
from benchmarks.processes import daemon
from benchmarks.server import configured_server, connection_to, migrate_to_newest
from syncer.emulator import Fleet
from syncer.store.accounts import register_accounts
from syncer.store.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

CHANGED_EVERY: Final = 3
"""One of this many responses of an account differs from the one before."""
_LISTS: Final = 16
"""The number of different lists; the accounts that have the same one differ in their `app_id`, in each number."""
_VERSIONS: Final = 12
"""The number of versions of a list, after which it is the first one again."""
_APP_ID: Final = b'"app_id":10000000'
_GZIP: Final = {hdrs.CONTENT_ENCODING: "gzip"}
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_SERVER_SETTINGS: Final = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
"""Settings of an embedded server: memory as a server for such a fleet gets it."""

# Runs of two days ago that found nothing, as a daemon leaves them that was stopped since.
_INSERT_OLD_RUNS: Final = """
insert into syncer.sync_run (account_id, trigger, started_at, finished_at, outcome, received, unchanged)
select account_id, 'schedule', now() - interval '2 days' + number * interval '1 minute',
       now() - interval '2 days' + number * interval '1 minute', 'unchanged', $2, $2
  from generate_series(1, $1) number cross join syncer.account
 order by number, account_id
"""
_COUNT_OLD_RUNS: Final = "select count(*) from syncer.sync_run where started_at < now() - interval '1 day'"
# How many seconds after its due time each run started, and the longest pause between two runs of an account.
_LATE: Final = """
with late as (
    select r.account_id, r.started_at, r.outcome,
           mod(mod(extract(epoch from r.started_at - s.due_at), $1) + $1, $1)::float8 as seconds,
           floor(extract(epoch from r.started_at - $2) / $1)::integer as round,
           extract(epoch from r.started_at - lag(r.started_at) over (partition by r.account_id order by r.run_id))
               as pause
      from syncer.sync_run r join syncer.account_schedule s using (account_id)
     where r.trigger = 'schedule' and r.started_at >= $2
)
"""
_LATENESS: Final = f"""
{_LATE}
select round, count(*) as polls, count(distinct account_id) as accounts,
       count(*) / extract(epoch from max(started_at) - min(started_at)) as per_second,
       count(*) filter (where outcome = 'applied') as applied,
       count(*) filter (where outcome = 'failed') as failed, max(pause) as longest_pause,
       percentile_cont(array[0.5, 0.9, 0.99, 1]) within group (order by seconds)
           filter (where outcome in ('applied', 'unchanged')) as lateness
  from late group by round order by round
"""  # noqa: S608 - only _LATE of this file is put in; values are parameters
_SUMMARY: Final = f"""
{_LATE}
select count(*) / extract(epoch from max(started_at) - min(started_at)) as per_second,
       count(*) filter (where outcome = 'applied')::float8 / count(*) as changed,
       percentile_cont(array[0.5, 0.99, 1]) within group (order by seconds) as lateness
  from late where outcome in ('applied', 'unchanged')
"""  # noqa: S608 - only _LATE of this file is put in; values are parameters


def emulated_vendor(numbers: int, hanging: int) -> web.Application:
    """Returns an endpoint with an account for each token; the requests of the first `hanging` ones never return.

    An account's compressed response is kept until it changes, so that a request costs as little as it can: the endpoint
    shares the processors with what is measured.
    """
    lists = [_versions(numbers, seed) for seed in range(_LISTS)]
    requests: dict[int, int] = {}
    compressed: dict[int, tuple[int, bytes]] = {}

    async def answer(request: web.Request) -> web.Response:
        account = int(request.headers[hdrs.AUTHORIZATION].rpartition("-")[2])
        if account < hanging:
            await asyncio.Event().wait()
        requests[account] = requests.get(account, account) + 1
        version = requests[account] // CHANGED_EVERY
        kept, body = compressed.get(account, (None, b""))
        if kept != version:
            plain = lists[account % _LISTS][version % _VERSIONS].replace(_APP_ID, b'"app_id":%d' % (10**7 + account))
            body = gzip_compress(plain, mtime=0)
            compressed[account] = version, body
        return web.Response(body=body, content_type="application/json", headers=_GZIP)

    application = web.Application()

    async def receive(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    application.router.add_get("/numbers/virtual-number", answer)
    application.router.add_post("/webhook", receive)
    return application


def _versions(numbers: int, seed: int) -> list[bytes]:
    """Returns the bodies that a list has one after another: in each, one number has changed."""
    fleet = Fleet(numbers=numbers, seed=seed, app_id=10**7)
    generator = fleet.generator
    changes = cycle([generator.change_state, generator.edit_comment, generator.change_redirects, generator.reassign])
    bodies = []
    for number in islice(cycle(record["id"] for record in fleet.records()), _VERSIONS):
        bodies.append(fleet.body())
        fleet.update_numbers([number], next(changes))
    return bodies


@contextmanager
def files(accounts: int, rules: int, receiver: str) -> Iterator[dict[str, str]]:
    """Writes an accounts file with this many accounts, and a notify file with this many rules; yields the settings."""
    with tempfile.TemporaryDirectory(prefix="syncer-fleet-") as folder:
        accounts_file, notify_file = Path(folder) / "accounts.toml", Path(folder) / "notify.toml"
        accounts_file.write_text(
            "\n".join(f'[[account]]\nname = "account {number}"\ntoken = "token-{number}"' for number in range(accounts))
        )
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        notify_file.write_text(
            f'[[channel]]\nname = "receiver"\nkind = "webhook"\nurl = "{receiver}"\nsecret = "whsec_{secret}"\n'
            + "\n".join(f'[[rule]]\nname = "rule {number}"\nchannels = ["receiver"]' for number in range(rules))
        )
        settings = {"accounts_file": str(accounts_file)}
        yield settings | ({"notify_file": str(notify_file)} if rules else {})


@dataclass(frozen=True)
class Usage:
    """CPU seconds, resident bytes and their peak of processes; shared memory is counted once per process."""

    seconds: float
    resident_bytes: int
    peak_bytes: int

    @classmethod
    def of_process(cls, pid: int) -> Usage:
        """Returns the usage so far of a process and its children, including children that have exited."""
        ticks = pages = peak = 0
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *children):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
                pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
                status = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
                peak += int(status.get("VmHWM", "0").split()[0]) * 1024  # a process that has exited has none
        return cls(ticks / _CLOCK_TICKS, pages * _PAGE_BYTES, peak)


async def server_pid(database_url: str) -> int:
    """Returns the process id of PostgreSQL, which must run on this machine."""
    async with connection_to(database_url) as connection:
        return parent_pid(connection.get_server_pid())


def parent_pid(pid: int) -> int:
    """Returns the process id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def print_usage(console: Console, minutes: float, processes: dict[str, int]) -> None:
    """Waits, and prints the usage of each process per minute."""
    table = Table("minute", *(f"{name}: CPU, MiB, peak" for name in processes), "load", title="Per minute")
    before = {name: Usage.of_process(pid) for name, pid in processes.items()}
    begun = last = time.monotonic()
    while (elapsed := time.monotonic() - begun) < minutes * 60:
        time.sleep(min(60, minutes * 60 - elapsed))
        now = time.monotonic()
        row = []
        for name, pid in processes.items():
            usage = Usage.of_process(pid)
            share = (usage.seconds - before[name].seconds) / (now - last)
            row.append(f"{share:.0%}, {usage.resident_bytes / 2**20:.0f}, {usage.peak_bytes / 2**20:.0f}")
            before[name] = usage
        table.add_row(f"{(now - begun) / 60:.1f}", *row, f"{os.getloadavg()[0]:.1f}")
        last = now
    console.print(table)


async def lateness_table(database_url: str, interval: int, since: datetime) -> Table:
    """Returns how late polls started that began since a moment, with one row per interval."""
    async with connection_to(database_url) as connection:
        rows = await connection.fetch(_LATENESS, interval, since)
    headings = ("interval", "polls", "per second", "accounts", "applied", "failed", "longest pause")
    table = Table(*headings, "late: p50", "p90", "p99", "max")
    for row in rows:
        counts = [row["polls"], f"{row['per_second'] or 0:.1f}", row["accounts"], row["applied"], row["failed"]]
        late = [f"{seconds:.2f} s" for seconds in row["lateness"] or []]
        table.add_row(str(row["round"] + 1), *map(str, counts), f"{row['longest_pause'] or 0:.1f} s", *late)
    return table


async def database_time(database_url: str) -> datetime:
    """Returns the time of the database's clock."""
    async with connection_to(database_url) as connection:
        now: datetime = await connection.fetchval("select now()")
    return now


_NOTICES: Final = """
select rule, count(*) as notices, count(*) filter (where outcome = 'sent') as sent,
       percentile_cont(array[0.5, 0.9, 0.99, 1]) within group (order by delay_seconds::float8) as delay
  from analytics.notifications group by rule order by rule
"""


async def notices_table(database_url: str) -> Table:
    """Returns how long after their polls notices were sent, with one row per rule."""
    async with connection_to(database_url) as connection:
        rows = await connection.fetch(_NOTICES)
    table = Table("rule", "notices", "sent", "after: p50", "p90", "p99", "max")
    for row in rows:
        delay = [f"{seconds:.2f} s" for seconds in row["delay"] or []]
        table.add_row(row["rule"], str(row["notices"]), str(row["sent"]), *delay)
    return table


async def insert_old_runs(database_url: str, accounts: int, old_runs: int, numbers: int) -> None:
    """Registers the accounts, and gives each this many runs that retention will delete."""
    await migrate_to_newest(database_url)
    engine = Engine(lambda: database_url, command_timeout=None)
    await register_accounts(engine, {f"account {number}": "Europe/Moscow" for number in range(accounts)})
    await engine.dispose()
    async with connection_to(database_url) as connection:
        await connection.execute(_INSERT_OLD_RUNS, old_runs, numbers)
        await connection.execute("vacuum analyze syncer.sync_run")


async def summary_row(
    database_url: str, interval: int, since: datetime, processes: dict[str, int], before: dict[str, Usage]
) -> list[str]:
    """Returns what happened since a moment: polls per second, how late they were, CPU time and memory."""
    async with connection_to(database_url) as connection:
        (row,) = await connection.fetch(_SUMMARY, interval, since)
        seconds = await connection.fetchval("select extract(epoch from now() - $1)::float8", since)
        old_runs = await connection.fetchval(_COUNT_OLD_RUNS)
    used = []
    for name in ("daemon", "PostgreSQL"):
        usage = Usage.of_process(processes[name])
        share = (usage.seconds - before[name].seconds) / seconds
        used.append(f"{share:.0%} of a core" + (f", {usage.peak_bytes / 2**20:.0f} MiB" if name == "daemon" else ""))
    late = ", ".join(f"{each:.1f} s" for each in row["lateness"])
    return [f"{row['per_second']:.0f}", f"{row['changed']:.0%}", late, *used, f"{old_runs:,}"]


def measure(console: Console, accounts: int, old_runs: int, arguments: argparse.Namespace) -> list[str]:
    """Measures one daemon, prints the details, and returns a row for the summary."""
    with ExitStack() as stack:
        url = stack.enter_context(configured_server(_SERVER_SETTINGS))
        if old_runs:
            asyncio.run(insert_old_runs(url, accounts, old_runs, arguments.numbers))
        served = stack.enter_context(endpoint(emulated_vendor, arguments.numbers, arguments.hanging))
        settings = stack.enter_context(files(accounts, arguments.rules, f"{served.url}/webhook"))
        running = stack.enter_context(
            daemon(
                database_url=url,
                api_url=served.url,
                **settings,
                poll_interval=f"{arguments.interval}s",
                http_listen="off",
                log_level="error",
            )
        )
        begun = asyncio.run(database_time(url))
        time.sleep(5)
        processes = {"daemon": running.pid, "endpoint": served.pid, "PostgreSQL": asyncio.run(server_pid(url))}
        print_usage(console, arguments.interval / 60, processes)
        since = asyncio.run(database_time(url))
        before = {name: Usage.of_process(pid) for name, pid in processes.items()}
        print_usage(console, arguments.minutes, processes)
        row = asyncio.run(summary_row(url, arguments.interval, since, processes, before))
        console.print(asyncio.run(lateness_table(url, arguments.interval, begun)))
        if arguments.rules:
            console.print(asyncio.run(notices_table(url)))
    return [f"{accounts:,}" + (f", {old_runs} old runs each" if old_runs else ""), *row]


def main() -> None:
    """Measures and prints the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000], help="one row for each number of accounts")
    parser.add_argument("--old-runs", type=int, default=0, help="measure the last again with this many old runs each")
    parser.add_argument("--numbers", type=int, default=100, help="numbers per account")
    parser.add_argument("--interval", type=int, default=300, help="seconds from one poll of an account to the next")
    parser.add_argument("--hanging", type=int, default=0, help="accounts whose requests never return")
    parser.add_argument("--rules", type=int, default=0, help="rules of the notify file; 0 for no notices")
    parser.add_argument("--minutes", type=float, default=15, help="minutes for each row, after the first interval")
    arguments = parser.parse_args()
    console = Console(width=160)
    headings = ("accounts", "polls per second", "changed", "late: half, 99 %, all", "daemon", "PostgreSQL")
    table = Table(*headings, "old runs left", title="Summary")
    rows = [(accounts, 0) for accounts in arguments.accounts]
    if arguments.old_runs:
        rows.append((arguments.accounts[-1], arguments.old_runs))
    for accounts, old_runs in rows:
        table.add_row(*measure(console, accounts, old_runs, arguments))
    console.print(table)


if __name__ == "__main__":
    main()
