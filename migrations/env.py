"""How migrations run: in one transaction, one program at a time, without waiting for locks for ever."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from syncer.store.tables import SCHEMA, metadata

# Any number will do as long as nobody else takes it: the ASCII codes of "sync".
LOCK = 0x73796E63


def run(connection: Connection) -> None:
    """Brings the schema to where Alembic was asked to bring it; of two programs at once, one waits for the other."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
    )
    with context.begin_transaction():
        # Bound to the transaction, not to the session: PgBouncer hands the session to somebody else.
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(text("set local lock_timeout = '30s'"))
        # Asked first, because "if not exists" wants the right to create one even where it exists.
        if connection.scalar(text("select to_regnamespace(:schema)"), {"schema": SCHEMA}) is None:
            connection.execute(text(f"create schema {SCHEMA}"))
        context.run_migrations()


def run_from_command_line() -> None:
    """For developers: `alembic revision --autogenerate` against SYNCER_MIGRATE_DATABASE_URL."""
    import asyncio  # noqa: PLC0415 - the program never comes here
    import os  # noqa: PLC0415 - likewise

    from syncer.store.engine import create_engine  # noqa: PLC0415 - likewise

    async def connect() -> None:
        engine = create_engine(lambda: os.environ["SYNCER_MIGRATE_DATABASE_URL"], command_timeout=None)
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
        await engine.dispose()

    asyncio.run(connect())


if "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    run_from_command_line()
