-- Reverts 0015_up.sql. A view can lose a column only by being created again, with its comments and grants.
drop view analytics.monthly_coverage;
create temporary table described on commit drop as
select a.attname, d.description
  from pg_description d
  left join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid and a.attnum > 0
 where d.objoid = 'analytics.coverage'::regclass and d.classoid = 'pg_class'::regclass;
create temporary table granted on commit drop as
select g.grantee::regrole as role, g.privilege_type
  from pg_class c
 cross join lateral aclexplode(c.relacl) g
 where c.oid = 'analytics.coverage'::regclass and g.grantee <> c.relowner;
drop view analytics.coverage;

create view analytics.coverage as
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

do $$
declare
    one record;
begin
    for one in select * from described where attname is distinct from 'blind_seconds' loop
        execute format('comment on %s is %L', case when one.attname is null then 'view analytics.coverage'
                                                   else format('column analytics.coverage.%I', one.attname) end,
                       one.description);
    end loop;
    for one in select * from granted loop
        execute format('grant %s on analytics.coverage to %s', one.privilege_type, one.role);
    end loop;
end
$$;
drop table described, granted;
drop function syncer.blind_part(interval);
alter table syncer.sync_day drop column blind_seconds;
