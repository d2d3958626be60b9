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

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import translate_errors

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH_ROWS: Final = 1000
"""The number of rows that one transaction deletes at most."""
UNCHANGED_RETENTION: Final = timedelta(days=1)
"""How long runs that found nothing new are kept, unless all runs are kept shorter."""

# A session that holds locks on single runs must not block the other accounts for as long as a statement may take.
_SET_TIMEOUTS: Final = text("select set_config('lock_timeout', '5s', true)")
# Skips an account that a poll or another replica has locked.
_LOCK: Final = text("""
select c.now - cast(:retention as interval) as cutoff,
       c.now - cast(:unchanged_retention as interval) as unchanged_cutoff
  from syncer.account_fence f
 cross join (select syncer.clock() as now offset 0) c
 where account_id = :account_id for no key update of f skip locked
""")
# The daemon's role may not delete rejected records otherwise. The function keeps those that are younger than the owner
# allows to delete, whatever the cutoff.
_DELETE_REJECTED: Final = text("select syncer.delete_rejected_records(:account_id, :cutoff, :batch)")
# Days with a run that is still `running` are left out: it may still succeed. So is the day of the last success: its
# last gap ends with that success if the account is polled no more, and else with the day or the next success.
_PRUNABLE: Final = """
with zone as materialized (
    select account_id, z.name, success_run_id, first_success_at,
           (cast(:cutoff as timestamptz) at time zone z.name)::date as kept_from,
           (cast(:unchanged_cutoff as timestamptz) at time zone z.name)::date as unchanged_kept_from,
           (success_started_at at time zone z.name)::date as last_success_day
      from syncer.account_fence join syncer.account using (account_id)
     cross join lateral (select syncer.known_zone(time_zone) as name offset 0) z
     where account_id = :account_id
), old as materialized (
    select r.account_id, r.run_id, (r.started_at at time zone z.name)::date as day, r.outcome, r.started_at
      from zone z
      join syncer.sync_run r using (account_id)
     where r.started_at < :unchanged_cutoff
       and r.outcome not in ('running', 'applied')
       and (r.started_at at time zone z.name)::date
           < case when r.outcome = 'unchanged' and r.held = 0 then z.unchanged_kept_from else z.kept_from end
       and r.run_id is distinct from z.success_run_id
       and (r.started_at at time zone z.name)::date is distinct from z.last_success_day
       and not exists (select from syncer.rejected_record j
                        where j.account_id = r.account_id and r.run_id in (j.first_run_id, j.last_run_id))
       and not exists (select from syncer.sync_run running
                        where running.account_id = r.account_id and running.outcome = 'running'
                          and (running.started_at at time zone z.name)::date
                            = (r.started_at at time zone z.name)::date)
     order by r.started_at
     limit :batch
)
"""
_PRUNE: Final = text(f"""{_PRUNABLE}, deleted as (
    delete from syncer.sync_run r using old where r.account_id = old.account_id and r.run_id = old.run_id
), days as (
    select old.account_id, old.day, count(*) as polls,
           count(*) filter (where old.outcome in ('failed', 'abandoned')) as failed, z.name as zone,
           -- Before its first success, nobody expects an account to be watched: a day that ended before it has no gap.
           least(greatest(syncer.day_start(old.day, z.name), z.first_success_at),
                 syncer.day_start(old.day + interval '1 day', z.name)) as starts_at,
           syncer.day_start(old.day + interval '1 day', z.name) as ends_at
      from old join zone z using (account_id) group by 1, 2, 5, z.first_success_at
), summed as (
    insert into syncer.sync_day as existing (account_id, day, polls, failed, longest_gap_seconds, blind_seconds)
    select d.account_id, d.day, d.polls, d.failed, gap.longest_seconds, gap.blind_seconds
      from days d
     cross join lateral (
               select extract(epoch from case when count(*) = 0 then d.ends_at - d.starts_at
                                              else greatest(min(started_at) - d.starts_at,
                                                            max(started_at - previous_started_at),
                                                            d.ends_at - max(started_at)) end) as longest_seconds,
                      extract(epoch from case when count(*) = 0 then syncer.blind_part(d.ends_at - d.starts_at)
                              else syncer.blind_part(min(started_at) - d.starts_at)
                                   + coalesce(sum(syncer.blind_part(started_at - previous_started_at)), '0')
                                   + syncer.blind_part(d.ends_at - max(started_at)) end) as blind_seconds
                 from (select r.started_at, lag(r.started_at) over (order by r.started_at) as previous_started_at
                         from syncer.sync_run r
                        where r.account_id = d.account_id and r.outcome in ('applied', 'unchanged')
                          and r.started_at between d.starts_at - interval '1 day' and d.ends_at + interval '1 day'
                          and (r.started_at at time zone d.zone)::date = d.day) successes) gap
    on conflict (account_id, day)
    do update set polls = existing.polls + excluded.polls, failed = existing.failed + excluded.failed
)
select count(*) from old
""")  # noqa: S608 - a constant
_OLDEST: Final = text(f"{_PRUNABLE} select extract(epoch from syncer.clock() - min(started_at))::float8 from old")  # noqa: S608
_CUTOFFS: Final = text("""
select now - cast(:retention as interval) as cutoff, now - cast(:unchanged_retention as interval) as unchanged_cutoff
  from (select syncer.clock() as now offset 0) c
""")

_STORE_RETENTION: Final = text(
    "update syncer.retention set rejected_records = :retention where rejected_records <> :retention"
)
_READ_RETENTION: Final = text("select rejected_records from syncer.retention")


async def store_retention(owner_engine: AsyncEngine, retention: timedelta) -> None:
    """Stores how long rejected records are kept, which the daemon's role may not shorten.

    Raises:
        DatabaseError: PostgreSQL refused, as for any role but the schema's owner.
    """
    with translate_errors():
        async with owner_engine.begin() as transaction:
            await transaction.execute(_STORE_RETENTION, {"retention": retention})


async def read_retention(engine: AsyncEngine) -> timedelta:
    """Reads how long rejected records are kept at least.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with translate_errors():
        async with engine.connect() as connection:
            retention: timedelta = (await connection.execute(_READ_RETENTION)).scalar_one()
            return retention


Progress = Literal["done", "more", "locked"]
"""What is left of an account after a batch: nothing, perhaps more, or everything because another session has locked the
account, most often for a moment and to poll it."""


async def prune(engine: AsyncEngine, account_id: int, retention: timedelta, *, batch: int = BATCH_ROWS) -> Progress:
    """Deletes one batch of an account's rejected records or runs that are kept no longer.

    Args:
        engine: The database.
        account_id: The account.
        retention: How long runs are kept; those that found nothing new not longer than `UNCHANGED_RETENTION`.
        batch: How many rows to delete at most.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    account = {"account_id": account_id}
    with translate_errors():
        async with engine.begin() as transaction:
            await transaction.execute(_SET_TIMEOUTS)
            cutoffs = (await transaction.execute(_LOCK, account | _retentions(retention))).mappings().one_or_none()
            if cutoffs is None:
                return "locked"
            limits = account | {"batch": batch} | dict(cutoffs)
            if await transaction.scalar(_DELETE_REJECTED, limits) == batch:
                return "more"
            pruned: int = await transaction.scalar(_PRUNE, limits)
    return "more" if pruned == batch else "done"


async def oldest_prunable_run_age(engine: AsyncEngine, account_id: int, retention: timedelta) -> float:
    """Returns the age, in seconds, of an account's oldest run that should have been deleted; 0 if there is none.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with translate_errors():
        async with engine.connect() as connection:
            cutoffs = (await connection.execute(_CUTOFFS, _retentions(retention))).mappings().one()
            limits = {"account_id": account_id, "batch": 1} | dict(cutoffs)
            return await connection.scalar(_OLDEST, limits) or 0.0


def _retentions(retention: timedelta) -> dict[str, Any]:
    return {"retention": retention, "unchanged_retention": min(retention, UNCHANGED_RETENTION)}


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


_ACCOUNTS: Final = text("""
select account_id, name,
       (c.now - cast(:retention as interval)) at time zone syncer.known_zone(time_zone),
       (c.now - cast(:unchanged_retention as interval)) at time zone syncer.known_zone(time_zone)
  from syncer.account
 cross join (select syncer.clock() as now offset 0) c order by account_id
""")


async def list_accounts(engine: AsyncEngine, retention: timedelta) -> dict[int, Account]:
    """Returns every account that was ever polled, retired ones included, by `account_id`.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    with translate_errors():
        async with engine.connect() as connection:
            rows = await connection.execute(_ACCOUNTS, _retentions(retention))
            return {
                account_id: Account(name, kept_from.date(), unchanged_kept_from.date())
                for account_id, name, kept_from, unchanged_kept_from in rows
            }
