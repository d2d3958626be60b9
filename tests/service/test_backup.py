"""Backup and restore as docs/operations.md has it, from the first login to polling on in the restored database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from syncer.embedded import EmbeddedServer
from syncer.embedded.programs import find_binaries
from tests.builders import broken_invariants, connect
from tests.service.processes import TOKEN, Gate, Program, until
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
LAST_LOOK_BEFORE = "select max(started_at) from syncer.sync_run where run_id < $1 and outcome = 'unchanged'"
STATE_CHANGES = "select virtual_number_id, changed_after from analytics.state_changes order by run_id"
OF_POLLS = ["sync_run", "account", "account_schedule"]
"""What every poll writes, whether anything changed or not."""


async def content(sql: asyncpg.Connection, *, without: list[str]) -> dict[str, str]:
    """What the tables hold, in short."""
    rows = await sql.fetch(await sql.fetchval(CONTENT, without))
    return {row[0]: row[1] for row in rows}


async def tool(name: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs."""
    process = await asyncio.create_subprocess_exec(find_binaries() / name, *arguments, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")


def lock(number: Number) -> None:
    number.state, number.reason = "debt_lock", "долг"


def address(server: EmbeddedServer, login: str, database: str = "syncer") -> str:
    """Where a login of docs/operations.md connects."""
    return f"postgresql://{login}:passw0rd@{urlsplit(server.url).netloc.rpartition('@')[2]}/{database}"


async def make_logins(sql: asyncpg.Connection) -> None:
    """Makes those of docs/operations.md."""
    await sql.execute(LOGINS.read_text())
    for login in ("syncer_owner", "syncer_poller", "syncer_reader"):
        await sql.execute(f"alter role {login} password 'passw0rd'")


async def dump_during_a_poll(emulator: Emulator, sql: asyncpg.Connection, owner: str, file: str) -> dict[str, str]:
    """Takes a dump while a poll waits for its answer.

    Returns:
        What the tables held then, but for the schedule, whose leases are renewed meanwhile.
    """
    gate = Gate(opened=asyncio.Event())
    emulator.fault, seen = gate, emulator.requests[TOKEN]
    await until(lambda: emulator.requests[TOKEN] > seen)
    await tool("pg_dump", "--format=custom", f"--file={file}", owner)
    dumped = await content(sql, without=["account_schedule"])
    gate.opened.set()
    return dumped


async def restore(file: str, owner: str) -> None:
    """Restores a dump into an empty database."""
    await tool("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={owner}", file)


@pytest.mark.skipif(not (find_binaries() / "pg_dump").exists(), reason="this PostgreSQL comes without pg_dump")
async def test_a_dump_taken_while_the_daemon_polls_is_restored_and_polled_on_as_if_nothing_had_happened(
    folder: Path, emulator: Emulator, syncer: Program
) -> None:
    with EmbeddedServer(folder / "server", server_settings={"fsync": "off"}) as server:
        sql = await connect(server.url)
        await make_logins(sql)
        owner, restored = address(server, "syncer_owner"), address(server, "syncer_owner", "restored")
        migrated = await syncer.run("migrate", database_url=None, migrate_database_url=owner)
        assert migrated.code == 0, migrated.err
        polling = {"database_url": address(server, "syncer_poller"), "migrate_on_start": "false", "poll_interval": "1s"}
        daemon = await syncer.start("run", **polling)
        await daemon.says("poll_finished", outcome="applied", received=200)
        ids = [number["id"] for number in emulator.fleet(TOKEN).records() if number["state"] == "active"]
        emulator.fleet(TOKEN).update_numbers(ids[:3], lock)
        await daemon.says("poll_finished", outcome="applied", state_changes=3)
        dumped = await dump_during_a_poll(emulator, sql, owner, str(folder / "syncer.dump"))
        assert (await daemon.end()).code == 0
        await sql.execute("create database restored owner syncer_owner")
        await sql.close()
        await restore(str(folder / "syncer.dump"), restored)

        sql = await connect(restored)
        assert await content(sql, without=["account_schedule"]) == dumped
        before = await content(sql, without=OF_POLLS)
        emulator.fault = None
        polling |= {"database_url": address(server, "syncer_poller", "restored"), "log_level": "debug"}
        daemon = await syncer.start("run", **polling)
        await daemon.says("poll_finished", outcome="unchanged")
        assert len(daemon.events("poll_finished")) == len(daemon.events("poll_finished", outcome="unchanged"))
        assert await content(sql, without=OF_POLLS) == before

        # What happens after it is recorded, and dated between the two looks.
        emulator.fleet(TOKEN).update_numbers(ids[3:4], lock)
        applied = await daemon.says("poll_finished", outcome="applied", changed=1, state_changes=1)
        assert (await daemon.end()).code == 0
        last_look = await sql.fetchval(LAST_LOOK_BEFORE, applied["run_id"])
        reader = await connect(address(server, "syncer_reader", "restored"))
        changes = await reader.fetch(STATE_CHANGES)
        assert [tuple(row) for row in changes[3:]] == [(ids[3], last_look)]
        outcomes = await sql.fetchval("select array_agg(distinct outcome) from syncer.sync_run")
        assert outcomes == ["abandoned", "applied", "unchanged"]
        await reader.close()
        await sql.close()
        assert await broken_invariants(polling["database_url"]) == []
