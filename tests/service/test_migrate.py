"""`syncer migrate`."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.store.schema import known_revisions
from tests.builders import connect
from tests.service.processes import database_line, environment

if TYPE_CHECKING:
    import asyncpg

    from tests.service.processes import Program

NEWEST = known_revisions()[0]
NEWEST_OUTPUT = (0, f"the schema is {NEWEST}, the newest\n")


async def test_six_simultaneous_migrations_and_another_one_all_succeed(syncer: Program, empty_database: str) -> None:
    owner = {"database_url": None, "migrate_database_url": empty_database, "api_token": None}

    concurrent = await asyncio.gather(*(syncer.run("migrate", **owner) for _ in range(6)))

    assert [(one.result, one.err) for one in concurrent] == [(NEWEST_OUTPUT, database_line(empty_database))] * 6
    assert (await syncer.run("migrate", **owner)).result == NEWEST_OUTPUT
    sql = await connect(empty_database)
    assert await sql.fetchval("select array_agg(version_num) from syncer.alembic_version") == [NEWEST]
    await sql.close()


async def test_it_shows_on_a_terminal_that_it_is_working(syncer: Program, empty_database: str) -> None:
    reader, writer = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncer", "migrate"),
            cwd=syncer.folder,
            env=environment(syncer.folder, {**syncer.settings, "database_url": empty_database}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=writer,
        )
        out, _ = await process.communicate()
        shown = os.read(reader, 2**16).decode()
    finally:
        os.close(reader)
        os.close(writer)

    assert (process.returncode, out.decode()) == NEWEST_OUTPUT
    assert "migrating the schema" in shown


async def test_it_stores_how_long_rejected_records_are_kept_and_check_compares(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    kept = "select rejected_records from syncer.retention"
    assert (await syncer.run("migrate", run_retention="30d")).result == NEWEST_OUTPUT
    after_migration = await sql.fetchval(kept)
    shorter, longer = await asyncio.gather(
        syncer.run("check", run_retention="7d"), syncer.run("check", run_retention="60d")
    )

    assert (after_migration, await sql.fetchval(kept)) == (timedelta(days=30), timedelta(days=30))
    assert (shorter.code, longer.code) == (1, 0)
    assert (
        "retention: the database keeps rejected records for 30 days, and not for the 7 days of SYNCER_RUN_RETENTION: "
        "run `syncer migrate`"
    ) in shorter.out


async def test_a_newer_schema_is_refused_and_unchanged(syncer: Program, sql: asyncpg.Connection, database: str) -> None:
    await sql.execute("update syncer.alembic_version set version_num = '9999'")

    refused, unreachable = await asyncio.gather(
        syncer.run("migrate"), syncer.run("migrate", migrate_database_url="postgresql://u:passw0rd@127.0.0.1:1/none")
    )

    assert refused.code == 1
    assert refused.error_line() == (
        f"syncer: the database's schema is 9999, which is newer than this version of syncer ({NEWEST}): "
        f"install the newer version here too (database: {database.rpartition('@')[2]})"
    )
    assert await sql.fetchval("select version_num from syncer.alembic_version") == "9999"
    assert unreachable.code == 1
    assert unreachable.error_line().startswith("syncer: database: ")
