"""Backup and restore as in docs/operations.md, and the move from the embedded database to a server."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from syncer.embedded import EmbeddedServer
from syncer.embedded.programs import find_binaries
from syncer.store.engine import Engine
from syncer.store.schema import known_revisions, migrate
from tests.builders import broken_invariants, connect
from tests.service.processes import TOKEN, Gate, Program, files_in, wait_until
from tests.service.test_package import ROOT

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.emulator.record import Number

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
LOGINS = ROOT / "deploy" / "postgres" / "logins.sql"
CONTENT = """
select string_agg(
           format('select %L, md5(string_agg(t::text, chr(10) order by t::text)) from syncer.%I t', relname, relname),
           ' union all ')
  from pg_class where relnamespace = 'syncer'::regnamespace and relkind = 'r' and not relname = any($1)
"""
LAST_UNCHANGED_BEFORE = "select max(started_at) from syncer.sync_run where run_id < $1 and outcome = 'unchanged'"
STATE_CHANGES = "select virtual_number_id, changed_after from analytics.state_changes order by run_id"
WRITTEN_BY_EVERY_POLL = ["sync_run", "account_fence", "account_schedule"]
"""The tables that every poll writes, even if nothing changed."""


async def table_digests(sql: asyncpg.Connection, *, without: list[str]) -> dict[str, str]:
    """Returns a digest of the rows of each table."""
    rows = await sql.fetch(await sql.fetchval(CONTENT, without))
    return {row[0]: row[1] for row in rows}


def dump_program(server: int) -> Path:
    """Returns the pg_dump that `syncer dump` takes: the oldest one here that is not older than the server."""
    programs = DEBIAN_15 if server == 15 and DEBIAN_15.exists() else find_binaries(None)
    return programs / "pg_dump"


def lock(number: Number) -> None:
    number.state, number.reason = "debt_lock", "долг"


def login_url(server: EmbeddedServer, login: str, database: str = "syncer") -> str:
    """Returns the database URL of a login of docs/operations.md."""
    return f"postgresql://{login}:passw0rd@{urlsplit(server.url).netloc.rpartition('@')[2]}/{database}"


async def create_logins(sql: asyncpg.Connection) -> None:
    """Creates the logins of docs/operations.md."""
    await sql.execute(LOGINS.read_text())
    for login in ("syncer_owner", "syncer_poller", "syncer_reader"):
        await sql.execute(f"alter role {login} password 'passw0rd'")


async def dump_during_a_poll(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, owner: str, file: str
) -> dict[str, str]:
    """Dumps while a poll waits for its response.

    Returns:
        The digests of the tables at that time, without the schedule, whose leases are renewed meanwhile.
    """
    gate = Gate(opened=asyncio.Event())
    emulator.fault, requests_before = gate, emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] > requests_before)
    dumped_to = await syncer.run("dump", file, **as_owner(owner))
    assert dumped_to.code == 0, dumped_to.err
    dumped = await table_digests(sql, without=["account_schedule"])
    gate.opened.set()
    return dumped


def as_owner(address: str) -> dict[str, str | None]:
    """Returns the settings of a command that only has the owner's address."""
    return {"database_url": None, "migrate_database_url": address, "api_token": None}


@pytest.mark.skipif(not (find_binaries() / "pg_dump").exists(), reason="this PostgreSQL comes without pg_dump")
async def test_a_dump_taken_during_a_poll_can_be_restored_and_polling_continues_without_a_gap(
    folder: Path, emulator: Emulator, syncer: Program
) -> None:
    with EmbeddedServer(folder / "server", server_settings={"fsync": "off"}) as server:
        sql = await connect(server.url)
        await create_logins(sql)
        owner, restored = login_url(server, "syncer_owner"), login_url(server, "syncer_owner", "restored")
        migrated = await syncer.run("migrate", database_url=None, migrate_database_url=owner)
        assert migrated.code == 0, migrated.err
        polling = {
            "database_url": login_url(server, "syncer_poller"),
            "migrate_on_start": "false",
            "poll_interval": "1s",
        }
        daemon = await syncer.start("run", **polling)
        await daemon.wait_for_event("poll_finished", outcome="applied", received=200)
        ids = [number["id"] for number in emulator.fleet(TOKEN).records() if number["state"] == "active"]
        emulator.fleet(TOKEN).update_numbers(ids[:3], lock)
        await daemon.wait_for_event("poll_finished", outcome="applied", state_changes=3)
        dumped = await dump_during_a_poll(syncer, emulator, sql, owner, str(folder / "syncer.dump"))
        assert (await daemon.stop()).code == 0
        await sql.execute("create database restored owner syncer_owner")
        await sql.close()
        verified = await syncer.run("restore", str(folder / "syncer.dump"), **as_owner(restored))
        assert verified.result == (
            0,
            f"restored {folder}/syncer.dump: the schema is {known_revisions()[0]}; every invariant holds\n",
        )

        sql = await connect(restored)
        assert await table_digests(sql, without=["account_schedule"]) == dumped
        before = await table_digests(sql, without=WRITTEN_BY_EVERY_POLL)
        emulator.fault = None
        polling |= {"database_url": login_url(server, "syncer_poller", "restored"), "log_level": "debug"}
        daemon = await syncer.start("run", **polling)
        await daemon.wait_for_event("poll_finished", outcome="unchanged")
        assert len(daemon.events("poll_finished")) == len(daemon.events("poll_finished", outcome="unchanged"))
        assert await table_digests(sql, without=WRITTEN_BY_EVERY_POLL) == before

        # A change after the restore is recorded, with the window between the two polls around it.
        emulator.fleet(TOKEN).update_numbers(ids[3:4], lock)
        applied = await daemon.wait_for_event("poll_finished", outcome="applied", changed=1, state_changes=1)
        assert (await daemon.stop()).code == 0
        last_unchanged = await sql.fetchval(LAST_UNCHANGED_BEFORE, applied["run_id"])
        reader = await connect(login_url(server, "syncer_reader", "restored"))
        changes = await reader.fetch(STATE_CHANGES)
        assert [tuple(row) for row in changes[3:]] == [(ids[3], last_unchanged)]
        outcomes = await sql.fetchval("select array_agg(distinct outcome) from syncer.sync_run")
        assert outcomes == ["abandoned", "applied", "unchanged"]
        await reader.close()
        await sql.close()
        assert await broken_invariants(polling["database_url"]) == []


@pytest.mark.skipif(not (find_binaries() / "pg_dump").exists(), reason="this PostgreSQL comes without pg_dump")
async def test_the_embedded_database_moves_to_a_server_as_the_page_says(
    folder: Path, emulator: Emulator, syncer: Program
) -> None:
    embedded: dict[str, str | None] = {"database_url": None, "data_dir": str(folder / "state")}
    assert (await syncer.run("sync", **embedded)).code == 0
    ids = [number["id"] for number in emulator.fleet(TOKEN).records() if number["state"] == "active"]
    emulator.fleet(TOKEN).update_numbers(ids[:3], lock)
    assert (await syncer.run("sync", **embedded)).code == 0
    before = await syncer.run("export", "changes", **embedded)
    dumped = await syncer.run("dump", "syncer.dump", **embedded)
    with EmbeddedServer(folder / "server", server_settings={"fsync": "off"}) as server:
        sql = await connect(server.url)
        await create_logins(sql)
        owner = login_url(server, "syncer_owner")
        poller: dict[str, str | None] = {
            "database_url": login_url(server, "syncer_poller"),
            "migrate_on_start": "false",
        }
        restored = await syncer.run("restore", "syncer.dump", **as_owner(owner))
        after = await syncer.run("export", "changes", **poller)
        polled = await syncer.run("sync", "--json", **poller)
        checked = await syncer.run("check", "--data", **poller)
        again = await syncer.run("restore", "syncer.dump", **as_owner(owner))
        await sql.close()

    assert (dumped.code, dumped.err) == (0, f"database: embedded in {folder}/state\n")
    assert oct((folder / "syncer.dump").stat().st_mode & 0o777) == "0o600"
    assert restored.code == 0, restored.err
    assert before.out.count(",state,active,debt_lock,") == 3
    assert after.out == before.out
    assert (polled.code, '"outcome":"unchanged"' in polled.out) == (0, True)
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "ok     data: every invariant holds")
    assert (again.code, again.error_line()) == (
        2,
        (
            "syncer: the database has data of syncer already: create an empty database, and set SYNCER_DATABASE_URL to "
            f"it (database: {owner.rpartition('@')[2]})"
        ),
    )


async def test_what_cannot_be_dumped_or_restored_is_said_in_one_line_and_changes_nothing(
    syncer: Program, empty_database: str, folder: Path
) -> None:
    no_dump = syncer.write("no.dump", "select 1;\n")
    empty: dict[str, str | None] = {"database_url": empty_database}
    nothing_to_dump, absent, not_a_dump, no_folder = await asyncio.gather(
        syncer.run("dump", "empty.dump", **empty),
        syncer.run("restore", "absent.dump", **empty),
        syncer.run("restore", no_dump, **empty),
        syncer.run("dump", "absent/syncer.dump"),
    )
    sql = await connect(empty_database)

    assert nothing_to_dump.code == 1
    assert "the database has no schema of syncer yet" in nothing_to_dump.error_line()
    assert (absent.code, absent.error_line()) == (
        2,
        "syncer: absent.dump cannot be read: name a file that `syncer dump` has written",
    )
    assert not_a_dump.code == 1
    assert not_a_dump.error_line().startswith("syncer: pg_restore failed: ")
    assert (no_folder.code, no_folder.error_line()) == (
        1,
        "syncer: absent/syncer.dump cannot be written: No such file or directory",
    )
    assert await sql.fetchval("select to_regnamespace('syncer') is null and to_regnamespace('analytics') is null")
    assert files_in(folder) == [Path(no_dump)]
    await sql.close()


async def test_a_dump_replaces_files_and_nothing_else(syncer: Program, sql: asyncpg.Connection, folder: Path) -> None:
    assert await sql.fetchval("select to_regnamespace('syncer') is not null")
    os.mkfifo(folder / "device")
    (folder / "newest.dump").symlink_to("monday.dump")

    device, this_folder, link = await asyncio.gather(
        *(syncer.run("dump", name) for name in ("device", ".", "newest.dump"))
    )

    say = "is not a file: name a file, which is replaced if it exists"
    assert [(one.code, one.error_line()) for one in (device, this_folder)] == [
        (1, f"syncer: device {say}"),
        (1, f"syncer: . {say}"),
    ]
    assert (folder / "device").is_fifo()
    assert link.code == 0, link.err
    assert (folder / "newest.dump").is_symlink()
    assert (folder / "monday.dump").read_bytes().startswith(b"PGDMP")


async def test_a_dump_of_something_else_is_not_restored(syncer: Program, empty_database: str, folder: Path) -> None:
    sql = await connect(empty_database)
    await sql.execute("create schema other create table other.t ()")
    options = ("--format=custom", f"--file={folder / 'other.dump'}", empty_database)
    pg_dump = await asyncio.create_subprocess_exec(dump_program(sql.get_server_version().major), *options)
    assert await pg_dump.wait() == 0
    await sql.execute("drop schema other cascade")

    refused = await syncer.run("restore", "other.dump", database_url=empty_database)

    assert refused.code == 2
    assert refused.error_line().startswith(
        "syncer: other.dump is a dump of something else: name a file that `syncer dump` has written (database: "
    )
    assert await sql.fetchval("select to_regnamespace('syncer') is null and to_regnamespace('other') is null")
    await sql.close()


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="PostgreSQL 15 is not installed")
async def test_a_dump_of_a_newer_server_is_refused_in_one_line(syncer: Program, folder: Path) -> None:
    with EmbeddedServer(folder / "newer") as server:
        engine = Engine(lambda: server.url)
        await migrate(engine)
        await engine.dispose()
        dumped = await syncer.run("dump", "syncer.dump", database_url=server.url)
    with EmbeddedServer(folder / "older", programs=DEBIAN_15) as server:
        refused = await syncer.run("restore", "syncer.dump", database_url=server.url)
        location = server.url.rpartition("@")[2]

    assert dumped.code == 0, dumped.err
    assert (refused.code, refused.error_line()) == (
        2,
        (
            "syncer: syncer.dump is of a newer PostgreSQL than the server: restore it into a server of that version or "
            f"a newer one (database: {location})"
        ),
    )


async def test_a_restore_that_fails_half_way_changes_nothing(
    syncer: Program, sql: asyncpg.Connection, empty_database: str, folder: Path
) -> None:
    assert await sql.fetchval("select to_regnamespace('syncer') is not null")
    dumped = await syncer.run("dump", "whole.dump")
    content = (folder / "whole.dump").read_bytes()
    (folder / "half.dump").write_bytes(content[: len(content) - 2000])
    target = await connect(empty_database)

    half = await syncer.run("restore", "half.dump", database_url=empty_database)
    await target.execute("create schema analytics")
    taken = await syncer.run("restore", "whole.dump", database_url=empty_database)

    assert (dumped.code, half.code, taken.code) == (0, 1, 1)
    assert half.error_line().startswith("syncer: pg_restore failed: could not ")
    assert 'schema "analytics" already exists' in taken.error_line()
    assert await target.fetchval("select to_regnamespace('syncer') is null")
    await target.close()


async def test_a_file_that_cannot_be_restored_creates_no_embedded_database(syncer: Program, folder: Path) -> None:
    refused = await syncer.run("restore", "absent.dump", database_url=None, data_dir=str(folder / "state"))

    assert (refused.code, files_in(folder)) == (2, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_dump_that_is_stopped_leaves_no_file(
    syncer: Program, sql: asyncpg.Connection, folder: Path, number: signal.Signals
) -> None:
    async with sql.transaction():
        await sql.execute("lock table syncer.sync_run in access exclusive mode")
        dump = await syncer.start("dump", "syncer.dump")
        await wait_until(lambda: [path.name for path in folder.glob(".syncer.dump.*")])
        ended = await dump.stop(number)

    assert ended.code != 0
    assert "Traceback" not in ended.err
    await wait_until(lambda: files_in(folder) == [])


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="PostgreSQL 15 is not installed")
async def test_a_dump_of_an_older_server_and_schema_is_restored_and_upgraded(
    syncer: Program, folder: Path, empty_database: str
) -> None:
    with EmbeddedServer(folder / "server", server_settings={"fsync": "off"}, programs=DEBIAN_15) as server:
        engine = Engine(lambda: server.url)
        await migrate(engine, "0008")
        await engine.dispose()
        dumped = await syncer.run("dump", "old.dump", database_url=server.url)
        same_version = await connect(server.url)
        await same_version.execute("create database other")
        await same_version.close()
        other = f"{server.url.rpartition('/')[0]}/other"
        same = await syncer.run("restore", "old.dump", database_url=other)
    newer = await syncer.run("restore", "old.dump", database_url=empty_database)

    assert dumped.code == 0, dumped.err
    assert [(one.code, one.out.count("every invariant holds")) for one in (same, newer)] == [(0, 1)] * 2
