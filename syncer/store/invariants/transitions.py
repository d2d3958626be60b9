"""Rules 1 to 4: what is stored about the beginning and the end of each period is what the periods around it show."""

from __future__ import annotations

from typing import Final

# The removals, as versions and state periods have them.
_REMOVALS: Final = """
select account_id, virtual_number_id, valid_to as removed_at, closed_run_id
  from virtual_number_history where ended_by = 'removed'
 union
select account_id, virtual_number_id, valid_to, closed_run_id from state_history where ended_by = 'removed'
"""
# Each redirect that ended with its number says so, and no other one does.
REDIRECT_ENDS: Final = f"""
select 4 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its redirect %s from %s has ended_by %s, but run %s %s the number', redirect_number_id, valid_from,
              ended_by, closed_run_id, case when is_removal then 'removed' else 'did not remove' end)
  from virtual_number_redirect_history
  left join (select distinct account_id, virtual_number_id, closed_run_id, true as is_removal
               from ({_REMOVALS}) ends) removals using (account_id, virtual_number_id, closed_run_id)
 where (ended_by = 'removed') <> coalesce(is_removal, false)
"""  # noqa: S608 - a constant

# Absences do not overlap, and each began with an earlier run than it ended, unless its removal was applied at once. One
# that a removal ended began when the number's periods ended. The row of a removed number has its absence, unless
# the absence began before there were any (then `missing_run_id` is null).
ABSENCES: Final = f"""
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its absence from %s ', missing_since) || problem
  from (select *, lag(ended_at) over (partition by account_id, virtual_number_id
                                      order by ended_at is null, missing_since) as previous_ended_at
          from (select account_id, virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by
                  from absence_history
                 union all
                select account_id, virtual_number_id, missing_since, missing_run_id, null, null, null
                  from virtual_number where missing_since is not null and removed_at is null) absences) a
  left join (select account_id, virtual_number_id, removed_at as missing_since, min(closed_run_id) as removed_by,
                    max(closed_run_id) as or_removed_by
               from ({_REMOVALS}) ends group by 1, 2, 3) removals
            using (account_id, virtual_number_id, missing_since)
 cross join lateral (select case
    when previous_ended_at >= missing_since
    then format('begins before the previous one ended, at %s', previous_ended_at)
    when ended_at < missing_since then format('ended at %s, which is before it began', ended_at)
    when run_id > closed_run_id or run_id = closed_run_id and ended_by = 'returned'
    then format('began with run %s and ended with run %s', run_id, closed_run_id)
    when ended_by = 'removed' and removed_by is null then 'ended with a removal, but nothing else did'
    when ended_by = 'removed' and closed_run_id not in (removed_by, or_removed_by)
    then format('ended with a removal by run %s, but its number was removed by run %s', closed_run_id, removed_by)
    when ended_by = 'returned' and removed_by is not null
    then format('ended with its return, but its number was removed by run %s', removed_by)
    end as problem) checked
 where problem is not null
 union all
select 3, account_id, virtual_number_id, null, problem
  from virtual_number n
  left join absence_history a using (account_id, virtual_number_id, missing_since)
 cross join lateral (select case
    when missing_since is null and removed_at is null and missing_run_id is not null
    then format('missing_run_id is %s, but missing_since is null', missing_run_id)
    when removed_at is null or missing_since is null or missing_run_id is null then null
    when a.ended_at is null then format('it was removed at %s, but no absence began then', removed_at)
    when a.run_id is distinct from missing_run_id
    then format('missing_run_id is %s, but its absence began with run %s', missing_run_id,
                coalesce(a.run_id::text, 'null'))
    end as problem) checked
 where problem is not null
"""  # noqa: S608 - a constant
