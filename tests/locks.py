"""Locks that another session holds, so that a poll stands still in the middle of its transaction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.builders import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lock_table_in_another_session(database: str, table: str) -> AsyncIterator[Any]:
    """Keeps the program from writing a table; gives a function that waits for whom that blocks."""
    holder = await connect(database)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(f"lock table syncer.{table} in share mode")

    async def wait_for_blocked_backends() -> list[int]:
        async with asyncio.timeout(20):
            while True:
                await holder.execute("select pg_stat_clear_snapshot()")  # or those that come later are never seen
                rows = await holder.fetch(
                    "select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))", holder.get_server_pid()
                )
                if rows:
                    return [row["pid"] for row in rows]
                await asyncio.sleep(0.01)

    try:
        yield wait_for_blocked_backends
    finally:
        await transaction.rollback()
        await holder.close()
