-- Citus refuses a subquery without FROM whose function it takes for stable, an aggregate without GROUP BY in a lateral
-- subquery, and `offset 0`. Beside a view that is a union it refuses left joins; titles are subqueries there.

-- `unnest` of one element computes it once for a day, as `offset 0` does.
create or replace view syncer.account_day as
select k.account_id, each.day::date as day, b.begins, b.ends, least(b.ends, k.known_until) as known_until
  from syncer.account_known k
  join (select account_id, min(first_seen_at) as first_seen_at from syncer.virtual_number group by account_id) n
    on n.account_id = k.account_id
  join syncer.account_zone z on z.account_id = k.account_id
 cross join lateral generate_series((n.first_seen_at at time zone z.zone)::date::timestamp - interval '1 day',
                                    (k.known_until at time zone z.zone)::date::timestamp + interval '1 day',
                                    interval '1 day') as each (day)
 cross join lateral unnest(array[syncer.day_start(each.day, z.zone)],
                           array[syncer.day_start(each.day + interval '1 day', z.zone)]) as b (begins, ends)
 where b.begins < b.ends and b.ends > n.first_seen_at and b.begins <= k.known_until;

create or replace view analytics.number_days as
select s.account_id, k.account, s.virtual_number_id, n.number as number_now,
       s.account_id || ':' || s.virtual_number_id as number_key, s.day, s.listed_seconds, s.active_seconds,
       s.debt_lock_seconds, s.freeze_seconds, s.other_seconds, s.active_seconds / s.listed_seconds as active_share
  from (select h.account_id, h.virtual_number_id, d.day, sum(p.seconds) as listed_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'active'), 0) as active_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'debt_lock'), 0) as debt_lock_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'freeze'), 0) as freeze_seconds,
               coalesce(sum(p.seconds) filter (where h.state not in ('active', 'debt_lock', 'freeze')), 0)
                   as other_seconds
          from syncer.state_period h
          join syncer.account_day d
            on d.account_id = h.account_id
           and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
         cross join lateral unnest(array[
               extract(epoch from least(h.valid_to, d.known_until) - greatest(h.valid_from, d.begins))]) as p (seconds)
         where greatest(h.valid_from, d.begins) < d.known_until
         group by h.account_id, h.virtual_number_id, d.day) s
  join syncer.account_known k on k.account_id = s.account_id
  join syncer.virtual_number n on n.account_id = s.account_id and n.virtual_number_id = s.virtual_number_id;

-- One grouping, and the whole of a day by a window, in place of subqueries for the parts of each day.
create or replace view analytics.state_share as
select s.account_id, k.account, s.virtual_number_id, n.number,
       s.account_id || ':' || s.virtual_number_id as number_key, s.day, s.state,
       (select w.title_en from syncer.number_state w where w.state = s.state) as state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = s.state) as state_title_ru,
       case when s.is_whole then 1::numeric
            else s.seconds / sum(s.seconds) over (partition by s.account_id, s.virtual_number_id, s.day) end as share,
       s.seconds as duration_seconds
  from (select h.account_id, h.virtual_number_id, d.day, h.state,
               bool_or(h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)) as is_whole,
               sum(extract(epoch from least(h.valid_to, d.known_until) - greatest(h.valid_from, d.begins))) as seconds
          from syncer.state_period h
          join syncer.account_day d
            on d.account_id = h.account_id
           and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
         where h.valid_from < d.known_until
         group by h.account_id, h.virtual_number_id, d.day, h.state) s
  join syncer.account_known k on k.account_id = s.account_id
  join syncer.virtual_number n on n.account_id = s.account_id and n.virtual_number_id = s.virtual_number_id;
