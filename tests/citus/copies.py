"""Copies of all rows of a plain database into one with distributed tables, so that both must answer the same."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from syncer.store.engine import local_settings, quote_identifier
from tests.builders import connect

if TYPE_CHECKING:
    import asyncpg

# Tables after those that they refer to. The viewers are left out: there are none where the tables are distributed.
TABLES: Final = (
    *(
        "account",
        "account_schedule",
        "hash_key",
        "retention",
        "number_type",
        "number_purpose",
        "number_state",
        "region",
    ),
    *("account_fence", "sync_run", "sync_day", "rejected_record", "virtual_number", "virtual_number_history"),
    *("state_history", "virtual_number_redirect", "virtual_number_redirect_history", "absence_history"),
    *("record_fingerprint", "day_summary", "account_condition", "notice_cursor", "notice", "erasure", "name"),
    *("name_history", "name_list"),
)
_COLUMNS: Final = """
select attname from pg_attribute
 where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum
"""
_IDENTITIES: Final = """
select attrelid::regclass::text as table_name, attname from pg_attribute join pg_class on pg_class.oid = attrelid
 where relnamespace = 'syncer'::regnamespace and relkind in ('r', 'p') and attidentity <> ''
"""


async def copy_rows(plain_url: str, distributed_url: str, *, unchecked: bool = False) -> int:
    """Copies all rows, and returns how many.

    Args:
        plain_url: The database that has them.
        distributed_url: The other, whose rows they replace.
        unchecked: Whether triggers and foreign keys are left out, for rows that no program may write.
    """
    plain, distributed = await connect(plain_url), await connect(distributed_url)
    copied = 0
    transaction = distributed.transaction()
    await transaction.start()
    # One connection to each server: a table that others refer to is written after those.
    await distributed.execute("set local citus.multi_shard_modify_mode = 'sequential'")
    if unchecked:
        await distributed.execute(local_settings({"session_replication_role": "replica"}))
    for table in reversed(TABLES):  # a migration has written rows into some
        await distributed.execute(f"delete from syncer.{table}")  # noqa: S608 - from the list
    for table in TABLES:
        columns = [name for (name,) in await plain.fetch(_COLUMNS, f"syncer.{table}")]
        rows = io.BytesIO()
        await plain.copy_from_table(table, schema_name="syncer", columns=columns, output=rows)
        rows.seek(0)
        result = await distributed.copy_to_table(table, schema_name="syncer", columns=columns, source=rows)
        copied += int(result.split()[-1])
    await transaction.commit()
    await _advance_identities(distributed)
    await plain.close()
    await distributed.close()
    return copied


async def _advance_identities(sql: asyncpg.Connection) -> None:
    for table, column in await sql.fetch(_IDENTITIES):
        newest = await sql.fetchval(f"select max({quote_identifier(column)}) from {table}")  # noqa: S608 - from the catalog
        if newest is not None:
            await sql.execute("select setval(pg_get_serial_sequence($1, $2), $3)", table, column, newest)
