"""Whether the tables are distributed over several servers, with the extension Citus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import translate_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

# This table is in every database that has the extension, and in no other.
_HAS_CITUS: Final = text("select to_regclass('pg_catalog.pg_dist_partition') is not null")
_IS_DISTRIBUTED: Final = text(
    "select exists (select from pg_catalog.pg_dist_partition where logicalrelid = to_regclass('syncer.sync_run'))"
)


def has_citus(connection: Connection) -> bool:
    """Returns whether the database has the extension."""
    return bool(connection.scalar(_HAS_CITUS))


def has_distributed_tables(connection: Connection) -> bool:
    """Returns whether the tables are distributed."""
    return has_citus(connection) and bool(connection.scalar(_IS_DISTRIBUTED))


async def is_distributed(engine: AsyncEngine) -> bool:
    """Returns whether the tables are distributed.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(has_distributed_tables)
