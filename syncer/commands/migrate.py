"""`syncer migrate`: the newest schema, as the role that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.store.schema import migrate, schema_state

if TYPE_CHECKING:
    from syncer.database import Database


async def migrate_to_latest(database: Database) -> str:
    """Migrates.

    Returns:
        The revision that the schema is at.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: The schema is newer than this version.
    """
    await migrate(database.owner_engine)
    state = await schema_state(database.owner_engine)
    await database.dispose()
    return state.required
