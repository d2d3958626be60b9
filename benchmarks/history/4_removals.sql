-- Every other removal is held for a day. Some numbers are removed for good; those that are held at the end miss the look
-- at which they would be believed.
create temp table removal as
select g.account_id, g.virtual_number_id, g.step, m.look as gone_look, m.seen_at as gone_at, m.after,
       b.look as believed_look, b.run_id as believed_run_id
  from (select i, account_id, virtual_number_id, step, look - 40 as look from event where kind = 'restored'
         union all
        select i, account_id, virtual_number_id, 6, look + 20 from event where step = 5 and virtual_number_id % 50 = 7
         union all
        select i, account_id, virtual_number_id, 6, 17500 from number where virtual_number_id % 1000 = 13) g
  join look m on m.account_id = g.account_id and m.look = pg_temp.ok(g.look)
  left join look b on b.account_id = g.account_id
       and b.look = pg_temp.ok(m.look + case when g.look = 17500 then 24 else 24 * (g.i / 2 % 2) end);
update event e set after = r.after
  from removal r
 where (r.account_id, r.virtual_number_id, r.step) = (e.account_id, e.virtual_number_id, e.step);
