"""Reads the server's version and the connection's privileges, for `syncer check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from syncer.store.engine import Engine


async def server_version(engine: Engine) -> int:
    """Returns PostgreSQL's major version.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with autocommit_connection(engine) as connection:
        return connection.get_server_version().major


_ROLES: Final = {"syncer_analyst", "syncer_daemon"}
_GRANTED: Final = r"""
select rolname from pg_roles
 where rolname like 'syncer\_%' and has_schema_privilege(oid, 'analytics', 'usage')
"""


async def missing_roles(engine: Engine) -> list[str]:
    """Returns the roles that the server lacks, or that have no privileges in this database.

    They are missing if the role that ran the migration could not create roles.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with autocommit_connection(engine) as connection:
        granted = await connection.fetch(_GRANTED)
    return sorted(_ROLES.difference(role for (role,) in granted))


_CAN_WRITE: Final = """
select pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
       to_regclass('syncer.virtual_number') is null or has_table_privilege('syncer.virtual_number', 'insert')
"""


async def find_write_obstacle(engine: Engine) -> str | None:
    """Returns why the database cannot be written to, in one line with what to do; None if it can be.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with autocommit_connection(engine) as connection:
        [(standby, read_only, may_write)] = await connection.fetch(_CAN_WRITE)
    if standby:
        return "the server is a standby: point SYNCER_DATABASE_URL at the primary"
    if read_only:
        return "transactions are read-only: check default_transaction_read_only of the server, database and role"
    if not may_write:
        return "the role may not write: let an administrator grant it syncer_daemon"
    return None
