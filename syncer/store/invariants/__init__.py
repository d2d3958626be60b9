"""Checks the invariants of the stored data with queries that return every violation, for `syncer check --data`.

Rules 1 to 8 are those of the documented invariants; checks of windows, presence and versions are counted under the
closest rule. Every query is set-based: it reads each table a fixed number of times and joins only on equal keys, so its
time is linear in the number of rows, except for sorting. Several connections that see the same snapshot run them; where
the tables are distributed over servers, one connection asks account by account.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.errors import DatabaseError
from syncer.store.citus import is_distributed
from syncer.store.engine import driver_connection, invalidate_on_timeout, local_settings, read_snapshot
from syncer.store.invariants.chains import CHAINS
from syncer.store.invariants.days import SUMMARIES, check_summaries
from syncer.store.invariants.names import NAMES
from syncer.store.invariants.periods import PERIODS, PRESENCE, REDIRECTS
from syncer.store.invariants.relations import MAX_SECONDS, of_all_accounts, of_one_account
from syncer.store.invariants.runs import COUNTERS, NEWEST
from syncer.store.invariants.transitions import ABSENCES, REDIRECT_ENDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from syncer.store.engine import Engine


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of a rule by a number of an account, or by a run, or else by the account's days or names."""

    rule: int
    account_id: int
    virtual_number_id: int | None
    run_id: int | None
    problem: str

    def __str__(self) -> str:
        subject = ""
        if self.virtual_number_id is not None:
            subject = f", number {self.virtual_number_id}"
        elif self.run_id is not None:
            subject = f", run {self.run_id}"
        return f"invariant {self.rule}: account {self.account_id}{subject}: {self.problem}"


# In the order of what is reported.
_QUERIES: Final = (PERIODS, PRESENCE, CHAINS, ABSENCES, REDIRECTS, REDIRECT_ENDS, COUNTERS, NEWEST, SUMMARIES, NAMES)
_LONGEST_FIRST: Final = (
    SUMMARIES,
    CHAINS,
    COUNTERS,
    REDIRECTS,
    ABSENCES,
    REDIRECT_ENDS,
    PERIODS,
    PRESENCE,
    NEWEST,
    NAMES,
)
_ACCOUNTS: Final = "select account_id from syncer.account order by 1"
_MAX_CONNECTIONS: Final = 3

# Without nested loops the time stays linear even if table statistics are stale or missing, as after a restore. Sorting
# both sides for a merge join, or group by group, takes longer than a hash join and one sort.
_SETTINGS: Final = local_settings(
    {
        "enable_nestloop": "off",
        "enable_mergejoin": "off",
        "enable_incremental_sort": "off",
        "jit": "off",
        "work_mem": "64MB",
    }
)


async def find_violations(engine: Engine) -> AsyncIterator[Violation]:
    """Yields every violation in the stored data, as of one snapshot, once all is checked.

    Raises:
        DatabaseError: The database cannot be read.
    """
    find = _find_by_account if await is_distributed(engine) else _find
    found = await find(engine)
    for query in _QUERIES:
        for violation in found[query]:
            yield violation


async def _find(engine: Engine) -> dict[str, list[Violation]]:
    """Returns the violations that each query finds."""
    waiting = deque(_LONGEST_FIRST)
    found: dict[str, list[Violation]] = {}
    async with read_snapshot(engine) as connection:
        snapshot = str((await connection.execute(text("select pg_export_snapshot()"))).scalar_one())
        helpers = {asyncio.create_task(_help(engine, snapshot, waiting, found)) for _ in range(1, _MAX_CONNECTIONS)}
        try:
            await _check(connection, waiting, found)
            while len(found) < len(_QUERIES):  # a helper's query runs, or has failed
                done, helpers = await asyncio.wait(helpers, return_when=asyncio.FIRST_COMPLETED)
                for helper in done:
                    helper.result()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
    return found


async def _find_by_account(engine: Engine) -> dict[str, list[Violation]]:
    """Returns the same where the tables are distributed: what an exported snapshot shows is one server's rows only."""
    found: dict[str, list[Violation]] = {query: [] for query in _QUERIES}
    async with read_snapshot(engine) as sqlalchemy_connection, invalidate_on_timeout(sqlalchemy_connection):
        connection = await driver_connection(sqlalchemy_connection)
        await connection.execute(_SETTINGS)
        for (account_id,) in await connection.fetch(_ACCOUNTS):
            for query in _QUERIES:
                rows = (
                    await check_summaries(connection, account_id)
                    if query == SUMMARIES
                    else await connection.fetch(of_one_account(query), account_id, timeout=MAX_SECONDS)
                )
                found[query] += (Violation(*row) for row in rows)
    return found


async def _help(engine: Engine, snapshot: str, waiting: deque[str], found: dict[str, list[Violation]]) -> None:
    """Runs waiting queries on another connection, if there is one; the first connection needs no help."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(read_snapshot(engine, exported=snapshot))
        except DatabaseError:
            return
        await _check(connection, waiting, found)


async def _check(connection: AsyncConnection, waiting: deque[str], found: dict[str, list[Violation]]) -> None:
    """Runs waiting queries until none is left."""
    await (await driver_connection(connection)).execute(_SETTINGS)
    async with invalidate_on_timeout(connection):
        while waiting:
            query = waiting.popleft()
            whole = query if query == SUMMARIES else of_all_accounts(query)
            rows = await (await driver_connection(connection)).fetch(whole, timeout=MAX_SECONDS)
            found[query] = [Violation(*row) for row in rows]
