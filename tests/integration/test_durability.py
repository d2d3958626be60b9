"""Which commits of a poll wait until PostgreSQL has made them durable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from syncer.embedded import EmbeddedServer
from syncer.store import schema
from syncer.store.engine import Engine
from tests.builders import PolledAccount, connect, record, settings_for
from tests.folders import public_folder
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.emulator import Emulator

# A durable commit waits for a standby that does not exist, until the test cancels the wait.
SETTINGS: Final = {
    "wal_level": "replica",
    "max_wal_senders": "1",
    "synchronous_standby_names": "nobody",
    "synchronous_commit": "off",
    "fsync": "off",
}
WAITING: Final = "select query from pg_stat_activity where wait_event = 'SyncRep'"
END_WAIT: Final = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"


@pytest.fixture
async def durable_account(emulator: Emulator) -> AsyncIterator[PolledAccount]:
    """An account with one number, whose next polls wait at each durable commit."""
    with public_folder("syncer-durable-") as folder, EmbeddedServer(folder, server_settings=SETTINGS) as server:
        engine, sql = Engine(lambda: server.url), await connect(server.url)
        await schema.migrate(engine)
        async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
            await account.poll(record(1))
            await engine.dispose()
            await sql.execute("alter database syncer set synchronous_commit = on")
            yield account
        await engine.dispose()
        await sql.close()


async def test_the_outcome_of_a_poll_is_made_durable_and_its_beginning_is_not(
    durable_account: PolledAccount,
) -> None:
    account, sql = durable_account, durable_account.sql
    for outcome in ("applied", "unchanged"):
        poll = asyncio.create_task(account.poll(record(1, state="freeze")))
        await wait_until(lambda: sql.fetchval(WAITING))
        assert await account.rows("select outcome from syncer.sync_run order by run_id desc limit 1") == [("running",)]
        await sql.execute(END_WAIT)
        assert (await poll).outcome == outcome
