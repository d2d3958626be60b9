"""Deletes old runs that changed nothing, after summing them by day into `sync_day`.

Runs that found nothing new are deleted once they are a day old, so that an account can be polled every few seconds; the
others, such as failed ones, only after SYNCER_RUN_RETENTION. While removals are held, a run is one of the others, since
its count says on which days they were.

Only whole days of the account's time zone are pruned, and only after they have ended: the longest gap of a day is final
when the first of its runs is deleted. If a day takes several batches, the first batch still sees all of its runs and
stores the gap; each batch adds its number of polls, 90 days later too. Everything runs under the account's fence, so no
poll and no other replica works on the account meanwhile.

These are kept, however old: applied runs, which cursors of copies of the feed name, the newest success, and runs that
rejected records refer to.

Rejected records are deleted by a function of the database, so that nobody can delete younger ones with the daemon's
login: how long they are kept is stored there by the schema's owner.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from syncer.store.driver_errors import translate_errors
from syncer.store.engine import autocommit_connection, limited_transaction

if TYPE_CHECKING:
    from datetime import date

    from syncer.store.engine import Engine

BATCH_ROWS: Final = 1000
"""The number of rows that one transaction deletes at most."""
UNCHANGED_RETENTION: Final = timedelta(days=1)
"""How long runs that found nothing new are kept, unless all runs are kept shorter."""

# A session that holds locks on single runs must not block the other accounts for as long as a statement may take.
_LIMITS: Final = {"lock_timeout": "5s"}
# The daemon's role may not delete rejected records otherwise. The function keeps those that are younger than the owner
# allows to delete, whatever the cutoff, and those that a poll sees again meanwhile.
_DELETE_REJECTED: Final = "select syncer.delete_rejected_records($1, syncer.clock() - $2::interval, $3)"
_LIMITS_OF_ACCOUNT: Final = """
select c.now - $2::interval as cutoff, c.now - $3::interval as unchanged_cutoff,
       syncer.known_zone(a.time_zone) as zone, f.success_run_id, f.success_started_at
  from syncer.account_fence f
  join syncer.account a on a.account_id = f.account_id
 cross join (select syncer.clock() as now offset 0) c
 where f.account_id = $1
"""
# Skips an account that a poll or another replica has locked.
_LOCK: Final = f"{_LIMITS_OF_ACCOUNT} for no key update of f skip locked"
# Days with a run that is still `running` are left out: it may still succeed. So is the day of the last success: its
# last gap ends with that success if the account is polled no more, and else with the day or the next success.
_OLD: Final = """
select r.run_id, (r.started_at at time zone $4)::date as day, r.outcome in ('failed', 'abandoned') as has_failed,
       extract(epoch from syncer.clock() - r.started_at)::float8 as age
  from syncer.sync_run r
 where r.account_id = $1
   and r.started_at < $3
   and r.outcome not in ('running', 'applied')
   and (r.started_at at time zone $4)::date
       < (case when r.outcome = 'unchanged' and r.held = 0 then $3 else $2::timestamptz end at time zone $4)::date
   and r.run_id is distinct from $5::bigint
   and (r.started_at at time zone $4)::date is distinct from ($6::timestamptz at time zone $4)::date
   and not exists (select from syncer.rejected_record j
                    where j.account_id = $1 and r.run_id in (j.first_run_id, j.last_run_id))
   and not exists (select from syncer.sync_run running
                    where running.account_id = $1 and running.outcome = 'running'
                      and (running.started_at at time zone $4)::date = (r.started_at at time zone $4)::date)
 order by r.started_at
 limit $7
"""
# Each of these is a statement of its own: the parts of one that writes to several tables run one after another where
# tables are distributed, and the gaps would be counted after the runs were deleted.
_GAPS: Final = """
select d.day,
       extract(epoch from case when g.first is null then d.ends_at - d.starts_at
                               else greatest(g.first - d.starts_at, g.between_polls, d.ends_at - g.last) end),
       extract(epoch from case when g.first is null then syncer.blind_part(d.ends_at - d.starts_at)
                               else syncer.blind_part(g.first - d.starts_at) + coalesce(g.blind_between_polls, '0')
                                    + syncer.blind_part(d.ends_at - g.last) end)
  -- Before its first success, nobody expects an account to be watched: a day that ended before it has no gap.
  from (select t.day, least(greatest(syncer.day_start(t.day::timestamp, $2), f.first_success_at),
                            syncer.day_start(t.day + interval '1 day', $2)) as starts_at,
               syncer.day_start(t.day + interval '1 day', $2) as ends_at
          from syncer.account_fence f
         cross join unnest($3::date[]) t (day)
         where f.account_id = $1) d
  left join (select s.day, min(s.started_at) as first, max(s.started_at) as last,
                    max(s.started_at - s.before) as between_polls,
                    sum(syncer.blind_part(s.started_at - s.before)) as blind_between_polls
               from (select (r.started_at at time zone $2)::date as day, r.started_at,
                            lag(r.started_at) over (partition by (r.started_at at time zone $2)::date
                                                        order by r.started_at) as before
                       from syncer.sync_run r
                      where r.account_id = $1 and r.outcome in ('applied', 'unchanged')
                        and r.started_at > (select min(day) from unnest($3::date[]) each (day)) - interval '2 days'
                        and r.started_at < (select max(day) from unnest($3::date[]) each (day)) + interval '3 days'
                    ) s
              group by s.day) g on g.day = d.day
"""
_ADD_DAYS: Final = """
insert into syncer.sync_day as existing (account_id, day, polls, failed, longest_gap_seconds, blind_seconds)
select $1::integer, day, polls, failed, longest_gap_seconds, blind_seconds
  from unnest($2::date[], $3::numeric[], $4::numeric[], $5::integer[], $6::integer[])
       each (day, longest_gap_seconds, blind_seconds, polls, failed)
on conflict (account_id, day)
do update set polls = existing.polls + excluded.polls, failed = existing.failed + excluded.failed
"""
_DELETE_RUNS: Final = "delete from syncer.sync_run where account_id = $1 and run_id = any($2::bigint[])"

# By SQLAlchemy, as the migration before it, so that both need one connection.
_STORE_RETENTION: Final = "update syncer.retention set rejected_records = $1 where rejected_records <> $1"
_READ_RETENTION: Final = "select rejected_records from syncer.retention"


async def store_retention(owner_engine: Engine, retention: timedelta) -> None:
    """Stores how long rejected records are kept, which the daemon's role may not shorten.

    Raises:
        DatabaseError: PostgreSQL refused, as for any role but the schema's owner.
    """
    with translate_errors():
        async with owner_engine.begin() as transaction:
            await transaction.exec_driver_sql(_STORE_RETENTION, (retention,))


async def read_retention(engine: Engine) -> timedelta:
    """Reads how long rejected records are kept at least.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        retention: timedelta = await connection.fetchval(_READ_RETENTION)
        return retention


Progress = Literal["done", "more", "locked"]
"""What is left of an account after a batch: nothing, perhaps more, or everything because another session has locked the
account, most often for a moment and to poll it."""


async def prune(engine: Engine, account_id: int, retention: timedelta, *, batch: int = BATCH_ROWS) -> Progress:
    """Deletes one batch of an account's rejected records or runs that are kept no longer.

    Args:
        engine: The database.
        account_id: The account.
        retention: How long runs are kept; those that found nothing new not longer than `UNCHANGED_RETENTION`.
        batch: How many rows to delete at most.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        if await connection.fetchval(_DELETE_REJECTED, account_id, retention, batch) == batch:
            return "more"
    async with limited_transaction(engine, _LIMITS) as connection:
        limits = await connection.fetchrow(_LOCK, account_id, *_retentions(retention))
        if limits is None:
            return "locked"
        old = await connection.fetch(_OLD, account_id, *limits, batch)
        if old:
            polls = Counter(run["day"] for run in old)
            failed = Counter(run["day"] for run in old if run["has_failed"])
            days, *gaps = zip(*await connection.fetch(_GAPS, account_id, limits["zone"], sorted(polls)), strict=True)
            counts = [polls[day] for day in days], [failed[day] for day in days]
            await connection.execute(_ADD_DAYS, account_id, days, *gaps, *counts)
            await connection.execute(_DELETE_RUNS, account_id, [run["run_id"] for run in old])
    return "more" if len(old) == batch else "done"


async def oldest_prunable_run_age(engine: Engine, account_id: int, retention: timedelta) -> float:
    """Returns the age, in seconds, of an account's oldest run that should have been deleted; 0 if there is none.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        limits = await connection.fetchrow(_LIMITS_OF_ACCOUNT, account_id, *_retentions(retention))
        oldest = None if limits is None else await connection.fetchrow(_OLD, account_id, *limits, 1)
    return 0.0 if oldest is None else oldest["age"]


def _retentions(retention: timedelta) -> tuple[timedelta, timedelta]:
    return retention, min(retention, UNCHANGED_RETENTION)


class Account(Struct, frozen=True):
    """An account whose runs are pruned.

    Attributes:
        name: Its name.
        kept_from: The first day whose runs are kept.
        unchanged_kept_from: The first day whose runs that found nothing new are kept.
    """

    name: str
    kept_from: date
    unchanged_kept_from: date


_ACCOUNTS: Final = """
select account_id, name,
       (c.now - $1::interval) at time zone syncer.known_zone(time_zone),
       (c.now - $2::interval) at time zone syncer.known_zone(time_zone)
  from syncer.account
 cross join (select syncer.clock() as now offset 0) c order by account_id
"""


async def list_accounts(engine: Engine, retention: timedelta) -> dict[int, Account]:
    """Returns every account that was ever polled, retired ones included, by `account_id`.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_ACCOUNTS, *_retentions(retention))
    return {
        account_id: Account(name, kept_from.date(), unchanged_kept_from.date())
        for account_id, name, kept_from, unchanged_kept_from in rows
    }
