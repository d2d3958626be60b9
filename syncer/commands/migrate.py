"""`syncer migrate`: upgrades the schema, connected as the role that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.commands.progress import show_progress
from syncer.store.retention import store_retention
from syncer.store.schema import migrate, schema_state

if TYPE_CHECKING:
    from syncer.config.settings import Settings
    from syncer.database import Database


async def migrate_to_latest(database: Database, settings: Settings) -> str:
    """Upgrades the schema to the newest revision, and stores how long rejected records are kept.

    Returns:
        The revision of the schema.

    Raises:
        DatabaseError: PostgreSQL reported an error.
        SchemaError: The schema is newer than this version of syncer.
    """
    with show_progress("migrating the schema") as on_step:
        await migrate(database.owner_engine, on_step=on_step)
    await store_retention(database.owner_engine, settings.run_retention)
    state = await schema_state(database.owner_engine)
    await database.dispose()
    return state.required
