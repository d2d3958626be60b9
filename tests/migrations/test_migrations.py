"""The schema that the migrations create: up, down and up again, on every PostgreSQL version that is installed."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from syncer.embedded import EmbeddedServer
from syncer.emulator import STATIC, Emulator
from syncer.store.engine import Engine
from syncer.store.schema import known_revisions, migrate, migrations_folder, schema_state
from syncer.store.tables import SCHEMA, metadata
from tests.builders import PolledAccount, connect, settings_for
from tests.folders import public_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg
    from sqlalchemy import Connection


PACKAGED = "packaged"
INSTALLED = {
    folder.parent.name: folder
    for folder in Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin")
    if int(folder.parent.name) >= 15
}

# Queries for every kind of database object in the two schemas, ordered, with their names and comments.
CATALOG = {
    "relations": """
        select c.oid::regclass::text, c.relkind::text, obj_description(c.oid, 'pg_class'),
               case when c.relkind = 'v' then pg_get_viewdef(c.oid) end,
               (select array_agg(a::text order by a::text)
                  from unnest(coalesce(c.relacl, acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char",
                                                            c.relowner))) a)
          from pg_class c where c.relnamespace::regnamespace::text in ('syncer', 'analytics') order by 1""",
    "columns": """
        select a.attrelid::regclass::text, a.attnum::int, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity::text, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
          from pg_attribute a
          join pg_class c on c.oid = a.attrelid
          left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
         where c.relnamespace::regnamespace::text in ('syncer', 'analytics') and a.attnum > 0
           and not a.attisdropped and c.relkind <> 'i'
         order by 1, 2""",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
          from pg_constraint where connamespace::regnamespace::text in ('syncer', 'analytics') and contype <> 'n'
         order by 1, 2""",
    "indexes": """
        select indexrelid::regclass::text, pg_get_indexdef(indexrelid)
          from pg_index join pg_class c on c.oid = indexrelid
         where c.relnamespace::regnamespace::text in ('syncer', 'analytics') order by 1""",
    "functions": """
        select oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
          from pg_proc where pronamespace::regnamespace::text in ('syncer', 'analytics') order by 1""",
    "schemas": """
        select nspname, obj_description(oid, 'pg_namespace'),
               (select array_agg(a::text order by a::text) from unnest(nspacl) a)
          from pg_namespace where nspname in ('syncer', 'analytics') order by 1""",
    "lookups": """
        select 'type', type, title_en, title_ru, documented from syncer.number_type
        union all select 'purpose', purpose, title_en, title_ru, documented from syncer.number_purpose
        union all select 'state', state, title_en, title_ru, documented from syncer.number_state order by 1, 2""",
}

# (table, columns, referenced table, referenced columns), as the contract defines them.
FOREIGN_KEYS = {
    ("account_fence", ("account_id",), "account", ("account_id",)),
    ("account_schedule", ("account_id",), "account", ("account_id",)),
    ("sync_run", ("account_id",), "account", ("account_id",)),
    ("sync_day", ("account_id",), "account", ("account_id",)),
    ("day_summary", ("account_id",), "account", ("account_id",)),
    ("rejected_record", ("account_id",), "account", ("account_id",)),
    ("account_condition", ("account_id",), "account", ("account_id",)),
    ("notice_cursor", ("account_id",), "account", ("account_id",)),
    ("erasure", ("account_id",), "account", ("account_id",)),
    ("name", ("account_id",), "account", ("account_id",)),
    ("name_history", ("account_id",), "account", ("account_id",)),
    ("name_list", ("account_id",), "account", ("account_id",)),
    ("notice", ("account_id", "rule", "channel"), "notice_cursor", ("account_id", "rule", "channel")),
    ("virtual_number", ("account_id",), "account", ("account_id",)),
    ("virtual_number", ("type",), "number_type", ("type",)),
    ("virtual_number", ("purpose",), "number_purpose", ("purpose",)),
    ("virtual_number", ("state",), "number_state", ("state",)),
    ("virtual_number", ("region_id",), "region", ("region_id",)),
    *(
        (table, ("account_id", "virtual_number_id"), "virtual_number", ("account_id", "virtual_number_id"))
        for table in (
            *("virtual_number_history", "state_history", "virtual_number_redirect"),
            *("virtual_number_redirect_history", "absence_history"),
        )
    ),
}

# From the vendor's documentation; `inactive` is documented on a different page.
DOCUMENTED = {
    "type": ["abc", "def", "sip_redirection", "sip_registration", "toll_free"],
    "purpose": ["company", "employee", "not_specified"],
    "state": ["activation", "active", "debt_lock", "freeze", "inactive", "unconfirmed"],
}


@pytest.fixture(scope="module", params=[PACKAGED, *sorted(INSTALLED)])
def any_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server: the packaged one, and one of each version that is installed on this machine."""
    if request.param == PACKAGED:
        packaged: EmbeddedServer = request.getfixturevalue("server")
        if "SYNCER_TEST_POSTGRES" not in os.environ:
            asyncio.run(_require_version(packaged.url, "18"))
        yield packaged.url
        return
    programs = INSTALLED[request.param]
    with (
        public_folder("syncer-migrations-") as folder,
        EmbeddedServer(folder, server_settings={"fsync": "off"}, programs=programs) as running,
    ):
        asyncio.run(_require_version(running.url, request.param))
        yield running.url


async def _require_version(url: str, major: str) -> None:
    connection = await connect(url)
    assert (await connection.fetchval("show server_version")).partition(".")[0] == major
    await connection.close()


@pytest.fixture(scope="module")
def address(any_server: str) -> str:
    """A database for this module on that server, with the newest schema, which every test restores."""

    async def create() -> str:
        name = f"migrations_{uuid.uuid4().hex[:12]}"
        owner = await connect(any_server)
        await owner.execute(f"create database {name} strategy file_copy")
        await owner.close()
        url = f"{any_server.rpartition('/')[0]}/{name}"
        engine = Engine(lambda: url, command_timeout=None)
        await migrate(engine)
        await engine.dispose()
        return url

    return asyncio.run(create())


@pytest.fixture
async def migrated(address: str) -> AsyncIterator[Engine]:
    """Connections to that database."""
    engine = Engine(lambda: address, command_timeout=None)
    yield engine
    await engine.dispose()


@pytest.fixture
async def catalog(address: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to that database with an empty search path, so that all names are qualified."""
    connection = await connect(address)
    await connection.execute("set search_path = ''")
    yield connection
    await connection.close()


async def rows(catalog: asyncpg.Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await catalog.fetch(query)]


async def dump(catalog: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {what: await rows(catalog, query) for what, query in CATALOG.items()}


async def step_down(engine: Engine, revision: str) -> None:
    """Downgrades as `alembic downgrade` does."""

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrations_folder()))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_each_downgrade_restores_the_schema_of_the_earlier_revision(
    migrated: Engine, catalog: asyncpg.Connection
) -> None:
    newest, *older = known_revisions()
    dumps = {newest: await dump(catalog)}
    assert {what: bool(objects) for what, objects in dumps[newest].items()} == dict.fromkeys(CATALOG, True)
    for revision in older:
        await step_down(migrated, revision)
        dumps[revision] = await dump(catalog)

    await migrate(migrated, "base")
    assert (await schema_state(migrated)).found is None
    relations = await rows(catalog, CATALOG["relations"])
    assert [name for name, kind, *_ in relations if kind != "i"] == ["syncer.alembic_version"]
    assert await rows(catalog, CATALOG["functions"]) == []

    for revision in reversed(known_revisions()):
        await migrate(migrated, revision)
        assert (await schema_state(migrated)).found == revision
        assert await dump(catalog) == dumps[revision], f"the downgrade to {revision} leaves a different schema"


async def test_after_a_downgrade_that_deletes_all_data_an_upgrade_and_polls_work_again(
    migrated: Engine, catalog: asyncpg.Connection
) -> None:
    async with Emulator(numbers=50, rates=STATIC) as emulator:
        settings = settings_for(emulator)
        async with PolledAccount(migrated, emulator, catalog, settings) as account:
            assert (await account.poll_again()).created == 50
            emulator.fleet("token").change_fraction(0.2)
            emulator.fleet("token").remove_fraction(0.1)
            changed = await account.poll_again()
            assert (changed.outcome, changed.removed) == ("applied", 5)
            assert await account.broken_invariants() == []

            await migrate(migrated, "base")
            await migrate(migrated)

            account.restart()
            assert (await account.poll_again()).created == 45
            assert await account.broken_invariants() == []
            await migrate(migrated, "base")
            await migrate(migrated)


async def test_the_migrations_create_the_tables_that_the_program_declares(
    migrated: Engine, catalog: asyncpg.Connection, any_server: str
) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {
            "version_table_schema": SCHEMA,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            "compare_type": True,
            "compare_server_default": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with migrated.connect() as connection:
        assert await connection.run_sync(differences) == []

    # Alembic does not compare conditions and partial indexes: compare with tables that are created without migrations.
    name = f"metadata_{uuid.uuid4().hex[:12]}"
    await catalog.execute(f"create database {name} strategy file_copy")
    other = f"{any_server.rpartition('/')[0]}/{name}"
    engine = Engine(lambda: other)
    async with engine.begin() as connection:
        await connection.execute(text(f"create schema {SCHEMA}"))
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    created = await connect(other)
    await created.execute("set search_path = ''")
    for what in ("constraints", "indexes"):
        by_metadata = {row for row in await rows(created, CATALOG[what]) if row[0].startswith(f"{SCHEMA}.")}
        by_migrations = {row for row in await rows(catalog, CATALOG[what]) if row[0].startswith(f"{SCHEMA}.")}
        assert {row for row in by_migrations if "alembic_version" not in row[0]} == by_metadata
    await created.close()
    await catalog.execute(f"drop database {name}")


async def test_every_object_has_a_comment(catalog: asyncpg.Connection) -> None:
    objects = await dump(catalog)
    kinds = {name: kind for name, kind, *_ in objects["relations"]}

    assert [name for name, kind, comment, *_ in objects["relations"] if kind in "rvm" and not comment] == []
    assert [(row[0], row[2]) for row in objects["columns"] if kinds[row[0]] in "rvm" and not row[-1]] == []
    assert [row[0] for row in objects["functions"] if not row[-1]] == []
    assert [row[0] for row in objects["schemas"] if not row[1]] == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            f"select number_key, changed_after from analytics.{view}"  # noqa: S608 - the test's own
            for view in ("state_history", "state_spells", "state_changes", "redirect_history", "assignments")
        ),
        *(
            f"select number_key, changed_after from analytics.{view} where account_id = 1"  # noqa: S608 - the test's own
            for view in ("number_history", "state_history", "redirect_history")
        ),
        "select count(*) from analytics.numbers_as_of('2026-03-01')",
    ],
)
async def test_no_version_of_postgresql_looks_up_names_zones_and_states_that_nobody_asks_for(
    catalog: asyncpg.Connection, query: str
) -> None:
    plan = "\n".join(row[0] for row in await catalog.fetch(f"explain (costs off) {query}"))

    assert "known_zone" not in plan
    assert "GroupAggregate" not in plan
    assert "HashAggregate" not in plan
    if "numbers_as_of" in query:
        assert "state_history" not in plan
    else:
        assert not re.search(r"on (syncer\.)?(account|region|number_state)\b", plan)
    if "state_" in query or "redirect_" in query:
        assert not re.search(r"on (syncer\.)?virtual_number_history\b", plan)


async def test_times_have_a_time_zone_and_there_are_no_enums_or_range_types(catalog: asyncpg.Connection) -> None:
    types = {row[3] for row in (await dump(catalog))["columns"]}

    assert {name for name in types if name.startswith("timestamp") or "range" in name} == {"timestamp with time zone"}
    assert await rows(catalog, "select typname from pg_type where typtype in ('e', 'r') and oid >= 16384") == []


async def test_the_vendors_documented_values_have_titles(catalog: asyncpg.Connection) -> None:
    lookups = await rows(catalog, CATALOG["lookups"])

    assert {field: [row[1] for row in lookups if row[0] == field] for field in DOCUMENTED} == DOCUMENTED
    assert [row for row in lookups if not row[2] or not row[3] or row[4] is not True] == []
    # English titles are in Latin letters, Russian ones in Cyrillic, except 8-800.
    assert [row[2] for row in lookups if re.search("[а-яё]", row[2], re.IGNORECASE)] == []
    assert {row[3] for row in lookups if not re.search("[а-яё]", row[3], re.IGNORECASE)} <= {"8-800"}


async def test_every_key_of_account_owned_tables_contains_the_account(catalog: asyncpg.Connection) -> None:
    keys = await rows(
        catalog,
        """
        select c.relname, i.indexrelid::regclass::text,
               array(select a.attname from pg_attribute a where a.attrelid = i.indrelid and a.attnum = any(i.indkey)),
               i.indisprimary
          from pg_index i join pg_class c on c.oid = i.indrelid
         where c.relnamespace = 'syncer'::regnamespace and i.indisunique
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id')
        """,
    )
    owned = {table for table, *_ in keys}
    assert owned >= {"account", "sync_run", "virtual_number", "state_history", "virtual_number_redirect"}
    assert {table for table, *_, is_primary in keys if is_primary} == owned
    without = [(table, columns) for table, _, columns, _ in keys if "account_id" not in columns]
    assert without == [("account", ["name"])]  # the table of accounts itself
    assert (
        await rows(
            catalog,
            """
        select c.relname from pg_class c
         where c.relnamespace = 'syncer'::regnamespace and c.relkind = 'r'
           and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
        """,
        )
        == []
    )

    assert [
        (table, columns, target)
        for table, columns, target, _ in await foreign_keys(catalog)
        if target in owned and "account_id" not in columns
    ] == []


async def foreign_keys(catalog: asyncpg.Connection) -> set[tuple[str, tuple[str, ...], str, tuple[str, ...]]]:
    found = await rows(
        catalog,
        """
        select source.relname, target.relname,
               array(select a.attname from unnest(f.conkey) with ordinality k (num, position)
                       join pg_attribute a on (a.attrelid, a.attnum) = (f.conrelid, k.num) order by position),
               array(select a.attname from unnest(f.confkey) with ordinality k (num, position)
                       join pg_attribute a on (a.attrelid, a.attnum) = (f.confrelid, k.num) order by position)
          from pg_constraint f
          join pg_class source on source.oid = f.conrelid
          join pg_class target on target.oid = f.confrelid
         where f.contype = 'f' and f.connamespace = 'syncer'::regnamespace
        """,
    )
    return {(table, tuple(columns), target, tuple(keys)) for table, target, columns, keys in found}


async def test_the_foreign_keys_are_those_of_the_contract(catalog: asyncpg.Connection) -> None:
    assert await foreign_keys(catalog) == FOREIGN_KEYS


async def test_the_keys_allow_distributing_the_tables_as_the_script_for_it_does(
    catalog: asyncpg.Connection,
) -> None:
    script = (migrations_folder() / "sql" / "citus" / "distribute.sql").read_text()
    kinds = {
        kind: re.findall(r"'(\w+)'", tables)
        for kind, tables in re.findall(r"(\w+)_tables text\[\] := array\[([^]]*)\]", script)
    }
    tables = await rows(catalog, "select tablename from pg_tables where schemaname = 'syncer' order by 1")
    assert set(kinds) == {"reference", "distributed", "local"}
    assert sorted(table for listed in kinds.values() for table in listed) == [table for (table,) in tables]
    distributed = set(kinds["distributed"])

    # Citus counts the columns of a table wrongly if one was dropped before the table was distributed.
    dropped = await rows(
        catalog,
        "select attrelid::regclass::text from pg_attribute where attisdropped and attrelid::regclass::text ~ '^syncer'",
    )
    assert {table.removeprefix("syncer.") for (table,) in dropped} <= set(kinds["local"])

    unique = await rows(
        catalog,
        """
        select c.relname, array(select a.attname from pg_attribute a
                                 where a.attrelid = i.indrelid and a.attnum = any(i.indkey))
          from pg_index i join pg_class c on c.oid = i.indrelid
         where c.relnamespace = 'syncer'::regnamespace and i.indisunique
        """,
    )
    assert {table for table, _ in unique} >= distributed
    assert [(table, columns) for table, columns in unique if table in distributed and "account_id" not in columns] == []

    # Foreign keys may go between distributed tables by account, and from them to reference tables, never the other way.
    assert [
        (table, columns, target)
        for table, columns, target, keys in await foreign_keys(catalog)
        if target in distributed
        and (table not in distributed or ("account_id", "account_id") not in zip(columns, keys, strict=True))
    ] == []


def test_migrations_are_linear_and_independent_of_the_program_and_never_cascade() -> None:
    versions = list((migrations_folder() / "versions").glob("*.py"))

    assert len(versions) == len(known_revisions())
    script_directory = ScriptDirectory(str(migrations_folder()))
    assert known_revisions() == tuple(script.revision for script in script_directory.walk_revisions())
    for version in versions:
        source = version.read_text()
        assert "cascade" not in source.lower()
        assert re.findall(r"^(?:from|import) (?:syncer|tests)\b", source, re.MULTILINE) == []
