"""Inserts, updates and retires the rows of accounts, so that they match the configuration.

An account that was removed from the configuration is retired: it is no longer polled, and its data stay. The last write
wins, be it by a daemon that registers its accounts or by one that claims an account to poll it. Replicas whose
configuration files differ for a moment therefore agree once all of them have read the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from syncer.errors import UnknownTimeZoneError
from syncer.store.engine import autocommit_connection
from syncer.store.identities import retry_with_new_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

_INSERT_ACCOUNTS: Final = """
insert into syncer.account (name, time_zone, created_at)
select configured.name, configured.time_zone, syncer.clock()
  from unnest($1::text[], $2::text[]) as configured (name, time_zone)
  left join syncer.account existing using (name)
 where existing.account_id is null
on conflict (name) do nothing
"""
_UPDATE_TIME_ZONES: Final = """
update syncer.account a set time_zone = configured.time_zone
  from unnest($1::text[], $2::text[]) as configured (name, time_zone)
 where a.name = configured.name and a.time_zone <> configured.time_zone
"""
_SELECT_IDS: Final = "select name, account_id from syncer.account where name = any($1::text[])"


async def find_unknown_time_zones(
    engine: AsyncEngine, time_zones: Mapping[str, str]
) -> dict[str, UnknownTimeZoneError]:
    """Asks the server whether it knows the time zones of accounts: Python knows some that PostgreSQL does not.

    Args:
        engine: The database.
        time_zones: The time zone of each account, by the account's name.

    Returns:
        An error for each account whose time zone the server does not know, by the account's name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    unknown = set()
    async with autocommit_connection(engine) as connection:
        for zone in sorted(set(time_zones.values())):
            try:
                await connection.fetchval("select now() at time zone $1", zone)
            except asyncpg.InvalidParameterValueError:
                unknown.add(zone)
    return {name: UnknownTimeZoneError(name, zone) for name, zone in time_zones.items() if zone in unknown}


async def register_accounts(engine: AsyncEngine, time_zones: Mapping[str, str]) -> dict[str, int]:
    """Inserts accounts that are new, and updates the time zones of the others.

    Args:
        engine: The database.
        time_zones: The time zone of each account, by the account's name.

    Returns:
        The `account_id` of each account, by name.

    Raises:
        UnknownTimeZoneError: The server does not know one of the time zones. No account is inserted or updated then.
        DatabaseError: PostgreSQL refused.
    """
    for error in (await find_unknown_time_zones(engine, time_zones)).values():
        raise error
    return await retry_with_new_ids(engine, lambda: _upsert_accounts(engine, time_zones))


async def _upsert_accounts(engine: AsyncEngine, time_zones: Mapping[str, str]) -> dict[str, int]:
    # All replicas use the same order: otherwise two that register the same accounts could deadlock.
    names = sorted(time_zones)
    zones = [time_zones[name] for name in names]
    async with autocommit_connection(engine) as connection:
        await connection.execute(_INSERT_ACCOUNTS, names, zones)
        await connection.execute(_UPDATE_TIME_ZONES, names, zones)
    return await read_account_ids(engine, names)


async def read_account_ids(engine: AsyncEngine, names: Collection[str]) -> dict[str, int]:
    """Returns the `account_id` of each of these accounts that has a row, by name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_SELECT_IDS, names)
    return dict(map(tuple, rows))


_RETIRE: Final = """
update syncer.account_schedule
   set retired_at = case when account_id <> all($1::integer[]) then syncer.clock() end
 where (retired_at is null) = (account_id <> all($1::integer[]))
"""


async def retire_other_accounts(engine: AsyncEngine, account_ids: Collection[int]) -> None:
    """Marks all scheduled accounts but these as retired, and these as not retired.

    Args:
        engine: The database.
        account_ids: The accounts that are configured.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RETIRE, account_ids)
