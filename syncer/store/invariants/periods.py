"""Rules 1 to 4: what each number tells of its past and its present agrees with itself."""

from __future__ import annotations

from typing import Final

# All versions. A removal closes the current one too: after its last reading, and by a run that its states alone name.
VERSIONS: Final = """
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, false as is_current, null::timestamptz as first_seen_at
  from syncer.virtual_number_history
 union all
select account_id, virtual_number_id, state, reason, changed_at, removed_at, changed_after,
       case when removed_at is not null then last_read_at end, run_id, null, true, first_seen_at
  from syncer.virtual_number
"""
# The periods of state, in the same shape.
_STATE_PERIODS: Final = "select *, false as is_current, null::timestamptz as first_seen_at from syncer.state_history"

# Every period by itself: it ends after it begins, its windows lie before its ends, it says how it was closed if it was.
PERIODS: Final = f"""
select rule, account_id, virtual_number_id, null::bigint as run_id, format('its %s from %s ', kind, valid_from) || wrong
  from (select 3 as rule, 'state period' as kind, false as is_current, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer.state_history
         union all
        select 4, 'redirect ' || redirect_number_id, false, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer.virtual_number_redirect
         union all
        select 3, 'version', is_current, account_id, virtual_number_id,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from ({VERSIONS}) versions) periods
 cross join lateral (select case
    when valid_to <= valid_from then format('ends at %s, not after it begins', valid_to)
    when changed_after >= valid_from then format('began after %s, which is later', changed_after)
    when closed_after >= valid_to then format('ends at %s, but after %s, which is later', valid_to, closed_after)
    when closed_run_id <= run_id then format('was opened by run %s and closed by run %s', run_id, closed_run_id)
    when valid_to is null and coalesce(closed_after::text, closed_run_id::text) is not null
    then 'is open, but says after what or by which run it was closed'
    when valid_to is not null and closed_after is null then format('ends at %s, but not after what', valid_to)
    when valid_to is not null and closed_run_id is null and not is_current
    then format('ends at %s, but by no run', valid_to)
    end as wrong) told
 where wrong is not null
"""  # noqa: S608 - a constant

# Presence: a number is read by each poll, or rejected by the newest, or missing, or removed since it went missing.
PRESENCE: Final = """
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id, wrong
  from syncer.virtual_number
  join (select account_id, observed_at from syncer.account) newest using (account_id)
  left join (select distinct j.account_id, j.virtual_number_id, true as is_rejected
               from syncer.account a
               join syncer.rejected_record j on j.account_id = a.account_id and j.last_run_id = a.applied_run_id
              where j.virtual_number_id is not null) rejected using (account_id, virtual_number_id)
 cross join lateral (select case
    when removed_at is not null and removed_at is distinct from missing_since
    then format('removed_at is %s, but missing_since is %s', removed_at, coalesce(missing_since::text, 'null'))
    when missing_since is not null and last_read_at is null
    then format('it is missing since %s, but last_read_at is null', missing_since)
    when missing_since <= greatest(last_read_at, changed_at)
    then format('it is missing since %s, but was read after %s', missing_since, greatest(last_read_at, changed_at))
    when missing_since > observed_at
    then format('it is missing since %s, later than the newest success of %s', missing_since, observed_at)
    when missing_since is null and last_read_at is not null and is_rejected is null
    then format('it was last read at %s, but is neither missing nor rejected', last_read_at)
    when is_rejected and removed_at is null and missing_since is not null
    then format('it is missing since %s, but the newest applied run rejected its record', missing_since)
    when is_rejected and last_read_at is null
    then 'last_read_at is null, but the newest applied run rejected its record'
    end as wrong) told
 where wrong is not null
"""


def _linked(kind: str, rows: str, rule_if_open: int) -> str:
    """Of the periods of each number: those that do not take over from the one before, and the ends (`is_end`)."""
    return f"""
    select case when ended is null then {rule_if_open} else 2 end as rule, account_id, virtual_number_id, wrong,
           next is null or next > valid_to as is_end, coalesce(next, 'infinity') as resumed, valid_to, closed_after,
           closed_run_id
      from (select *, lag(valid_from) over number as began, lag(valid_to) over number as ended,
                   lag(closed_after) over number as ended_after, lag(closed_run_id) over number as ended_by,
                   lead(valid_from) over number as next, first_value(valid_from) over number as first
              from ({rows}) rows
            window number as (partition by account_id, virtual_number_id order by valid_from, is_current)) linked
     cross join lateral (select case
        when is_current and next is not null
        then format('its current {kind} is of %s, but a superseded one of %s', valid_from, next)
        when is_current and first_seen_at <> first
        then format('it was first seen at %s, but has a {kind} of %s', first_seen_at, first)
        when began is null then null
        when ended is null then format('its {kind} from %s is open, but another begins at %s', began, valid_from)
        when ended > valid_from
        then format('its {kind} from %s begins before the one before it ends, at %s', valid_from, ended)
        when ended_after is distinct from changed_after
        then format('its {kind} from %s began after %s, the one before it ended after %s', valid_from,
                    coalesce(changed_after::text, 'nothing'), coalesce(ended_after::text, 'nothing'))
        when (ended = valid_from and run_id <> ended_by) or run_id <= ended_by and ended < valid_from
        then format('its {kind} from %s was opened by run %s, the one before it closed by run %s', valid_from, run_id,
                    ended_by)
        end as wrong) told
     where wrong is not null or next is null or next > valid_to"""  # noqa: S608 - constants


# Periods follow each other. The only gap is a removal, of which versions and states must tell alike: each has ends at
# which none of its kind goes on, until another begins (`resumed`) or for good (infinity; open if not removed).
CHAINS: Final = f"""
with versions as materialized ({_linked("version", VERSIONS, 2)}),
     states as materialized ({_linked("state period", _STATE_PERIODS, 1)})
select rule, account_id, virtual_number_id, null::bigint as run_id, wrong from versions where wrong is not null
 union all
select rule, account_id, virtual_number_id, null, wrong from states where wrong is not null
 union all
select case when resumed = 'infinity' and (v.valid_to is null or s.valid_to is null) then 1 else 2 end,
       account_id, virtual_number_id, null, told.wrong
  from (select * from versions where is_end) v
  full join (select * from states where is_end) s using (account_id, virtual_number_id, resumed)
 cross join lateral (select case
    when resumed < 'infinity' and s.is_end is null
    then format('its versions say that it was removed from %s to %s, its states do not', v.valid_to, resumed)
    when resumed < 'infinity' and v.is_end is null
    then format('it has no state between %s and %s, and no removal', s.valid_to, resumed)
    when s.is_end is null then 'it has no state period'
    when v.is_end is null then 'it has a state period, but no record'
    when v.valid_to is null and s.valid_to is not null then 'it has no open state period, though it is not removed'
    when v.valid_to is not null and s.valid_to is null
    then format('it has an open state period, though it was removed at %s', v.valid_to)
    when v.valid_to <> s.valid_to
    then format('it was removed at %s, but its state period ends at %s', v.valid_to, s.valid_to)
    when v.closed_after <> s.closed_after
    then format('its removal of %s came after %s, by its states after %s', v.valid_to, v.closed_after, s.closed_after)
    when v.closed_run_id <> s.closed_run_id
    then format('its removal of %s is by run %s, by its states by run %s', v.valid_to, v.closed_run_id, s.closed_run_id)
    end as wrong) told
 where told.wrong is not null
"""  # noqa: S608 - a constant

# Each version says what the state period says that it lies in, and each such period begins as a version that says so.
STATES: Final = f"""
with versions as (
    select v.*, v.state || coalesce(' (' || reason || ')', '') as said, max(s.valid_from) over number as since,
           lag(v.state || coalesce(' (' || reason || ')', '')) over number as said_before,
           lag(valid_to) over number as ended
      from ({VERSIONS}) v
      left join (select account_id, virtual_number_id, valid_from from syncer.state_history) s
             on (s.account_id, s.virtual_number_id, s.valid_from) = (v.account_id, v.virtual_number_id, v.valid_from)
    window number as (partition by v.account_id, v.virtual_number_id order by v.valid_from, is_current)
)
select 3 as rule, account_id, virtual_number_id, null::bigint as run_id, wrong
  from versions v
  full join (select *, valid_from as since from syncer.state_history) s using (account_id, virtual_number_id, since)
 cross join lateral (select case
    when v.state is null then format('its state period from %s begins without a version', since)
    when since is null then format('its version from %s lies in no state period', v.valid_from)
    when (v.state, v.reason) is distinct from (s.state, s.reason)
    then format('its %s says %s, its state period from %s says %s',
                case when is_current then 'record' else 'version from ' || v.valid_from end, said, since,
                s.state || coalesce(' (' || s.reason || ')', ''))
    when v.valid_from > since then null
    when ended = since and said = said_before
    then format('its state period from %s says the same as the one before it', since)
    when v.run_id <> s.run_id
    then format('its state period from %s is of run %s, its version of run %s', since, s.run_id, v.run_id)
    when v.changed_after is distinct from s.changed_after
    then format('its state period from %s began after %s, its version after %s', since,
                coalesce(s.changed_after::text, 'nothing'), coalesce(v.changed_after::text, 'nothing'))
    end as wrong) told
 where wrong is not null
"""  # noqa: S608 - a constant

# A redirect's periods neither overlap nor touch, and each lies within one stay of its number, from when it came until
# it was gone.
REDIRECTS: Final = """
with arrivals as (
    select *, case when lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from)
                        is distinct from valid_from then valid_from end as arrived
      from syncer.state_history
), stays as (
    select account_id, virtual_number_id, came, max(coalesce(valid_to, 'infinity')) as gone
      from (select *, max(arrived) over (partition by account_id, virtual_number_id order by valid_from) as came
              from arrivals) states
     group by 1, 2, 3
), placed as (
    select *, max(arrived) over (partition by account_id, virtual_number_id order by valid_from) as came
      from (select account_id, virtual_number_id, redirect_number_id, valid_from, valid_to,
                   lag(valid_from) over redirect as began, lag(valid_to) over redirect as ended, null as arrived
              from syncer.virtual_number_redirect
            window redirect as (
                partition by account_id, virtual_number_id, redirect_number_id, number order by valid_from)
             union all
            select account_id, virtual_number_id, null, came, null, null, null, came from stays) events
)
select 4 as rule, account_id, virtual_number_id, null::bigint as run_id,
       format('its redirect %s ', redirect_number_id) || wrong
  from placed
  left join stays using (account_id, virtual_number_id, came)
 cross join lateral (select case
    when began is not null and ended is null then format('from %s is open, but begins again at %s', began, valid_from)
    when ended >= valid_from then format('begins at %s, but its period before lasts until %s', valid_from, ended)
    when gone is null or gone <= valid_from then format('begins at %s, when the number is not listed', valid_from)
    when valid_to is null and gone < 'infinity'
    then format('from %s is open, though the number was removed at %s', valid_from, gone)
    when valid_to > gone then format('ends at %s, though the number was removed at %s', valid_to, gone)
    end as wrong) told
 where redirect_number_id is not null and wrong is not null
"""
