"""`syncer psql` on an external database; the embedded one is in test_run_embedded.py."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.service.processes import TOKEN, command_lines, database_line, wait_until

if TYPE_CHECKING:
    import asyncpg

    from tests.service.processes import Program

SLEEPING = "select pid from pg_stat_activity where query = 'select pg_sleep(30)' and datname = current_database()"


async def test_arguments_are_passed_to_psql_and_its_exit_code_is_returned(syncer: Program, database: str) -> None:
    succeeded, failed = await asyncio.gather(
        syncer.run("psql", "-X", "-A", "-t", "-c", "select current_database()", "-c", "select 1"),
        syncer.run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-f", "/absent"),
    )

    assert succeeded.result == (0, f"{database.rpartition('/')[2]}\n1\n")
    assert failed.code == 1
    assert "/absent" in failed.err


async def test_the_parameters_of_the_address_are_passed_to_psql_unchanged(syncer: Program, database: str) -> None:
    parameters = "application_name=two%20words&options=-c%20statement_timeout%3D5000"

    succeeded = await syncer.run(
        "psql",
        "-XAtc",
        "show application_name",
        "-c",
        "show statement_timeout",
        database_url=f"{database}?{parameters}",
    )

    assert succeeded.result == (0, "two words\n5s\n")


async def test_what_psql_starts_gets_no_token_and_no_secret_of_a_channel(syncer: Program) -> None:
    accounts = '[[account]]\nname = "a"\ntoken_env = "TOKEN_OF_A"\n'
    channels = (
        '[[channel]]\nname = "a"\nkind = "apprise"\nurl_env = "URL_OF_A"\n[[rule]]\nname = "a"\nchannels = ["a"]\n'
    )
    several = replace(syncer, variables={"TOKEN_OF_A": TOKEN, "URL_OF_A": "ntfys://ntfy.example.org/a"})
    files = {
        "accounts_file": syncer.write("accounts.toml", accounts),
        "notify_file": syncer.write("notify.toml", channels),
    }

    one_account, accounts_file = await asyncio.gather(
        syncer.run("psql", "-c", "\\! env | cut -d= -f1"),
        several.run("psql", "-c", "\\! env | cut -d= -f1", api_token=None, **files),
    )

    for finished in (one_account, accounts_file):
        names = set(finished.out.splitlines())
        assert finished.code == 0
        assert "HOME" in names
        assert {name for name in names if name.startswith("SYNCER_") or name.endswith("_OF_A")} == set()


async def test_no_process_title_contains_the_password_and_ctrl_c_only_cancels_the_query(
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

    await wait_until(sleeping)
    listing = command_lines()
    for process in processes:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    ended = [await process.wait() for process in processes]

    assert listing.count("select pg_sleep(30)") == 4  # each syncer's and its psql's
    assert password
    assert password not in listing
    assert [one.code for one in ended] == [1, 1]
    cancelled = "Cancel request sent\nERROR:  canceling statement due to user request\n"
    assert [one.err for one in ended] == [database_line(database) + cancelled] * 2
