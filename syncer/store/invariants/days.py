"""Rule 7: the summaries of days are what the history says."""

from __future__ import annotations

from typing import Final

# Each account's days are counted anew from its whole history, and compared with all of its summaries. Nothing reads
# summaries of days of another time zone.
SUMMARIES: Final = """
select 7 as rule, a.account_id, null::bigint as virtual_number_id, null::bigint as run_id,
       format('the summary of %s ', day) || problem
  from (select account_id, syncer.known_zone(time_zone) as zone, observed_at
          from syncer.account join syncer.account_fence using (account_id)) a
 cross join lateral (select max(s.day) as newest from syncer.day_summary s
                      where s.account_id = a.account_id and s.time_zone = a.zone) stored
 cross join lateral (
       select coalesce(s.day, c.day) as day, case
              when s.day is null then 'is missing, though there are later ones'
              when s.ends > a.observed_at
              then format('is there, but the newest success was at %s, before its end', a.observed_at)
              when c.day is null then 'is there, but the account had no numbers then'
              when row(s.*) is distinct from row(c.*) then 'is not what the history says'
              end as problem
         from (select * from syncer.day_summary s
                where s.account_id = a.account_id and s.time_zone = a.zone) s
         full join syncer.count_days(a.account_id, a.zone, null, a.observed_at, stored.newest) c on c.day = s.day
       ) compared
 where stored.newest is not null and problem is not null
"""
