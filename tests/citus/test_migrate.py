"""`syncer migrate` in a database that has the extension Citus."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from docs import demo_data
from syncer.errors import SchemaError
from syncer.store.distribution import citus_scripts, distribute
from syncer.store.engine import Engine
from syncer.store.schema import known_revisions, migrate
from tests.bi.test_roles import PRIVILEGES
from tests.builders import PolledAccount, connect, record, settings_for
from tests.migrations.test_migrations import CATALOG, FOREIGN_KEYS, foreign_keys, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from tests.citus.conftest import Cluster
    from tests.service.processes import Program

KINDS = """
select logicalrelid::text, case partmethod when 'h' then 'distributed' else 'reference' end from pg_dist_partition
"""
# How many foreign keys, triggers and indexes a table has.
FACTS = """
select concat_ws(' ', (select count(*) from pg_constraint where conrelid = t.oid and contype = 'f'),
                 (select count(*) from pg_trigger where tgrelid = t.oid and not tgisinternal),
                 (select count(*) from pg_index where indrelid = t.oid)) from (select '%s'::regclass::oid) t (oid)
"""
SHARDS = "select distinct success, result from run_command_on_shards($1::text::regclass, $2)"
ROLES_OF_WORKERS = """
select result
  from run_command_on_workers('select count(*) from pg_roles where rolname in (''syncer_analyst'', ''syncer_daemon'')')
"""
# What each server has of the functions that parts of queries call, with their privileges.
FUNCTIONS = """
select oid::regprocedure::text, proacl::text, md5(prosrc) from pg_proc
 where pronamespace = 'syncer'::regnamespace order by 1
"""
# What counts until now.
MOVING = {"lag_seconds"}
DIGEST_FUNCTION = "syncer.citus_texts()"


@pytest.fixture
async def engine(empty_database: str) -> AsyncIterator[Engine]:
    """Connections to the database that is to be migrated."""
    made = Engine(lambda: empty_database, command_timeout=None)
    yield made
    await made.dispose()


@pytest.fixture
async def sql(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own to it, with an empty search path, so that all names are qualified."""
    connection = await connect(empty_database)
    await connection.execute("set search_path = ''")
    yield connection
    await connection.close()


def listed_kinds() -> dict[str, str]:
    """Returns the kind of each table that Citus is to know, as the script says."""
    script = citus_scripts()["distribute.sql"]
    lists = re.findall(r"(reference|distributed)_tables text\[\] := array\[([^]]*)\]", script)
    return {f"syncer.{table}": kind for kind, tables in lists for table in re.findall(r"'(\w+)'", tables)}


async def require_distributed(sql: asyncpg.Connection) -> None:
    """Asserts that each table is of its kind, and that all its shards have its keys, triggers and indexes."""
    assert dict(await rows(sql, KINDS)) == listed_kinds()
    assert await foreign_keys(sql) == FOREIGN_KEYS
    for table in listed_kinds():
        facts = await sql.fetchval(FACTS % table)
        assert [tuple(row) for row in await sql.fetch(SHARDS, table, FACTS % "%s")] == [(True, facts)]


async def described(sql: asyncpg.Connection) -> dict[str, Any]:
    """Returns all objects but shards with their comments, without their texts and privileges."""
    found: dict[str, Any] = {what: await rows(sql, query) for what, query in CATALOG.items()}
    tables = {row[0] for row in found["relations"]}
    found["constraints"] = [row for row in found["constraints"] if row[0] in tables]
    found["relations"] = [row[:3] for row in found["relations"]]
    found["functions"] = [(row[0], row[2]) for row in found["functions"]]
    found["schemas"] = [row[:2] for row in found["schemas"]]
    return found


def require_kept(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Asserts that all objects are still there, and that views and functions in schema `syncer` alone were added."""
    added = {what: [row for row in after[what] if row not in before[what]] for what in before}
    assert {what: [row for row in before[what] if row not in after[what]] for what in before} == {
        what: [] for what in before
    }
    assert [row for row in added["relations"] if row[1] != "v"] == []
    assert [name for rows_added in added.values() for name, *_ in rows_added if not name.startswith("syncer.")] == []
    assert added["constraints"] == added["indexes"] == added["lookups"] == added["schemas"] == []


async def granted(sql: asyncpg.Connection) -> set[tuple[Any, ...]]:
    """Returns the privileges of our two roles."""
    return set(await rows(sql, PRIVILEGES))


async def content(sql: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Returns the rows of all tables and views."""
    names = await rows(
        sql,
        "select oid::regclass::text from pg_class where relkind in ('r', 'v')"
        " and relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)",
    )
    found = {}
    for (name,) in names:
        records = await sql.fetch(f"select * from {name}")  # noqa: S608 - from the catalog
        found[name] = sorted(
            (tuple(value for key, value in one.items() if key not in MOVING) for one in records), key=repr
        )
    return found


async def test_an_empty_database_is_migrated_and_distributed_and_a_second_time_changes_nothing(
    engine: Engine, sql: asyncpg.Connection, emulator: Emulator
) -> None:
    await migrate(engine)
    before = await described(sql)

    assert await distribute(engine) == "the tables have been distributed over 2 workers"

    await require_distributed(sql)
    require_kept(before, await described(sql))
    everything = {what: await rows(sql, query) for what, query in CATALOG.items()}
    again = await asyncio.gather(distribute(engine), distribute(engine))
    assert list(again) == ["the tables are distributed over 2 workers already"] * 2
    assert {what: await rows(sql, query) for what, query in CATALOG.items()} == everything
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
        assert (await account.poll(record(1))).outcome == "applied"


async def test_history_views_privileges_and_comments_survive_and_ids_go_on(
    engine: Engine, empty_database: str, sql: asyncpg.Connection, emulator: Emulator
) -> None:
    await demo_data.generate(empty_database, days=14)
    await sql.execute("create schema mine")
    await sql.execute("create view mine.numbers as select account, number, state from analytics.numbers")
    await sql.execute("comment on view mine.numbers is 'of a user'")
    await sql.execute("grant select on mine.numbers to public")
    mine = "select obj_description(oid), relacl::text from pg_class where oid = 'mine.numbers'::regclass"
    objects, privileges, stored = await described(sql), await granted(sql), await content(sql)
    numbers, users_view = await rows(sql, "select * from mine.numbers order by 2"), await rows(sql, mine)
    last_run = await sql.fetchval("select max(run_id) from syncer.sync_run")
    assert len(stored["syncer.sync_run"]) > 50

    await distribute(engine)

    await require_distributed(sql)
    require_kept(objects, await described(sql))
    assert privileges <= await granted(sql)
    found = await content(sql)
    assert [name for name, rows_before in stored.items() if found[name] != rows_before] == []
    assert await rows(sql, "select * from mine.numbers order by 2") == numbers
    assert await rows(sql, mine) == users_view
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
        assert (await account.poll(record(1))).run_id == last_run + 1
        assert await account.broken_invariants() == []


async def test_a_database_from_before_the_extension_is_distributed(
    cluster: Cluster, plain_template: str, emulator: Emulator
) -> None:
    name = f"test_{secrets.token_hex(6)}"
    url = await cluster.create(name, plain=plain_template)
    engine, sql = Engine(lambda: url, command_timeout=None), await connect(url)
    await sql.execute("set search_path = ''")
    try:
        assert await distribute(engine) == "the tables have been distributed over 2 workers"
        await require_distributed(sql)
        functions = await rows(sql, FUNCTIONS)
        for address in cluster.worker_addresses(url):
            worker = await connect(address)
            assert await rows(worker, FUNCTIONS) == functions
            await worker.close()
        async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
            assert (await account.poll(record(1))).outcome == "applied"
            assert await account.broken_invariants() == []
    finally:
        await sql.close()
        await engine.dispose()
        await cluster.drop(name)


async def test_roles_that_only_the_coordinator_has_are_made_on_the_workers(
    engine: Engine, empty_database: str, sql: asyncpg.Connection, cluster: Cluster, plain_template: str
) -> None:
    assert plain_template  # so that the coordinator has them
    hidden = {role: f"{role}_{secrets.token_hex(6)}" for role in ("syncer_analyst", "syncer_daemon")}
    for role, name in hidden.items():
        await cluster.on_workers(f"alter role {role} rename to {name}")
    try:
        await migrate(engine)
        await distribute(engine)
        assert await rows(sql, ROLES_OF_WORKERS) == [("2",), ("2",)]
    finally:
        await sql.close()
        await engine.dispose()
        await cluster.drop(urlsplit(empty_database).path[1:])
        for role, name in hidden.items():
            await cluster.on_workers(f"drop role if exists {role}; alter role {name} rename to {role}")


async def test_what_the_tables_had_before_is_not_kept_beside_the_shards(
    engine: Engine, sql: asyncpg.Connection, emulator: Emulator
) -> None:
    local = "select sum(pg_relation_size(logicalrelid)) from pg_dist_partition where partmethod = 'h'"
    await migrate(engine)
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
        await account.poll(record(1))
    assert await sql.fetchval("select pg_relation_size('syncer.virtual_number')") > 0

    await distribute(engine)

    assert await sql.fetchval(local) == 0
    assert await sql.fetchval("select count(*) from syncer.virtual_number") == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            "insert into syncer.viewer values ('clerk', '{1}', now())",
            (
                "some logins see some accounts only, which Citus cannot limit: take their schemas away first, with "
                "`syncer login NAME --revoke`: clerk"
            ),
        ),
        (
            "select citus_remove_node(nodename, nodeport) from pg_dist_node where groupid = 0",
            (
                "Citus does not know the coordinator's address: run `select citus_set_coordinator_host('HOST', PORT)` "
                "in this database first, with an address that the workers can connect to"
            ),
        ),
    ],
)
async def test_a_database_that_cannot_be_distributed_yet_is_refused_and_unchanged(
    engine: Engine, sql: asyncpg.Connection, spoil: str, message: str
) -> None:
    await migrate(engine)
    await sql.execute(spoil)

    with pytest.raises(SchemaError) as refused:
        await distribute(engine)

    assert str(refused.value) == message
    assert await rows(sql, KINDS) == []


async def test_a_worker_that_cannot_be_reached_is_named(engine: Engine, sql: asyncpg.Connection) -> None:
    await migrate(engine)
    await sql.execute("update pg_dist_node set nodeport = 1 where groupid = 1")

    with pytest.raises(SchemaError, match=r"^the coordinator cannot ask the worker \S+:1: failed to connect to "):
        await distribute(engine)

    assert await rows(sql, KINDS) == []


async def test_only_a_superuser_can_distribute(engine: Engine, empty_database: str, sql: asyncpg.Connection) -> None:
    await migrate(engine)
    name = f"owner_{secrets.token_hex(4)}"
    await sql.execute(f"create role {name} login password '{name}' in role current_user")
    parts = urlsplit(empty_database)
    url = urlunsplit(parts._replace(netloc=f"{name}:{name}@{parts.hostname}:{parts.port}"))
    owner = Engine(lambda: url)
    try:
        with pytest.raises(SchemaError) as refused:
            await distribute(owner)
    finally:
        await owner.dispose()
        await sql.execute(f"drop role {name}")

    assert str(refused.value) == (
        f"the database has the extension citus, and the login {name} may not distribute the tables: run "
        "`syncer migrate` as a superuser, with SYNCER_MIGRATE_DATABASE_URL, or drop the extension"
    )


async def test_nothing_is_made_on_a_worker(empty_database: str, cluster: Cluster) -> None:
    worker = cluster.worker_addresses(empty_database)[0]
    engine = Engine(lambda: worker, command_timeout=None)

    with pytest.raises(SchemaError) as refused:
        await migrate(engine)

    await engine.dispose()
    assert (
        str(refused.value) == "this server is a worker of a Citus cluster: set SYNCER_DATABASE_URL to the coordinator"
    )
    sql = await connect(worker)
    assert await sql.fetchval("select to_regnamespace('syncer')") is None
    await sql.close()


async def test_the_command_says_what_it_did(empty_database: str, syncer: Program, sql: asyncpg.Connection) -> None:
    newest = f"the schema is {known_revisions()[0]}, the newest\n"

    async def run() -> tuple[int, str]:
        command = await syncer.start("migrate", database_url=empty_database)
        return (await command.wait(within=300)).result

    assert await run() == (0, f"{newest}the tables have been distributed over 2 workers\n")
    assert await run() == (0, f"{newest}the tables are distributed over 2 workers already\n")
    await sql.execute(
        f"create or replace function {DIGEST_FUNCTION} returns text language sql immutable return 'older'"
    )
    assert await run() == (
        0,
        f"{newest}the tables are distributed over 2 workers already; functions and views were replaced\n",
    )
