"""`syncer account`: what an operator says about one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.store.accounts import forget_app_id
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from syncer.database import Database


async def accept_app_id(database: Database, name: str) -> str:
    """Accepts that the vendor gave an account's Личный кабинет another `app_id`.

    Returns:
        What was done, in one line.

    Raises:
        ConfigurationError: The database has no such account.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    (await schema_state(database.engine)).require_current()
    app_id = await forget_app_id(database.engine, name)
    await database.dispose()
    was = "had no app_id yet" if app_id is None else f"no longer has the app_id {app_id}"
    return f"{name}: {was}; the next successful poll records the one that most of its records carry"
