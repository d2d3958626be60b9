-- Reverts 0010_up.sql.

-- A view can lose a column only by being created again, and its comments and grants with it.
create temporary table described on commit drop as
select c.oid::regclass::text as relation, a.attname, d.description
  from pg_class c
  join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and a.attnum > 0
 where c.oid in ('analytics.accounts'::regclass, 'analytics.numbers'::regclass, 'analytics.numbers_all'::regclass,
                 'analytics.state_history'::regclass, 'analytics.daily_states'::regclass,
                 'analytics.state_share'::regclass, 'syncer.account_day'::regclass);
create temporary table granted on commit drop as
select c.oid::regclass::text as relation, g.grantee::regrole as role, g.privilege_type
  from pg_class c
 cross join lateral aclexplode(c.relacl) g
 where c.oid in ('analytics.accounts'::regclass, 'analytics.numbers'::regclass, 'analytics.numbers_all'::regclass,
                 'analytics.state_history'::regclass, 'analytics.daily_states'::regclass,
                 'analytics.state_share'::regclass, 'syncer.account_day'::regclass) and g.grantee <> c.relowner;
create temporary table function_comment on commit drop as
select obj_description('analytics.numbers_as_of(timestamptz)'::regprocedure, 'pg_proc') as description;

drop function analytics.numbers_as_of(timestamptz);
drop view analytics.state_spells;
drop view analytics.daily_states;
drop view analytics.state_share;
drop view syncer.account_day;
drop view analytics.numbers;
drop view analytics.numbers_all;
drop view analytics.state_history;
drop view analytics.accounts;

create view analytics.accounts as
select account_id, name as account, app_id, time_zone, created_at from syncer.account;

create view analytics.numbers_all as
select n.account_id, a.name as account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       n.reason_since as state_since, n.reason_since_earliest as state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id)::integer as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at
  from syncer.virtual_number n
  left join syncer.account a using (account_id)
  left join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id);

create view analytics.numbers as
select account_id, account, virtual_number_id, number, number_key, e164, comment, type, type_title_en, type_title_ru,
       purpose, purpose_title_en, purpose_title_ru, state, state_title_en, state_title_ru, reason, state_since,
       state_since_earliest, scenario_id, group_scenario_id, group_id, is_scenario_active, is_group_scenario_active,
       employee_id, dgn_number, redirect_number, region_id, region, app_id, nc_type, sip_uri, extra, redirect_count,
       first_seen_at, changed_at, changed_after, last_read_at, missing_since
  from analytics.numbers_all where removed_at is null;

create view analytics.state_history as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, now()) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  left join syncer.number_state s on s.state = h.state;

create or replace view analytics.redirect_history as
select d.account_id, a.name as account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, now()) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.redirect_period d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create view syncer.account_day as
select a.account_id, d.day, d.begins, d.ends
  from syncer.account a
 -- `offset 0`: computed once per account and once per day, not for each row that is compared with them.
 cross join lateral (select syncer.known_zone(a.time_zone) as zone offset 0) z
 cross join lateral (
       select day::date as day, syncer.day_start(day, z.zone) as begins,
              syncer.day_start(day + interval '1 day', z.zone) as ends
         from generate_series(
                  (select (min(n.first_seen_at) at time zone z.zone)::date::timestamp from syncer.virtual_number n
                    where n.account_id = a.account_id),
                  (now() at time zone z.zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;

create view analytics.daily_states as
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

create view analytics.state_share as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key, d.day, h.state, s.title_en as state_title_en,
       s.title_ru as state_title_ru,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends) then 1::numeric
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                         filter (where o.state = h.state)
                         / sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_period o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as share,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
            then extract(epoch from least(d.ends, now()) - d.begins)
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_period o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id and o.state = h.state
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as duration_seconds
  from syncer.state_period h
  -- Not spelled as two comparisons: the planner would take the index on numbers for one on time.
  join syncer.account_day d
    on d.account_id = h.account_id
   and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
  left join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  left join syncer.account a on a.account_id = h.account_id
  left join syncer.number_state s on s.state = h.state
 where h.valid_from < now()
   and (h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
        or not exists (select from syncer.state_period o
                        where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                          and o.state = h.state and o.valid_from < h.valid_from and o.valid_to > d.begins));

create or replace view analytics.coverage as
with zones as (
    select a.account_id, a.name, a.created_at, z.zone
      from syncer.account a
     cross join lateral (select syncer.known_zone(a.time_zone) as zone offset 0) z
), days as (
    select a.account_id, a.name as account, each.day::date as day, syncer.day_start(each.day, a.zone) as begins,
           least(syncer.day_start(each.day + interval '1 day', a.zone), now()) as ends
      from zones a
     cross join lateral generate_series(
               (least(a.created_at, (select min(started_at) from syncer.sync_run r where r.account_id = a.account_id))
                    at time zone a.zone)::date::timestamp,
               (now() at time zone a.zone)::date::timestamp, interval '1 day') as each (day)
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

create function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe
begin atomic
select v.account_id, v.account, v.virtual_number_id, v.number, v.number_key, v.e164, v.comment,
       v.type, t.title_en, t.title_ru, v.purpose, p.title_en, p.title_ru, v.state, s.title_en, s.title_ru, v.reason,
       h.valid_from, h.changed_after,
       v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
       v.dgn_number, v.redirect_number, v.region_id, v.region, v.app_id, v.nc_type, v.sip_uri,
       case when v.is_current then n.extra end,
       (select count(*) from analytics.redirect_history d
         where d.account_id = v.account_id and d.virtual_number_id = v.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at, v.valid_from, v.changed_after,
       case when v.is_current and n.last_read_at <= moment then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since end
  from analytics.number_history v
  join analytics.numbers_all n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join analytics.state_history h
    on h.account_id = v.account_id and h.virtual_number_id = v.virtual_number_id
   and h.valid_from <= moment and (h.valid_to is null or h.valid_to > moment)
  left join analytics.states s on s.state = v.state
  left join analytics.types t on t.type = v.type
  left join analytics.purposes p on p.purpose = v.purpose
 where v.valid_from <= moment and (v.valid_to is null or v.valid_to > moment);
end;

drop view syncer.account_known;

do $$
declare
    one record;
begin
    for one in select described.*
                 from described
                 left join pg_attribute a on a.attrelid = to_regclass(relation) and a.attname = described.attname
                where described.attname is null or a.attnum is not null loop
        if one.attname is null then
            execute format('comment on view %s is %L', one.relation, one.description);
        else
            execute format('comment on column %s.%I is %L', one.relation, one.attname, one.description);
        end if;
    end loop;
    for one in select * from granted loop
        execute format('grant %s on %s to %s', one.privilege_type, one.relation, one.role);
    end loop;
    execute format('comment on function analytics.numbers_as_of(timestamptz) is %L',
                   (select description from function_comment));
end
$$;
drop table described, granted, function_comment;
comment on view analytics.numbers is
    'The numbers that are listed now, one row each, with titles and region names; example: select number, '
    'state_title_en, state_since from analytics.numbers where state = ''debt_lock''';
comment on column analytics.numbers.state_since is
    'When the current combination of state and reason was first seen; example: 2026-03-01 12:05:00+03';
comment on column analytics.numbers.state_since_earliest is
    'The current combination began after this time and no later than state_since; null if the account''s first '
    'successful poll found it; example: 2026-03-01 12:00:00+03';
comment on view analytics.numbers_all is
    'Like numbers, but with removed numbers too: those have removed_at, and their last known values; example: '
    'select number, removed_at from analytics.numbers_all where removed_at is not null';
comment on column analytics.numbers_all.state_since is
    'When the current combination of state and reason was first seen; example: 2026-03-01 12:05:00+03';
comment on column analytics.numbers_all.state_since_earliest is
    'The current combination began after this time and no later than state_since; null if the account''s first '
    'successful poll found it; example: 2026-03-01 12:00:00+03';
