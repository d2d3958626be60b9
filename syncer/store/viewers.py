"""Logins that see some accounts only: each has a schema of views of its own, and rights on nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import text

from syncer.errors import StoredDataError
from syncer.store.engine import autocommit_connection, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from syncer.store.engine import Engine

STATEMENT_TIMEOUT: Final = "60s"
"""How long a query of such a login may take."""
_ITERATIONS: Final = 4096
"""As PostgreSQL itself does."""
_EXISTS: Final = text("select to_regclass('syncer.viewer') is not null")
_LOGINS: Final = text("select login from syncer.viewer where login in (select rolname from pg_roles) order by login")
_MAKE: Final = text("select syncer.make_viewer_schema(:login)")


def schema_of(login: str) -> str:
    """Returns the schema of a login's views."""
    return f"analytics_{login}"


def drop_viewer_schemas(connection: Connection) -> None:
    """Drops the schemas of all such logins, before a migration changes the views that they are made of."""
    if connection.scalar(_EXISTS):
        for login in connection.scalars(_LOGINS).all():
            connection.execute(text(f"drop schema if exists {quote_identifier(schema_of(login))} cascade"))


def make_viewer_schemas(connection: Connection) -> None:
    """Makes the schemas of all such logins; those whose role this server does not have are left out."""
    if connection.scalar(_EXISTS):
        for login in connection.scalars(_LOGINS).all():
            connection.execute(_MAKE, {"login": login})


def statements(login: str, account_ids: Sequence[int], password: str | None, *, exists: bool) -> list[str]:
    """Returns the SQL that lets a login see these accounts only; it replaces what the login saw before.

    Args:
        login: The login.
        account_ids: The accounts.
        password: Its password; None leaves it as it is.
        exists: Whether the role exists already.
    """
    role, home = quote_identifier(login), quote_identifier(schema_of(login))
    ids = "{" + ",".join(map(str, sorted(account_ids))) + "}"
    given = "" if password is None else f" password {_literal(_verifier(password))}"
    return [
        f"{'alter' if exists else 'create'} role {role} login{given}",
        f"alter role {role} set search_path = {home}",
        f"alter role {role} set statement_timeout = '{STATEMENT_TIMEOUT}'",
        f"drop schema if exists {home} cascade",
        f"delete from syncer.viewer where login = {_literal(login)}",  # noqa: S608 - quoted
        f"insert into syncer.viewer values ({_literal(login)}, '{ids}', syncer.clock())",  # noqa: S608 - quoted
        f"select syncer.make_viewer_schema({_literal(login)})",
    ]


async def make_viewer(engine: Engine, login: str, account_ids: Sequence[int], password: str | None) -> None:
    """Lets a login see these accounts only, and creates it if it does not exist.

    Raises:
        StoredDataError: The login has other rights already, or this one may not create roles.
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction():
        exists = await _require_no_rights(connection, login)
        try:
            for statement in statements(login, account_ids, password, exists=exists):
                await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StoredDataError(
                f"this login may not do it ({error}): let an administrator run what `syncer login` prints with --sql"
            ) from None


async def revoke_viewer(engine: Engine, login: str) -> bool:
    """Takes the schema of such a login away; the role stays, without rights. Returns whether it was one.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction():
        status = await connection.execute("delete from syncer.viewer where login = $1", login)
        await connection.execute(f"drop schema if exists {quote_identifier(schema_of(login))} cascade")
    return not status.endswith(" 0")


async def role_exists(engine: Engine, login: str) -> bool:
    """Returns whether the server has a role.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        return bool(await connection.fetchval("select exists (select from pg_roles where rolname = $1)", login))


_RIGHTS: Final = """
select rolsuper or pg_has_role(oid, 'pg_read_all_data', 'member')
       or has_schema_privilege(oid, 'analytics', 'usage') or has_schema_privilege(oid, 'syncer', 'usage')
  from pg_roles where rolname = $1
"""


async def _require_no_rights(connection: asyncpg.Connection[Any], login: str) -> bool:
    """Returns whether the role exists; one that sees all accounts is refused."""
    has_rights = await connection.fetchval(_RIGHTS, login)
    if has_rights:
        raise StoredDataError(
            f"the role {login!r} sees all accounts already, as a member of another role or as a superuser: take a "
            "login of its own"
        )
    return has_rights is not None


def _verifier(password: str) -> str:
    """Returns what PostgreSQL stores of a password (SCRAM-SHA-256, RFC 7677), so that no log of the server has it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key, server_key = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    stored_key = hashlib.sha256(client_key).digest()
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
