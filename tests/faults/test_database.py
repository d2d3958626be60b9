"""Faults of the database: it is down, restarted, read-only or failed over, or the network to it drops all packets."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

from syncer.embedded import EmbeddedServer
from syncer.emulator import faults
from syncer.store import schema
from syncer.store.engine import Engine
from tests.builders import connect
from tests.proxy import Proxy
from tests.service.processes import TOKEN, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program

OUTCOMES = "select array_agg(coalesce(error_kind, outcome) order by run_id) from syncer.sync_run"
TERMINATE_CONNECTIONS = (
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> $1"
)


async def assert_data_is_valid(syncer: Program, database: str) -> None:
    """Checks the stored data with `syncer check --data`."""
    checked = await syncer.run("check", "--data", database_url=database)
    assert checked.code == 0, checked.out


@run_concurrently
async def test_a_network_that_drops_all_packets_is_reported_once_and_polls_continue_when_it_recovers(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with Proxy(database) as proxy:
        daemon = await syncer.start("run", poll_interval="1s", database_url=f"{proxy.url}?connect_timeout=1")
        await wait_until(lambda: emulator.requests[TOKEN] >= 3)
        proxy.blackhole()

        not_ready = await daemon.wait_for_event("not_ready")

        assert not_ready["error"] == (
            "database: PostgreSQL did not answer in time; check that the server and the network are up"
        )
        seen = emulator.requests[TOKEN]
        emulator.fault = faults.UnknownState()
        proxy.resume()
        await daemon.wait_for_event("ready")
        await wait_until(lambda: emulator.requests[TOKEN] >= seen + 2)
        assert (await daemon.stop(within=10)).code == 0
    assert (daemon.event_names.count("not_ready"), daemon.event_names.count("ready")) == (1, 1)
    assert await sql.fetchval("select count(*) from syncer.virtual_number where state = 'porting'") == 1
    await assert_data_is_valid(syncer, database)


@run_concurrently
async def test_a_network_that_drops_all_packets_delays_neither_a_stop_nor_new_connections(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    async with Proxy(database) as proxy:
        address = f"{proxy.url}?connect_timeout=1"
        daemon = await syncer.start("run", poll_interval="1s", shutdown_timeout="1s", database_url=address)
        await wait_until(lambda: emulator.requests[TOKEN] >= 2)
        proxy.blackhole()
        await daemon.wait_for_event("not_ready")
        await proxy.drop_connections()  # what was sent on the old connections is lost
        proxy.resume()
        await daemon.wait_for_event("ready")
        proxy.blackhole()
        assert (await daemon.stop()).code == 0
    await assert_data_is_valid(syncer, database)


@run_concurrently
async def test_a_connection_that_breaks_in_a_transaction_fails_the_poll_and_the_next_poll_applies_the_changes(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with Proxy(database) as proxy:
        daemon = await syncer.start("run", poll_interval="1s", database_url=proxy.url)
        await daemon.wait_for_event("poll_finished", outcome="applied", created=200)
        # The first change: statements of earlier polls may be prepared on this connection, and are sent without text.
        proxy.intercept(b"update syncer.virtual_number n", then="hold the response")
        emulator.fault = faults.UnknownState(count=5)
        await wait_until(proxy.intercepted.is_set)
        assert await sql.fetchval("select count(*) from syncer.virtual_number where state = 'porting'") == 0

        await proxy.drop_connections()

        failed = await daemon.wait_for_event("poll_finished", outcome="failed")
        assert failed["error_kind"] == "database"
        applied = await daemon.wait_for_event("poll_finished", outcome="applied", times=2)
        assert applied["state_changes"] == 5
        assert (await daemon.stop(within=10)).code == 0
    assert (await sql.fetchval(OUTCOMES)).count("database") <= 1  # the previous poll may have been in progress
    assert "scheduler_crashed" not in daemon.event_names
    assert "poll_crashed" not in daemon.event_names
    await assert_data_is_valid(syncer, database)


@run_concurrently
async def test_a_read_only_database_is_reported_once_and_polls_continue_when_it_accepts_writes(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    daemon = await syncer.start("run", poll_interval="1s")
    await wait_until(lambda: emulator.requests[TOKEN] >= 2)
    name = await sql.fetchval("select current_database()")
    await sql.execute(f"alter database {name} set default_transaction_read_only = on")
    await sql.execute(TERMINATE_CONNECTIONS, sql.get_server_pid())

    await wait_until(lambda: any("read-only" in one["error"] for one in daemon.events("not_ready")))
    not_ready = daemon.events("not_ready")[-1]["error"]
    rows = await sql.fetch("select * from syncer.virtual_number order by 1, 2")

    assert not_ready.endswith("the server is a standby or read-only: point SYNCER_DATABASE_URL at the primary")
    assert await sql.fetch("select * from syncer.virtual_number order by 1, 2") == rows
    seen = emulator.requests[TOKEN]
    await sql.execute(f"alter database {name} reset default_transaction_read_only")
    await sql.execute(TERMINATE_CONNECTIONS, sql.get_server_pid())
    await wait_until(lambda: emulator.requests[TOKEN] >= seen + 2)
    assert (await daemon.stop(within=10)).code == 0
    assert daemon.event_names.count("not_ready") == daemon.event_names.count("ready")
    await assert_data_is_valid(syncer, database)


@run_concurrently
async def test_with_an_older_schema_it_claims_no_account_and_names_the_command_to_run(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    engine = Engine(lambda: database, command_timeout=None)
    required, older, *_ = schema.known_revisions()
    await schema.migrate(engine, "base")
    await schema.migrate(engine, older)
    await engine.dispose()
    daemon = await syncer.start("run", poll_interval="1s", migrate_on_start="false")

    not_ready = await daemon.wait_for_event("not_ready")

    assert not_ready["error"] == (
        f"the database's schema is {older}, this version requires {required}: run `syncer migrate`"
    )
    assert emulator.requests[TOKEN] == 0
    assert (await syncer.run("migrate")).code == 0
    await daemon.wait_for_event("ready")
    await daemon.wait_for_event("poll_finished", outcome="applied", created=200)
    assert (await daemon.stop(within=10)).code == 0


def standby_of(primary: EmbeddedServer, primary_folder: Path, folder: Path) -> EmbeddedServer:
    """Returns a standby server on a copy of the primary's data."""
    folder.mkdir()
    folder.chmod(0o755)
    shutil.copy2(primary_folder / "password", folder)
    source = primary.url.rpartition("/")[0] + "/postgres"
    subprocess.run(
        [primary.bin_dir / "pg_basebackup", "-D", folder / "data", "-R", "-c", "fast", "-d", source], check=True
    )
    owner = (primary_folder / "data").stat()
    if os.geteuid() == 0:
        for path in (folder / "password", folder / "data", *(folder / "data").rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    return EmbeddedServer(folder, server_settings=REPLICATION_SETTINGS)


REPLICATION_SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "fsync": "off"}


async def test_after_a_failover_to_a_standby_it_waits_until_that_is_promoted_and_then_continues(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    with EmbeddedServer(folder / "first", server_settings=REPLICATION_SETTINGS) as primary:
        standby = standby_of(primary, folder / "first", folder / "second")
        with standby:
            async with Proxy(primary.url) as proxy:
                daemon = await syncer.start("run", poll_interval="1s", database_url=proxy.url)
                await wait_until(lambda: emulator.requests[TOKEN] >= 3)

                await proxy.switch_to(standby.url)

                await wait_until(lambda: any("is a standby" in one["error"] for one in daemon.events("not_ready")))
                before = await _rows(primary.url)
                primary.stop()  # it sends its remaining changes first
                new = await connect(standby.url)
                emulator.fault = faults.UnknownState(count=7)
                await new.execute("select pg_promote()")
                changed = await daemon.wait_for_event("poll_finished", outcome="applied", times=2)
                assert (await daemon.stop(within=10)).code == 0
                await assert_data_is_valid(syncer, standby.url)
                runs = await new.fetch("select run_id, outcome, error_kind from syncer.sync_run order by 1")
                await new.close()

    assert changed["state_changes"] == 7
    assert [tuple(row) for row in runs[: len(before)]][:-1] == before[:-1]  # the last one may have been in progress
    assert [row["outcome"] for row in runs].count("applied") == 2
    assert daemon.event_names.count("not_ready") == daemon.event_names.count("ready")


async def _rows(url: str) -> list[tuple[int, str, str | None]]:
    connection = await connect(url)
    found = await connection.fetch("select run_id, outcome, error_kind from syncer.sync_run order by 1")
    await connection.close()
    return [tuple(row) for row in found]


@run_concurrently
async def test_connections_that_are_killed_all_the_time_are_never_taken_for_a_bug(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    names = [f"account{number}" for number in range(8)]
    daemon = await syncer.start("run", poll_interval="1s", **syncer.accounts(*names))
    await wait_until(
        lambda: sql.fetchval("select count(*) = 8 from syncer.account_fence where observed_at is not null")
    )

    killed = 0
    while killed < 60 or not daemon.events("poll_finished", outcome="failed"):
        emulator.fleet(f"{names[killed % 8]}-token").change_fraction(0.02)
        killed += len(await sql.fetch(TERMINATE_CONNECTIONS, sql.get_server_pid()))
        await asyncio.sleep(random.random() * 0.1)  # noqa: S311 - any moment will do
    last = await sql.fetchval("select max(run_id) from syncer.sync_run")
    await wait_until(
        lambda: sql.fetchval(
            "select count(distinct account_id) = 8 from syncer.sync_run "
            "where run_id > $1 and outcome in ('applied', 'unchanged')",
            last,
        )
    )

    assert (await daemon.stop(within=10)).code == 0
    assert [name for name in daemon.event_names if name.endswith("crashed")] == []
    errors = {event["error"] for event in daemon.events("poll_finished") if "error" in event}
    assert all(error.startswith("database: ") for error in errors)
    await assert_data_is_valid(syncer, database)
