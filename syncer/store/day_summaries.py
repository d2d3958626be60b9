"""Counts the days of an account that have ended, once, into `day_summary`, for the views of days and months.

A day is summarised once a success is later than its end: whatever a later poll changes is later than that success. Only
a removal is dated back, and its transaction deletes the summaries from its day on (`discard_summaries`). So a summary,
while it exists, is what the history says; it may be deleted at any time, and is counted again from the summary of the
day before and the history after that. Views count the days after the last summary themselves.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from syncer.store.engine import limited_transaction

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from syncer.store.engine import Engine
    from syncer.store.retention import Progress

_DAY: Final = timedelta(days=1)
BATCH_DAYS: Final = 31
"""The number of days that one transaction counts at most."""

_LIMITS: Final = {"lock_timeout": "5s"}
# Skips an account that a poll or another replica has locked.
_LOCK: Final = """
select syncer.known_zone(time_zone) as zone, observed_at
  from syncer.account_fence f join syncer.account using (account_id)
 where f.account_id = $1 for no key update of f skip locked
"""
# A query of a function alone, and its rows go to and fro as texts: where the tables are distributed, a function that
# reads them may not be called by a statement about tables.
_LAST: Final = "select last.day, last::text as summary from syncer.last_day_summary($1, $2, $3) last"
# Days of the zone that the account had before are not those that it has now, nor are days that ended at another time
# before the server had newer rules of time zones.
_DELETE_UNREADABLE: Final = """
delete from syncer.day_summary
 where account_id = $1 and (time_zone <> $2 or day > coalesce($3::date, '-infinity'))
"""
_FIRST: Final = """
select (min(first_seen_at) at time zone $2)::date from syncer.virtual_number where account_id = $1
"""
_COUNT: Final = """
select array_agg(counted::text)
  from syncer.count_days($1, $2, $4::text::syncer.counted_day, $3,
                         least($5::date + $6::integer - 1, ($3::timestamptz at time zone $2)::date - 1)) counted
 where counted.ends <= $3
"""
_INSERT: Final = """
with counted as materialized (
    select summary::syncer.counted_day as day from unnest($1::text[]) one (summary)
)
insert into syncer.day_summary select (day).* from counted
"""


async def summarise_days(engine: Engine, account_id: int, *, days: int = BATCH_DAYS) -> Progress:
    """Counts the next days of an account that have ended and are not summarised, under its fence.

    Args:
        engine: The database.
        account_id: The account.
        days: How many days to count at most.

    Returns:
        Whether more may be left; a locked account is left as it is.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        account = await connection.fetchrow(_LOCK, account_id)
        if account is None:
            return "locked"
        zone, observed_at = account
        ((last_day, last),) = await connection.fetch(_LAST, account_id, zone, observed_at)
        await connection.execute(_DELETE_UNREADABLE, account_id, zone, last_day)
        if observed_at is None:
            return "done"
        first = await connection.fetchval(_FIRST, account_id, zone) if last_day is None else last_day + _DAY
        counted = await connection.fetchval(_COUNT, account_id, zone, observed_at, last, first, days)
        if counted is None:
            return "done"
        await connection.execute(_INSERT, counted)
    return "more"


# The date in UTC, less a day, is not after that in any zone: the key finds the days.
_DELETE_FROM: Final = """
delete from syncer.day_summary
 where account_id = $1 and day >= ($2::timestamptz at time zone 'UTC')::date - 1 and ends > $2::timestamptz
"""


async def discard_summaries(connection: asyncpg.Connection[Any], account_id: int, moment: datetime) -> None:
    """Deletes the summaries of the days from that of a moment on, in the transaction that changes these days."""
    await connection.execute(_DELETE_FROM, account_id, moment)
