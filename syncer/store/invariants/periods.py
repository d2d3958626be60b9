"""Rules 1 to 4: the history of each number is consistent, and consistent with its current row."""

from __future__ import annotations

from typing import Final

from syncer.diff.response import MAX_STORED_REJECTIONS

VERSIONS: Final = """
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, valid_to is null as is_current
  from syncer.number_version
"""
_STATE_PERIODS: Final = "select *, valid_to is null as is_current from syncer.state_period"

# Each period by itself: it ends after it begins, and its windows begin earlier than its ends.
PERIODS: Final = """
select rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its %s from %s ', kind, valid_from) || problem
  from (select 3 as rule, 'state period' as kind, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer.state_period
         union all
        select 4, 'redirect ' || redirect_number_id, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer.redirect_period
         union all
        select 3, 'version', account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer.number_version) periods
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
  from syncer.virtual_number
  join (select account_id, observed_at,
               exists (select from syncer.sync_run r where r.account_id = f.account_id and r.run_id = f.applied_run_id
                                                       and r.rejected > {MAX_STORED_REJECTIONS}) as has_unstored
          from syncer.account_fence f) newest using (account_id)
  left join (select distinct j.account_id, j.virtual_number_id, true as is_rejected
               from syncer.account_fence f
               join syncer.rejected_record j on j.account_id = f.account_id and j.last_run_id = f.applied_run_id
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


def _chain_checks(kind: str, rows: str) -> str:
    """Builds a query that checks each period against the previous one of its number; the open one is the last.

    It returns the periods with a problem, and those that no other one follows without a gap (`is_end`).

    Args:
        kind: What the messages call a period.
        rows: A query for the periods.
    """
    return f"""
    select account_id, virtual_number_id, problem, next_from is null or next_from > valid_to as is_end,
           coalesce(next_from, 'infinity') as resumed_at, valid_to, closed_after, closed_run_id
      from (select *, lag(valid_to) over number as previous_to,
                   lag(closed_after) over number as previous_closed_after,
                   lag(closed_run_id) over number as previous_closed_run_id,
                   lead(valid_from) over number as next_from
              from ({rows}) rows
            window number as (partition by account_id, virtual_number_id order by is_current, valid_from)) chained
     cross join lateral (select case
        when previous_to is null then null
        when previous_to > valid_from
        then format('its {kind} from %s begins before the previous one ends, at %s', valid_from, previous_to)
        when previous_to = valid_from and previous_closed_after is distinct from changed_after
             or previous_to < valid_from and changed_after is null
        then format('its {kind} from %s has changed_after %s, but the previous one has closed_after %s', valid_from,
                    coalesce(changed_after::text, 'null'), coalesce(previous_closed_after::text, 'null'))
        when (previous_to = valid_from and run_id <> previous_closed_run_id)
             or run_id <= previous_closed_run_id and previous_to < valid_from
        then format('its {kind} from %s was opened by run %s, but the previous one was closed by run %s', valid_from,
                    run_id, previous_closed_run_id)
        end as problem) checked
     where problem is not null or next_from is null or next_from > valid_to"""  # noqa: S608 - constants


# The periods of a number follow each other without overlap, and the only gaps are removals. Versions and state periods
# must have the same gaps: each kind has ends that no period of the kind follows directly, until another one begins
# (`resumed_at`) or forever (infinity; the last period is open, and in the row of the number, unless it is removed).
CHAINS: Final = f"""
with versions as materialized ({_chain_checks("version", VERSIONS)}),
     states as materialized ({_chain_checks("state period", _STATE_PERIODS)})
select 2 as rule, account_id, virtual_number_id, null::bigint as run_id, problem from versions where problem is not null
 union all
select 2, account_id, virtual_number_id, null, problem from states where problem is not null
 union all
select case when resumed_at = 'infinity' and (v.is_end is null or s.is_end is null) then 1 else 2 end as rule,
       account_id, virtual_number_id, null, checked.problem
  from (select * from versions where is_end) v
  full join (select * from states where is_end) s using (account_id, virtual_number_id, resumed_at)
 cross join lateral (select case
    when resumed_at < 'infinity' and s.is_end is null
    then format('its versions have a gap from %s to %s, but its state periods do not', v.valid_to, resumed_at)
    when resumed_at < 'infinity' and v.is_end is null
    then format('its state periods have a gap from %s to %s, but its versions do not', s.valid_to, resumed_at)
    when s.is_end is null then 'it has no state period'
    when v.is_end is null then 'it has a state period, but no version'
    when v.valid_to <> s.valid_to
    then format('it was removed at %s, but its state period ends at %s', v.valid_to, s.valid_to)
    when v.closed_after <> s.closed_after
    then format('its removal at %s has closed_after %s in its versions, but %s in its state periods', v.valid_to,
                v.closed_after, s.closed_after)
    when v.closed_run_id <> s.closed_run_id
    then format('its removal at %s is by run %s in its versions, but by run %s in its state periods', v.valid_to,
                v.closed_run_id, s.closed_run_id)
    end as problem) checked
 where checked.problem is not null
"""  # noqa: S608 - a constant

# Each version has the state and the reason of the state period that contains it, and each state period begins together
# with a version.
STATES: Final = f"""
with versions as (
    select v.*, v.state || coalesce(' (' || reason || ')', '') as full_state,
           max(s.valid_from) over number as period_from,
           lag(v.state || coalesce(' (' || reason || ')', '')) over number as previous_full_state,
           lag(valid_to) over number as previous_to
      from ({VERSIONS}) v
      left join (select account_id, virtual_number_id, valid_from from syncer.state_period) s
             on (s.account_id, s.virtual_number_id, s.valid_from) = (v.account_id, v.virtual_number_id, v.valid_from)
    window number as (partition by v.account_id, v.virtual_number_id order by is_current, v.valid_from)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id, problem
  from versions v
  full join (select *, valid_from as period_from from syncer.state_period) s
            using (account_id, virtual_number_id, period_from)
 cross join lateral (select case
    when v.state is null then format('no version begins with its state period from %s', period_from)
    when period_from is null then format('its version from %s is in no state period', v.valid_from)
    when (v.state, v.reason) is distinct from (s.state, s.reason)
    then format('its %s has state %s, but its state period from %s has %s',
                case when is_current then 'record' else 'version from ' || v.valid_from end, full_state, period_from,
                s.state || coalesce(' (' || s.reason || ')', ''))
    when v.valid_from > period_from then null
    when previous_to = period_from and full_state = previous_full_state
    then format('its state period from %s has the same state as the previous one', period_from)
    when v.run_id <> s.run_id
    then format('its state period from %s was opened by run %s, but its version by run %s', period_from, s.run_id,
                v.run_id)
    when v.changed_after is distinct from s.changed_after
    then format('its state period from %s has changed_after %s, but its version has %s', period_from,
                coalesce(s.changed_after::text, 'null'), coalesce(v.changed_after::text, 'null'))
    end as problem) checked
 where problem is not null
"""  # noqa: S608 - a constant

# The periods of one redirect neither overlap nor touch, and each is within one uninterrupted listing of its number
# (`listed_from` to `listed_to`).
REDIRECTS: Final = """
with listing_starts as (
    select *, case when lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from)
                        is distinct from valid_from then valid_from end as listing_start
      from syncer.state_period
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
              from syncer.redirect_period
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
