"""Distributes the tables over the servers of a Citus cluster, and keeps them so when the schema changes.

What Citus needs is in `migrations/sql/citus`: `distribute.sql` says which table is of which kind, `grants.sql` has
privileges, and each other file replaces functions and views with texts that Citus can run, which return the same rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.errors import SchemaError, counted
from syncer.store.citus import has_citus, has_distributed_tables
from syncer.store.driver_errors import translate_errors
from syncer.store.schema import MIGRATION_LOCK, migrations_folder

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from syncer.store.engine import Engine

_TABLES: Final = "distribute.sql"
_GRANTS: Final = "grants.sql"
# Without the first, Citus would also convert the tables that only refer to others. The triggers that protect history
# read nothing but the row that they are fired for. A transaction that changes a table that others refer to may use one
# connection to each server only.
_SETTINGS: Final = """
set local citus.enable_local_reference_table_foreign_keys = off;
set local citus.enable_unsafe_triggers = on;
set local citus.multi_shard_modify_mode = 'sequential';
"""
_CLUSTER: Final = text("""
select current_user as login, (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
       exists (select from pg_dist_node where groupid = 0) as has_coordinator,
       (select count(*) from pg_dist_node where groupid <> 0 and noderole = 'primary') as workers,
       current_setting('max_prepared_transactions') as prepared,
       (select string_agg(login, ', ' order by login) from syncer.viewer) as viewers
""")
_PREPARED_ON_WORKERS: Final = text("""
select format('%s:%s', nodename, nodeport) as worker, success, result
  from run_command_on_workers('show max_prepared_transactions') order by 1
""")
# Citus makes a role on the workers when it is made in a database of the cluster. On the coordinator it may be there
# already, made in a database without the extension.
_MAKE_ROLES: Final = text("""
select run_command_on_workers(format($command$
           do $block$
           begin
               set local citus.enable_ddl_propagation = off;
               if not exists (select from pg_roles where rolname = %1$L) then
                   create role %1$I nologin;
               end if;
           end
           $block$ $command$, rolname))
  from pg_roles where rolname in ('syncer_analyst', 'syncer_daemon')
""")
_HAS_INSTALLED: Final = text("select to_regprocedure('syncer.citus_texts()') is not null")
_INSTALLED: Final = text("select syncer.citus_texts()")
_REMEMBER: Final = """
create or replace function syncer.citus_texts() returns text language sql immutable return '{digest}';
comment on function syncer.citus_texts() is 'The digest of what was executed last of migrations/sql/citus.';
"""
# What a table had before it was distributed stays beside its shards, and nothing reads it. The small tables keep it: a
# local table refers to one of them, which Citus then does not empty.
_DELETE_LOCAL_COPIES: Final = text("""
select truncate_local_data_after_distributing_table(logicalrelid) from pg_dist_partition
 where partmethod = 'h' and pg_relation_size(logicalrelid) > 0
""")


def citus_scripts(folder: Path | None = None) -> dict[str, str]:
    """Returns what Citus needs, by the names of the files, in the order in which it is executed.

    Args:
        folder: The folder of the migrations; None for that of this version.
    """
    files = {
        file.name: file.read_text(encoding="utf-8") for file in (folder or migrations_folder()).glob("sql/citus/*.sql")
    }
    texts = sorted(files.keys() - {_TABLES, _GRANTS})
    return {name: files[name] for name in (_TABLES, *texts, _GRANTS)}


def digest_of(scripts: dict[str, str]) -> str:
    """Returns what changes when one of the scripts does."""
    digest = hashlib.sha256()
    for name, script in scripts.items():
        digest.update(f"{name}\0{script}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Distribution:
    """Whether the tables of a database that has Citus are distributed, and its functions and views of this version."""

    is_distributed: bool
    is_current: bool


async def describe_distribution(engine: Engine) -> Distribution | None:
    """Returns whether the tables are distributed; None if the database does not have Citus.

    Raises:
        DatabaseError: The database cannot be read.
    """

    def read(connection: Connection) -> Distribution | None:
        if not has_citus(connection):
            return None
        is_current = _installed(connection) == digest_of(citus_scripts())
        return Distribution(has_distributed_tables(connection), is_current)

    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(read)


def make_roles_on_workers(connection: Connection) -> None:
    """Makes the roles on the workers of a cluster if the coordinator has them, and only if this login may."""
    connection.execute(_MAKE_ROLES)


def prepare_migration(connection: Connection, *, is_to_newest: bool) -> None:
    """Sets what a migration of distributed tables needs, for its transaction.

    Raises:
        SchemaError: It is not to the newest schema, and there are no scripts with what Citus needs in another one.
    """
    if not is_to_newest:
        raise SchemaError(
            "distributed tables can have the newest schema only: to go back, restore what `syncer dump` writes into a "
            "database without the extension citus"
        )
    _execute(connection, _SETTINGS)


def keep_distributed(connection: Connection, folder: Path) -> None:
    """Distributes the tables that a migration has added, and replaces again what it has replaced.

    Args:
        connection: A database with distributed tables.
        folder: The folder of the migrations.
    """
    _install(connection, citus_scripts(folder))


async def distribute(engine: Engine) -> str | None:
    """Distributes the tables, if the database has Citus and they are not distributed yet.

    If they are, this brings up to date the functions and views that Citus needs in other texts. Safe to run from
    several machines at the same time.

    Args:
        engine: The database, as its owner, with the newest schema.

    Returns:
        What was done, in one line; None if the database does not have Citus.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: This login may not do it, or the cluster cannot have the tables yet.
    """
    with translate_errors():
        async with engine.begin() as connection:
            return await connection.run_sync(_distribute)


def _distribute(connection: Connection) -> str | None:
    if not has_citus(connection):
        return None
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    connection.execute(text("set local lock_timeout = '30s'"))
    cluster = connection.execute(_CLUSTER).one()
    scripts = citus_scripts()
    servers = counted(cluster.workers, "worker") if cluster.workers else "the coordinator alone"
    if has_distributed_tables(connection):
        if _installed(connection) == digest_of(scripts):
            return f"the tables are distributed over {servers} already"
        _require_ready(connection, cluster)
        _install(connection, scripts)
        return f"the tables are distributed over {servers} already; functions and views were replaced"
    _require_ready(connection, cluster)
    _install(connection, scripts)
    connection.execute(_DELETE_LOCAL_COPIES)
    return f"the tables have been distributed over {servers}"


def _installed(connection: Connection) -> str | None:
    """Returns the digest of the scripts that ran last."""
    return connection.scalar(_INSTALLED) if connection.scalar(_HAS_INSTALLED) else None


def _require_ready(connection: Connection, cluster: Row[tuple[object, ...]]) -> None:
    """Checks that the cluster can have the tables.

    Raises:
        SchemaError: It cannot; the message says what to do.
    """
    if not cluster.is_superuser:
        raise SchemaError(
            f"the database has the extension citus, and the login {cluster.login} may not distribute the tables: run "
            "`syncer migrate` as a superuser, with SYNCER_MIGRATE_DATABASE_URL, or drop the extension"
        )
    if not cluster.has_coordinator:
        raise SchemaError(
            "Citus does not know the coordinator's address: run "
            "`select citus_set_coordinator_host('HOST', PORT)` in this database first, with an address that the "
            "workers can connect to"
        )
    if cluster.viewers is not None:
        raise SchemaError(
            f"some logins see some accounts only, which Citus cannot limit: take their schemas away first, with "
            f"`syncer login NAME --revoke`: {cluster.viewers}"
        )
    prepared = [("the coordinator", True, cluster.prepared)]
    prepared += [tuple(row) for row in connection.execute(_PREPARED_ON_WORKERS)]
    for server, is_reached, result in prepared:
        if not is_reached:
            raise SchemaError(f"the coordinator cannot ask the worker {server}: {' '.join(result.split())}")
        if result == "0":
            raise SchemaError(
                f"max_prepared_transactions of {server} is 0: set it to the value of max_connections on each server of "
                "the cluster, and restart it"
            )


def _install(connection: Connection, scripts: dict[str, str]) -> None:
    """Distributes what is not distributed yet, replaces functions and views, and grants privileges."""
    _execute(connection, _SETTINGS)
    for script in scripts.values():
        _execute(connection, script)
    _execute(connection, _REMEMBER.format(digest=digest_of(scripts)))


def _execute(connection: Connection, script: str) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    connection.connection.run_async(lambda driver: driver.execute(script))
