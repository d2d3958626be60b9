"""Backup and restore as in docs/operations.md, from creating the logins to polling with the restored database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from syncer.embedded import EmbeddedServer
from syncer.embedded.programs import find_binaries
from tests.builders import broken_invariants, connect
from tests.service.processes import TOKEN, Gate, Program, wait_until
from tests.service.test_package import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.emulator.record import Number

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


async def run_program(name: str, *arguments: str) -> None:
    """Runs a PostgreSQL program."""
    process = await asyncio.create_subprocess_exec(find_binaries() / name, *arguments, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")


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


async def dump_during_a_poll(emulator: Emulator, sql: asyncpg.Connection, owner: str, file: str) -> dict[str, str]:
    """Runs pg_dump while a poll waits for its response.

    Returns:
        The digests of the tables at that time, without the schedule, whose leases are renewed meanwhile.
    """
    gate = Gate(opened=asyncio.Event())
    emulator.fault, requests_before = gate, emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] > requests_before)
    await run_program("pg_dump", "--format=custom", f"--file={file}", owner)
    dumped = await table_digests(sql, without=["account_schedule"])
    gate.opened.set()
    return dumped


async def restore(file: str, owner: str) -> None:
    """Restores a dump into an empty database."""
    await run_program("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={owner}", file)


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
        dumped = await dump_during_a_poll(emulator, sql, owner, str(folder / "syncer.dump"))
        assert (await daemon.stop()).code == 0
        await sql.execute("create database restored owner syncer_owner")
        await sql.close()
        await restore(str(folder / "syncer.dump"), restored)

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
