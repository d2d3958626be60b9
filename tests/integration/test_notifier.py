"""The notifier in a daemon that polls: it sends soon, delays no poll, and stops cleanly."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.notices.notifier import Notifier
from syncer.telemetry.metrics import Metrics
from tests.builders import record, running_daemon
from tests.integration.test_logs import log_lines
from tests.integration.test_notices import T0, file_with, receiver, rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg
    import pytest

    from syncer.config.accounts import Account
    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.integration.test_logs import ReadLogLines
    from tests.receiver import Receiver

__all__ = ["log_lines", "receiver"]

POLLED = "select count(*) >= $1 from syncer.sync_run where outcome in ('applied', 'unchanged')"
SECOND = timedelta(seconds=1)


async def until(is_done: Callable[[], Awaitable[object]]) -> None:
    """Asks until something is so."""
    async with asyncio.timeout(30):
        while not await is_done():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


async def polls(sql: asyncpg.Connection, count: int) -> None:
    """Waits until there are so many successful polls."""
    await until(lambda: sql.fetchval(POLLED, count))


async def messages(receiver: Receiver, count: int) -> None:
    """Waits until so many requests have arrived."""

    async def have_arrived() -> bool:
        return len(receiver.requests) >= count

    await until(have_arrived)


async def test_a_change_is_sent_within_a_second_of_its_poll(
    emulator: Emulator, database: str, sql: asyncpg.Connection, receiver: Receiver
) -> None:
    async with running_daemon(emulator, database, poll_interval=SECOND, notify_file=file_with(receiver)):
        await polls(sql, 2)
        emulator.fleet("token").change_fraction(0.5)
        await messages(receiver, 1)
        await asyncio.sleep(0.2)

    rows = await sql.fetch("select delay_seconds < 1, attempts from analytics.notifications")
    assert [tuple(row) for row in rows] == [(True, 1)]


async def test_a_receiver_that_hangs_delays_no_poll_and_not_the_end_of_the_daemon(
    emulator: Emulator, database: str, sql: asyncpg.Connection, receiver: Receiver
) -> None:
    receiver.answer = None
    async with running_daemon(emulator, database, poll_interval=SECOND, notify_file=file_with(receiver)):
        await polls(sql, 2)
        emulator.fleet("token").change_fraction(0.5)
        await messages(receiver, 1)
        count = await sql.fetchval("select count(*) from syncer.sync_run")
        await polls(sql, count + 5)
        stopped = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopped < 10
    assert await sql.fetchval("select max(finished_at - started_at) < interval '1 second' from syncer.sync_run")
    rows = await sql.fetch("select outcome, lease_holder is not null from syncer.notice")
    assert [tuple(row) for row in rows] == [("waiting", True)]


async def test_another_file_takes_effect_at_once_and_none_stops_the_messages(
    emulator: Emulator, database: str, sql: asyncpg.Connection, receiver: Receiver
) -> None:
    async with running_daemon(emulator, database, poll_interval=SECOND) as daemon:
        await polls(sql, 2)
        accounts = list(daemon._accounts.values())  # noqa: SLF001 - as SIGHUP reads them again
        daemon.set_accounts(accounts, file_with(receiver, rule(name="first")))
        await wait_until_cursor(sql, "first")
        emulator.fleet("token").change_fraction(0.5)
        await messages(receiver, 1)
        daemon.set_accounts(accounts, None)
        emulator.fleet("token").change_fraction(0.5)
        count = await sql.fetchval("select count(*) from syncer.sync_run")
        await polls(sql, count + 3)
        daemon.set_accounts(accounts, file_with(receiver, rule(name="second")))
        await wait_until_cursor(sql, "second")
        emulator.fleet("token").change_fraction(0.5)
        await messages(receiver, 2)

    assert [message.data["rule"] for message in receiver.requests] == ["first", "second"]


async def wait_until_cursor(sql: asyncpg.Connection, name: str) -> None:
    """Waits until a rule is followed."""
    await until(lambda: sql.fetchval("select exists (select from syncer.notice_cursor where rule = $1)", name))


async def test_a_database_that_refuses_notices_alone_is_reported_once_and_polls_go_on(
    emulator: Emulator, database: str, sql: asyncpg.Connection, receiver: Receiver, log_lines: ReadLogLines
) -> None:
    found: list[dict[str, Any]] = []

    async def is_reported() -> bool:
        found.extend(line for line in log_lines() if line["event"] == "notices_not_made")
        return bool(found)

    await sql.execute("alter table syncer.notice_cursor rename to gone")
    async with running_daemon(emulator, database, poll_interval=SECOND, notify_file=file_with(receiver)):
        await polls(sql, 2)
        await until(is_reported)
        await sql.execute("alter table syncer.gone rename to notice_cursor")
        await wait_until_cursor(sql, "locks")
        emulator.fleet("token").change_fraction(0.5)
        await messages(receiver, 1)
        await is_reported()

    assert [(line["level"], line["error"]) for line in found] == [
        ("warning", 'database: relation "syncer.notice_cursor" does not exist; check the server\'s log')
    ]


async def test_after_an_outage_of_the_database_the_first_look_says_of_no_account_that_it_is_stale(
    account: PolledAccount, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.notices.planner.STALE_AFTER_SECONDS", 0.001)
    current: dict[int, Account] = {1: account.account}
    looked = asyncio.Event()

    def accounts() -> dict[int, Account]:
        looked.set()
        return current

    async def look() -> None:
        """Waits until a look at the current accounts has begun and ended."""
        for _ in range(2):
            looked.clear()
            notifier.wake()
            await looked.wait()

    await account.poll_at(T0, record(1))
    notifier = Notifier(account.engine, Metrics().notices, file_with(receiver))
    running = asyncio.create_task(notifier.run(accounts))
    try:
        await look()
        current = {}  # as while the database is down
        await look()
        await account.set_clock(T0 + timedelta(minutes=20))
        current = {1: account.account}
        await look()
    finally:
        running.cancel()
        await asyncio.wait([running])

    assert await account.rows("select kind from syncer.account_condition") == []
    assert receiver.requests == []
