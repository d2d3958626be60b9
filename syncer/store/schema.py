"""Reads which schema the database has, and migrates it to the one this version requires."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from syncer.errors import SchemaError
from syncer.store.engine import translate_errors

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema's revision.

    Attributes:
        found: The revision that the database has; None if it has none.
        required: The revision that this version requires.
        is_known: Whether this version knows the revision that was found.
    """

    found: str | None
    required: str
    is_known: bool

    def require_current(self) -> None:
        """Checks that the schema is the one this version requires.

        Raises:
            SchemaError: It is not; the message says what to run.
        """
        if self.found == self.required:
            return
        if self.found is None:
            raise SchemaError("the database has no schema of syncer yet: run `syncer migrate`")
        if self.is_known:
            raise SchemaError(
                f"the database's schema is {self.found}, this version requires {self.required}: run `syncer migrate`"
            )
        raise SchemaError(
            f"the database's schema is {self.found}, which is newer than this version of syncer ({self.required}): "
            "install the newer version here too"
        )


def migrations_folder() -> Path:
    """Returns the folder of the migrations: inside the installed package, or next to it in a checkout."""
    package = Path(str(files("syncer")))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


@cache
def known_revisions() -> tuple[str, ...]:
    """Returns the revisions that this version ships, newest first, as read from the names of their files."""
    scripts = (migrations_folder() / "versions").glob("[0-9]*_*.py")
    return tuple(sorted((script.name.partition("_")[0] for script in scripts), reverse=True))


async def schema_state(engine: AsyncEngine) -> SchemaState:
    """Reads which schema the database has.

    Raises:
        DatabaseError: It cannot be read.
    """
    found = None
    with translate_errors():
        async with engine.connect() as connection:
            if await connection.scalar(text("select to_regclass('syncer.alembic_version')")) is not None:
                found = await connection.scalar(text("select version_num from syncer.alembic_version"))
    known = known_revisions()
    return SchemaState(found=found, required=known[0], is_known=found in known)


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Migrates the schema to a revision; safe to run from several machines at the same time.

    Args:
        engine: The database, as a role that may change the schema, and without a command timeout.
        revision: `head`, a revision later than the database's, or `base`, which drops the whole schema.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: The database's schema is newer than this version.
    """
    state = await schema_state(engine)
    if state.found is not None and not state.is_known:
        state.require_current()
    if revision == "head" and state.found == state.required:
        return
    from alembic import command  # noqa: PLC0415 - takes a fifth of a command's start time, and is rarely needed
    from alembic.util import CommandError  # noqa: PLC0415 - as above

    logging.getLogger("alembic").setLevel(logging.WARNING)
    change_revision = command.downgrade if revision == "base" else command.upgrade

    def run(connection: Connection) -> None:
        change_revision(_config(connection), revision)

    try:
        with translate_errors():
            async with engine.begin() as connection:
                await connection.run_sync(run)
    except CommandError as error:
        raise SchemaError(f"the schema could not be migrated: {error}") from None


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
