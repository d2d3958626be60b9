"""Reads which schema the database has, and migrates it to the one this version requires.

A database that is not UTF-8 is refused by everything that writes: it would store most of the vendor's texts, and fail
every poll of an account from the first character on that its encoding lacks.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from syncer.errors import SchemaError
from syncer.store.citus import is_worker
from syncer.store.driver_errors import translate_errors
from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.config import Config
    from sqlalchemy import Connection

    from syncer.store.engine import Engine


MIGRATION_LOCK: Final = 0x73796E63
"""The advisory lock of a process that changes the schema: a number that no other program uses, the ASCII of "sync"."""

_ENCODING: Final = "UTF8"
_ENCODING_AND_SCHEMA: Final = """
select current_setting('server_encoding'), to_regclass('syncer.alembic_version') is not null
"""
# Schema `analytics` comes with the migrations too, so privileges on a schema `syncer` made in advance are not enough.
# Another process may commit the migration at this moment: the table is looked for after the schemas.
_PREREQUISITES: Final = """
select current_user as login, current_database() as database,
       has_database_privilege(current_database(), 'create')
       and coalesce((select has_schema_privilege(oid, 'create') from pg_namespace where nspname = 'syncer'), true)
           as may_create,
       (select pg_get_userbyid(nspowner) from pg_namespace
         where nspname = 'syncer' and not pg_has_role(nspowner, 'usage')) as other_owner,
       case when to_regnamespace('analytics') is not null and to_regclass('syncer.alembic_version') is null
            then 'analytics'
            when exists (select from pg_class where relnamespace = to_regnamespace('syncer'))
                 and to_regclass('syncer.alembic_version') is null
            then 'syncer'
       end as foreign_schema
"""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema's revision, and the database's encoding.

    Attributes:
        found: The revision that the database has; None if it has none.
        required: The revision that this version requires.
        is_known: Whether this version knows the revision that was found.
        encoding: The encoding in which the database stores text.
    """

    found: str | None
    required: str
    is_known: bool
    encoding: str

    def require_utf8(self) -> None:
        """Checks that the database can store any character.

        Raises:
            SchemaError: It cannot; the message says how to create one that can.
        """
        if self.encoding != _ENCODING:
            raise SchemaError(
                f"the database's encoding is {self.encoding}, which cannot store every character that the vendor may "
                f"send: create another one with `create database NAME template template0 encoding '{_ENCODING}' locale "
                "'C'` and set SYNCER_DATABASE_URL to it"
            )

    def require_writable(self) -> None:
        """Checks that polls can write: the database is UTF-8, and the schema is the one this version requires.

        Raises:
            SchemaError: It is not; the message says what to do.
        """
        self.require_utf8()
        self.require_current()

    def require_found(self) -> None:
        """Checks that the database has a schema of this program, whatever its revision.

        Raises:
            SchemaError: It has none.
        """
        if self.found is None:
            raise SchemaError("the database has no schema of syncer yet: run `syncer migrate`")

    def require_current(self) -> None:
        """Checks that the schema is the one this version requires.

        Raises:
            SchemaError: It is not; the message says what to run.
        """
        if self.found == self.required:
            return
        self.require_found()
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


async def schema_state(engine: Engine) -> SchemaState:
    """Reads which schema the database has.

    Raises:
        DatabaseError: It cannot be read.
    """
    found = None
    async with autocommit_connection(engine) as connection:
        [(encoding, has_schema)] = await connection.fetch(_ENCODING_AND_SCHEMA)
        if has_schema:
            found = await connection.fetchval("select version_num from syncer.alembic_version")
    known = known_revisions()
    return SchemaState(found=found, required=known[0], is_known=found in known, encoding=encoding)


async def find_migration_obstacle(engine: Engine, state: SchemaState) -> str | None:
    """Returns why the schema cannot be created or upgraded, in one line with what to do; None if nothing is known.

    Args:
        engine: The database, as the role that would migrate it.
        state: The schema that it has.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            if await connection.run_sync(is_worker):
                return "this server is a worker of a Citus cluster: set SYNCER_DATABASE_URL to the coordinator"
            row = (await connection.exec_driver_sql(_PREREQUISITES)).one()
    if row.foreign_schema is not None:
        return (
            f"the database already has a schema {row.foreign_schema} that is not syncer's: create a database for "
            "syncer and set SYNCER_DATABASE_URL to it, or rename the schema that is there"
        )
    if state.found is None and not row.may_create:
        return (
            f"the login {row.login} may not create the schema in database {row.database}: run `syncer migrate` as the "
            "owner, with SYNCER_MIGRATE_DATABASE_URL"
        )
    if state.found is not None and row.other_owner is not None:
        return (
            f"the login {row.login} does not own the schema syncer: run `syncer migrate` as the owner, "
            f"{row.other_owner}, with SYNCER_MIGRATE_DATABASE_URL"
        )
    return None


async def migrate(engine: Engine, revision: str = "head", *, on_step: Callable[[str], object] | None = None) -> None:
    """Migrates the schema to a revision; safe to run from several machines at the same time.

    Args:
        engine: The database, as a role that may change the schema, and without a command timeout.
        revision: `head`, a revision later than the database's, or `base`, which drops the whole schema.
        on_step: Called with each step that a long migration announces, with a notice, before it takes it.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: The database's schema is newer than this version, or this database or login cannot have it.
    """
    state = await schema_state(engine)
    state.require_utf8()
    if state.found is not None and not state.is_known:
        state.require_current()
    if revision == "head" and state.found == state.required:
        return
    if obstacle := await find_migration_obstacle(engine, state):
        raise SchemaError(obstacle)
    from alembic import command  # noqa: PLC0415 - takes a fifth of a command's start time, and is rarely needed
    from alembic.util import CommandError  # noqa: PLC0415 - as above

    logging.getLogger("alembic").setLevel(logging.WARNING)
    change_revision = command.downgrade if revision == "base" else command.upgrade

    def run(connection: Connection) -> None:
        if on_step is not None:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 - the connection is open
            # Citus warns of each view that the workers do not have.
            driver.add_log_listener(lambda _, message: message.severity_en == "NOTICE" and on_step(message.message))
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
