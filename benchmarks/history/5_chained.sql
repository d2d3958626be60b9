-- What events make of numbers: versions one after another, each with its end, and the redirects that come and go.
create temp table version as
select c.*, case p.state when 'new' then case c.luck % 3 when 0 then 'unconfirmed' else 'activation' end
                          when 'trouble' then (array['debt_lock', 'debt_lock', 'debt_lock', 'freeze', 'inactive'])
                                              [1 + (c.luck / 7 + p.step) % 5]
                          else p.state end as state,
       case when p.state = 'trouble' and c.luck % 2 = 0 then 'reason ' || c.luck % 7 end as reason,
       case when c.columns > 1 and c.luck % 40 = 0 then 1 + c.region_id % 80 else c.region_id end as region_now,
       case when c.purpose = 'employee' then 100 + c.luck % 4000 + c.columns / 2 end as employee_id
  from (select e.*, count(*) filter (where e.kind = 'column') over life_so_far as columns,
               count(*) filter (where e.kind <> 'column') over life_so_far as period,
               max(e.step) filter (where e.kind <> 'column') over life_so_far as period_step,
               coalesce(r.gone_at, n.seen_at) as ended, coalesce(r.after, n.after) as closed_after,
               coalesce(r.believed_run_id, n.run_id) as closed_run_id
          from event e
          left join removal r
                 on (r.account_id, r.virtual_number_id, r.step - 1) = (e.account_id, e.virtual_number_id, e.step)
                and r.believed_look is not null
          left join event n
                 on (n.account_id, n.virtual_number_id, n.step - 1) = (e.account_id, e.virtual_number_id, e.step)
        window life_so_far as (partition by e.account_id, e.virtual_number_id order by e.step)) c
  join step p on p.life = c.life and p.step = c.period_step;
create temp table redirect as
select e.account_id, e.virtual_number_id, e.step, d.ends, d.looks_later, o.look as opened_look,
       o.seen_at as opened_at, case when d.looks_later = 0 then e.after else o.after end as after, o.run_id,
       c.look as closed_look, coalesce(r.gone_at, c.seen_at) as closed_at, coalesce(r.after, c.after) as closed_after,
       coalesce(r.believed_run_id, c.run_id) as closed_run_id
  from event e
  join redirected d using (life, step)
  join look o on o.account_id = e.account_id and o.look = pg_temp.ok(e.look + d.looks_later)
  left join look c on c.account_id = e.account_id and d.ends = 'soon' and c.look = pg_temp.ok(o.look + 6)
  left join removal r on r.account_id = e.account_id and r.virtual_number_id = e.virtual_number_id
       and r.step = case d.ends when 'removal' then e.step + 1 when 'stays' then 6 end and r.believed_look is not null;
