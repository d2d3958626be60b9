"""Reads what was erased of an account and must not be stored again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syncer.diff.erasures import NOTHING_ERASED, Erasures, mask_of

if TYPE_CHECKING:
    import asyncpg

    from syncer.diff.content_hash import ContentHash

_ERASURES: Final = """
select erasure_id, virtual_number_id, number_hash, employee_id, comment_hashes
  from syncer.erasure where account_id = $1 and lifted_at is null order by erasure_id desc
"""


async def load_erasures(connection: asyncpg.Connection[Any], account_id: int, content_hash: ContentHash) -> Erasures:
    """Returns the erasures of an account that are in force.

    Args:
        connection: In the transaction that stores what the vendor lists, so that no erasure is missed.
        account_id: The account.
        content_hash: The hash function of the database.
    """
    rows = await connection.fetch(_ERASURES, account_id)
    if not rows:
        return NOTHING_ERASED
    return Erasures(
        by_id={
            row["virtual_number_id"]: mask_of(row["erasure_id"]) for row in rows if row["virtual_number_id"] is not None
        },
        by_hash={row["number_hash"]: mask_of(row["erasure_id"]) for row in rows if row["number_hash"] is not None},
        content_hash=content_hash,
        employee_ids={row["employee_id"] for row in rows if row["employee_id"] is not None},
        silent_ids={row["employee_id"] for row in rows if row["comment_hashes"] is not None},
        comment_hashes={one for row in rows for one in row["comment_hashes"] or ()},
    )
