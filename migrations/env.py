"""Runs migrations in one transaction, one process at a time, with a limit on how long they wait for locks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, text

from syncer.store.citus import has_citus, has_distributed_tables
from syncer.store.distribution import keep_distributed, make_roles_on_workers, prepare_migration
from syncer.store.engine import Engine
from syncer.store.schema import MIGRATION_LOCK
from syncer.store.tables import SCHEMA, metadata
from syncer.store.viewers import drop_viewer_schemas, make_viewer_schemas


def run(connection: Connection) -> None:
    """Brings the schema to the requested revision; if two processes run at the same time, one waits for the other."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
    )
    with context.begin_transaction():
        # A transaction-level lock, not a session-level one: PgBouncer gives the session to other clients.
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.execute(text("set local lock_timeout = '30s'"))
        # "create schema if not exists" needs the privilege to create schemas even if the schema exists.
        if connection.scalar(text("select to_regnamespace(:schema)"), {"schema": SCHEMA}) is None:
            connection.execute(text(f"create schema {SCHEMA}"))
        # Views of logins that see some accounts only are made of the others: a migration could not change those.
        drop_viewer_schemas(connection)
        if has_citus(connection):
            make_roles_on_workers(connection)
        if is_distributed := has_distributed_tables(connection):
            prepare_migration(connection, is_to_newest=context.get_revision_argument() == context.get_head_revision())
        context.run_migrations()
        if is_distributed:
            keep_distributed(connection, Path(__file__).parent)
        make_viewer_schemas(connection)


def run_from_command_line() -> None:
    """For developers: `alembic revision --autogenerate` against SYNCER_MIGRATE_DATABASE_URL."""

    async def connect() -> None:
        engine = Engine(lambda: os.environ["SYNCER_MIGRATE_DATABASE_URL"], command_timeout=None)
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
        await engine.dispose()

    asyncio.run(connect())


if "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    run_from_command_line()
