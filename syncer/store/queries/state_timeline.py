"""Reads how many numbers were in each state over time, at evenly spaced points in time."""

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

    from syncer.store.engine import Engine

STEPS: Final = 120
_MIN_SPAN: Final = timedelta(minutes=1)


class Timeline(Struct, frozen=True):
    """How many numbers were in each state at `STEPS` + 1 points in time, `step` apart, from `starts_at` to now.

    Attributes:
        full_span: The time from the first poll to now.
        numbers: By state, the count at each point; the state with the largest count now is first.
    """

    starts_at: datetime
    step: timedelta
    full_span: timedelta
    numbers: dict[str, list[int]]

    @property
    def timestamps(self) -> list[datetime]:
        """The points in time."""
        return [self.starts_at + position * self.step for position in range(STEPS + 1)]


_FIRST_CREATED: Final = """
select syncer.clock() as now, min(created_at) as first_created_at
  from syncer.account where cast(:account as text) is null or name = :account
"""
# The change of each state's count per step. A period counts at its first point in time, and no longer at its end; those
# of a retired account end with its last success.
_COUNT_CHANGES: Final = """
select h.state, greatest(0, ceil(extract(epoch from s.at - :starts_at) / :step))::integer as position,
       sum(s.change)::integer
  from syncer.state_period h
  join syncer.account_known k using (account_id)
 cross join lateral (values (h.valid_from, 1),
                            (coalesce(h.valid_to, case when k.retired_at is not null then k.known_until end), -1))
                    as s (at, change)
 where (cast(:account as text) is null or h.account_id = (select account_id from syncer.account where name = :account))
   and (h.valid_to is null or h.valid_to > :starts_at) and s.at is not null
 group by 1, 2
"""


async def read_timeline(
    engine: Engine, account: str | None, max_span: timedelta, *, statement_seconds: int
) -> Timeline | None:
    """Reads the count of numbers in each state over time; returns None if nothing was ever polled.

    Args:
        engine: The database.
        account: The only account to count; None counts all.
        max_span: How far back to start, though not before the first poll.
        statement_seconds: The statement timeout.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        now, first = (await connection.execute(text(_FIRST_CREATED), {"account": account})).one()
        if first is None:
            return None
        full_span = max(now - first, _MIN_SPAN)
        step = min(max_span, full_span) / STEPS
        starts_at = now - STEPS * step
        parameters = {"account": account, "starts_at": starts_at, "step": step.total_seconds()}
        rows = await connection.execute(text(_COUNT_CHANGES), parameters)
        return Timeline(starts_at, step, full_span, _accumulate(rows))


def _accumulate(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[str, list[int]]:
    """Adds up the changes of each state's count; sorts states by their last count, then by their largest."""
    changes: dict[str, list[int]] = {}
    for state, position, change in rows:
        changes.setdefault(state, [0] * (STEPS + 1))[min(position, STEPS)] += change
    counts = {state: list(accumulate(state_changes)) for state, state_changes in changes.items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1][-1], -max(item[1]), item[0])))
