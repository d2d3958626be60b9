-- Every second removal is held for a day. Some numbers stay removed; those that are held at the end have no hour at
-- which the removal is applied.
create temp table removal as
with ending as (select lives * 6 as step, (lives - 1) * polls + 17500 as hour from scale)
select g.account_id, g.virtual_number_id, g.step, m.hour as missing_hour, m.seen_at as missing_since, m.after,
       m.run_id as missing_run_id, b.hour as removed_hour, b.seen_at as applied_at, b.run_id as removed_run_id
  from (select i, account_id, virtual_number_id, step, hour - 40 as hour from event where kind = 'restored'
         union all
        select i, account_id, virtual_number_id, ending.step, event.hour + 20
          from event join ending on ending.step = event.step + 1 where virtual_number_id % 50 = 7
         union all
        select i, account_id, virtual_number_id, ending.step, ending.hour from number cross join ending
         where virtual_number_id % 1000 = 13) g
 cross join ending
  join success m on m.account_id = g.account_id and m.hour = pg_temp.success_at_or_after(g.hour)
  left join success b on b.account_id = g.account_id
       and b.hour = pg_temp.success_at_or_after(m.hour + case when g.hour = ending.hour then 24 else 24 * (g.i / 2 % 2) end);
update event e set after = r.after
  from removal r
 where (r.account_id, r.virtual_number_id, r.step) = (e.account_id, e.virtual_number_id, e.step);
