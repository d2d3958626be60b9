"""What the database says of the accounts at this moment, for gauges: cheap enough to be asked again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncer.store.engine import driver_connection, translate_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

MAX_UNDOCUMENTED_STATES: Final = 20
OTHER: Final = "other"
"""Stands for every state beyond the documented ones and so many others."""


@dataclass(frozen=True, slots=True)
class AccountGauges:
    """One account as the database has it.

    Attributes:
        created_at: When it was first known.
        last_success_at: When the newest successful run was written; None before the first.
        success_started_at: When that run began.
        held: How many numbers are missing and held.
        rejected: How many rejected elements stand.
        numbers: How many listed numbers are in each state.
    """

    account_id: int
    name: str
    created_at: datetime
    last_success_at: datetime | None
    success_started_at: datetime | None
    held: int
    rejected: int
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """All accounts at one moment; `clock_behind` is how far the last observation of any lies ahead of the clock."""

    accounts: Sequence[AccountGauges]
    clock_behind: timedelta


# The newest success, unchanged or not, repeats what is held and rejected: nothing has to be counted for that.
_ACCOUNTS: Final = """
select a.account_id, a.name, a.created_at, a.observed_at, a.success_started_at, a.applied_run_id,
       coalesce(r.held, 0) as held, coalesce(r.rejected, 0) as rejected, clock.now
  from (select syncer.clock() as now) clock
 cross join syncer.account a
  left join syncer.sync_run r on r.account_id = a.account_id and r.run_id = a.success_run_id
 where a.account_id = any($1::integer[])
"""
# In one order for all, so that replicas tell the same.
_STATES: Final = """
select array(select state from syncer.number_state where documented order by state)
       || array(select state from syncer.number_state where not documented order by state limit $1)
"""
_NUMBERS: Final = """
select account_id, case when state = any($2::text[]) then state else $3 end as state, count(*)
  from syncer.virtual_number
 where account_id = any($1::integer[]) and removed_at is null
 group by 1, 2
"""


class GaugeReader:
    """Asks the database how the accounts are; counts an account's numbers only after a run has changed something."""

    def __init__(self) -> None:
        self._states: list[str] = []
        self._counted: dict[int, tuple[int | None, dict[str, int]]] = {}

    async def read(self, engine: AsyncEngine, account_ids: Collection[int]) -> GaugeValues:
        """How the accounts are now.

        Raises:
            DatabaseError: The database cannot be asked.
        """
        with translate_errors():
            async with engine.connect() as session:
                connection = await driver_connection(session)
                rows = await connection.fetch(_ACCOUNTS, account_ids)
                states = await connection.fetchval(_STATES, MAX_UNDOCUMENTED_STATES)
                if states != self._states:
                    self._states, self._counted = states, {}
                runs = {row["account_id"]: row["applied_run_id"] for row in rows}
                changed = [key for key, run_id in runs.items() if self._counted.get(key, (0,))[0] != run_id]
                counted = await connection.fetch(_NUMBERS, changed, states, OTHER) if changed else []
        numbers: dict[int, dict[str, int]] = {account_id: {} for account_id in changed}
        for account_id, state, count in counted:
            numbers[account_id][state] = count
        self._counted = {
            key: (run_id, numbers[key]) if key in numbers else self._counted[key] for key, run_id in runs.items()
        }
        return GaugeValues(
            [
                AccountGauges(
                    account_id=row["account_id"],
                    name=row["name"],
                    created_at=row["created_at"],
                    last_success_at=row["observed_at"],
                    success_started_at=row["success_started_at"],
                    held=row["held"],
                    rejected=row["rejected"],
                    numbers=self._counted[row["account_id"]][1],
                )
                for row in rows
            ],
            max([timedelta(), *(row["observed_at"] - row["now"] for row in rows if row["observed_at"])]),
        )
