"""`syncer migrate`: upgrades the schema, connected as the role that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.commands.progress import show_progress
from syncer.errors import SchemaError
from syncer.store.distribution import distribute
from syncer.store.retention import store_retention
from syncer.store.schema import find_migration_obstacle, migrate, schema_state

if TYPE_CHECKING:
    from syncer.config.settings import Settings
    from syncer.database import Database


async def migrate_to_latest(database: Database, settings: Settings) -> tuple[str, str | None]:
    """Upgrades the schema to the newest revision, and stores how long rejected records are kept.

    In a database that has the extension Citus, this then distributes the tables.

    Returns:
        The revision of the schema; and in a database that has Citus, what was done about it, in one line.

    Raises:
        DatabaseError: PostgreSQL reported an error.
        SchemaError: The schema is newer than this version of syncer.
    """
    with show_progress("migrating the schema") as on_step:
        await migrate(database.owner_engine, on_step=on_step)
    if obstacle := await find_migration_obstacle(database.owner_engine, await schema_state(database.owner_engine)):
        raise SchemaError(obstacle)  # there was nothing to migrate, but only the owner may store the retention
    await store_retention(database.owner_engine, settings.run_retention)
    with show_progress("distributing the tables"):
        distributed = await distribute(database.owner_engine)
    state = await schema_state(database.owner_engine)
    await database.dispose()
    return state.required, distributed
