"""How many polls begin when many accounts are due: as many as there are slots, without waiting for the next tick."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from syncer.emulator import Emulator, faults
from syncer.store import schedule
from syncer.store.accounts import register_accounts
from syncer.store.engine import Engine
from tests.builders import running_daemon
from tests.service.processes import wait_until

if TYPE_CHECKING:
    import asyncpg

NAMES: Final = [f"account {number}" for number in range(1000)]
LONG: Final = timedelta(hours=2)
SCHEDULER: Final = "syncer.daemon.scheduler"


@pytest.fixture(autouse=True)
async def overdue(database: str) -> None:
    """A thousand accounts that have been due for a minute, as after an outage."""
    engine = Engine(lambda: database)
    ids = await register_accounts(engine, dict.fromkeys(NAMES, "Europe/Moscow"))
    due_at = await schedule.read_clock(engine) - timedelta(minutes=1)
    await schedule.set_due_times(engine, dict.fromkeys(ids.values(), due_at), {})
    await engine.dispose()


async def test_a_thousand_accounts_are_polled_over_three_connections_before_the_next_tick(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{SCHEDULER}.TICK_SECONDS", 3600.0)
    monkeypatch.setattr("syncer.database.CONNECTIONS", 3)
    async with Emulator(numbers=1) as emulator, running_daemon(emulator, database, names=NAMES, poll_interval=LONG):
        await wait_until(lambda: len(emulator.requests) == len(NAMES))

        assert set(emulator.requests.values()) == {1}


async def test_no_more_polls_begin_than_there_are_slots_and_half_of_them_for_accounts_that_failed(
    database: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CONCURRENT_POLLS": 8, "MAX_FAILING_POLLS": 4, "FINISHED_PER_ITERATION": 1}.items():
        monkeypatch.setattr(f"{SCHEDULER}.{name}", value)
    monkeypatch.setattr(f"{SCHEDULER}.LEASE_RENEWAL_SECONDS", 0.0)
    async with Emulator(numbers=1) as emulator:
        emulator.queue(*(faults.Status(status=500, requests=1, token=name) for name in NAMES[:20]), faults.Hang())
        async with running_daemon(
            *(emulator, database),
            names=NAMES[:20],
            poll_interval=timedelta(seconds=1),
            shutdown_timeout=timedelta(),
            api_attempts=1,
        ):
            await wait_until(lambda: emulator.requests.total() == 24)
            renewed = await sql.fetchval("select max(lease_until) from syncer.account_schedule")
            later = "select max(lease_until) > $1::timestamptz + interval '1 second' from syncer.account_schedule"
            await wait_until(lambda: sql.fetchval(later, renewed))

            assert emulator.requests.total() == 24
