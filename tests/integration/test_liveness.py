"""Whether the daemon reports itself live: it depends on its iterations, not on their results."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import SecretStr

from syncer.config.accounts import load_accounts
from syncer.daemon.scheduler import Daemon
from syncer.database import Database
from syncer.endpoint.client import Source
from syncer.poll import Poller
from tests.builders import running_daemon, settings_for
from tests.service.processes import wait_until
from tests.silence import SilentServer

if TYPE_CHECKING:
    import asyncpg
    import pytest

    from syncer.emulator import Emulator

STUCK_AFTER = "syncer.daemon.scheduler.STUCK_AFTER_SECONDS"


async def test_the_daemon_is_not_live_while_an_iteration_is_stuck(
    emulator: Emulator, database: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STUCK_AFTER, 1.0)
    async with running_daemon(emulator, database) as daemon:
        await wait_until(lambda: emulator.requests["token"] == 1)
        async with sql.transaction():
            await sql.execute("lock table syncer.account_schedule in access exclusive mode")
            await wait_until(lambda: not daemon.is_live())
        await wait_until(daemon.is_live)


async def test_the_daemon_stays_live_during_a_long_migration(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STUCK_AFTER, 0.2)
    async with (
        SilentServer() as silent,
        running_daemon(emulator, database, migrate_database_url=SecretStr(silent.url)) as daemon,
    ):
        await asyncio.wait_for(silent.connected.wait(), 20)
        await asyncio.sleep(0.6)  # three times the limit of other iterations

        assert daemon.is_live()


async def test_the_daemon_is_not_live_before_it_runs(emulator: Emulator, database: str) -> None:
    settings = settings_for(emulator, database_url=SecretStr(database))
    with Database(settings) as connected:
        daemon = Daemon(connected, Poller(connected.engine, Source(settings), settings), load_accounts(settings))

        assert not daemon.is_live()
