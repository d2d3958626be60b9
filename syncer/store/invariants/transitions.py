"""Rules 1 to 4: what is stored about the beginning and the end of each period is what the periods around it show."""

from __future__ import annotations

from typing import Final

from syncer.store.tables import RECORD_COLUMNS

# How each state period began and ended, and since when the state has lasted, whatever its reasons. How an open one
# began is not stored: it follows from the row of the number.
STAYS: Final = """
with linked as (
    select *, coalesce(lag(valid_to) over life >= valid_from, false) as follows, lag(state) over life as previous_state,
           case when lead(valid_from) over life <= valid_to then lead(state) over life end as next_state,
           min(valid_from) over life as first_from
      from syncer.state_period
    window life as (partition by account_id, virtual_number_id order by valid_to is null, valid_from)
), located as (
    select *, max(valid_from) filter (where not follows) over life as listed_from,
           max(valid_from) filter (where not follows or state <> previous_state) over life as stay_from
      from linked
    window life as (partition by account_id, virtual_number_id order by valid_to is null, valid_from)
), expected as (
    select *, first_value(changed_after) over stay as stay_after,
           case when stay_from > listed_from then first_value(previous_state) over stay end as stay_from_state,
           case when valid_to is null then state_began_by when stay_from > listed_from then 'changed'
                when listed_from > first_from then 'restored' else 'created' end as stay_began_by,
           case when valid_to is null then null when next_state is null then 'removed' else 'changed' end as end_by
      from located
    window stay as (partition by account_id, virtual_number_id, stay_from order by valid_to is null, valid_from)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its state period from %s has %s, but the periods around it show %s', valid_from, stored, shown)
  from expected
 cross join lateral (
       select string_agg(name || ' ' || coalesce(stored, 'null'), ', ') as stored,
              string_agg(coalesce(shown, 'null'), ', ') as shown
         from (values ('state_since', state_since::text, stay_from::text),
                      ('state_since_earliest', state_since_earliest::text, stay_after::text),
                      ('from_state', from_state, stay_from_state),
                      ('state_began_by', state_began_by, stay_began_by),
                      ('to_state', to_state, next_state),
                      ('ended_by', ended_by, end_by)) facts (name, stored, shown)
        where stored is distinct from shown) differing
 where stored is not null
"""

# How each version that has ended began and ended.
VERSION_ENDS: Final = """
with linked as (
    select account_id, virtual_number_id, valid_from, valid_to, began_by, ended_by,
           lag(valid_to) over life as previous_to, lead(valid_from) over life as next_from
      from syncer.number_version
    window life as (partition by account_id, virtual_number_id order by valid_to is null, valid_from)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its version from %s has %s, but the versions around it show %s', valid_from, stored, shown)
  from linked
 cross join lateral (
       select string_agg(name || ' ' || stored, ', ') as stored, string_agg(shown, ', ') as shown
         from (values ('began_by', began_by, case when previous_to is null then 'created'
                                                  when previous_to < valid_from then 'restored' else 'changed' end),
                      ('ended_by', ended_by, case when next_from <= valid_to then 'changed' else 'removed' end))
              facts (name, stored, shown)
        where stored <> shown) differing
 where valid_to is not null and stored is not null
"""

# The removals, as versions and state periods have them.
_REMOVALS: Final = """
select account_id, virtual_number_id, valid_to as removed_at, closed_run_id
  from syncer.virtual_number_history where ended_by = 'removed'
 union
select account_id, virtual_number_id, valid_to, closed_run_id from syncer.state_history where ended_by = 'removed'
"""
# Each redirect that ended with its number says so, and no other one does.
REDIRECT_ENDS: Final = f"""
select 4 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its redirect %s from %s has ended_by %s, but run %s %s the number', redirect_number_id, valid_from,
              ended_by, closed_run_id, case when is_removal then 'removed' else 'did not remove' end)
  from syncer.virtual_number_redirect_history
  left join (select distinct account_id, virtual_number_id, closed_run_id, true as is_removal
               from ({_REMOVALS}) ends) removals using (account_id, virtual_number_id, closed_run_id)
 where (ended_by = 'removed') <> coalesce(is_removal, false)
"""  # noqa: S608 - a constant

# What the row of a removed number must have of the version (v) and of the state period (s) that the removal ended.
_OF_VERSION: Final = dict(zip(RECORD_COLUMNS, RECORD_COLUMNS, strict=True)) | {
    "changed_at": "valid_from",
    "changed_after": "changed_after",
    "last_read_at": "closed_after",
    "run_id": "run_id",
}
_OF_STATE: Final = {
    "state_since": "state_since",
    "state_since_earliest": "state_since_earliest",
    "from_state": "from_state",
    "reason_since": "valid_from",
    "reason_since_earliest": "changed_after",
    "reason_run_id": "run_id",
}
_DIFFERENCES: Final = ", ".join(
    [
        *(f"('{name}', n.{name} is distinct from v.{of})" for name, of in _OF_VERSION.items()),
        *(f"('{name}', s.run_id is not null and n.{name} is distinct from s.{of})" for name, of in _OF_STATE.items()),
    ]
)
# The row of each number: since when it is listed, and, if it is removed, that it is as the removal left it.
NUMBERS: Final = f"""
with linked as (
    select *, coalesce(lag(valid_to) over life >= valid_from or lag(ended_by) over life = 'changed', false) as follows,
           lead(valid_from) over life is null as is_last
      from syncer.number_version
    window life as (partition by account_id, virtual_number_id order by valid_to is null, valid_from)
), versions as (
    select *, min(valid_from) over number as first_from,
           max(valid_from) filter (where not follows) over number as listed_from
      from linked
    window number as (partition by account_id, virtual_number_id)
)
select rule, account_id, virtual_number_id, null::bigint as run_id, problem
  from syncer.virtual_number n
  full join (select * from versions where is_last) v using (account_id, virtual_number_id)
  left join (select *, valid_to as removed_at from syncer.state_history) s
            using (account_id, virtual_number_id, removed_at)
 cross join lateral (
       values (1, case when n.run_id is null then format('it has a version from %s, but no record', v.valid_from) end),
              (1, case when v.run_id is null and s.run_id is null
                       then format('it was removed at %s, but nothing ended then', removed_at) end),
              (2, case when n.first_seen_at <> v.first_from
                       then format('first_seen_at is %s, but its first version begins at %s', n.first_seen_at,
                                   v.first_from) end),
              (2, case when n.listed_since <> v.listed_from
                            and not (n.listed_since = n.first_seen_at and v.listed_from = v.first_from)
                       then format('listed_since is %s, but its versions show %s', n.listed_since, v.listed_from) end),
              (2, case when removed_at <> v.valid_to
                       then format('it was removed at %s, but its last version ends at %s', removed_at,
                                   v.valid_to) end),
              (2, case when n.removed_run_id <> v.closed_run_id
                       then format('it was removed by run %s, but its last version was closed by run %s',
                                   n.removed_run_id, v.closed_run_id) end),
              (3, case when removed_at = v.valid_to
                       then (select 'its record and what its removal ended differ in ' || string_agg(name, ', ')
                               from (values {_DIFFERENCES}) facts (name, differs) where differs) end)
       ) checked (rule, problem)
 where problem is not null
"""  # noqa: S608 - names from constants

# Absences do not overlap, and each began with an earlier run than it ended, unless its removal was applied at once. One
# that a removal ended began when the number's periods ended. The row of a removed number has its absence, unless
# the absence began before there were any (then `missing_run_id` is null).
ABSENCES: Final = f"""
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its absence from %s ', missing_since) || problem
  from (select *, lag(ended_at) over (partition by account_id, virtual_number_id
                                      order by ended_at is null, missing_since) as previous_ended_at
          from (select account_id, virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by
                  from syncer.absence_history
                 union all
                select account_id, virtual_number_id, missing_since, missing_run_id, null, null, null
                  from syncer.virtual_number where missing_since is not null and removed_at is null) absences) a
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
  from syncer.virtual_number n
  left join syncer.absence_history a using (account_id, virtual_number_id, missing_since)
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
