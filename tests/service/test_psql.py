"""`syncer psql` on an external database; the embedded one is in test_run_embedded.py."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.service.processes import titles, until

if TYPE_CHECKING:
    import asyncpg

    from tests.service.processes import Program

SLEEPING = "select pid from pg_stat_activity where query = 'select pg_sleep(30)' and datname = current_database()"


async def test_arguments_are_psqls_and_so_is_the_exit_code(syncer: Program, database: str) -> None:
    asked, failed = await asyncio.gather(
        syncer.run("psql", "-X", "-A", "-t", "-c", "select current_database()", "-c", "select 1"),
        syncer.run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-f", "/absent"),
    )

    assert asked.result == (0, f"{database.rpartition('/')[2]}\n1\n")
    assert failed.code == 1
    assert "/absent" in failed.err


async def test_the_addresss_parameters_reach_psql_as_they_were_written(syncer: Program, database: str) -> None:
    parameters = "application_name=two%20words&options=-c%20statement_timeout%3D5000"

    asked = await syncer.run(
        "psql",
        "-XAtc",
        "show application_name",
        "-c",
        "show statement_timeout",
        database_url=f"{database}?{parameters}",
    )

    assert asked.result == (0, "two words\n5s\n")


async def test_no_process_title_has_the_password_and_ctrl_c_cancels_the_query_alone(
    syncer: Program, database: str, sql: asyncpg.Connection
) -> None:
    password = urlsplit(database).password
    in_parameters = database.replace(f":{password}@", "@") + f"?password={password}"
    processes = [
        await syncer.start("psql", "-X", "-c", "select pg_sleep(30)", database_url=address)
        for address in (database, in_parameters)
    ]

    async def sleeping() -> bool:
        return len(await sql.fetch(SLEEPING)) == 2

    await until(sleeping)
    told = titles()
    for process in processes:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    ended = [await process.finished() for process in processes]

    assert told.count("select pg_sleep(30)") == 4  # each syncer's and its psql's
    assert password
    assert password not in told
    assert [one.code for one in ended] == [1, 1]
    assert [one.err for one in ended] == ["Cancel request sent\nERROR:  canceling statement due to user request\n"] * 2
