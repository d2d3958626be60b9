"""When each account is due, and which daemon is polling it: a lease, claimed by one conditional update.

The lease only saves requests to the endpoint; the fence is what keeps the data right. It is short, and renewed while
the poll runs, so that another daemon soon takes over an account whose process died. Each statement handles any number
of accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime, timedelta

    import asyncpg

    from syncer.store.engine import Engine


@dataclass(frozen=True, slots=True)
class Claim:
    """An account that was due and that this daemon has claimed; `now` is the database's time of the claim."""

    account_id: int
    due_at: datetime
    now: datetime


async def read_clock(engine: Engine) -> datetime:
    """Returns the database's time, the only clock that counts.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        now: datetime = await connection.fetchval("select syncer.clock()")
    return now


_SELECT_DUE_TIMES: Final = (
    "select account_id, due_at from syncer.account_schedule where account_id = any($1::integer[])"
)


async def read_due_times(engine: Engine, account_ids: Sequence[int]) -> dict[int, datetime]:
    """Returns when these accounts are due, by `account_id`; accounts that were never scheduled are left out.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_SELECT_DUE_TIMES, account_ids)
    return dict(map(tuple, rows))


_SELECT_DUE_BY_NAME: Final = """
select a.name, greatest(s.due_at, s.not_before)
  from syncer.account a join syncer.account_schedule s using (account_id)
 where a.retired_at is null
"""


async def read_due_times_by_name(engine: Engine) -> dict[str, datetime]:
    """Returns when each account that a daemon has scheduled is polled next, by its name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_SELECT_DUE_BY_NAME)
    return dict(map(tuple, rows))


_SELECT_NOT_BEFORE: Final = """
select account_id, not_before from syncer.account_schedule
 where account_id = any($1::integer[]) and not_before > syncer.clock()
"""


async def read_not_before(engine: Engine, account_ids: Sequence[int]) -> dict[int, datetime]:
    """Returns until when the endpoint asked not to be polled, by `account_id`, of the accounts for which it did.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_SELECT_NOT_BEFORE, account_ids)
    return dict(map(tuple, rows))


_COUNT_SCHEDULED: Final = """
select count(*)
  from unnest($1::integer[], $2::text[]) known (account_id, name)
  join syncer.account using (account_id, name)
  join syncer.account_schedule using (account_id)
"""


async def are_scheduled(engine: Engine, names: Mapping[int, str]) -> bool:
    """Returns whether these accounts are still scheduled under their keys; a restored backup may not have them.

    Args:
        engine: The database.
        names: The name of each account, by `account_id`.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        scheduled: int = await connection.fetchval(_COUNT_SCHEDULED, list(names), list(names.values()))
    return scheduled == len(names)


_INSERT_DUE_TIMES: Final = """
insert into syncer.account_schedule (account_id, due_at)
select account_id, due_at from unnest($1::integer[], $2::timestamptz[]) due (account_id, due_at)
on conflict (account_id) do nothing
"""
_UPDATE_DUE_TIMES: Final = """
update syncer.account_schedule s set due_at = due.due_at
  from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) due (account_id, due_at, previous_due_at)
 where s.account_id = due.account_id and s.due_at = due.previous_due_at
"""


async def set_due_times(engine: Engine, due: Mapping[int, datetime], previous: Mapping[int, datetime]) -> None:
    """Sets when accounts are due, except where another replica has scheduled or polled the account meanwhile.

    Args:
        engine: The database.
        due: The new due time of each account.
        previous: The due times that `read_due_times` returned.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    new = sorted(due.keys() - previous.keys())
    existing = sorted(due.keys() & previous.keys())
    async with autocommit_connection(engine) as connection:
        await connection.execute(_INSERT_DUE_TIMES, new, [due[key] for key in new])
        await connection.execute(
            _UPDATE_DUE_TIMES, existing, [due[key] for key in existing], [previous[key] for key in existing]
        )


_SEARCHED_ACCOUNTS: Final = 1_000
"""From how many accounts on those that are due are looked for before they are claimed: to pass the ids of tens of
thousands takes longer than to read the schedule."""
# A lease that ends later than any that is granted now is from a time when the clock was ahead; who holds it renews it
# soon, or has died.
_SELECT_DUE: Final = """
with now as materialized (select syncer.clock() as now)
select account_id from syncer.account_schedule, now
 where due_at <= now and (lease_until is null or lease_until <= now or lease_until > now + 2 * $1::interval)
 order by due_at
 limit $2
"""
_CLAIM: Final = """
with now as materialized (select syncer.clock() as now)
update syncer.account_schedule s
   set lease_holder = $2, lease_until = now.now + $3
  from now
 where s.account_id in (
           select due.account_id
             from syncer.account_schedule due, now
            where due.account_id = any($1::integer[]) and due.due_at <= now
              and (lease_until is null or lease_until <= now or lease_until > now + 2 * $3::interval)
            order by due.due_at
            limit $4
              for update of due skip locked)
returning s.account_id, s.due_at, now.now
"""
# Citus changes no table of the coordinator by a statement that reads one that every server has.
_SELECT_RETIRED: Final = """
select account_id from syncer.account where account_id = any($1::integer[]) and retired_at is not null
"""
_UNRETIRE: Final = "update syncer.account set retired_at = null where account_id = any($1::integer[])"


async def claim(
    engine: Engine, account_ids: AbstractSet[int], holder: str, lease: timedelta, *, limit: int
) -> list[Claim]:
    """Claims accounts that are due and that nobody is polling, the longest overdue first.

    A daemon claims only accounts of its own configuration, so a claimed account is not retired any more.

    Args:
        engine: The database.
        account_ids: The accounts to choose from.
        holder: Identifies this daemon.
        lease: How long the lease lasts if it is not renewed.
        limit: How many accounts to claim at most.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        candidates = await _select_due(connection, account_ids, lease, limit)
        if not candidates:
            return []
        claims = [Claim(*row) for row in await connection.fetch(_CLAIM, candidates, holder, lease, limit)]
        if claims:
            retired = await connection.fetch(_SELECT_RETIRED, [claim.account_id for claim in claims])
            if retired:
                await connection.execute(_UNRETIRE, [account_id for (account_id,) in retired])
    return claims


async def _select_due(
    connection: asyncpg.Connection[Any], account_ids: AbstractSet[int], lease: timedelta, limit: int
) -> list[int]:
    """Returns the accounts to claim from: of many accounts those that are due, at least `limit` if so many are."""
    if len(account_ids) < _SEARCHED_ACCOUNTS:
        return list(account_ids)
    due = await connection.fetch(_SELECT_DUE, lease, limit + _SEARCHED_ACCOUNTS)
    candidates = [account_id for (account_id,) in due if account_id in account_ids]
    if len(candidates) < limit and len(due) == limit + _SEARCHED_ACCOUNTS:  # others have been due for longer
        return list(account_ids)
    return candidates


_RENEW: Final = """
update syncer.account_schedule set lease_until = syncer.clock() + $3
 where account_id = any($1::integer[]) and lease_holder = $2
"""


async def renew(engine: Engine, account_ids: Sequence[int], holder: str, lease: timedelta) -> None:
    """Renews the leases of accounts whose polls are running.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RENEW, account_ids, holder, lease)


_RELEASE: Final = """
update syncer.account_schedule s
   set due_at = released.due_at, not_before = released.not_before, lease_holder = null, lease_until = null
  from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) released (account_id, due_at, not_before)
 where s.account_id = released.account_id and s.lease_holder = $4
"""


async def release(engine: Engine, due: Mapping[int, datetime], not_before: Mapping[int, datetime], holder: str) -> None:
    """Ends the leases of accounts, and sets when each is due next.

    Args:
        engine: The database.
        due: The next due time of each account.
        not_before: Until when the endpoint asked not to be polled, of the accounts for which it did.
        holder: Identifies this daemon; leases that another one holds by now are left alone.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RELEASE, list(due), list(due.values()), list(map(not_before.get, due)), holder)
