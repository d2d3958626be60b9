"""Rules 1 to 3: the periods of each number follow each other, and agree with those around them and with its row.

One query, because sorting the periods takes most of the time: it sorts the versions once and the state periods once.
"""

from __future__ import annotations

from typing import Final

from syncer.store.record_columns import RECORD_COLUMNS


def _chain_problem(kind: str) -> str:
    """Returns an expression that checks a period against the previous one of its number; the open one is the last.

    Args:
        kind: What the messages call a period.
    """
    return f"""case
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
           end"""


# Each version beside its neighbours, and with the beginning of the state period that it is in (`period_from`): the
# latest one until then that begins together with a version.
_LINKED_VERSIONS: Final = """
    select v.*, coalesce(previous_to >= valid_from or previous_ended_by = 'changed', false) as follows
      from (select v.*, max(s.valid_from) over number as period_from, min(v.valid_from) over number as first_from,
                   lag(v.state) over number as previous_state, lag(v.reason) over number as previous_reason,
                   lag(v.valid_to) over number as previous_to, lag(v.ended_by) over number as previous_ended_by,
                   lag(v.closed_after) over number as previous_closed_after,
                   lag(v.closed_run_id) over number as previous_closed_run_id,
                   lead(v.valid_from) over number as next_from
              from (select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after,
                           closed_after, run_id, closed_run_id, began_by, ended_by, valid_to is null as is_current
                      from number_version) v
              left join (select account_id, virtual_number_id, valid_from from state_period group by 1, 2, 3) s
                     on (s.account_id, s.virtual_number_id, s.valid_from)
                        = (v.account_id, v.virtual_number_id, v.valid_from)
            window number as (partition by v.account_id, v.virtual_number_id order by v.is_current, v.valid_from)) v
"""
# How each version that has ended began and ended.
_VERSIONS: Final = f"""
    select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
           closed_run_id, is_current, period_from, first_from, previous_state, previous_reason, previous_to,
           coalesce(next_from, 'infinity') as resumed_at, next_from is null or next_from > valid_to as is_end,
           max(valid_from) filter (where not follows) over number as listed_from,
           {_chain_problem("version")} as problem,
           case when valid_to is not null and (began_by, ended_by) is distinct from (shown_began_by, shown_ended_by)
                then (select format('its version from %s has %s, but the versions around it show %s', valid_from,
                                    string_agg(name || ' ' || stored, ', '), string_agg(shown, ', '))
                        from (values ('began_by', began_by, shown_began_by), ('ended_by', ended_by, shown_ended_by))
                             facts (name, stored, shown)
                       where stored <> shown) end as edge_problem
      from (select *, case when previous_to is null then 'created' when previous_to < valid_from then 'restored'
                           else 'changed' end as shown_began_by,
                   case when next_from <= valid_to then 'changed' else 'removed' end as shown_ended_by
              from ({_LINKED_VERSIONS}) linked) v
    window number as (partition by account_id, virtual_number_id order by is_current, valid_from)
"""  # noqa: S608 - constants

# How each state period began and ended, and since when the state has lasted, whatever its reasons. How an open one
# began is not stored: it follows from the row of the number.
_STATES: Final = f"""
    select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
           closed_run_id, coalesce(next_from, 'infinity') as resumed_at,
           next_from is null or next_from > valid_to as is_end, {_chain_problem("state period")} as problem,
           case when (state_since, state_since_earliest, from_state, state_began_by, to_state, ended_by)
                     is distinct from
                     (stay_from, stay_after, stay_from_state, stay_began_by, next_state, shown_ended_by)
                then (select format('its state period from %s has %s, but the periods around it show %s', valid_from,
                                    string_agg(name || ' ' || coalesce(stored, 'null'), ', '),
                                    string_agg(coalesce(shown, 'null'), ', '))
                        from (values ('state_since', state_since::text, stay_from::text),
                                     ('state_since_earliest', state_since_earliest::text, stay_after::text),
                                     ('from_state', from_state, stay_from_state),
                                     ('state_began_by', state_began_by, stay_began_by),
                                     ('to_state', to_state, next_state),
                                     ('ended_by', ended_by, shown_ended_by)) facts (name, stored, shown)
                       where stored is distinct from shown) end as edge_problem
      from (select *, first_value(changed_after) over stay as stay_after,
                   case when stay_from > listed_from then first_value(previous_state) over stay end as stay_from_state,
                   case when valid_to is null then state_began_by when stay_from > listed_from then 'changed'
                        when listed_from > first_from then 'restored' else 'created' end as stay_began_by,
                   case when valid_to is null then null when next_state is null then 'removed' else 'changed' end
                       as shown_ended_by
              from (select *, max(valid_from) filter (where not follows) over number as listed_from,
                           max(valid_from) filter (where not follows or state <> previous_state) over number
                               as stay_from
                      from (select *, coalesce(lag(valid_to) over number >= valid_from, false) as follows,
                                   min(valid_from) over number as first_from, lag(state) over number as previous_state,
                                   lag(valid_to) over number as previous_to,
                                   lag(closed_after) over number as previous_closed_after,
                                   lag(closed_run_id) over number as previous_closed_run_id,
                                   lead(valid_from) over number as next_from,
                                   case when lead(valid_from) over number <= valid_to then lead(state) over number end
                                       as next_state
                              from (select *, valid_to is null as is_current from state_period) s
                            window number as (partition by account_id, virtual_number_id
                                              order by is_current, valid_from)) linked
                    window number as (partition by account_id, virtual_number_id
                                      order by is_current, valid_from)) located
            window stay as (partition by account_id, virtual_number_id, stay_from order by is_current, valid_from)) s
"""  # noqa: S608 - constants

# Versions and state periods have the same gaps: each kind has ends that no period of the kind follows directly, until
# another one begins (`resumed_at`) or forever (infinity; the last period is open, and in the row of the number, unless
# it is removed).
_GAPS: Final = """
select case when resumed_at = 'infinity' and (v.is_end is null or s.is_end is null) then 1 else 2 end as rule,
       account_id, virtual_number_id, checked.problem
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
"""
# Each version has the state and the reason of the state period that contains it, and each state period begins together
# with a version.
_CONTAINED: Final = """
select 3, account_id, virtual_number_id, checked.problem
  from versions v
  full join (select *, valid_from as period_from from states) s using (account_id, virtual_number_id, period_from)
 cross join lateral (select case
    when v.state is null then format('no version begins with its state period from %s', period_from)
    when period_from is null then format('its version from %s is in no state period', v.valid_from)
    when (v.state, v.reason) is distinct from (s.state, s.reason)
    then format('its %s has state %s, but its state period from %s has %s',
                case when is_current then 'record' else 'version from ' || v.valid_from end,
                v.state || coalesce(' (' || v.reason || ')', ''), period_from,
                s.state || coalesce(' (' || s.reason || ')', ''))
    when v.valid_from > period_from then null
    when previous_to = period_from and (v.state, v.reason) is not distinct from (previous_state, previous_reason)
    then format('its state period from %s has the same state as the previous one', period_from)
    when v.run_id <> s.run_id
    then format('its state period from %s was opened by run %s, but its version by run %s', period_from, s.run_id,
                v.run_id)
    when v.changed_after is distinct from s.changed_after
    then format('its state period from %s has changed_after %s, but its version has %s', period_from,
                coalesce(s.changed_after::text, 'null'), coalesce(v.changed_after::text, 'null'))
    end as problem) checked
"""

# What the row of a removed number must have of the version (h) and of the state period (s) that the removal ended.
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
        *(f"('{name}', n.{name} is distinct from h.{of})" for name, of in _OF_VERSION.items()),
        *(f"('{name}', s.run_id is not null and n.{name} is distinct from s.{of})" for name, of in _OF_STATE.items()),
    ]
)
# The row of each number: since when it is listed, and, if it is removed, that it is as the removal left it.
_ROWS: Final = f"""
select checked.rule, coalesce(n.account_id, v.account_id), coalesce(n.virtual_number_id, v.virtual_number_id),
       checked.problem
  from virtual_number n
  full join (select * from versions where resumed_at = 'infinity') v
            on (v.account_id, v.virtual_number_id) = (n.account_id, n.virtual_number_id)
  left join virtual_number_history h
         on (h.account_id, h.virtual_number_id, h.valid_from, h.valid_to)
            = (n.account_id, n.virtual_number_id, v.valid_from, n.removed_at)
  left join state_history s
         on (s.account_id, s.virtual_number_id, s.valid_to) = (n.account_id, n.virtual_number_id, n.removed_at)
 cross join lateral (
       values (1, case when n.run_id is null then format('it has a version from %s, but no record', v.valid_from) end),
              (1, case when v.run_id is null and s.run_id is null
                       then format('it was removed at %s, but nothing ended then', n.removed_at) end),
              (2, case when n.first_seen_at <> v.first_from
                       then format('first_seen_at is %s, but its first version begins at %s', n.first_seen_at,
                                   v.first_from) end),
              (2, case when n.listed_since <> v.listed_from
                            and not (n.listed_since = n.first_seen_at and v.listed_from = v.first_from)
                       then format('listed_since is %s, but its versions show %s', n.listed_since, v.listed_from) end),
              (2, case when n.removed_at <> v.valid_to
                       then format('it was removed at %s, but its last version ends at %s', n.removed_at,
                                   v.valid_to) end),
              (2, case when n.removed_run_id <> v.closed_run_id
                       then format('it was removed by run %s, but its last version was closed by run %s',
                                   n.removed_run_id, v.closed_run_id) end),
              (3, case when h.run_id is not null
                       then (select 'its record and what its removal ended differ in ' || string_agg(name, ', ')
                               from (values {_DIFFERENCES}) facts (name, differs) where differs) end)
       ) checked (rule, problem)
"""  # noqa: S608 - names from constants

# The periods of a number follow each other without overlap, and the only gaps are removals.
CHAINS: Final = f"""
with versions as materialized ({_VERSIONS}), states as materialized ({_STATES})
select rule, account_id, virtual_number_id, null::bigint as run_id, problem
  from ({_GAPS}
         union all {_CONTAINED}
         union all {_ROWS}
         union all
        select 2, account_id, virtual_number_id, problem from versions where problem is not null
         union all
        select 3, account_id, virtual_number_id, edge_problem from versions where edge_problem is not null
         union all
        select 2, account_id, virtual_number_id, problem from states where problem is not null
         union all
        select 3, account_id, virtual_number_id, edge_problem from states where edge_problem is not null) checked
 where problem is not null
"""  # noqa: S608 - constants
