"""When lists of names are read: by daemons, after restarts and reloads, and not at all; no poll depends on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest

from syncer.emulator import STATIC, Emulator, faults
from syncer.names.reader import MAX_POLLS
from tests.builders import running_daemon, settings_for
from tests.integration.test_logs import log_lines
from tests.integration.test_notifier import polls, until
from tests.named_account import PATHS, NamedAccount, read_due
from tests.service.processes import Gate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.daemon.scheduler import Daemon
    from syncer.emulator.fault import Fault
    from syncer.store.engine import Engine
    from tests.integration.test_logs import ReadLogLines

__all__ = ["log_lines"]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ALL = ("employees", "groups", "scenarios")
LISTS = sorted(PATHS)
READ = "select count(*) from syncer.name_list where outcome in ('read', 'unchanged')"
FAILED = "select count(*) from syncer.name_list where outcome = 'failed'"
DUE = (
    "select list, round(extract(epoch from due_at - syncer.clock()) / 60)::integer from syncer.name_list "
    "where due_at is not null order by list"
)


@pytest.fixture
async def named(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[NamedAccount]:
    async with NamedAccount(engine, emulator, sql, settings_for(emulator)) as account:
        yield account


async def until_read(sql: asyncpg.Connection, count: int) -> None:
    """Waits until so many lists have been read."""

    async def is_read() -> bool:
        return bool(await sql.fetchval(READ) == count)

    await until(is_read)


async def rows(sql: asyncpg.Connection, query: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a query."""
    return [tuple(row) for row in await sql.fetch(query)]


def name_requests(emulator: Emulator) -> dict[str, int]:
    """Returns how often each list of names was requested."""
    return {name: emulator.requests_by_path[path] for name, path in PATHS.items() if emulator.requests_by_path[path]}


def reload(daemon: Daemon, **changes: Any) -> None:
    """Reads the accounts again, as SIGHUP does, with these changes of each."""
    daemon.set_accounts([replace(account, **changes) for account in daemon._accounts.values()])  # noqa: SLF001 - no file has them here


async def test_a_daemon_reads_each_list_once_and_again_only_when_it_is_due(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
        await until_read(sql, 5)
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
        await sql.execute(
            "update syncer.name_list set outcome = null, due_at = due_at - interval '1 hour' where list = 'groups'"
        )
        await until_read(sql, 5)

    assert name_requests(emulator) == dict.fromkeys(LISTS, 1) | {"groups": 2}
    assert await sql.fetchval("select count(lease_holder) from syncer.name_list") == 0


async def test_two_daemons_read_each_list_of_each_account_once(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    accounts = [f"account {number}" for number in range(8)]
    async with (
        running_daemon(emulator, database, names=accounts, lists=ALL),
        running_daemon(emulator, database, names=accounts, lists=ALL),
    ):
        await until_read(sql, 40)

    assert name_requests(emulator) == dict.fromkeys(LISTS, 8)


async def test_with_names_off_nothing_is_requested_and_no_row_is_written(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with running_daemon(emulator, database, poll_interval=SECOND) as daemon:
        await polls(sql, 3)
        metrics = [family.name for family in daemon.metrics.registry.collect() for _ in family.samples]

    async with aiohttp.ClientSession() as http, http.get(f"{emulator.url}/emulator/stats") as response:
        assert (await response.json())["requests_by_path"].keys() == {"/numbers/virtual-number"}
    stored = "select (select count(*) from syncer.name), (select count(*) from syncer.name_list)"
    assert await rows(sql, stored) == [(0, 0)]
    assert not [name for name in metrics if "names" in name]


async def test_lists_that_no_account_reads_any_more_are_not_due_and_their_names_stay(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with running_daemon(emulator, database, lists=ALL) as daemon:
        await until_read(sql, 5)
        names = await sql.fetchval("select count(*) from syncer.name")
        reload(daemon, names=("groups",))
        await until(lambda: sql.fetchval("select count(due_at) = 1 from syncer.name_list"))
        assert await rows(sql, DUE) == [("groups", 60)]
    async with running_daemon(emulator, database):
        await until(lambda: sql.fetchval("select count(due_at) = 0 from syncer.name_list"))

    assert await sql.fetchval("select count(*) from syncer.name") == names
    assert name_requests(emulator) == dict.fromkeys(LISTS, 1)


async def test_a_list_that_failed_is_asked_for_again_when_the_daemon_starts_and_when_it_reads_its_accounts(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async def until_failed(requests: int) -> None:
        async def has_failed() -> bool:
            is_refused = "select count(*) = 1 from syncer.name_list where due_at > syncer.clock() + interval '23 hours'"
            return name_requests(emulator).get("employees") == requests and await sql.fetchval(is_refused)

        await until(has_failed)

    emulator.queue(faults.Status(path="/employee", status=403))
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
        await until_read(sql, 4)
        await until_failed(1)
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND) as daemon:
        await until_failed(2)
        assert await rows(sql, DUE) == [(name, 1440 if name == "employees" else 60) for name in LISTS]
        reload(daemon)
        await until_failed(3)
        emulator.fault = None
        reload(daemon)
        await until_read(sql, 5)

    assert name_requests(emulator) == dict.fromkeys(LISTS, 1) | {"employees": 4}


async def test_a_shorter_interval_and_a_clock_that_was_set_back_bring_due_times_forward(
    named: NamedAccount, sql: asyncpg.Connection
) -> None:
    await named.read(words=("employees", "groups"))
    await sql.execute("update syncer.name_list set due_at = due_at + interval '30 days' where list = 'groups'")
    named.settings = named.settings.model_copy(update={"names_interval": timedelta(minutes=20)})
    accounts = await named.accounts("employees", "groups")
    await read_due(named.reader(), accounts)

    assert await rows(sql, DUE) == [("employees", 20), ("groups", 20)]


async def test_a_lease_that_is_over_is_taken_by_another_process_and_the_late_one_writes_nothing(
    named: NamedAccount, sql: asyncpg.Connection
) -> None:
    accounts = await named.accounts("employees")
    late, other = named.reader(), named.reader()
    opened = asyncio.Event()
    named.emulator.queue(Gate(path="/employee", requests=1, opened=opened))
    reading = asyncio.create_task(read_due(late, accounts))
    await until(lambda: sql.fetchval("select count(lease_holder) = 1 from syncer.name_list"))
    await sql.execute("update syncer.name_list set lease_until = syncer.clock()")
    await until(lambda: asyncio.sleep(0, bool(name_requests(named.emulator))))
    await read_due(other, accounts)
    before = await rows(sql, "select xmin::text from syncer.name_list union all select xmin::text from syncer.name")
    opened.set()
    await reading

    assert name_requests(named.emulator) == {"employees": 2}
    assert (
        await rows(sql, "select xmin::text from syncer.name_list union all select xmin::text from syncer.name")
        == before
    )


async def test_no_request_is_begun_while_many_polls_are_in_progress(
    named: NamedAccount, sql: asyncpg.Connection
) -> None:
    accounts = await named.accounts("employees")
    in_progress = [MAX_POLLS]
    task = asyncio.create_task(named.reader().run(lambda: accounts, lambda: in_progress[0]))
    await until(lambda: sql.fetchval("select count(*) = 1 from syncer.name_list"))
    await asyncio.sleep(0.3)
    assert name_requests(named.emulator) == {}
    in_progress[0] -= 1
    await until_read(sql, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_at_most_four_lists_are_read_at_a_time(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(*(faults.Hang(path=path) for path in PATHS.values()))
    accounts = [f"account {number}" for number in range(3)]
    async with running_daemon(emulator, database, names=accounts, lists=ALL, poll_interval=SECOND):
        await polls(sql, 12)
        assert sum(name_requests(emulator).values()) == 4
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2
    assert await sql.fetchval("select count(lease_holder) from syncer.name_list") == 0


OF_ALL = [
    faults.Hang(),
    faults.SlowDrip(chunk=1, interval=0.05),
    faults.Reset(),
    faults.GzipBomb(mebibytes=64),
    faults.Status(status=401),
    faults.Html(),
]


@pytest.mark.parametrize("fault", OF_ALL, ids=lambda fault: type(fault).__name__)
async def test_no_poll_depends_on_a_list_that_fails(
    fault: Fault, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(*(msgspec.structs.replace(fault, path=path) for path in PATHS.values()))
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND, api_timeout=20 * SECOND):
        await until(lambda: asyncio.sleep(0, len(name_requests(emulator)) >= 4))
        count = await sql.fetchval("select count(*) from syncer.sync_run")
        await polls(sql, count + 4)

    assert await rows(sql, "select distinct outcome from syncer.sync_run order by 1") == [("applied",), ("unchanged",)]
    # The requests for the lists last for up to 20 seconds.
    assert await sql.fetchval("select max(finished_at - started_at) < interval '10 seconds' from syncer.sync_run")


async def test_large_lists_that_drip_take_no_slot_and_no_connection_of_large_polls(
    database: str, sql: asyncpg.Connection
) -> None:
    async with Emulator(numbers=3_000, rates=STATIC) as emulator:
        emulator.queue(*(faults.SlowDrip(path=path, chunk=300_000, interval=30) for path in PATHS.values()))
        async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
            await until(lambda: asyncio.sleep(0, len(name_requests(emulator)) >= 4))
            await polls(sql, 3)
    assert await sql.fetchval("select min(response_bytes) > 262144 from syncer.sync_run")


async def test_a_database_that_refuses_names_alone_is_reported_once_and_polls_go_on(
    emulator: Emulator, database: str, sql: asyncpg.Connection, log_lines: ReadLogLines
) -> None:
    found: list[dict[str, Any]] = []

    async def is_reported() -> bool:
        found.extend(line for line in log_lines() if line["event"] == "names_not_read")
        return bool(found)

    await sql.execute("alter table syncer.name_list rename to gone")
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
        await polls(sql, 2)
        await until(is_reported)
        await sql.execute("alter table syncer.gone rename to name_list")
        await until_read(sql, 5)
        await is_reported()

    assert [line["error"] for line in found] == [
        'database: relation "syncer.name_list" does not exist; check the server\'s log'
    ]


async def test_a_database_that_is_down_is_waited_for_without_a_line(
    emulator: Emulator, database: str, sql: asyncpg.Connection, log_lines: ReadLogLines
) -> None:
    async with running_daemon(emulator, database, lists=ALL, poll_interval=SECOND):
        await until_read(sql, 5)
        await sql.execute("update syncer.name_list set due_at = syncer.clock()")
        for _ in range(20):
            await sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.1)
        count = await sql.fetchval("select count(*) from syncer.sync_run")
        await polls(sql, count + 2)
        await until(lambda: sql.fetchval("select count(*) = 5 from syncer.name_list where due_at > syncer.clock()"))

    events = {line["event"] for line in log_lines()}
    assert not {event for event in events if "names" in event or "reader" in event} - {"names_read"}


def samples(daemon: Daemon) -> dict[tuple[str, str | None], float]:
    """Returns the metrics of lists of names, by name and list."""
    return {
        (sample.name, sample.labels.get("list")): sample.value
        for family in daemon.metrics.registry.collect()
        for sample in family.samples
        if "names" in sample.name
    }


async def test_metrics_have_each_list_that_is_read(emulator: Emulator, database: str, sql: asyncpg.Connection) -> None:
    last, failures = "syncer_names_last_success_timestamp_seconds", "syncer_names_failures_total"
    emulator.queue(faults.Status(path="/employee", status=500))
    async with running_daemon(emulator, database, lists=("employees", "groups")) as daemon:
        await until(lambda: asyncio.sleep(0, len(samples(daemon)) == 3 and samples(daemon)[failures, "employees"] == 1))
        found = samples(daemon)
    async with running_daemon(emulator, database, lists=("groups",)) as restarted:
        await until(lambda: asyncio.sleep(0, len(samples(restarted)) == 2))
        found_again = samples(restarted)

    read_at = await sql.fetchval("select success_at from syncer.name_list where list = 'groups'")
    assert found == {(last, "groups"): read_at.timestamp(), (failures, "employees"): 1.0, (failures, "groups"): 0.0}
    assert found_again == {(last, "groups"): read_at.timestamp(), (failures, "groups"): 0.0}
