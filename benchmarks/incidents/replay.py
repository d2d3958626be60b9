"""The same polls through HTTP, in PostgreSQL."""

from __future__ import annotations

import json
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog

from benchmarks.incidents.account import COUNTED, Account
from benchmarks.server import connected, embedded_server
from syncer.diff.record import COLUMNS
from syncer.emulator import STILL, Emulator, faults
from syncer.store import schema
from syncer.store.engine import create_engine
from tests.builders import PolledAccount, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_TABLES: Final = {
    "number": """
        select n.*, r.name as region_name
          from syncer.virtual_number n
          left join syncer.region r using (region_id)
          join syncer.account a using (account_id)
         where a.name = $1""",
    "version": """
        select n.*, r.name as region_name
          from syncer.virtual_number_history n
          left join syncer.region r using (region_id)
          join syncer.account a using (account_id)
         where a.name = $1""",
    "state": """
        select virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after
          from syncer.state_history join syncer.account using (account_id) where name = $1""",
    "redirect": """
        select virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after
          from syncer.virtual_number_redirect join syncer.account using (account_id) where name = $1""",
}


async def replay(accounts: Iterable[tuple[str, str]]) -> list[str]:
    """Polls accounts through HTTP into PostgreSQL as well.

    Args:
        accounts: The seed of each, and how long its incidents last.

    Returns:
        Where that came to anything else.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    differences: list[str] = []
    with embedded_server(_FAST) as url:
        async with AsyncExitStack() as stack:
            engine = create_engine(lambda: url)
            stack.push_async_callback(engine.dispose)
            await schema.migrate(engine)
            emulator = await stack.enter_async_context(Emulator(numbers=1, seed=1, rates=STILL))
            sql = await stack.enter_async_context(connected(url))
            for seed, lasts in accounts:
                settings = settings_for(emulator, account_name=f"{seed}, {lasts}")
                async with PolledAccount(engine, emulator, sql, settings) as real:
                    differences += await _replay(Account(seed, lasts), real)
    return differences


async def _replay(account: Account, real: PolledAccount) -> list[str]:
    account.play(traces=True)
    name, differences = real.account.name, list[str]()
    for traced in account.traced:
        await real.set_clock(traced.moment)
        if traced.body is None:
            real.emulator.fault = faults.Status(status=503)
            result = await real.poll_again()
        else:
            result = await real.poll_body(traced.body)
        counted = None if result.outcome == "failed" else {one: getattr(result, one) for one in COUNTED}
        if counted != traced.counted:
            differences.append(f"{name}, {traced.moment}: {counted} is not {traced.counted}")
    for table, rows in account.store.contents().items():
        found = sorted((_shaped(table, row) for row in await real.sql.fetch(_TABLES[table], name)), key=repr)
        differences += [
            f"{name}: {table} {one} is not {two}" for one, two in zip(found, rows, strict=False) if one != two
        ][:3]
        if len(found) != len(rows):
            differences.append(f"{name}: {len(found)} rows of {table} are not {len(rows)}")
    return differences


def _shaped(table: str, row: asyncpg.Record) -> tuple[Any, ...]:
    """A row as the store in memory has it."""
    if table not in {"number", "version"}:
        return tuple(row)
    begins = row["virtual_number_id"], tuple(row[column] for column in COLUMNS)
    if table == "version":
        return (*begins, row["valid_from"], row["valid_to"], row["changed_after"], row["closed_after"])
    seen = row["changed_at"], row["changed_after"], row["last_read_at"], row["missing_since"], row["removed_at"]
    return (*begins, json.loads(row["extra"]), *seen)
