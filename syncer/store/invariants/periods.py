"""Rules 1 to 4: the history of each number is consistent, and consistent with its current row."""

from __future__ import annotations

from typing import Final

from syncer.diff.response import MAX_STORED_REJECTIONS

# Each period by itself: it ends after it begins, and its windows begin earlier than its ends.
PERIODS: Final = """
select rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its %s from %s ', kind, valid_from) || problem
  from (select 3 as rule, 'state period' as kind, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from state_period
         union all
        select 4, 'redirect ' || redirect_number_id, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from redirect_period
         union all
        select 3, 'version', account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from number_version) periods
 cross join lateral (select case
    when valid_to <= valid_from then format('ends at %s, which is not after it begins', valid_to)
    when changed_after >= valid_from then format('has changed_after %s, which is not before it begins', changed_after)
    when closed_after >= valid_to
    then format('ends at %s, but has closed_after %s, which is not earlier', valid_to, closed_after)
    when closed_run_id <= run_id then format('was opened by run %s and closed by run %s', run_id, closed_run_id)
    end as problem) checked
 where problem is not null
"""

# Presence: each number was read by the newest poll, or rejected by it, or is missing, or is removed as of when it went
# missing. If a run rejected more records than it stored, it is not known which numbers it rejected.
PRESENCE: Final = f"""
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id, problem
  from virtual_number
  join (select account_id, observed_at,
               exists (select from sync_run r where r.account_id = f.account_id and r.run_id = f.applied_run_id
                                                       and r.rejected > {MAX_STORED_REJECTIONS}) as has_unstored
          from account_fence f) newest using (account_id)
  left join (select distinct j.account_id, j.virtual_number_id, true as is_rejected
               from account_fence f
               join rejected_record j on j.account_id = f.account_id and j.last_run_id = f.applied_run_id
              where j.virtual_number_id is not null) rejected using (account_id, virtual_number_id)
 cross join lateral (select case
    when removed_at is not null and removed_at is distinct from missing_since
    then format('removed_at is %s, but missing_since is %s', removed_at, coalesce(missing_since::text, 'null'))
    when missing_since is not null and last_read_at is null
    then format('missing_since is %s, but last_read_at is null', missing_since)
    when missing_since <= greatest(last_read_at, changed_at)
    then format('missing_since is %s, but it was read after %s', missing_since, greatest(last_read_at, changed_at))
    when missing_since > observed_at
    then format('missing_since is %s, which is later than the newest success at %s', missing_since, observed_at)
    when missing_since is null and last_read_at is not null and is_rejected is null and not has_unstored
    then format('last_read_at is %s, but it is neither missing nor rejected', last_read_at)
    when is_rejected and removed_at is null and missing_since is not null
    then format('missing_since is %s, but the newest applied run rejected its record', missing_since)
    when is_rejected and last_read_at is null
    then 'last_read_at is null, but the newest applied run rejected its record'
    end as problem) checked
 where problem is not null
"""  # noqa: S608 - a constant


# The periods of one redirect neither overlap nor touch, and each is within one uninterrupted listing of its number
# (`listed_from` to `listed_to`).
REDIRECTS: Final = """
with listing_starts as (
    select *, case when lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from)
                        is distinct from valid_from then valid_from end as listing_start
      from state_period
), listings as (
    select account_id, virtual_number_id, listed_from, max(coalesce(valid_to, 'infinity')) as listed_to
      from (select *, max(listing_start) over (partition by account_id, virtual_number_id
                                               order by valid_from) as listed_from
              from listing_starts) states
     group by 1, 2, 3
), located as (
    select *, max(listing_start) over (partition by account_id, virtual_number_id order by valid_from) as listed_from
      from (select account_id, virtual_number_id, redirect_number_id, valid_from, valid_to,
                   lag(valid_to) over redirect as previous_to, null as listing_start
              from redirect_period
            window redirect as (
                partition by account_id, virtual_number_id, redirect_number_id, number
                order by valid_to is null, valid_from)
             union all
            select account_id, virtual_number_id, null, listed_from, null, null, listed_from from listings) events
)
select 4 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its redirect %s ', redirect_number_id) || problem
  from located
  left join listings using (account_id, virtual_number_id, listed_from)
 cross join lateral (select case
    when previous_to >= valid_from
    then format('begins at %s, but its previous period ends at %s', valid_from, previous_to)
    when listed_to is null or listed_to <= valid_from
    then format('begins at %s, when the number is not listed', valid_from)
    when valid_to is null and listed_to < 'infinity'
    then format('from %s is open, though the number was removed at %s', valid_from, listed_to)
    when valid_to > listed_to then format('ends at %s, though the number was removed at %s', valid_to, listed_to)
    end as problem) checked
 where redirect_number_id is not null and problem is not null
"""
