"""Each command says which database it used, and none makes one by mistake."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import TOKEN, database_line, files_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders import PolledAccount
    from tests.service.processes import Program

READING = [("status",), ("status", "--json"), ("export", "numbers"), ("psql", "-c", "select"), ("check",)]


async def test_every_command_names_the_database_once(syncer: Program, account: PolledAccount, database: str) -> None:
    await account.poll_again()
    location = database.rpartition("@")[2]

    (number,) = await account.row("select number from analytics.numbers order by number limit 1")
    given = [("history", number), *READING, ("migrate",), ("sync",), ("history", "79999999999")]
    *commands, missing = await asyncio.gather(*(syncer.run(*command) for command in given))
    daemon = await syncer.start("run")
    started = await daemon.wait_for_event("daemon_started")
    await daemon.stop()

    assert [finished.code for finished in commands] == [0] * len(commands)
    assert [(finished.out + finished.err).count(location) for finished in commands] == [1] * len(commands)
    assert [finished.err.endswith(database_line(database)) for finished in commands[:5]] == [True] * 5
    assert missing.error_line().endswith(f" (database: {location})")
    assert started["database"] == location


async def test_an_error_of_the_database_names_it(syncer: Program, empty_database: str) -> None:
    down = "postgresql://u:passw0rd@127.0.0.1:1/none"
    unknown_host, no_authority, closed, empty, owner, both = await asyncio.gather(
        syncer.run("status", database_url="postgresql://u:passw0rd@db.invalid/x"),
        syncer.run("status", database_url="postgresql://u:passw0rd@127.0.0.1:1/x?sslmode=verify-full"),
        syncer.run("export", "numbers", database_url=down),
        syncer.run("export", "numbers", database_url=empty_database),
        syncer.run("migrate", database_url=None, migrate_database_url=down),
        syncer.run("migrate", database_url=empty_database, migrate_database_url=down),
    )

    assert unknown_host.error_line().startswith(
        "syncer: database: the host's name in db.invalid:5432/x cannot be resolved ("
    )
    assert no_authority.error_line().endswith(
        "name the file with the server's certificate authority in sslrootcert in SYNCER_DATABASE_URL, or set "
        "sslrootcert=system for the authorities of this machine (127.0.0.1:1/x)"
    )
    assert closed.error_line().endswith("up and SYNCER_DATABASE_URL is right (127.0.0.1:1/none)")
    assert owner.error_line().endswith("up and SYNCER_MIGRATE_DATABASE_URL is right (127.0.0.1:1/none)")
    assert both.error_line() == owner.error_line()
    assert empty.error_line().endswith(f"run `syncer migrate` (database: {empty_database.rpartition('@')[2]})")


@pytest.mark.parametrize("command", [*READING, ("history", "79000000001"), ("account", "accept-app-id", "default")])
async def test_a_command_that_only_reads_creates_no_embedded_database(
    syncer: Program, folder: Path, command: tuple[str, ...]
) -> None:
    data_dir = folder / "state"

    finished = await syncer.run(*command, database_url=None, data_dir=str(data_dir))

    problem = (
        f"there is no database: SYNCER_DATABASE_URL is not set, there is no .env in {folder}, and {data_dir} has no "
        "embedded database; set SYNCER_DATABASE_URL, or name the file with settings with --env-file or "
        "SYNCER_ENV_FILE; `syncer run` and `syncer sync` create an embedded one"
    )
    if command == ("check",):
        assert (finished.code, f"warn   database: {problem}" in finished.out.splitlines()) == (0, True)
    else:
        assert (finished.code, finished.error_line()) == (1, f"syncer: {problem}")
    assert files_in(folder) == []


async def test_the_file_with_settings_can_be_named(
    syncer: Program, account: PolledAccount, database: str, folder: Path
) -> None:
    await account.poll_again()
    (folder / "etc").mkdir()
    file = syncer.write("etc/syncer.env", f"SYNCER_DATABASE_URL={database}\n")

    by_option, by_variable, missing = await asyncio.gather(
        syncer.run("--env-file", file, "status", database_url=None),
        syncer.run("status", database_url=None, env_file=file),
        syncer.run("--env-file", "absent.env", "status", database_url=None),
    )

    assert [(one.code, one.err) for one in (by_option, by_variable)] == [(0, database_line(database))] * 2
    assert missing.code == 2
    assert (
        missing.error_line() == f"syncer: SYNCER_ENV_FILE or --env-file names {folder}/absent.env, which does not exist"
    )


async def test_a_pipe_is_refused_as_the_file_with_settings_since_all_but_the_first_reading_would_find_it_empty(
    syncer: Program, folder: Path
) -> None:
    os.mkfifo(folder / "pipe")

    pipe, no_home = await asyncio.gather(
        syncer.run("--env-file", "pipe", "settings"), syncer.run("settings", env_file="~nobody-of-this-name/x")
    )

    assert (pipe.code, pipe.error_line()) == (
        2,
        "syncer: pipe is a pipe, which can be read only once: name a file, which is read again when needed",
    )
    assert no_home.code == 2
    assert no_home.error_line().endswith("/~nobody-of-this-name/x, which does not exist")


async def test_a_command_that_is_refused_names_the_database_it_looked_at(
    syncer: Program, account: PolledAccount, database: str
) -> None:
    await account.poll_again()

    unknown = await syncer.run("account", "retire", "absent")

    assert (unknown.code, unknown.error_line()) == (
        2,
        f"syncer: there is no account 'absent'; the accounts are default (database: {database.rpartition('@')[2]})",
    )


async def test_every_line_of_the_file_that_is_no_setting_is_named(syncer: Program, folder: Path) -> None:
    lines = ["# comment", "", "SYNCER_POLL_INTERVAL: 1m", f"SYNCER_API_TOKEN={TOKEN}", "", "SYNCER_LOG_LEVEL", "A='b"]
    syncer.write(".env", "\n".join([*lines, "SYNCER_ENV_FILE=other.env", "syncer_env_file=o", ""]))
    wrong = await syncer.run("status")
    (folder / ".env").unlink()
    (folder / ".env").mkdir()
    is_folder = await syncer.run("status")

    form = "it must be NAME=value, such as SYNCER_POLL_INTERVAL=5m"
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.splitlines() == [
        f"syncer: .env, line 3: {form}",
        f"syncer: .env, line 6: {form}",
        f"syncer: .env, line 7: {form}",
        "syncer: .env, line 8: SYNCER_ENV_FILE works only as an environment variable",
        "syncer: .env, line 9: SYNCER_ENV_FILE works only as an environment variable",
    ]
    assert (is_folder.code, is_folder.error_line()) == (
        2,
        "syncer: .env in the working directory cannot be read: Is a directory",
    )


async def test_the_settings_are_shown_with_where_they_come_from_and_without_secrets(
    syncer: Program,
) -> None:
    syncer.write("token", TOKEN)
    syncer.write(".env", "\nSYNCER_POLL_INTERVAL=10m\nSYNCER_API_PROXY=http://u:passw0rd@proxy:3128\nSYNCER_QQQ=1\n")
    finished = await syncer.run(
        "settings",
        api_token=None,
        api_token_file="token",
        database_url="postgresql://u:passw0rd@db.example/x?sslmode=require",
    )

    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in finished.out.splitlines()}
    assert (finished.code, finished.err) == (0, "")
    assert " ".join(shown["SYNCER_API_TOKEN"].split()) == "set, not shown the file of SYNCER_API_TOKEN_FILE"
    assert shown["SYNCER_API_TOKEN_FILE"].split() == ["token", "environment"]
    assert shown["SYNCER_DATABASE_URL"].split() == ["db.example:5432/x", "environment"]
    assert " ".join(shown["SYNCER_POLL_INTERVAL"].split()) == "10m .env, line 2"
    assert " ".join(shown["SYNCER_API_PROXY"].split()) == "http://***@proxy:3128 .env, line 3"
    assert shown["SYNCER_API_MAX_BYTES"].split() == ["256MiB", "default"]
    assert shown["SYNCER_QQQ"] == "is not a setting"
    assert "passw0rd" not in finished.out


async def test_a_file_with_a_secret_that_everybody_can_read_is_remarked_on(syncer: Program, folder: Path) -> None:
    syncer.write(".env", f"SYNCER_API_TOKEN={TOKEN}\n")
    exposed = await syncer.run("check", api_token=None)
    (folder / ".env").chmod(stat.S_IRUSR | stat.S_IWUSR)
    private = await syncer.run("check", api_token=None)

    remark = "warn   configuration: every user of this machine can read .env, which has a secret: chmod o-r .env"
    assert [remark in one.out.splitlines() for one in (exposed, private)] == [True, False]
    assert [one.code for one in (exposed, private)] == [0, 0]
