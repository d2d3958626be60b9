"""The accounts as the database knows them: made when they are first configured, kept as they are configured.

An account that no configuration has any more is retired: it is polled no more, and its data stay. The last word counts:
that of the daemon that registered its accounts last, or that polls one, so that replicas whose files differ for a
moment agree once they have all read the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

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
_ACCOUNT_IDS: Final = "select name, account_id from syncer.account where name = any($1::text[])"


async def register_accounts(engine: AsyncEngine, time_zones: Mapping[str, str]) -> dict[str, int]:
    """Makes the accounts that are new.

    Args:
        engine: The database.
        time_zones: Time zone of each account, by the account's name.

    Returns:
        `account_id` of each name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    # In one order for all, or two replicas that register the same accounts wait for each other.
    names = sorted(time_zones)
    zones = [time_zones[name] for name in names]
    async with autocommit_connection(engine) as connection:
        await connection.execute(_REGISTER, names, zones)
        await connection.execute(_KEEP_TIME_ZONES, names, zones)
        rows = await connection.fetch(_ACCOUNT_IDS, names)
    return dict(map(tuple, rows))


_RETIRE: Final = """
update syncer.account_schedule
   set retired_at = case when account_id <> all($1::integer[]) then syncer.clock() end
 where (retired_at is null) = (account_id <> all($1::integer[]))
"""


async def retire_other_accounts(engine: AsyncEngine, account_ids: Sequence[int]) -> None:
    """Says that these accounts are configured, and that whatever else was ever scheduled no longer is.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RETIRE, account_ids)
