"""Which schema the database has, and bringing it to the one this version wants."""

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
    """The revision that the database has (None if it has none), the one wanted, and whether we know the former."""

    found: str | None
    wanted: str
    is_known: bool

    def require_wanted(self) -> None:
        """Raises SchemaError, which says what to run, unless the schema is the one this version wants."""
        if self.found == self.wanted:
            return
        if self.found is None:
            raise SchemaError("the database has no schema of syncer yet: run `syncer migrate`")
        if self.is_known:
            raise SchemaError(
                f"the database's schema is {self.found}, this version wants {self.wanted}: run `syncer migrate`"
            )
        raise SchemaError(
            f"the database's schema is {self.found}, which is newer than this version of syncer ({self.wanted}): "
            "install the newer version here too"
        )


def migrations_folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("syncer")))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


@cache
def known_revisions() -> tuple[str, ...]:
    """The revisions that this version brings, the one it wants first: what their files' names begin with."""
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
    return SchemaState(found=found, wanted=known[0], is_known=found in known)


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Brings the schema to `revision`; safe to run from several machines at once.

    Args:
        engine: As a role that may change the schema, without a command timeout.
        revision: `head`, a later one than the database has, or `base`, which takes the whole schema down.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: The database's schema is newer than this version.
    """
    state = await schema_state(engine)
    if state.found is not None and not state.is_known:
        state.require_wanted()
    if revision == "head" and state.found == state.wanted:
        return
    from alembic import command  # noqa: PLC0415 - would cost a fifth of a command's start, and is seldom needed
    from alembic.util import CommandError  # noqa: PLC0415 - likewise

    logging.getLogger("alembic").setLevel(logging.WARNING)
    move = command.downgrade if revision == "base" else command.upgrade

    def run(connection: Connection) -> None:
        move(_config(connection), revision)

    try:
        with translate_errors():
            async with engine.begin() as connection:
                await connection.run_sync(run)
    except CommandError as error:
        raise SchemaError(f"the schema could not be migrated: {error}") from None


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
