"""Rule 5: the counters of runs, and the columns of accounts on their newest runs, agree with the rows."""

from __future__ import annotations

from typing import Final

from syncer.diff.response import MAX_STORED_REJECTIONS

# Only applied runs have rows, dated within the run, and as many as their counters say. The redirects of a number that a
# run opened or closed have the time and the window of the version that it opened, or of the removal; if it did neither,
# only redirects of the number changed (`is_only_change`).
COUNTERS: Final = """
with states as materialized (
    select account_id, virtual_number_id, run_id, closed_run_id, valid_from, valid_to, changed_after, closed_after,
           case when lag(valid_from) over number is null then 'created'
                when lag(valid_to) over number < valid_from then 'restored' else 'state' end as kind,
           valid_to is not null and closed_run_id is not null
           and lead(valid_from) over number is distinct from valid_to as is_removed
      from state_period
    window number as (partition by account_id, virtual_number_id order by valid_from)
), number_changes as (
    select account_id, virtual_number_id, run_id, valid_from as number_changed_at,
           coalesce(changed_after, '-infinity') as number_changed_after
      from number_version
     union all
    select account_id, virtual_number_id, closed_run_id, valid_to, closed_after from states where is_removed
), redirects as materialized (
    select account_id, virtual_number_id, run_id, valid_from as changed_at,
           coalesce(changed_after, '-infinity') as changed_after, 'opened' as kind
      from redirect_period
     union all
    select account_id, virtual_number_id, closed_run_id, valid_to, closed_after, 'closed'
      from virtual_number_redirect_history
), redirects_by_run as (
    select account_id, virtual_number_id, run_id, min(changed_at) as changed_at, max(changed_at) as last_changed_at,
           min(changed_after) as changed_after, max(changed_after) as last_changed_after
      from redirects group by 1, 2, 3
), redirect_changes as materialized (
    select account_id, virtual_number_id, run_id, changed_at, number_changed_at is null as is_only_change, case
               when changed_at <> last_changed_at then format('at %s and at %s', changed_at, last_changed_at)
               when changed_at <> number_changed_at
               then format('at %s, but everything else at %s', changed_at, number_changed_at)
               when changed_after <> last_changed_after
               then format('after %s and after %s', changed_after, last_changed_after)
               when changed_after <> number_changed_after
               then format('after %s, but everything else after %s', changed_after, number_changed_after)
               when number_changed_at is null and changed_after = '-infinity'
               then 'without a lower end of the window' end as problem
      from redirects_by_run left join number_changes using (account_id, virtual_number_id, run_id)
), events as (
    select account_id, run_id, valid_from as changed_at, kind from states
     union all
    select account_id, closed_run_id, valid_to, 'removed' from states where is_removed
     union all
    select account_id, run_id, valid_from, 'version' from number_version
     union all
    select account_id, run_id, changed_at, 'redirected' from redirect_changes where is_only_change
     union all
    select account_id, run_id, changed_at, kind from redirects
), counts as (
    select account_id, run_id, count(*) filter (where kind = 'created') as created,
           greatest(0, count(*) filter (where kind in ('version', 'redirected'))
                       - count(*) filter (where kind in ('created', 'restored'))) as changed,
           count(*) filter (where kind = 'removed') as removed, count(*) filter (where kind = 'restored') as restored,
           count(*) filter (where kind = 'state') as state_changes, count(*) filter (where kind = 'opened') as opened,
           count(*) filter (where kind = 'closed') as closed,
           min(changed_at) filter (where kind not in ('removed', 'closed')) as earliest, max(changed_at) as latest
      from events group by 1, 2
), compared as (
    select account_id, run_id, r.outcome, r.started_at, r.finished_at, r.received, r.removed,
           r.held + r.unconfirmed as missing,
           r.created + r.changed + r.unchanged + r.restored + r.rejected as accounted, c.earliest, c.latest,
           (select string_agg(format('%s is %s, but its rows show %s', name, value, coalesce(row_count, 0)), '; ')
              from (values ('created', r.created, c.created), ('changed', r.changed, c.changed),
                           ('removed', r.removed, c.removed), ('restored', r.restored, c.restored),
                           ('state_changes', r.state_changes, c.state_changes),
                           ('redirects_opened', r.redirects_opened, c.opened),
                           ('redirects_closed', r.redirects_closed, c.closed)) counters (name, value, row_count)
             where value <> coalesce(row_count, 0)) as difference
      from counts c
      full join sync_run r using (account_id, run_id)
)
select 5 as rule, account_id, null::bigint as virtual_number_id, run_id, problem
  from compared
 cross join lateral (select case
    when outcome is null then 'rows refer to it, but it does not exist'
    when outcome <> 'applied' and latest is not null then 'rows refer to it, but it is ' || outcome
    when outcome not in ('applied', 'unchanged') and (received is not null or accounted + removed + missing > 0)
    then format('it is %s, but has counters', outcome)
    when difference is not null then difference
    when outcome in ('applied', 'unchanged') and (accounted <= received) is not true
    then format('received is %s, but its other counters add up to %s', coalesce(received::text, 'null'), accounted)
    when earliest <= started_at or (latest <= finished_at) is not true and latest is not null
    then format('its rows are dated %s to %s, but it ran from %s to %s', coalesce(earliest, latest), latest, started_at,
                finished_at)
    end as problem) checked
 where problem is not null
 union all
select 4, account_id, virtual_number_id, null,
       format('run %s changed its redirects %s', run_id, replace(problem, '-infinity', 'null'))
  from redirect_changes where problem is not null
"""

# Each account refers to its newest runs; `held`, `unconfirmed` and `rejected` of its newest success are the current
# counts of rows, and a believable response is one of a successful run.
NEWEST: Final = f"""
with newest as (
    select account_id, max(run_id) as success, max(run_id) filter (where outcome = 'applied') as applied
      from sync_run where outcome in ('applied', 'unchanged') group by 1
), missing as (
    select account_id, count(*) as numbers
      from virtual_number where missing_since is not null and removed_at is null group by 1
), rejected as (
    select f.account_id, count(*) as records
      from account_fence f
      join rejected_record j on j.account_id = f.account_id and j.last_run_id = f.applied_run_id group by 1
)
select 5 as rule, account_id, null::bigint as virtual_number_id, coalesce(success, success_run_id) as run_id, problem
  from account
  left join account_fence using (account_id)
  left join newest using (account_id)
  left join missing using (account_id)
  left join rejected using (account_id)
  left join (select *, run_id as success from sync_run) r using (account_id, success)
 cross join lateral (select case
    when success_run_id is distinct from success
    then format('it is the newest success, but success_run_id of its account is %s',
                coalesce(success_run_id::text, 'null'))
    when success is not null and (applied_run_id between coalesce(applied, 0) and success) is not true
    then format('run %s is the newest applied run, but applied_run_id of its account is %s', applied,
                coalesce(applied_run_id::text, 'null'))
    when success_started_at <> r.started_at or observed_at > r.finished_at
    then format('it ran from %s to %s, but its account has %s to %s', r.started_at, r.finished_at,
                success_started_at, observed_at)
    when success is not null and (first_success_at < observed_at) is not true
    then format('it was recorded at %s, but its account has first_success_at %s', observed_at,
                coalesce(first_success_at::text, 'null'))
    when r.held + r.unconfirmed <> coalesce(numbers, 0)
    then format('held and unconfirmed are %s and %s, but the rows show %s', r.held, r.unconfirmed, coalesce(numbers, 0))
    when believable_run_id > success_run_id or believable_started_at is null and believable_responses > 0
    then format('believable_run_id is %s, after %s of them', coalesce(believable_run_id::text, 'null'),
                believable_responses)
    when r.rejected is not null and least(r.rejected, {MAX_STORED_REJECTIONS}) <> coalesce(records, 0)
    then format('rejected is %s, but the rows show %s', r.rejected, coalesce(records, 0))
    end as problem) checked
 where problem is not null
"""  # noqa: S608 - a constant
