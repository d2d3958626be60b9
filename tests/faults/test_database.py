"""The database is gone, restarted, read-only, failed over, or a network swallows what is sent to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from syncer.embedded import EmbeddedServer
from syncer.emulator import faults
from syncer.store import schema
from syncer.store.engine import create_engine
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
BREAK = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> $1"
APPLY = b"for no key update", b"for no key update"
"""The second time a poll of something new takes the fence, it writes."""


async def proven(syncer: Program, database: str) -> None:
    """Has the program prove its data."""
    checked = await syncer.run("check", "--data", database_url=database)
    assert checked.code == 0, checked.out


@run_concurrently
async def test_a_network_that_swallows_everything_is_told_once_and_polls_go_on_once_it_passes_again(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with Proxy(database) as proxy:
        daemon = await syncer.start("run", poll_interval="1s", database_url=f"{proxy.url}?connect_timeout=1")
        await wait_until(lambda: emulator.requests[TOKEN] >= 3)
        proxy.blackhole()

        complaint = await daemon.wait_for_event("not_ready")

        assert complaint["error"] == (
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
    await proven(syncer, database)


@run_concurrently
async def test_a_network_that_swallows_everything_keeps_neither_a_stop_nor_new_connections_waiting(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    async with Proxy(database) as proxy:
        address = f"{proxy.url}?connect_timeout=1"
        daemon = await syncer.start("run", poll_interval="1s", shutdown_timeout="1s", database_url=address)
        await wait_until(lambda: emulator.requests[TOKEN] >= 2)
        proxy.blackhole()
        await daemon.wait_for_event("not_ready")
        await proxy.drop_connections()  # what was sent on the old connections is lost for good
        proxy.resume()
        await daemon.wait_for_event("ready")
        proxy.blackhole()
        assert (await daemon.stop()).code == 0
    await proven(syncer, database)


@run_concurrently
async def test_a_connection_that_breaks_in_a_transaction_fails_the_poll_and_the_next_one_applies_what_it_could_not(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    async with Proxy(database) as proxy:
        daemon = await syncer.start("run", poll_interval="1s", database_url=proxy.url)
        await daemon.wait_for_event("poll_finished", outcome="applied", created=200)
        proxy.intercept(*APPLY, b"update syncer.virtual_number n", then="hold the response")
        emulator.fault = faults.UnknownState(count=5)
        await wait_until(proxy.intercepted.is_set)
        assert await sql.fetchval("select count(*) from syncer.virtual_number where state = 'porting'") == 0

        await proxy.drop_connections()

        failed = await daemon.wait_for_event("poll_finished", outcome="failed")
        assert failed["error_kind"] == "database"
        applied = await daemon.wait_for_event("poll_finished", outcome="applied", times=2)
        assert applied["state_changes"] == 5
        assert (await daemon.stop(within=10)).code == 0
    assert (await sql.fetchval(OUTCOMES)).count("database") <= 1  # the poll before may have been under way
    assert "scheduler_crashed" not in daemon.event_names
    assert "poll_crashed" not in daemon.event_names
    await proven(syncer, database)


@run_concurrently
async def test_a_read_only_database_is_told_once_with_what_to_do_and_polls_go_on_once_it_takes_writes(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    daemon = await syncer.start("run", poll_interval="1s")
    await wait_until(lambda: emulator.requests[TOKEN] >= 2)
    name = await sql.fetchval("select current_database()")
    await sql.execute(f"alter database {name} set default_transaction_read_only = on")
    await sql.execute(BREAK, sql.get_server_pid())

    await wait_until(lambda: any("read-only" in one["error"] for one in daemon.events("not_ready")))
    complaint = daemon.events("not_ready")[-1]["error"]
    stand = await sql.fetch("select * from syncer.virtual_number order by 1, 2")

    assert complaint.endswith("the server is a standby or read-only: point SYNCER_DATABASE_URL at the primary")
    assert await sql.fetch("select * from syncer.virtual_number order by 1, 2") == stand
    seen = emulator.requests[TOKEN]
    await sql.execute(f"alter database {name} reset default_transaction_read_only")
    await sql.execute(BREAK, sql.get_server_pid())
    await wait_until(lambda: emulator.requests[TOKEN] >= seen + 2)
    assert (await daemon.stop(within=10)).code == 0
    assert daemon.event_names.count("not_ready") == daemon.event_names.count("ready")
    await proven(syncer, database)


@run_concurrently
async def test_with_an_older_schema_it_claims_nothing_and_says_which_command_to_run(
    syncer: Program, emulator: Emulator, database: str
) -> None:
    engine = create_engine(lambda: database, command_timeout=None)
    wanted, older, *_ = schema.known_revisions()
    await schema.migrate(engine, "base")
    await schema.migrate(engine, older)
    await engine.dispose()
    daemon = await syncer.start("run", poll_interval="1s", migrate_on_start="false")

    complaint = await daemon.wait_for_event("not_ready")

    assert complaint["error"] == (
        f"the database's schema is {older}, this version requires {wanted}: run `syncer migrate`"
    )
    assert emulator.requests[TOKEN] == 0
    assert (await syncer.run("migrate")).code == 0
    await daemon.wait_for_event("ready")
    await daemon.wait_for_event("poll_finished", outcome="applied", created=200)
    assert (await daemon.stop(within=10)).code == 0


def standby_of(primary: EmbeddedServer, primary_folder: Path, folder: Path) -> EmbeddedServer:
    """A server that follows another one, on a copy of its data."""
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
    return EmbeddedServer(folder, server_settings=REPLICATED)


REPLICATED = {"wal_level": "replica", "max_wal_senders": "4", "fsync": "off"}


async def test_when_its_address_leads_to_a_standby_it_waits_and_goes_on_where_it_was_once_that_is_promoted(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    with EmbeddedServer(folder / "first", server_settings=REPLICATED) as primary:
        standby = standby_of(primary, folder / "first", folder / "second")
        with standby:
            async with Proxy(primary.url) as proxy:
                daemon = await syncer.start("run", poll_interval="1s", database_url=proxy.url)
                await wait_until(lambda: emulator.requests[TOKEN] >= 3)

                await proxy.switch_to(standby.url)

                await wait_until(lambda: any("is a standby" in one["error"] for one in daemon.events("not_ready")))
                before = await _rows(primary.url)
                primary.stop()  # it sends all it has first
                new = await connect(standby.url)
                emulator.fault = faults.UnknownState(count=7)
                await new.execute("select pg_promote()")
                changed = await daemon.wait_for_event("poll_finished", outcome="applied", times=2)
                assert (await daemon.stop(within=10)).code == 0
                await proven(syncer, standby.url)
                runs = await new.fetch("select run_id, outcome, error_kind from syncer.sync_run order by 1")
                await new.close()

    assert changed["state_changes"] == 7
    assert [tuple(row) for row in runs[: len(before)]][:-1] == before[:-1]  # the last one may have been under way
    assert [row["outcome"] for row in runs].count("applied") == 2
    assert daemon.event_names.count("not_ready") == daemon.event_names.count("ready")


async def _rows(url: str) -> list[tuple[int, str, str | None]]:
    connection = await connect(url)
    found = await connection.fetch("select run_id, outcome, error_kind from syncer.sync_run order by 1")
    await connection.close()
    return [tuple(row) for row in found]
