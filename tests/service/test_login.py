"""`syncer login`: a login of the database that sees some accounts only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.builders import record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from tests.builders import PolledAccount
    from tests.service.processes import Program


@pytest.fixture
async def clerk(account: PolledAccount, sql: asyncpg.Connection) -> AsyncIterator[str]:
    """The name of a login, which is dropped after the test."""
    await account.poll(record(1), record(2))
    yield "clerk_of_one"
    await sql.execute("drop schema if exists analytics_clerk_of_one cascade")
    await sql.execute("drop role if exists clerk_of_one")


async def test_a_login_is_made_sees_its_account_and_loses_it_again(
    syncer: Program, sql: asyncpg.Connection, database: str, clerk: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("correct horse\n")

    made = await syncer.run("login", clerk, "--account", "default", "--password-file", str(tmp_path / "password"))

    assert made.result == (0, "clerk_of_one sees default in schema analytics_clerk_of_one, and nothing else\n")
    parts = urlsplit(database)
    url = urlunsplit(parts._replace(netloc=f"{clerk}:correct%20horse@{parts.hostname}:{parts.port}"))
    counted = await syncer.run("psql", "-Atc", "select count(*) from numbers", database_url=url)
    assert counted.result == (0, "2\n")
    again = await syncer.run("login", clerk, "--account", "default")
    assert again.code == 0
    revoked = await syncer.run("login", clerk, "--revoke")
    assert revoked.result == (0, 'clerk_of_one sees nothing any more; to remove it: drop role "clerk_of_one"\n')
    assert (
        (await syncer.run("login", clerk, "--revoke"))
        .error_line()
        .startswith("syncer: 'clerk_of_one' has no schema of its own")
    )
    assert await sql.fetchval("select count(*) from pg_namespace where nspname like 'analytics\\_%'") == 0


async def test_an_administrator_can_run_the_sql_instead(
    syncer: Program, sql: asyncpg.Connection, clerk: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("correct horse")
    printed = await syncer.run(
        "login", clerk, "--account", "default", "--password-file", str(tmp_path / "password"), "--sql"
    )
    assert printed.code == 0
    assert "horse" not in printed.out
    assert await sql.fetchval("select count(*) from pg_roles where rolname = $1", clerk) == 0

    await sql.execute(printed.out)

    assert await sql.fetchval("select account_ids from syncer.viewer") == [1]
    assert await sql.fetchval("select count(*) from analytics_clerk_of_one.numbers") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clerk_of_one",), "give the accounts that it may see, or --revoke alone"),
        (("clerk_of_one", "--account", "default", "--revoke"), "give the accounts that it may see, or --revoke alone"),
        (("Clerk", "--account", "default"), "it must be 1 to 51 lower-case letters, digits and underscores"),
        (("clerk_of_one", "--account", "nobody"), "there is no account 'nobody'; the accounts are default"),
    ],
)
async def test_wrong_usage_makes_nothing(
    syncer: Program, sql: asyncpg.Connection, clerk: str, arguments: tuple[str, ...], message: str
) -> None:
    finished = await syncer.run("login", *arguments)

    assert finished.code == 2
    assert message in " ".join(finished.err.split())
    assert await sql.fetchval("select count(*) from pg_roles where rolname = $1", clerk) == 0
