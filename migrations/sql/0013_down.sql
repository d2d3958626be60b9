-- Reverts 0013_up.sql.

drop view analytics.monthly_kpi, analytics.monthly_spells, analytics.number_days, analytics.daily_flows,
    analytics.daily_totals;

-- Of each group of like versions the moments at which they began, in order, and those at which they ended: how many of
-- each lie before a day's end is found by halving, so the versions are read once and a day more costs next to nothing.
create or replace view analytics.daily_states as
select g.account_id, a.name as account, d.day, r.name as region, g.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, g.state, w.title_en as state_title_en, w.title_ru as state_title_ru, c.numbers
  from (select v.account_id, v.region_id, v.type, v.state,
               (select array_agg(moment order by moment) from unnest(array_agg(v.valid_from)) as moment) as began,
               (select array_agg(moment order by moment)
                  from unnest(array_agg(v.valid_to) filter (where v.valid_to is not null)) as moment) as ended
          from syncer.number_version v
         group by v.account_id, v.region_id, v.type, v.state) g
  join syncer.account_day d using (account_id)
  join syncer.account a using (account_id)
  left join syncer.number_state w using (state)
  left join syncer.number_type t using (type)
  left join syncer.region r using (region_id)
 -- `offset 0`: counted here, so that no sort above has to carry the arrays.
 cross join lateral (select width_bucket(d.ends - interval '1 microsecond', g.began)
                            - coalesce(width_bucket(d.ends - interval '1 microsecond', g.ended), 0) as numbers
                     offset 0) c
 where c.numbers > 0;

create or replace view syncer.account_day as
select k.account_id, d.day, d.begins, d.ends, least(d.ends, k.known_until) as known_until
  from syncer.account_known k
 -- `offset 0`: computed once per account and once per day, not for each row that is compared with them.
 cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
 cross join lateral (
       select day::date as day, syncer.day_start(day, z.zone) as begins,
              syncer.day_start(day + interval '1 day', z.zone) as ends
         from generate_series(
                  (select (min(n.first_seen_at) at time zone z.zone)::date::timestamp from syncer.virtual_number n
                    where n.account_id = k.account_id),
                  (k.known_until at time zone z.zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;

create or replace view analytics.coverage as
with zones as (
    select a.account_id, a.name, a.created_at, k.known_until, z.zone
      from syncer.account a
      join syncer.account_known k using (account_id)
     cross join lateral (select syncer.known_zone(a.time_zone) as zone offset 0) z
), days as (
    select a.account_id, a.name as account, each.day::date as day, syncer.day_start(each.day, a.zone) as begins,
           least(syncer.day_start(each.day + interval '1 day', a.zone), coalesce(a.known_until, now())) as ends
      from zones a
     cross join lateral generate_series(
               (least(a.created_at, (select min(started_at) from syncer.sync_run r where r.account_id = a.account_id))
                    at time zone a.zone)::date::timestamp,
               (coalesce(a.known_until, now()) at time zone a.zone)::date::timestamp, interval '1 day') as each (day)
), successes as (
    select r.account_id, (r.started_at at time zone a.zone)::date as day, r.started_at,
           lag(r.started_at) over (partition by r.account_id, (r.started_at at time zone a.zone)::date
                                       order by r.started_at) as before
      from syncer.sync_run r
      join zones a using (account_id)
     where r.outcome in ('applied', 'unchanged')
), gaps as (
    select account_id, day, min(started_at) as first, max(started_at) as last, max(started_at - before) as between_polls
      from successes group by 1, 2
), counts as (
    select r.account_id, (r.started_at at time zone a.zone)::date as day, count(*) as polls,
           count(*) filter (where r.outcome in ('failed', 'abandoned')) as failed
      from syncer.sync_run r
      join zones a using (account_id)
     where r.outcome <> 'running'
     group by 1, 2
)
select d.account_id, d.account, d.day, (coalesce(c.polls, 0) + coalesce(p.polls, 0))::integer as polls,
       (coalesce(c.failed, 0) + coalesce(p.failed, 0))::integer as failed,
       -- Of a day whose runs were pruned, only the sum is complete: the runs that remain are not the whole day.
       coalesce(p.longest_gap_seconds,
                extract(epoch from case when g.first is null then d.ends - d.begins
                                        else greatest(g.first - d.begins, g.between_polls, d.ends - g.last) end))
           as longest_gap_seconds
  from days d
  left join gaps g using (account_id, day)
  left join counts c using (account_id, day)
  left join syncer.sync_day p using (account_id, day);

drop view syncer.summarised_day;
drop function syncer.summarised_days(integer, text, timestamptz);
drop function syncer.last_day_summary(integer, text, timestamptz);
drop function syncer.count_days(integer, text, syncer.day_summary, timestamptz, date);
drop table syncer.day_summary;

comment on view analytics.daily_states is
    'How many numbers of each region and type were in each state at the end of each day, or now for today; a state that '
    'no number was in has no row; example: select day, sum(numbers) from analytics.daily_states '
    'where state = ''debt_lock'' group by day';
comment on column analytics.daily_states.numbers is 'How many numbers were in the state; example: 12';
comment on view analytics.state_share is
    'What share of each day each number spent in each state; example: select day, share from analytics.state_share '
    'where number_key = ''1:250'' and state = ''debt_lock''';
comment on column analytics.coverage.longest_gap_seconds is
    'Longest time on that day without a successful poll, in seconds; example: 300';
