-- The accounts use the same ids of numbers. `random`, below a million, decides a number's type, region and states; a
-- few regions have most of the numbers.
create temp table number as
select *, case when random % 100 < 72 then 'def' when random % 100 < 90 then 'abc'
               when random % 100 < 94 then 'toll_free' when random % 100 < 98 then 'sip_registration'
               else 'sip_redirection' end as type,
       case random % 5 when 0 then 'company' when 1 then 'not_specified' else 'employee' end as purpose,
       1 + (80 * (random / 1e6) ^ 3)::integer % 80 as region_id
  from (select i, 1 + (i - 1) % accounts as account_id, 1 + (i - 1) / accounts as virtual_number_id,
               ((i - 1) / accounts) % 5 as life, i::bigint * 48271 % 2147483647 % 1000000 as random
          from scale cross join generate_series(1, numbers) i) numbers;
create temp table event as
select n.*, cycle * 6 + s.step as step,
       case when cycle = 0 or s.step > 0 then s.kind when n.life in (3, 4) then 'column' else 'state' end as kind,
       s.state as begins, l.hour, l.seen_at, l.after, l.run_id
  from scale
 cross join generate_series(0, lives - 1) cycle
 cross join number n
  join step s using (life)
 cross join lateral (select ((i::bigint * 7919 + s.moment * 104729)
                              % case s.moment when 0 then 2300 else 2880 end)::integer as spread) s2
  join success l on l.account_id = n.account_id and l.hour = pg_temp.success_at_or_after(cycle * polls + case
           when s.moment > 0 then s.moment * 2880 + 100 + spread
           when virtual_number_id % 4 > 0 and cycle = 0 then 1
           else 2 + spread end + s.after + (random * (s.step + 7) % s.within)::integer);
