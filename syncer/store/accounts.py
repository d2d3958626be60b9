"""Inserts, updates and retires the rows of accounts, so that they match the configuration.

An account that was removed from the configuration is retired: it is no longer polled, and its data stay. The last write
wins, be it by a daemon that registers its accounts or by one that claims an account to poll it. Replicas whose
configuration files differ for a moment therefore agree once all of them have read the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import asyncpg

from syncer.errors import DuplicateKeyError, StoredDataError, UnknownTimeZoneError, in_sentence
from syncer.store.engine import autocommit_connection
from syncer.store.identities import retry_with_new_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from syncer.store.engine import Engine

_INSERT_ACCOUNTS: Final = """
insert into syncer.account (name, time_zone, created_at)
select configured.name, configured.time_zone, syncer.clock()
  from unnest($1::text[], $2::text[]) as configured (name, time_zone)
  left join syncer.account existing using (name)
 where existing.account_id is null
on conflict (name) do nothing
"""
_INSERT_FENCES: Final = """
insert into syncer.account_fence (account_id)
select account_id from syncer.account where name = any($1::text[])
on conflict (account_id) do nothing
"""
_UPDATE_TIME_ZONES: Final = """
update syncer.account a set time_zone = configured.time_zone
  from unnest($1::text[], $2::text[]) as configured (name, time_zone)
 where a.name = configured.name and a.time_zone <> configured.time_zone
"""
_SELECT_IDS: Final = "select name, account_id from syncer.account where name = any($1::text[])"


async def find_unknown_time_zones(engine: Engine, time_zones: Mapping[str, str]) -> dict[str, UnknownTimeZoneError]:
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


async def register_accounts(engine: Engine, time_zones: Mapping[str, str]) -> dict[str, int]:
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


async def _upsert_accounts(engine: Engine, time_zones: Mapping[str, str]) -> dict[str, int]:
    # All replicas use the same order: otherwise two that register the same accounts could deadlock.
    names = sorted(time_zones)
    zones = [time_zones[name] for name in names]
    async with autocommit_connection(engine) as connection:
        await connection.execute(_INSERT_ACCOUNTS, names, zones)
        await connection.execute(_INSERT_FENCES, names)
        await connection.execute(_UPDATE_TIME_ZONES, names, zones)
    return await read_account_ids(engine, names)


async def read_account_ids(engine: Engine, names: Collection[str]) -> dict[str, int]:
    """Returns the `account_id` of each of these accounts that has a row, by name.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_SELECT_IDS, names)
    return dict(map(tuple, rows))


_SHARED_APP_IDS: Final = """
select a.app_id, array_agg(a.name order by a.name)
  from syncer.account a
 where a.app_id is not null and a.retired_at is null
 group by a.app_id having count(*) > 1
 order by a.app_id
"""


async def describe_shared_app_ids(engine: Engine) -> list[str]:
    """Returns a sentence for each `app_id` that several accounts carry, retired ones left out.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with autocommit_connection(engine) as connection:
        shared = await connection.fetch(_SHARED_APP_IDS)
    return [
        f"the accounts {in_sentence(names)} carry the same app_id, {app_id}: they are one Личный кабинет whose "
        "numbers are counted more than once; remove all but one of them from the configuration"
        for app_id, names in shared
    ]


# Waits for a poll that is writing. The next statements then see and delete the fingerprints of that poll, too.
_LOCK: Final = "select from syncer.account_fence where account_id = $1 for no key update"
_READ_APP_ID: Final = "select app_id from syncer.account where account_id = $1"
# The fingerprints go with it, so that the next response is decoded in full and its most frequent `app_id` is found.
_DELETE_FINGERPRINTS: Final = "delete from syncer.record_fingerprint where account_id = $1"
_FORGET_BODY: Final = """
update syncer.account_fence set body_digest = null, fingerprints_version = $2 where account_id = $1
"""
_FORGET_APP_ID: Final = "update syncer.account set app_id = null where account_id = $1"
_SELECT_NAMES: Final = "select name from syncer.account order by name"


async def forget_app_id(engine: Engine, name: str) -> int | None:
    """Makes the next successful poll take the `app_id` that its records carry, whatever it was before.

    Returns:
        The `app_id` until now; None if there was none.

    Raises:
        StoredDataError: The database has no such account.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await require_account(engine, name)
    async with autocommit_connection(engine) as connection, connection.transaction():
        await connection.execute(_LOCK, account_id)
        app_id: int | None = await connection.fetchval(_READ_APP_ID, account_id)
        await connection.execute(_DELETE_FINGERPRINTS, account_id)
        await connection.execute(_FORGET_BODY, account_id, uuid4())
        await connection.execute(_FORGET_APP_ID, account_id)
    return app_id


async def require_account(engine: Engine, name: str) -> int:
    """Returns the `account_id` of an account.

    Raises:
        StoredDataError: There is no such account.
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        found = dict(map(tuple, await connection.fetch(_SELECT_IDS, [name])))
        if name not in found:
            raise await _unknown_account(connection, name)
    account_id: int = found[name]
    return account_id


async def _unknown_account(connection: asyncpg.Connection[Any], name: str) -> StoredDataError:
    names = ", ".join(known for (known,) in await connection.fetch(_SELECT_NAMES))
    return StoredDataError(f"there is no account {name!r}; the accounts are {names or 'none yet'}")


_SELECT_POLLED: Final = """
select a.account_id, coalesce(s.lease_until > syncer.clock(), false) as is_polled
  from syncer.account a left join syncer.account_schedule s using (account_id)
 where a.name = $1
"""


async def require_unpolled_account(engine: Engine, name: str) -> int:
    """Returns the `account_id` of an account that no daemon is polling at this moment.

    Raises:
        StoredDataError: The database has no such account, or a daemon is polling it.
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        found = await connection.fetchrow(_SELECT_POLLED, name)
        if found is None:
            raise await _unknown_account(connection, name)
    if found["is_polled"]:
        raise StoredDataError(f"a daemon is polling the account {name!r} now: stop it, then try again")
    account_id: int = found["account_id"]
    return account_id


async def rename_account(engine: Engine, old: str, new: str) -> None:
    """Gives an account another name.

    Args:
        engine: The database.
        old: The name until now.
        new: The name from now on.

    Raises:
        StoredDataError: The database has no account `old`, or has another one named `new`, or a daemon polls `old`.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await require_unpolled_account(engine, old)
    try:
        async with autocommit_connection(engine) as connection:
            await connection.execute("update syncer.account set name = $2 where account_id = $1", account_id, new)
    except DuplicateKeyError:
        raise StoredDataError(
            f"the database has an account {new!r} already: choose another name; or, if it was polled by mistake and "
            f"its history can go, run `syncer account delete` for it first"
        ) from None


# Where tables are distributed over servers, each server has a copy of `account`, and an update writes to all of them:
# these are executed only if there is something to change.
_SELECT_DIFFERING: Final = """
select account_id, retired_at is null as is_polled from syncer.account
 where (retired_at is null) = (account_id <> all($1::integer[]))
"""
_RETIRE: Final = """
update syncer.account set retired_at = syncer.clock() where account_id = any($1::integer[]) and retired_at is null
"""
_UNRETIRE: Final = "update syncer.account set retired_at = null where account_id = any($1::integer[])"


async def retire_account(engine: Engine, name: str) -> None:
    """Marks an account as retired.

    Raises:
        StoredDataError: The database has no such account, or a daemon is polling it.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await require_unpolled_account(engine, name)
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RETIRE, [account_id])


async def retire_other_accounts(engine: Engine, account_ids: Collection[int]) -> None:
    """Marks all accounts but these as retired, and these as not retired.

    Args:
        engine: The database.
        account_ids: The accounts that are configured.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        differing = await connection.fetch(_SELECT_DIFFERING, account_ids)
        for statement, is_polled in ((_RETIRE, True), (_UNRETIRE, False)):
            if found := [row["account_id"] for row in differing if row["is_polled"] is is_polled]:
                await connection.execute(statement, found)
