"""Locks held by another session, which block a poll in the middle of its transaction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.builders import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lock_table_in_another_session(database: str, table: str) -> AsyncIterator[Any]:
    """Locks a table against writes; yields a function that waits until backends are blocked and returns their pids."""
    holder = await connect(database)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(f"lock table syncer.{table} in share mode")

    async def wait_for_blocked_backends() -> list[int]:
        async with asyncio.timeout(20):
            while True:
                await holder.execute(
                    "select pg_stat_clear_snapshot()"
                )  # otherwise a cached snapshot hides later sessions
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


async def wait_until_blocked(database: str, table: str) -> None:
    """Waits until a session waits for a row of this table that another one has locked."""
    watcher = await connect(database)
    waiting = (
        "select exists (select from pg_locks row join pg_locks waiting using (pid)"
        " where row.locktype = 'tuple' and row.relation = $1::regclass and not waiting.granted)"
    )
    try:
        async with asyncio.timeout(20):
            while True:
                if await watcher.fetchval(waiting, table):
                    return
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
