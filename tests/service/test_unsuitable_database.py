"""A database that syncer cannot use: its encoding, the login's privileges, another program's schema."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.builders import connect, execute
from tests.service.test_check import problems
from tests.service.test_http import LOOPBACK_FREE_PORT, address_of, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator
    from tests.service.processes import Program


def named(address: str) -> str:
    """Returns how an error line names the database at its end."""
    return f" (database: {address.rpartition('@')[2]})"


@pytest.fixture
async def login(server: EmbeddedServer, empty_database: str) -> AsyncIterator[str]:
    """The address of the empty database, for a login that may do nothing in it but connect."""
    name = f"poller_{secrets.token_hex(4)}"
    password = secrets.token_hex(8)
    await execute(server.url, f"create user {name} password '{password}'")
    parts = urlsplit(empty_database)
    yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))
    await execute(server.url, f"drop user {name}")


@pytest.fixture(params=["WIN1251", "KOI8R", "SQL_ASCII"])
async def legacy_database(server: EmbeddedServer, request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, str]]:
    """The address of an empty database whose encoding is not UTF-8, and the encoding."""
    name = f"legacy_{secrets.token_hex(4)}"
    await execute(
        server.url,
        f"create database {name} template template0 encoding '{request.param}' locale_provider libc locale 'C'",
    )
    yield f"{server.url.rpartition('/')[0]}/{name}", request.param
    await execute(server.url, f"drop database {name} with (force)")


async def test_a_database_that_is_not_utf8_is_refused_by_check_migrate_and_the_start(
    syncer: Program, legacy_database: tuple[str, str], emulator: Emulator
) -> None:
    address, encoding = legacy_database
    sentence = (
        f"the database's encoding is {encoding}, which cannot store every character that the vendor may send: "
        "create another one with `create database NAME template template0 encoding 'UTF8' locale 'C'` and set "
        "SYNCER_DATABASE_URL to it"
    )

    check, migrate, sync = await asyncio.gather(
        *(syncer.run(command, database_url=address) for command in ("check", "migrate", "sync"))
    )
    daemon = await syncer.start("run", database_url=address, http_listen=LOOPBACK_FREE_PORT)
    url = await address_of(daemon)
    refused = await daemon.wait_for_event("not_ready")
    ready = await get(f"{url}/readyz")
    stopped = await daemon.stop()

    assert (check.code, problems(check)) == (1, {"database": sentence})
    assert "schema" not in check.out
    assert (migrate.code, migrate.error_line()) == (1, f"syncer: {sentence}{named(address)}")
    assert (sync.code, sync.error_line()) == (1, f"syncer: {sentence}{named(address)}")
    assert refused["error"] == sentence
    assert ready == (503, f"not ready: {sentence}\n")
    assert stopped.code == 0
    assert emulator.requests == {"s3cr3t-t0ken-0f-the-test": 1}  # of check
    sql = await connect(address)
    assert await sql.fetchval("select to_regnamespace('syncer')") is None
    await sql.close()


async def test_a_schema_that_was_created_in_another_encoding_is_read_but_no_longer_polled_into(
    syncer: Program, server: EmbeddedServer, emulator: Emulator
) -> None:
    name = f"legacy_{secrets.token_hex(4)}"
    address = f"{server.url.rpartition('/')[0]}/{name}"
    await execute(
        server.url,
        f"create database {name} template template0 encoding 'SQL_ASCII' locale_provider libc locale 'C'",
    )
    sql = await connect(address)
    await sql.execute("update pg_database set encoding = pg_char_to_encoding('UTF8') where datname = $1", name)
    await sql.close()
    migrated = await syncer.run("migrate", database_url=address)
    polled = await syncer.run("sync", database_url=address)
    sql = await connect(address)
    await sql.execute("update pg_database set encoding = pg_char_to_encoding('SQL_ASCII') where datname = $1", name)
    await sql.close()

    status, migrate_off, sync = await asyncio.gather(
        syncer.run("status", database_url=address),
        syncer.run("sync", database_url=address, migrate_on_start="false"),
        syncer.run("sync", database_url=address),
    )

    await execute(server.url, f"drop database {name} with (force)")
    assert (migrated.code, polled.code, status.code) == (0, 0, 0)
    assert status.out.startswith("default  ")
    assert migrate_off.code == sync.code == 1
    assert migrate_off.error_line() == sync.error_line()
    assert sync.error_line().startswith("syncer: the database's encoding is SQL_ASCII, ")
    assert sum(emulator.requests.values()) == 1


async def test_a_login_that_may_not_create_the_schema_is_sent_to_the_owner_by_check_migrate_and_the_start(
    syncer: Program, login: str, empty_database: str
) -> None:
    user, database = urlsplit(login).username, empty_database.rpartition("/")[2]
    sentence = (
        f"the login {user} may not create the schema in database {database}: run `syncer migrate` as the owner, with "
        "SYNCER_MIGRATE_DATABASE_URL"
    )

    check, migrate, sync, with_owner = await asyncio.gather(
        *(syncer.run(command, database_url=login) for command in ("check", "migrate", "sync")),
        syncer.run("check", database_url=login, migrate_database_url=empty_database),
    )

    assert (check.code, problems(check)) == (1, {"schema": sentence})
    assert (migrate.code, migrate.error_line()) == (1, f"syncer: {sentence}{named(empty_database)}")
    assert (sync.code, sync.error_line()) == (1, f"syncer: {sentence}{named(empty_database)}")
    assert (with_owner.code, problems(with_owner)) == (0, {})
    assert "schema: none yet: `syncer run` and `syncer sync` create it" in with_owner.out


async def test_a_login_that_does_not_own_an_older_schema_is_sent_to_the_owner(
    syncer: Program, login: str, empty_database: str
) -> None:
    user = urlsplit(login).username
    sql = await connect(empty_database)
    await sql.execute("create schema syncer create table alembic_version (version_num text)")
    await sql.execute("insert into syncer.alembic_version values ('0007')")
    await sql.execute(f"grant usage on schema syncer to {user}")
    await sql.execute(f"grant select on syncer.alembic_version to {user}")

    migrate = await syncer.run("migrate", database_url=login)

    await sql.execute(f"drop owned by {user}")
    await sql.close()
    assert migrate.code == 1
    assert migrate.error_line() == (
        f"syncer: the login {user} does not own the schema syncer: run `syncer migrate` as the owner, postgres, with "
        f"SYNCER_MIGRATE_DATABASE_URL{named(empty_database)}"
    )


@pytest.mark.parametrize("schema", ["analytics", "syncer"])
async def test_a_schema_of_another_program_is_named_by_check_migrate_and_the_start(
    syncer: Program, empty_database: str, schema: str
) -> None:
    await execute(empty_database, f"create schema {schema} create table events (id int)")
    sentence = (
        f"the database already has a schema {schema} that is not syncer's: create a database for syncer and set "
        "SYNCER_DATABASE_URL to it, or rename the schema that is there"
    )

    check, migrate, sync = await asyncio.gather(
        *(syncer.run(command, database_url=empty_database) for command in ("check", "migrate", "sync"))
    )

    assert (check.code, problems(check)) == (1, {"schema": sentence})
    assert (migrate.code, migrate.error_line()) == (1, f"syncer: {sentence}{named(empty_database)}")
    assert (sync.code, sync.error_line()) == (1, f"syncer: {sentence}{named(empty_database)}")


async def test_an_empty_schema_that_an_administrator_made_for_the_login_is_used(
    syncer: Program, login: str, empty_database: str
) -> None:
    user, database = urlsplit(login).username, empty_database.rpartition("/")[2]
    await execute(empty_database, f"create schema syncer authorization {user}")
    await execute(empty_database, f"grant create on database {database} to {user}")

    check = await syncer.run("check", database_url=login)
    migrate = await syncer.run("migrate", database_url=login)

    assert (check.code, migrate.code) == (0, 0)
    await execute(empty_database, f"revoke all on database {database} from {user}")
    await execute(empty_database, f"reassign owned by {user} to postgres; drop owned by {user}")


async def test_no_error_repeats_the_row_that_postgresql_refused(syncer: Program, sql: asyncpg.Connection) -> None:
    await sql.execute("alter table syncer.virtual_number add check (number !~ '^7')")
    await sql.execute("alter table syncer.virtual_number add column origin text not null default 'x'")

    failed = await syncer.run("sync", "--json")
    await sql.execute("alter table syncer.virtual_number alter origin drop default")
    missing = await syncer.run("sync", "--json")

    for finished in (failed, missing):
        result = json.loads(finished.out)
        stored = await sql.fetchval("select error from syncer.sync_run where run_id = $1", result["run_id"])
        assert (finished.code, result["error_kind"]) == (1, "database")
        assert result["error"] == stored
        (logged,) = [line for line in finished.err.splitlines() if '"poll_finished"' in line]
        for text in (result["error"], logged):
            assert "violates" in text
            assert "DETAIL" not in text
            assert "Failing row" not in text
            assert re.search("[0-9]{10}", text) is None  # no phone number
