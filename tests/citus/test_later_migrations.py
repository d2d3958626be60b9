"""A migration of tables that are distributed already."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from syncer.errors import SchemaError
from syncer.store.engine import Engine
from syncer.store.schema import known_revisions, migrations_folder
from tests.builders import connect, record
from tests.migrations.test_migrations import step_down

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.builders import PolledAccount

UPGRADE = """
-- Of each kind of change that a migration makes.
alter table syncer.virtual_number add column floor integer;
comment on column syncer.virtual_number.floor is 'The floor.';
alter table syncer.virtual_number add constraint floor_is_low check (floor < 100);
create index virtual_number_floor on syncer.virtual_number (account_id, floor) where floor is not null;
alter table syncer.virtual_number set (fillfactor = 60);
drop index syncer.sync_run_started_at_idx;

create table syncer.visit (
    account_id integer not null references syncer.account,
    virtual_number_id bigint not null,
    at timestamptz not null,
    primary key (account_id, virtual_number_id, at),
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id)
);
comment on table syncer.visit is 'A visit.';
create trigger no_change before update on syncer.visit
    for each row execute function suppress_redundant_updates_trigger();
create view analytics.visits as select account_id, virtual_number_id, at from syncer.visit;
grant select on analytics.visits to syncer_analyst;

create or replace view analytics.freshness as
{freshness}
update syncer.number_state set title_en = 'Cold' where state = 'freeze';
"""
SHARDS = "select distinct success, result from run_command_on_shards($1::text::regclass, $2)"
FRESHNESS = "select pg_get_viewdef('analytics.freshness'::regclass)"


async def upgrade(engine: Engine, folder: Path) -> None:
    """Migrates to the newest schema that is in a folder."""

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_it_is_executed_on_all_servers_its_table_is_distributed_and_its_views_are_as_citus_needs_them(
    database: str, plain_database: str, account: PolledAccount, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await account.poll(record(1), record(2, state="freeze"))
    freshness_of_citus = await sql.fetchval(FRESHNESS)
    plain = await connect(plain_database)
    freshness = await plain.fetchval(FRESHNESS)
    await plain.close()
    assert freshness != freshness_of_citus
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder)
    config = Config()
    config.set_main_option("script_location", str(folder))
    command.revision(config, "visits", rev_id="9999")
    (folder / "sql" / "9999_up.sql").write_text(UPGRADE.format(freshness=freshness))
    kinds = folder / "sql" / "citus" / "distribute.sql"

    engine = Engine(lambda: database, command_timeout=None)
    with pytest.raises(
        asyncpg.RaiseError, match=r"distribute\.sql does not say of which kind the table syncer\.visit is"
    ):
        await upgrade(engine, folder)
    assert await sql.fetchval("select to_regclass('syncer.visit')") is None
    kinds.write_text(kinds.read_text().replace("'virtual_number',", "'virtual_number', 'visit',"))
    await upgrade(engine, folder)
    await engine.dispose()

    assert await sql.fetchval(FRESHNESS) == freshness_of_citus
    method = "select partmethod from pg_dist_partition where logicalrelid = 'syncer.visit'::regclass"
    assert await sql.fetchval(method) == b"h"
    constraints = "select string_agg(contype, '' order by contype) from pg_constraint where conrelid = '%s'::regclass"
    assert await answers(sql, "syncer.visit", constraints) == ["ffp"]
    triggers = "select count(*) from pg_trigger where tgrelid = '%s'::regclass and not tgisinternal"
    assert await answers(sql, "syncer.visit", triggers) == ["1"]
    options = "select reloptions from pg_class where oid = '%s'::regclass"
    assert await answers(sql, "syncer.virtual_number", options) == ["{fillfactor=60}"]
    assert (await account.poll(record(1, state="debt_lock"), record(2), record(3))).outcome == "applied"
    await sql.execute("insert into syncer.visit values (1, 3, now())")
    assert await account.rows("select virtual_number_id from analytics.visits") == [(3,)]
    assert await account.rows("select account, held from analytics.freshness") == [("default", 0)]
    assert await account.broken_invariants() == []


async def answers(sql: asyncpg.Connection, table: str, query: str) -> list[str]:
    """Returns the distinct answers of the shards of a table."""
    found = await sql.fetch(SHARDS, table, query)
    assert {success for success, _ in found} == {True}
    return [answer for _, answer in found]


async def test_distributed_tables_cannot_have_an_earlier_schema(database: str, sql: asyncpg.Connection) -> None:
    newest, earlier, *_ = known_revisions()
    engine = Engine(lambda: database, command_timeout=None)

    with pytest.raises(SchemaError) as refused:
        await step_down(engine, earlier)

    await engine.dispose()
    assert str(refused.value) == (
        "distributed tables can have the newest schema only: to go back, restore what `syncer dump` writes into a "
        "database without the extension citus"
    )
    assert await sql.fetchval("select version_num from syncer.alembic_version") == newest
