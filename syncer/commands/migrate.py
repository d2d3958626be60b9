"""`syncer migrate`: upgrades the schema, connected as the role that owns it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.store.retention import store_retention
from syncer.store.schema import migrate, schema_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    with _progress() as on_step:
        await migrate(database.owner_engine, on_step=on_step)
    await store_retention(database.owner_engine, settings.run_retention)
    state = await schema_state(database.owner_engine)
    await database.dispose()
    return state.required


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Shows the current step of a migration and how long it has taken, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("migrating the schema", total=None)
        yield lambda step: progress.update(task, description=step)
