-- The versions and the redirects that result from the events, each with its end.
create temp table version as
select c.*, case p.state when 'new' then case c.random % 3 when 0 then 'unconfirmed' else 'activation' end
                          when 'trouble' then (array['debt_lock', 'debt_lock', 'debt_lock', 'freeze', 'inactive'])
                                              [1 + (c.random / 7 + p.step) % 5]
                          else p.state end as state,
       case when p.state = 'trouble' and c.random % 2 = 0 then 'reason ' || c.random % 7 end as reason,
       case when c.columns > 1 and c.random % 40 = 0 then 1 + c.region_id % 80 else c.region_id end as region_now,
       case when c.purpose = 'employee' then 100 + c.random % 4000 + c.columns / 2 end as employee_id
  from (select e.*, count(*) filter (where e.kind = 'column') over until_now as columns,
               count(*) filter (where e.kind <> 'column') over until_now as period,
               max(e.step) filter (where e.kind <> 'column') over until_now as period_step,
               coalesce(r.missing_since, n.seen_at) as ended, coalesce(r.after, n.after) as closed_after,
               coalesce(r.removed_run_id, n.run_id) as closed_run_id,
               case when r.step is null then 'changed' else 'removed' end as ended_by
          from event e
          left join removal r
                 on (r.account_id, r.virtual_number_id, r.step - 1) = (e.account_id, e.virtual_number_id, e.step)
                and r.removed_hour is not null
          left join event n
                 on (n.account_id, n.virtual_number_id, n.step - 1) = (e.account_id, e.virtual_number_id, e.step)
        window until_now as (partition by e.account_id, e.virtual_number_id order by e.step)) c
  join step p on p.life = c.life and p.step = c.period_step % 6;
create temp table redirect as
select e.account_id, e.virtual_number_id, e.step, d.ends, d.hours_later, o.hour as opened_hour,
       o.seen_at as opened_at, case when d.hours_later = 0 then e.after else o.after end as after, o.run_id,
       c.hour as closed_hour, coalesce(r.missing_since, c.seen_at) as closed_at,
       coalesce(r.after, c.after) as closed_after, coalesce(r.removed_run_id, c.run_id) as closed_run_id,
       case when r.step is null then 'changed' else 'removed' end as ended_by
  from scale
 cross join event e
  join redirected g on g.life = e.life and g.step = e.step % 6
 -- What is listed to the end is so in the last life only.
 cross join lateral (select g.hours_later, case when g.ends = 'stays' and e.step < (lives - 1) * 6 then 'soon'
                                                else g.ends end as ends) d
  join success o on o.account_id = e.account_id and o.hour = pg_temp.success_at_or_after(e.hour + d.hours_later)
  left join success c on c.account_id = e.account_id and d.ends = 'soon'
       and c.hour = pg_temp.success_at_or_after(o.hour + 6)
  left join removal r on r.account_id = e.account_id and r.virtual_number_id = e.virtual_number_id
       and r.step = case d.ends when 'removal' then e.step + 1 when 'stays' then lives * 6 end and r.removed_hour is not null;
-- The periods of states, each with what is stored about its beginning and its end.
create temp table state_span as
with span as (
    select account_id, virtual_number_id, f.state, f.reason, f.seen_at as valid_from, l.ended as valid_to,
           f.after as changed_after, l.closed_after, f.run_id, l.closed_run_id, l.ended_by,
           f.kind in ('created', 'restored') as is_listed, lag(f.state) over life as previous_state,
           lead(f.state) over life as next_state
      from (select account_id, virtual_number_id, min(step) as first, max(step) as last
              from version group by account_id, virtual_number_id, period) periods
      join version f using (account_id, virtual_number_id)
      join version l using (account_id, virtual_number_id)
     where f.step = first and l.step = last
    window life as (partition by account_id, virtual_number_id order by f.seen_at)
), stay as (
    select *, max(valid_from) filter (where is_listed) over life as listed_since,
           max(valid_from) filter (where is_listed or state <> previous_state) over life as state_since,
           min(valid_from) over life as first_seen_at
      from span
    window life as (partition by account_id, virtual_number_id order by valid_from)
)
select *, first_value(changed_after) over same_state as state_since_earliest,
       case when state_since > listed_since then first_value(previous_state) over same_state end as from_state,
       case when state_since > listed_since then 'changed' when listed_since > first_seen_at then 'restored'
            else 'created' end as state_began_by,
       case when ended_by = 'changed' then next_state end as to_state
  from stay
window same_state as (partition by account_id, virtual_number_id, state_since order by valid_from);
