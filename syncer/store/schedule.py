"""When each account is due, and who is polling it: a lease, claimed by one conditional update.

A lease saves requests to the endpoint; that the data stay right is the fence's business. It is short, and renewed
while the poll runs, so that an account whose process died is soon taken over. Each statement serves any number of
accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Claim:
    """An account that is due and now ours to poll; `due_at` is when it was due, `now` the database's time."""

    account_id: int
    due_at: datetime
    now: datetime


async def read_clock(engine: AsyncEngine) -> datetime:
    """The time by the only clock.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        now: datetime = await connection.fetchval("select syncer.clock()")
    return now


_DUE_MOMENTS: Final = "select account_id, due_at from syncer.account_schedule where account_id = any($1::integer[])"


async def read_due_times(engine: AsyncEngine, account_ids: Sequence[int]) -> dict[int, datetime]:
    """When these accounts are due, those that were never planned left out.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_DUE_MOMENTS, account_ids)
    return dict(map(tuple, rows))


_PLAN: Final = """
insert into syncer.account_schedule (account_id, due_at)
select account_id, due_at from unnest($1::integer[], $2::timestamptz[]) given (account_id, due_at)
on conflict (account_id) do nothing
"""
_PLAN_ANEW: Final = """
update syncer.account_schedule planned set due_at = given.due_at
  from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) given (account_id, due_at, before)
 where planned.account_id = given.account_id and planned.due_at = given.before
"""


async def set_due_times(engine: AsyncEngine, due: Mapping[int, datetime], before: Mapping[int, datetime]) -> None:
    """Says when accounts are due, but for those that another replica has planned or polled meanwhile.

    Args:
        engine: The database.
        due: The moment of each.
        before: What `read_due_times` said.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    new = sorted(due.keys() - before.keys())
    known = sorted(due.keys() & before.keys())
    async with autocommit_connection(engine) as connection:
        await connection.execute(_PLAN, new, [due[key] for key in new])
        await connection.execute(_PLAN_ANEW, known, [due[key] for key in known], [before[key] for key in known])


# Whoever polls an account has it in its configuration.
_CLAIM: Final = """
with now as materialized (select syncer.clock() as now)
update syncer.account_schedule s
   set lease_holder = $2, lease_until = now.now + $3, retired_at = null
  from now
 where s.account_id in (
           select due.account_id
             from syncer.account_schedule due, now
            where due.account_id = any($1::integer[]) and due.due_at <= now.now
              and (due.lease_until is null or due.lease_until <= now.now)
            order by due.due_at
            limit $4
              for update of due skip locked)
returning s.account_id, s.due_at, now.now
"""


async def claim(
    engine: AsyncEngine, account_ids: Sequence[int], holder: str, lease: timedelta, *, at_most: int
) -> list[Claim]:
    """Takes accounts that are due and that nobody polls, those that are due longest first.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_CLAIM, account_ids, holder, lease, at_most)
    return [Claim(*row) for row in rows]


_RENEW: Final = """
update syncer.account_schedule set lease_until = syncer.clock() + $3
 where account_id = any($1::integer[]) and lease_holder = $2
"""


async def renew(engine: AsyncEngine, account_ids: Sequence[int], holder: str, lease: timedelta) -> None:
    """Keeps accounts while their polls run.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RENEW, account_ids, holder, lease)


_RELEASE: Final = """
update syncer.account_schedule planned set due_at = given.due_at, lease_holder = null, lease_until = null
  from unnest($1::integer[], $2::timestamptz[]) given (account_id, due_at)
 where planned.account_id = given.account_id and planned.lease_holder = $3
"""


async def release(engine: AsyncEngine, due: Mapping[int, datetime], holder: str) -> None:
    """Gives accounts back, each to be polled next at the moment that `due` says.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RELEASE, list(due), list(due.values()), holder)
