"""Rules 2 to 4: what is stored about the beginning and the end of each period is what the periods around it show."""

from __future__ import annotations

from typing import Final

from syncer.store.tables import RECORD_COLUMNS

# How each state period began and ended, and since when the state has lasted, whatever its reasons.
STAYS: Final = """
with linked as (
    select *, coalesce(lag(valid_to) over life = valid_from, false) as follows, lag(state) over life as previous_state,
           case when lead(valid_from) over life = valid_to then lead(state) over life end as next_state,
           min(valid_from) over life as first_from
      from syncer.state_period
    window life as (partition by account_id, virtual_number_id order by valid_from)
), located as (
    select *, max(valid_from) filter (where not follows) over life as listed_from,
           max(valid_from) filter (where not follows or state <> previous_state) over life as stay_from
      from linked
    window life as (partition by account_id, virtual_number_id order by valid_from)
), expected as (
    select *, first_value(changed_after) over stay as stay_after,
           case when stay_from > listed_from then first_value(previous_state) over stay end as stay_from_state,
           case when stay_from > listed_from then 'changed' when listed_from > first_from then 'restored'
                else 'created' end as stay_began_by,
           case when valid_to is null then null when next_state is null then 'removed' else 'changed' end as end_by
      from located
    window stay as (partition by account_id, virtual_number_id, stay_from order by valid_from)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its state period from %s ', valid_from) || problem
  from expected
 cross join lateral (
       select format('has %s %s, but the periods around it show %s', name, coalesce(stored, 'null'),
                     coalesce(shown, 'null')) as problem
         from (values ('state_since', state_since::text, stay_from::text),
                      ('state_since_earliest', state_since_earliest::text, stay_after::text),
                      ('from_state', from_state, stay_from_state),
                      ('state_began_by', state_began_by, stay_began_by),
                      ('to_state', to_state, next_state),
                      ('ended_by', ended_by, end_by)) facts (name, stored, shown)
        where stored is distinct from shown) checked
"""

# How each version began and ended.
VERSION_ENDS: Final = """
with linked as (
    select account_id, virtual_number_id, valid_from, valid_to, began_by, ended_by,
           lag(valid_to) over life as previous_to, lead(valid_from) over life as next_from
      from syncer.number_version
    window life as (partition by account_id, virtual_number_id order by valid_from)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its version from %s ', valid_from) || problem
  from linked
 cross join lateral (
       select format('has %s %s, but the versions around it show %s', name, coalesce(stored, 'null'),
                     coalesce(shown, 'null')) as problem
         from (values ('began_by', began_by, case when previous_to is null then 'created'
                                                  when previous_to < valid_from then 'restored' else 'changed' end),
                      ('ended_by', ended_by, case when valid_to is null then null
                                                  when next_from = valid_to then 'changed' else 'removed' end))
              facts (name, stored, shown)
        where stored is distinct from shown) checked
"""

# Each redirect that ended with its number says so, and no other one does.
REDIRECT_ENDS: Final = """
select 4 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its redirect %s from %s has ended_by %s, but the number was %sremoved at %s', redirect_number_id,
              valid_from, ended_by, case when removed_to is null then 'not ' else '' end, valid_to)
  from syncer.virtual_number_redirect_history
  left join (select account_id, virtual_number_id, valid_to, valid_to as removed_to
               from syncer.state_history where ended_by = 'removed') removals
            using (account_id, virtual_number_id, valid_to)
 where (ended_by = 'removed') <> (removed_to is not null)
"""

_SAME_RECORD: Final = " and ".join(f"v.{name} is not distinct from n.{name}" for name in RECORD_COLUMNS)
# The row of each number: since when it is listed, and, if it is removed, that the version it shows is the one that the
# removal ended.
NUMBERS: Final = f"""
with versions as (
    select *, row_number() over (partition by account_id, virtual_number_id order by valid_from desc) as place,
           min(valid_from) over number as first_from,
           max(valid_from) filter (where began_by <> 'changed') over number as listed_from
      from syncer.number_version
    window number as (partition by account_id, virtual_number_id)
)
select case when v.valid_from is null then 1 else 3 end as rule, n.account_id, n.virtual_number_id,
       null::bigint as run_id, problem
  from syncer.virtual_number n
  left join versions v on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id and v.place = 1
 cross join lateral (select case
    when v.valid_from is null then format('it was removed at %s, but no version ended then', n.removed_at)
    when n.first_seen_at <> v.first_from
    then format('first_seen_at is %s, but its first version begins at %s', n.first_seen_at, v.first_from)
    when n.listed_since <> v.listed_from
    then format('listed_since is %s, but its versions show %s', n.listed_since, v.listed_from)
    when n.removed_at is null then null
    when v.valid_to is distinct from n.removed_at or v.closed_run_id <> n.removed_run_id
    then format('it was removed at %s by run %s, but its last version ended at %s by run %s', n.removed_at,
                n.removed_run_id, v.valid_to, v.closed_run_id)
    when not (v.valid_from = n.changed_at and v.changed_after is not distinct from n.changed_after
              and v.closed_after = n.last_read_at and v.run_id = n.run_id and {_SAME_RECORD})
    then format('it was removed at %s, but its record is not the version that ended then', n.removed_at)
    end as problem) checked
 where problem is not null
"""  # noqa: S608 - names from a constant

# Absences that have ended do not overlap, each ended in another run than it began, unless its removal was applied at
# once, and each removal of which there is one is that of a state period.
ABSENCES: Final = """
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its absence from %s ', missing_since) || problem
  from (select *, lag(ended_at) over (partition by account_id, virtual_number_id order by missing_since)
                   as previous_ended_at
          from syncer.absence_history) a
  left join (select account_id, virtual_number_id, valid_to as missing_since, closed_run_id as removed_by
               from syncer.state_history where ended_by = 'removed') removals
            using (account_id, virtual_number_id, missing_since)
 cross join lateral (select case
    when previous_ended_at > missing_since then format('begins before the previous one ended, at %s', previous_ended_at)
    when run_id > closed_run_id then format('began with run %s and ended with run %s', run_id, closed_run_id)
    when ended_by = 'removed' and removed_by is distinct from closed_run_id
    then format('ended by a removal of run %s, but its state period by one of run %s', closed_run_id,
                coalesce(removed_by::text, 'null'))
    when ended_by = 'returned' and removed_by is not null then 'ended with its return, but its state period by removal'
    end as problem) checked
 where problem is not null
"""
