"""Deletes an account with all its data, as the schema's owner, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syncer.store.engine import autocommit_connection, local_settings
from syncer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

    from syncer.store.engine import Engine

BATCH_ROWS: Final = 10_000
"""Rows that one statement deletes, so that no transaction is long."""
# Tables that refer to others come first.
_TABLES: Final = [table.fullname for table in reversed(metadata.sorted_tables) if "account_id" in table.c]


async def may_delete(engine: Engine) -> bool:
    """Whether the login may delete from every table that has rows of accounts, as the schema's owner may.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    query = "select bool_and(has_table_privilege(name, 'delete')) from unnest($1::text[]) as t (name)"
    async with autocommit_connection(engine) as connection:
        return bool(await connection.fetchval(query, _TABLES))


async def count_rows(engine: Engine, account_id: int) -> dict[str, int]:
    """Returns how many rows of an account each table has, tables without any left out.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    counts = {}
    async with autocommit_connection(engine) as connection:
        for table in _TABLES:
            rows = await connection.fetchval(f"select count(*) from {table} where account_id = $1", account_id)  # noqa: S608 - a table of `_TABLES`
            if rows:
                counts[table] = rows
    return counts


async def delete_account(engine: Engine, account_id: int, on_batch: Callable[[int], object]) -> None:
    """Deletes all rows of an account. If it is interrupted, the same call deletes the others.

    Args:
        engine: The database, as the schema's owner.
        account_id: The account; nobody polls it.
        on_batch: Called with the number of rows of each batch.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        for table in _TABLES:
            statement = (
                f"delete from {table} where account_id = $1 and ctid = any(array("  # noqa: S608 - a table of `_TABLES`
                f"select ctid from {table} where account_id = $1 limit {BATCH_ROWS}))"
            )
            while deleted := await _delete_batch(connection, statement, account_id):
                on_batch(deleted)


async def _delete_batch(connection: asyncpg.Connection[Any], statement: str, account_id: int) -> int:
    async with connection.transaction():
        # Without it, closed rows are kept from their owner.
        await connection.execute(local_settings({"syncer.erasing": "on"}))
        return int((await connection.execute(statement, account_id)).rpartition(" ")[2])
