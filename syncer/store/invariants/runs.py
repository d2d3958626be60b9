"""Rule 5: what the runs and the accounts say that was written is what was written."""

from __future__ import annotations

from typing import Final

from syncer.store.invariants.periods import VERSIONS

# What the runs wrote: rows of applied runs alone, of their time, as many as their counters say. What a run opened and
# closed of a number's redirects has the moment and the window of the version it opened, or of the removal; if it did
# neither, the redirects are all that changed of the number (`is_alone`).
COUNTERS: Final = f"""
with states as materialized (
    select account_id, virtual_number_id, run_id, closed_run_id, valid_from, valid_to, changed_after, closed_after,
           case when lag(valid_from) over number is null then 'created'
                when lag(valid_to) over number < valid_from then 'restored' else 'state' end as kind,
           valid_to is not null and closed_run_id is not null
           and lead(valid_from) over number is distinct from valid_to as is_removed
      from syncer.state_history
    window number as (partition by account_id, virtual_number_id order by valid_from)
), seen as (
    select account_id, virtual_number_id, run_id, valid_from as seen_at,
           coalesce(changed_after, '-infinity') as seen_after
      from ({VERSIONS}) versions
     union all
    select account_id, virtual_number_id, closed_run_id, valid_to, closed_after from states where is_removed
), redirects as materialized (
    select account_id, virtual_number_id, run_id, valid_from as at, coalesce(changed_after, '-infinity') as after,
           'opened' as kind
      from syncer.virtual_number_redirect
     union all
    select account_id, virtual_number_id, closed_run_id, valid_to, closed_after, 'closed'
      from syncer.virtual_number_redirect where valid_to is not null and closed_run_id is not null
), looks as (
    select account_id, virtual_number_id, run_id, min(at) as at, max(at) as last_at, min(after) as after,
           max(after) as last_after from redirects group by 1, 2, 3
), redirected as materialized (
    select account_id, virtual_number_id, run_id, at, seen_at is null as is_alone, case
               when at <> last_at then format('at %s and at %s', at, last_at)
               when at <> seen_at then format('at %s, but all else at %s', at, seen_at)
               when after <> last_after then format('after %s and after %s', after, last_after)
               when after <> seen_after then format('after %s, but all else after %s', after, seen_after)
               when seen_at is null and after = '-infinity' then 'without saying after what' end as wrong
      from looks left join seen using (account_id, virtual_number_id, run_id)
), happened as (
    select account_id, run_id, valid_from as at, kind from states
     union all
    select account_id, closed_run_id, valid_to, 'removed' from states where is_removed
     union all
    select account_id, run_id, valid_from, 'version' from ({VERSIONS}) versions
     union all
    select account_id, run_id, at, 'redirected' from redirected where is_alone
     union all
    select account_id, run_id, at, kind from redirects
), counted as (
    select account_id, run_id, count(*) filter (where kind = 'created') as created,
           greatest(0, count(*) filter (where kind in ('version', 'redirected'))
                       - count(*) filter (where kind in ('created', 'restored'))) as changed,
           count(*) filter (where kind = 'removed') as removed, count(*) filter (where kind = 'restored') as restored,
           count(*) filter (where kind = 'state') as state_changes, count(*) filter (where kind = 'opened') as opened,
           count(*) filter (where kind = 'closed') as closed,
           min(at) filter (where kind not in ('removed', 'closed')) as earliest, max(at) as latest
      from happened group by 1, 2
), compared as (
    select account_id, run_id, r.outcome, r.started_at, r.finished_at, r.received, r.removed, r.held,
           r.created + r.changed + r.unchanged + r.restored + r.rejected as accounted, c.earliest, c.latest,
           (select string_agg(format('%s %s, its rows %s', name, said, coalesce(found, 0)), '; ')
              from (values ('created', r.created, c.created), ('changed', r.changed, c.changed),
                           ('removed', r.removed, c.removed), ('restored', r.restored, c.restored),
                           ('state_changes', r.state_changes, c.state_changes),
                           ('redirects_opened', r.redirects_opened, c.opened),
                           ('redirects_closed', r.redirects_closed, c.closed)) counter (name, said, found)
             where said <> coalesce(found, 0)) as difference
      from counted c
      full join syncer.sync_run r using (account_id, run_id)
)
select 5 as rule, account_id, null::bigint as virtual_number_id, run_id, wrong
  from compared
 cross join lateral (select case
    when outcome is null then 'rows carry it, but there is no such run'
    when outcome <> 'applied' and latest is not null then 'rows carry it, but it is ' || outcome
    when outcome not in ('applied', 'unchanged') and (received is not null or accounted + removed + held > 0)
    then format('it is %s, but counts numbers', outcome)
    when difference is not null then 'it says ' || difference
    when outcome in ('applied', 'unchanged') and (accounted <= received) is not true
    then format('it received %s, but accounts for %s', coalesce(received::text, 'nothing'), accounted)
    when earliest <= started_at or (latest <= finished_at) is not true and latest is not null
    then format('its rows are of %s to %s, but it ran from %s to %s', coalesce(earliest, latest), latest, started_at,
                finished_at)
    end as wrong) told
 where wrong is not null
 union all
select 4, account_id, virtual_number_id, null,
       format('run %s changed its redirects %s', run_id, replace(wrong, '-infinity', 'nothing'))
  from redirected where wrong is not null
"""  # noqa: S608 - a constant

# The account points to its newest runs, and what is held and rejected now is what the newest success says.
NEWEST: Final = """
with newest as (
    select account_id, max(run_id) as success, max(run_id) filter (where outcome = 'applied') as applied
      from syncer.sync_run where outcome in ('applied', 'unchanged') group by 1
), missing as (
    select account_id, count(*) as numbers
      from syncer.virtual_number where missing_since is not null and removed_at is null group by 1
), rejected as (
    select a.account_id, count(*) as records
      from syncer.account a
      join syncer.rejected_record j on j.account_id = a.account_id and j.last_run_id = a.applied_run_id group by 1
)
select 5 as rule, account_id, null::bigint as virtual_number_id, coalesce(success, success_run_id) as run_id, wrong
  from syncer.account a
  left join newest using (account_id)
  left join missing using (account_id)
  left join rejected using (account_id)
  left join (select *, run_id as success from syncer.sync_run) r using (account_id, success)
 cross join lateral (select case
    when success_run_id is distinct from success
    then format('it is the newest success, but its account says run %s', coalesce(success_run_id::text, 'none'))
    when success is not null and (applied_run_id between coalesce(applied, 0) and success) is not true
    then format('run %s is the newest applied one, but its account says run %s', applied,
                coalesce(applied_run_id::text, 'none'))
    when success_started_at <> r.started_at or observed_at > r.finished_at
    then format('it ran from %s to %s, but its account says from %s to %s', r.started_at, r.finished_at,
                success_started_at, observed_at)
    when r.held <> coalesce(numbers, 0) then format('it says held %s, the rows %s', r.held, coalesce(numbers, 0))
    when r.rejected <> coalesce(records, 0)
    then format('it says rejected %s, the rows %s', r.rejected, coalesce(records, 0))
    end as wrong) told
 where wrong is not null
"""
