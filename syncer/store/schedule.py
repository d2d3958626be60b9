"""When each account is due, and who is polling it: a lease, claimed by one conditional update.

A lease saves requests to the endpoint; that the data stay right is the fence's business. It is short, and renewed
while the poll runs, so that an account whose process died is soon taken over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.store.engine import driver_connection, told_as_database_errors

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


_REGISTER: Final = """
insert into syncer.account (name, time_zone, created_at)
select given.name, given.time_zone, syncer.clock()
  from unnest($1::text[], $2::text[]) as given (name, time_zone)
  left join syncer.account known using (name)
 where known.account_id is null
on conflict (name) do nothing
"""
_KEEP_TIME_ZONES: Final = """
update syncer.account a set time_zone = given.time_zone
  from unnest($1::text[], $2::text[]) as given (name, time_zone)
 where a.name = given.name and a.time_zone <> given.time_zone
"""
_ACCOUNT_IDS: Final = "select account_id, name from syncer.account where name = any($1::text[])"


async def register(engine: AsyncEngine, time_zones: Mapping[str, str]) -> dict[str, int]:
    """Makes the accounts that are new.

    Args:
        engine: The database.
        time_zones: Time zone of each account, by the account's name.

    Returns:
        `account_id` of each name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with told_as_database_errors():
        async with engine.connect() as session:
            connection = await driver_connection(session)
            # In one order for all, or two replicas that register the same accounts wait for each other.
            names = sorted(time_zones)
            arguments = names, [time_zones[name] for name in names]
            await connection.execute(_REGISTER, *arguments)
            await connection.execute(_KEEP_TIME_ZONES, *arguments)
            rows = await connection.fetch(_ACCOUNT_IDS, arguments[0])
    return {row["name"]: row["account_id"] for row in rows}


# An account that is due later than its schedule allows had another schedule before, or was refused by the endpoint.
_PLAN: Final = """
insert into syncer.account_schedule as planned (account_id, due_at)
select given.account_id, given.first_due from unnest($1::integer[], $2::timestamptz[]) given (account_id, first_due)
on conflict (account_id) do nothing
"""
_BRING_FORWARD: Final = """
update syncer.account_schedule planned set due_at = given.latest_due
  from unnest($1::integer[], $2::timestamptz[]) given (account_id, latest_due)
 where planned.account_id = given.account_id and planned.due_at > given.latest_due
"""


async def plan(engine: AsyncEngine, due: Sequence[tuple[int, datetime, datetime]]) -> None:
    """Says when accounts are due, by account_id: new ones first, and no one later than.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    account_ids, first, latest = zip(*sorted(due), strict=True)
    with told_as_database_errors():
        async with engine.connect() as session:
            connection = await driver_connection(session)
            await connection.execute(_PLAN, account_ids, first)
            await connection.execute(_BRING_FORWARD, account_ids, latest)


async def database_time(engine: AsyncEngine) -> datetime:
    """The time by the only clock.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with told_as_database_errors():
        async with engine.connect() as session:
            now: datetime = await (await driver_connection(session)).fetchval("select syncer.clock()")
    return now


_CLAIM: Final = """
with now as materialized (select syncer.clock() as now)
update syncer.account_schedule s
   set lease_holder = $2, lease_until = now.now + $3
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
    """Takes accounts that are due and that nobody polls.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with told_as_database_errors():
        async with engine.connect() as session:
            connection = await driver_connection(session)
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
    with told_as_database_errors():
        async with engine.connect() as session:
            await (await driver_connection(session)).execute(_RENEW, account_ids, holder, lease)


_RELEASE: Final = """
update syncer.account_schedule set due_at = $3, lease_holder = null, lease_until = null
 where account_id = $1 and lease_holder = $2
"""


async def release(engine: AsyncEngine, account_id: int, holder: str, due_at: datetime) -> None:
    """Gives an account back, to be polled next at `due_at`.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with told_as_database_errors():
        async with engine.connect() as session:
            await (await driver_connection(session)).execute(_RELEASE, account_id, holder, due_at)
