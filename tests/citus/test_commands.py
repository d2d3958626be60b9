"""What the commands say of a database with distributed tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from syncer.store.schema import known_revisions
from tests.builders import PolledAccount, connect, record, settings_for
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine
    from tests.citus.conftest import Cluster
    from tests.service.processes import Program


@pytest.fixture
async def account(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """The account of the program in this process, to prepare quickly what the commands find."""
    settings = settings_for(emulator, api_token=SecretStr(TOKEN))
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield polled


def lines_about(citus: str) -> list[str]:
    """Returns what `syncer check` printed about the servers of the cluster."""
    return [line for line in citus.splitlines() if " citus: " in line or " worker " in line]


async def test_check_names_the_servers_and_finds_everything_ok(
    syncer: Program, database: str, account: PolledAccount
) -> None:
    await account.poll_again()

    finished = await syncer.run("check", "--data")

    assert finished.out.splitlines() == [
        "ok     configuration: 1 account",
        f"ok     database: PostgreSQL {account.sql.get_server_version().major}, {database.rpartition('@')[2]}",
        "ok     time zones: the database's server knows Europe/Moscow",
        f"ok     schema: {known_revisions()[0]}",
        "ok     citus: the tables are distributed over 2 workers",
        "ok     schedule of default: every 5m; no daemon has polled it yet",
        f"ok     endpoint of default: {syncer.settings['api_url']} accepts the token and lists 200 numbers",
        "ok     names: off",
        "ok     data: every invariant holds",
    ]
    assert finished.code == 0


async def test_check_compares_the_clocks_of_the_workers(
    syncer: Program, database: str, cluster: Cluster, account: PolledAccount
) -> None:
    await account.poll_again()
    worker = await connect(cluster.worker_addresses(database)[0])
    await worker.execute("set citus.enable_ddl_propagation = off")
    await worker.execute("set citus.enable_metadata_sync = off")
    clock = "create or replace function syncer.clock() returns timestamptz language sql stable as $$ select {} $$"
    await worker.execute(clock.format("clock_timestamp() + interval '1 hour'"))
    ahead = await syncer.run("check")
    await worker.execute(clock.format("clock_timestamp() - interval '1 minute'"))
    behind = await syncer.run("check")
    await worker.close()

    host, port = cluster.nodes[1]
    todo = "the coordinator's: synchronise the clocks of all servers, as with NTP"
    assert lines_about(ahead.out) == [f"warn   worker {host}:{port}: its clock is at least 3600 s ahead of {todo}"]
    assert lines_about(behind.out) == [f"warn   worker {host}:{port}: its clock is at least 60 s behind {todo}"]
    assert (ahead.code, behind.code) == (0, 0)


async def test_check_finds_a_worker_that_does_not_answer_and_texts_of_another_version(
    syncer: Program, cluster: Cluster, sql: asyncpg.Connection
) -> None:
    function = "create or replace function syncer.citus_texts() returns text language sql immutable return 'other'"
    await sql.execute(function)
    other_texts = await syncer.run("check")
    await sql.execute("update pg_dist_node set nodeport = 1 where groupid = 2")
    unreachable = await syncer.run("check")

    assert (other_texts.code, unreachable.code) == (1, 1)
    texts = (
        "WRONG  citus: functions and views are not those that this version needs where tables are distributed: "
        "run `syncer migrate`"
    )
    assert lines_about(other_texts.out) == [texts]
    host, _ = cluster.nodes[2]
    assert lines_about(unreachable.out) == [
        (
            f"WRONG  worker {host}:1: failed to connect to {host}:1; until it answers, its accounts are not polled, "
            "and queries of all accounts fail"
        ),
        texts,
    ]


async def test_check_says_that_the_tables_are_not_distributed_yet(syncer: Program, empty_database: str) -> None:
    polled = await syncer.run("sync", database_url=empty_database)
    finished = await syncer.run("check", database_url=empty_database)

    assert (polled.code, finished.code) == (0, 0)
    assert lines_about(finished.out) == [
        "warn   citus: the tables are on one server: run `syncer migrate` to distribute them, or drop the extension"
    ]


async def test_status_has_all_accounts(syncer: Program, account: PolledAccount, emulator: Emulator) -> None:
    await account.poll(record(1), record(2, state="freeze"), record(3, number=None))
    neighbour = settings_for(emulator, account_name="neighbour")
    async with PolledAccount(account.engine, emulator, account.sql, neighbour) as other:
        await other.poll(record(1))

    shown = await syncer.run("status", "--json")

    assert shown.code == 0
    assert [
        (one["account"], one["last_outcome"], one["numbers"], len(one["rejected"]))
        for one in map(json.loads, shown.out.splitlines())
    ] == [("default", "applied", {"active": 1, "freeze": 1}, 1), ("neighbour", "applied", {"active": 1}, 0)]


@pytest.mark.parametrize("arguments", [(), ("--sql",)])
async def test_no_login_that_sees_some_accounts_only_is_made(
    syncer: Program, account: PolledAccount, arguments: tuple[str, ...]
) -> None:
    await account.poll(record(1))

    refused = await syncer.run("login", "clerk_of_one", "--account", "default", *arguments)

    assert refused.code == 2
    assert refused.error_line() == (
        "syncer: the tables are distributed with Citus, where no login can be limited to some accounts: each server "
        "runs its part of a query as the login that asks, which then needs rights on every row; give its people the "
        "files of `syncer export --account` instead, or a database with these accounts alone "
        f"(database: {urlsplit(syncer.settings['database_url'] or '').netloc.rpartition('@')[2]}"
        f"{urlsplit(syncer.settings['database_url'] or '').path})"
    )
    assert await account.rows("select from pg_roles where rolname = 'clerk_of_one'") == []
