"""What becomes of old runs: those that changed nothing are summed up into `sync_day` by the day, and deleted.

Whole days of the account's time zone are taken, and only once they are over, so that the longest gap of a day is known
for good when the first of its runs goes. Where a day takes several batches, the first one sees all of its runs, and
says the gap; each says how many polls it took. Everything is done under the account's fence: no poll, and no other
replica, is at work on the account meanwhile.

What stays, however old: a run that changed something, the newest success, runs that rejected records speak of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import translate_errors

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH: Final = 1000
"""How many rows are deleted in one transaction at most."""

# Whoever is at work on the account is not waited for, nor kept waiting for long.
_LOCK: Final = text("""
select syncer.clock() - cast(:retention as interval) as cutoff
  from syncer.account where account_id = :account_id for no key update skip locked
""")
# A record was seen for as long as no later applied run came without it.
_FORGET: Final = text("""
with old as (
    select j.account_id, j.rejected_record_id
      from syncer.rejected_record j
     where j.account_id = :account_id
       and exists (select from syncer.sync_run r
                    where r.account_id = j.account_id and r.run_id > j.last_run_id and r.outcome = 'applied'
                      and r.started_at < :cutoff)
     limit :batch
)
delete from syncer.rejected_record j using old
 where j.account_id = old.account_id and j.rejected_record_id = old.rejected_record_id
""")
# A run that is still running may yet turn out to be a success: its day waits.
_PRUNE: Final = text("""
with zone as materialized (
    select account_id, time_zone, success_run_id from syncer.account where account_id = :account_id
), old as materialized (
    select r.account_id, r.run_id, (r.started_at at time zone z.time_zone)::date as day, r.outcome
      from zone z
      join syncer.sync_run r using (account_id)
     where r.started_at < :cutoff
       and (r.started_at at time zone z.time_zone)::date < (cast(:cutoff as timestamptz) at time zone z.time_zone)::date
       and r.outcome <> 'running' and r.created + r.changed + r.removed + r.restored = 0
       and r.run_id is distinct from z.success_run_id
       and not exists (select from syncer.rejected_record j
                        where j.account_id = r.account_id and r.run_id in (j.first_run_id, j.last_run_id))
       and not exists (select from syncer.sync_run open
                        where open.account_id = r.account_id and open.outcome = 'running'
                          and (open.started_at at time zone z.time_zone)::date
                            = (r.started_at at time zone z.time_zone)::date)
     order by r.started_at
     limit :batch
), deleted as (
    delete from syncer.sync_run r using old where r.account_id = old.account_id and r.run_id = old.run_id
), days as (
    select old.account_id, old.day, count(*) as polls,
           count(*) filter (where old.outcome in ('failed', 'abandoned')) as failed, z.time_zone,
           old.day::timestamp at time zone z.time_zone as begins,
           (old.day + interval '1 day') at time zone z.time_zone as ends
      from old join zone z using (account_id) group by 1, 2, 5
), summed as (
    insert into syncer.sync_day as known (account_id, day, polls, failed, longest_gap_seconds)
    select d.account_id, d.day, d.polls, d.failed, gap.seconds
      from days d
     cross join lateral (
               select extract(epoch from case when count(*) = 0 then d.ends - d.begins
                                              else greatest(min(started_at) - d.begins, max(started_at - before),
                                                            d.ends - max(started_at)) end) as seconds
                 from (select r.started_at, lag(r.started_at) over (order by r.started_at) as before
                         from syncer.sync_run r
                        where r.account_id = d.account_id and r.outcome in ('applied', 'unchanged')
                          and r.started_at between d.begins - interval '1 day' and d.ends + interval '1 day'
                          and (r.started_at at time zone d.time_zone)::date = d.day) successes) gap
    on conflict (account_id, day)
    do update set polls = known.polls + excluded.polls, failed = known.failed + excluded.failed
)
select count(*) from old
""")


async def prune(engine: AsyncEngine, account_id: int, retention: timedelta, *, batch: int = BATCH) -> bool:
    """Sums up and deletes a batch of what is older than `retention`.

    Returns:
        Whether more may be left.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    account = {"account_id": account_id}
    with translate_errors():
        async with engine.begin() as transaction:
            cutoff = await transaction.scalar(_LOCK, account | {"retention": retention})
            if cutoff is None:
                return True
            limits = account | {"cutoff": cutoff, "batch": batch}
            forgotten = await transaction.execute(_FORGET, limits)
            if forgotten.rowcount == batch:
                return True
            pruned: int = await transaction.scalar(_PRUNE, limits)
    return pruned == batch


_ACCOUNTS: Final = text("select account_id from syncer.account order by account_id")


async def list_account_ids(engine: AsyncEngine) -> list[int]:
    """Every account that was ever polled, whether or not it still is.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with translate_errors():
        async with engine.connect() as connection:
            return list(await connection.scalars(_ACCOUNTS))
