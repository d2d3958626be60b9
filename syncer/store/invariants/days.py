"""Rule 7: the summaries of days are what the history says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syncer.store.invariants.relations import MAX_SECONDS

if TYPE_CHECKING:
    import asyncpg

_PROBLEM: Final = """case
              when s.day is null then 'is missing, though there are later ones'
              when s.ends > a.observed_at
              then format('is there, but the newest success was at %s, before its end', a.observed_at)
              when c.day is null then 'is there, but the account had no numbers then'
              when row(s.*) is distinct from row(c.*) then 'is not what the history says'
              end"""

# Each account's days are counted anew from its whole history, and compared with all of its summaries. Nothing reads
# summaries of days of another time zone.
SUMMARIES: Final = f"""
select 7 as rule, a.account_id, null::bigint as virtual_number_id, null::bigint as run_id,
       format('the summary of %s ', day) || problem
  from (select account_id, syncer.known_zone(time_zone) as zone, observed_at
          from syncer.account join syncer.account_fence using (account_id)) a
 cross join lateral (select max(s.day) as newest from syncer.day_summary s
                      where s.account_id = a.account_id and s.time_zone = a.zone) stored
 cross join lateral (
       select coalesce(s.day, c.day) as day, {_PROBLEM} as problem
         from (select * from syncer.day_summary s
                where s.account_id = a.account_id and s.time_zone = a.zone) s
         full join syncer.count_days(a.account_id, a.zone, null, a.observed_at, stored.newest) c on c.day = s.day
       ) compared
 where stored.newest is not null and problem is not null
"""  # noqa: S608 - a constant

_STORED: Final = """
select syncer.known_zone(a.time_zone) as zone, f.observed_at, max(s.day) as newest, array_agg(row(s.*)::text) as rows
  from syncer.account_fence f
  join syncer.account a on a.account_id = f.account_id
  join syncer.day_summary s on s.account_id = f.account_id and s.time_zone = syncer.known_zone(a.time_zone)
 where f.account_id = $1
 group by 1, 2
"""
_COMPARED: Final = f"""
select 7 as rule, a.account_id, null::bigint as virtual_number_id, null::bigint as run_id,
       format('the summary of %s ', day) || problem
  from (select $1::integer as account_id, $2::text as zone, $3::timestamptz as observed_at) a
 cross join lateral (
       select coalesce(s.day, c.day) as day, {_PROBLEM} as problem
         from (select (one.text::syncer.counted_day).* from unnest($5::text[]) one (text)) s
         full join syncer.count_days(a.account_id, a.zone, null, a.observed_at, $4::date) c on c.day = s.day
       ) compared
 where problem is not null
"""  # noqa: S608 - a constant


async def check_summaries(connection: asyncpg.Connection[Any], account_id: int) -> list[asyncpg.Record]:
    """Checks the summaries of one account as `SUMMARIES` does, where the tables are distributed over servers.

    A function that reads them may not be called there by a query of tables.
    """
    stored = await connection.fetchrow(_STORED, account_id, timeout=MAX_SECONDS)
    return [] if stored is None else await connection.fetch(_COMPARED, account_id, *stored, timeout=MAX_SECONDS)
