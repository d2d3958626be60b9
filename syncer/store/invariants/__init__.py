"""What must be true of the stored data, proved by the database itself: each query returns who breaks its rule, and how.

The numbers of the rules are the contract's; what it says of windows, of presence and of versions counts with the rule
that is nearest. Every query is set-based: it reads each table a fixed number of times and joins on equal keys alone, so
its time is linear in the rows, but for the sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import read_snapshot
from syncer.store.invariants.periods import CHAINS, PERIODS, PRESENCE, REDIRECTS, STATES
from syncer.store.invariants.runs import COUNTERS, NEWEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Violation:
    """Who breaks a rule, and how: a number, or else a run, of an account."""

    rule: int
    account_id: int
    virtual_number_id: int | None
    run_id: int | None
    what: str

    def __str__(self) -> str:
        who = f"number {self.virtual_number_id}" if self.virtual_number_id is not None else f"run {self.run_id}"
        return f"invariant {self.rule}: account {self.account_id}, {who}: {self.what}"


_QUERIES: Final = (PERIODS, PRESENCE, CHAINS, STATES, REDIRECTS, COUNTERS, NEWEST)

# Without nested loops the time stays linear even where statistics are stale or absent, as after a restore.
_SETTINGS: Final = """
select set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true), set_config('work_mem', '64MB', true)
"""


async def find_violations(engine: AsyncEngine) -> AsyncIterator[Violation]:
    """Every breach of an invariant in the stored data, all seen at one moment.

    Raises:
        DatabaseError: The database cannot be asked.
    """
    async with read_snapshot(engine) as connection:
        await connection.execute(text(_SETTINGS))
        for query in _QUERIES:
            for row in await connection.execute(text(query)):
                yield Violation(*row)
