"""Reads the server's version and the connection's privileges, for `syncer check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import translate_errors

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def server_version(engine: AsyncEngine) -> int:
    """Returns PostgreSQL's major version.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            return int(await connection.scalar(text("show server_version_num"))) // 10000


_ROLES: Final = {"syncer_analyst", "syncer_daemon"}
_GRANTED: Final = r"""
select rolname from pg_roles
 where rolname like 'syncer\_%' and has_schema_privilege(oid, 'analytics', 'usage')
"""


async def missing_roles(engine: AsyncEngine) -> list[str]:
    """Returns the roles that the server lacks, or that have no privileges in this database.

    They are missing if the role that ran the migration could not create roles.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            granted = await connection.scalars(text(_GRANTED))
            return sorted(_ROLES - set(granted))


_CAN_WRITE: Final = """
select pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
       to_regclass('syncer.virtual_number') is null or has_table_privilege('syncer.virtual_number', 'insert')
"""


async def find_write_obstacle(engine: AsyncEngine) -> str | None:
    """Returns why the database cannot be written to, in one line with what to do; None if it can be.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            standby, read_only, may_write = (await connection.execute(text(_CAN_WRITE))).one()
    if standby:
        return "the server is a standby: point SYNCER_DATABASE_URL at the primary"
    if read_only:
        return "transactions are read-only: check default_transaction_read_only of the server, database and role"
    if not may_write:
        return "the role may not write: let an administrator grant it syncer_daemon"
    return None
