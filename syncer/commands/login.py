"""`syncer login`: lets a login of the database see some accounts only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from syncer.errors import StoredDataError, in_sentence
from syncer.printable import escape_unprintable
from syncer.store.accounts import require_account
from syncer.store.citus import is_distributed
from syncer.store.schema import schema_state
from syncer.store.viewers import make_viewer, revoke_viewer, role_exists, schema_of, statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.database import Database


async def give_schema(
    database: Database, login: str, accounts: Sequence[str], password: str | None, *, only_print: bool
) -> None:
    """Makes a schema with views of these accounts for a login, and the login if it does not exist.

    Raises:
        StoredDataError: There is no such account, the login sees all accounts already, this login may not do it, or the
            tables are distributed.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    engine = database.owner_engine
    (await schema_state(engine)).require_current()
    if await is_distributed(engine):
        raise StoredDataError(
            "the tables are distributed with Citus, where no login can be limited to some accounts: each server runs "
            "its part of a query as the login that asks, which then needs rights on every row; give its people the "
            "files of `syncer export --account` instead, or a database with these accounts alone"
        )
    account_ids = [await require_account(engine, account) for account in dict.fromkeys(accounts)]
    if only_print:
        exists = await role_exists(engine, login)
        for statement in statements(login, account_ids, password, exists=exists):
            typer.echo(f"{statement};")
        await database.dispose()
        return
    await make_viewer(engine, login, account_ids, password)
    await database.dispose()
    typer.echo(
        escape_unprintable(f"{login} sees {in_sentence(list(accounts))} in schema {schema_of(login)}, and nothing else")
    )


async def revoke(database: Database, login: str) -> None:
    """Takes the schema of a login away.

    Raises:
        StoredDataError: It has none.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    (await schema_state(database.owner_engine)).require_current()
    if not await revoke_viewer(database.owner_engine, login):
        raise StoredDataError(f"{login!r} has no schema of its own")
    await database.dispose()
    typer.echo(escape_unprintable(f'{login} sees nothing any more; to remove it: drop role "{login}"'))
