"""How many numbers were in each state over time, in steps that fit the time asked about."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncEngine

STEPS: Final = 120
_SHORTEST: Final = timedelta(minutes=1)


class Timeline(Struct, frozen=True):
    """How many numbers were in each state at `STEPS` + 1 moments that lie `step` apart, from `begins` to now.

    Attributes:
        whole: From the first poll to now.
        numbers: By state, a number for each moment; the state that has most now comes first.
    """

    begins: datetime
    step: timedelta
    full_span: timedelta
    numbers: dict[str, list[int]]

    @property
    def moments(self) -> list[datetime]:
        """The moments counted at."""
        return [self.begins + place * self.step for place in range(STEPS + 1)]


_BEGINNING: Final = """
select syncer.clock() as now, min(created_at) as begins
  from syncer.account where cast(:account as text) is null or name = :account
"""
# What comes and goes in each step: a period counts at the moments from its beginning on and before its end.
_COME_AND_GONE: Final = """
select h.state, greatest(0, ceil(extract(epoch from s.at - :begins) / :step))::integer as place, sum(s.come)::integer
  from syncer.state_history h
 cross join lateral (values (h.valid_from, 1), (h.valid_to, -1)) as s (at, come)
 where (cast(:account as text) is null or h.account_id = (select account_id from syncer.account where name = :account))
   and (h.valid_to is null or h.valid_to > :begins) and s.at is not null
 group by 1, 2
"""


async def read_timeline(
    engine: AsyncEngine, account: str | None, longest: timedelta, *, statement_seconds: int
) -> Timeline | None:
    """The numbers by state until now; None if nothing was ever polled.

    Args:
        engine: The database.
        account: Of this one alone.
        longest: How far back; no further than to the first poll.
        statement_seconds: Until it is given up.

    Raises:
        DatabaseError: The database cannot be asked, or takes too long.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        now, first = (await connection.execute(text(_BEGINNING), {"account": account})).one()
        if first is None:
            return None
        full_span = max(now - first, _SHORTEST)
        step = min(longest, full_span) / STEPS
        begins = now - STEPS * step
        asked = {"account": account, "begins": begins, "step": step.total_seconds()}
        rows = await connection.execute(text(_COME_AND_GONE), asked)
        return Timeline(begins, step, full_span, _summed(rows))


def _summed(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[str, list[int]]:
    steps: dict[str, list[int]] = {}
    for state, place, come in rows:
        steps.setdefault(state, [0] * (STEPS + 1))[min(place, STEPS)] += come
    counts = {state: list(accumulate(of_one)) for state, of_one in steps.items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1][-1], -max(item[1]), item[0])))
