-- What 0015_down.sql reverts. How long an account was not watched: time in gaps between successful polls of more than an
-- hour, which adds up over days and months.
alter table syncer.sync_day add column blind_seconds numeric;

create function syncer.blind_part(gap interval) returns interval language sql immutable parallel safe
return case when gap > interval '1 hour' then gap else interval '0' end;

create or replace view analytics.coverage as
with zones as (
    select k.account_id, k.account, k.known_until, z.zone, f.first_success_at
      from syncer.account_known k
      join syncer.account_fence f using (account_id)
     cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
), days as (
    select a.account_id, a.account, each.day::date as day,
           greatest(syncer.day_start(each.day, a.zone), a.first_success_at) as begins,
           least(syncer.day_start(each.day + interval '1 day', a.zone), a.known_until) as ends
      from zones a
     cross join lateral generate_series((a.first_success_at at time zone a.zone)::date::timestamp,
                                        (a.known_until at time zone a.zone)::date::timestamp,
                                        interval '1 day') as each (day)
     where syncer.day_start(each.day, a.zone) < syncer.day_start(each.day + interval '1 day', a.zone)
), successes as (
    select r.account_id, (r.started_at at time zone a.zone)::date as day, r.started_at,
           lag(r.started_at) over (partition by r.account_id, (r.started_at at time zone a.zone)::date
                                       order by r.started_at) as before
      from syncer.sync_run r
      join zones a using (account_id)
     where r.outcome in ('applied', 'unchanged')
), gaps as (
    select account_id, day, min(started_at) as first, max(started_at) as last, max(started_at - before) as between_polls,
           sum(syncer.blind_part(started_at - before)) as blind_between_polls
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
           as longest_gap_seconds,
       case when p.account_id is not null then p.blind_seconds
            else extract(epoch from case when g.first is null then syncer.blind_part(d.ends - d.begins)
                                         else coalesce(g.blind_between_polls, '0') + syncer.blind_part(g.first - d.begins)
                                              + syncer.blind_part(d.ends - g.last) end) end as blind_seconds
  from days d
  left join gaps g using (account_id, day)
  left join counts c using (account_id, day)
  left join syncer.sync_day p using (account_id, day);

create view analytics.monthly_coverage as
select account_id, account, date_trunc('month', day::timestamp)::date as month, count(*)::integer as days,
       sum(polls)::integer as polls, sum(failed)::integer as failed, max(longest_gap_seconds) as longest_gap_seconds,
       sum(blind_seconds) as blind_seconds
  from analytics.coverage
 group by 1, 2, 3;

comment on column syncer.sync_day.blind_seconds is
    'Time on that day in gaps of more than an hour without a successful poll, each cut at midnight; null before revision '
    '0015';
comment on function syncer.blind_part(interval) is 'A time without a successful poll, if it is more than an hour; else 0';
comment on column analytics.coverage.blind_seconds is
    E'Time on that day in gaps of more than an hour without a successful poll, in seconds; a gap over midnight is '
    'cut there first; adds up; null if the runs of the day were deleted before revision 0015; example: 7200\nВремя этого дня в промежутках дольше часа без успешных '
    'опросов, в секундах; промежуток через полночь сначала делится по ней; можно складывать; null, если опросы этого дня удалены до ревизии 0015; пример: 7200';
comment on view analytics.monthly_coverage is
    E'How completely each account was watched in each month; example: select month, blind_seconds / 3600 as blind_hours '
    'from analytics.monthly_coverage order by month\nНасколько полно каждый личный кабинет наблюдался в каждом месяце; '
    'пример: select month, blind_seconds / 3600 as blind_hours from analytics.monthly_coverage order by month';
do $$
declare
    one record;
begin
    -- As in coverage, where a column means the same.
    for one in select m.attname, col_description(c.attrelid, c.attnum) as comment
                 from pg_attribute m
                 join pg_attribute c on c.attrelid = 'analytics.coverage'::regclass and c.attname = m.attname
                where m.attrelid = 'analytics.monthly_coverage'::regclass and m.attnum > 0 loop
        execute format('comment on column analytics.monthly_coverage.%I is %L', one.attname, one.comment);
    end loop;
end
$$;
comment on column analytics.monthly_coverage.month is
    E'First day of the month; example: 2026-03-01\nПервый день месяца; пример: 2026-03-01';
comment on column analytics.monthly_coverage.days is
    E'Days of the month on which the account was known, from its first success on; example: 31\nСколько дней месяца '
    'личный кабинет известен, с его первого успешного опроса; пример: 31';
comment on column analytics.monthly_coverage.polls is
    E'Polls in the month that have ended; example: 8928\nСколько опросов закончилось за месяц; пример: 8928';
comment on column analytics.monthly_coverage.failed is
    E'How many of them failed; example: 12\nСколько из них закончилось сбоем; пример: 12';
comment on column analytics.monthly_coverage.longest_gap_seconds is
    E'Longest time without a successful poll on one day of the month, in seconds; not to be added up; example: 5400\n'
    'Самое долгое время без успешного опроса за один день месяца, в секундах; не складывается; пример: 5400';
comment on column analytics.monthly_coverage.blind_seconds is
    E'Time in the month in gaps of more than an hour without a successful poll, in seconds; days whose runs were deleted '
    'before revision 0015 are left out; example: 9000\nВремя месяца в промежутках дольше часа без успешных опросов, в '
    'секундах; без дней, опросы которых удалены до ревизии 0015; пример: 9000';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.monthly_coverage to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.monthly_coverage to syncer_daemon;
    end if;
end
$$;
