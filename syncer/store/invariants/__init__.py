"""Checks the invariants of the stored data with queries that return every violation, for `syncer check --data`.

Rules 1 to 7 are those of the documented invariants; checks of windows, presence and versions are counted under the
closest rule. Every query is set-based: it reads each table a fixed number of times and joins only on equal keys, so its
time is linear in the number of rows, except for sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import read_snapshot
from syncer.store.invariants.days import SUMMARIES
from syncer.store.invariants.periods import CHAINS, PERIODS, PRESENCE, REDIRECTS, STATES
from syncer.store.invariants.runs import COUNTERS, NEWEST
from syncer.store.invariants.transitions import ABSENCES, NUMBERS, REDIRECT_ENDS, STAYS, VERSION_ENDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of a rule by a number of an account, or by a run, or else by the account's days."""

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


_QUERIES: Final = (
    *(PERIODS, PRESENCE, NUMBERS, CHAINS, STATES, STAYS, VERSION_ENDS, ABSENCES),
    *(REDIRECTS, REDIRECT_ENDS, COUNTERS, NEWEST, SUMMARIES),
)

# Without nested loops the time stays linear even if table statistics are stale or missing, as after a restore.
_SETTINGS: Final = """
select set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true), set_config('work_mem', '64MB', true)
"""


async def find_violations(engine: AsyncEngine) -> AsyncIterator[Violation]:
    """Yields every violation in the stored data, as of one snapshot.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        await connection.execute(text(_SETTINGS))
        for query in _QUERIES:
            for row in await connection.execute(text(query)):
                yield Violation(*row)
