create schema analytics;
comment on schema analytics is 'History of MegaFon cloud PBX virtual numbers: the views for analysts and dashboards';

-- Dimensions -----------------------------------------------------------------------------------------------------------

create view analytics.accounts as
select account_id, name as account, app_id, time_zone, created_at from syncer.account;

create view analytics.states as select state, title_en, title_ru, documented from syncer.number_state;
create view analytics.types as select type, title_en, title_ru, documented from syncer.number_type;
create view analytics.purposes as select purpose, title_en, title_ru, documented from syncer.number_purpose;
create view analytics.regions as select region_id, name as region from syncer.region;

-- Numbers --------------------------------------------------------------------------------------------------------------

-- Ten digits lack the country, and eleven that begin with 8 have Russia's trunk prefix in its place.
create function analytics.e164(number text) returns text language sql immutable parallel safe return
    case when number ~ '^[0-9]{10}$' then '+7' || number
         when number ~ '^8[0-9]{10}$' then '+7' || substr(number, 2)
         when number ~ '^[0-9]{11,15}$' then '+' || number end;
comment on function analytics.e164(text) is
    'A phone number as E.164 writes it, such as +79208547433; null unless it has 10 to 15 digits and nothing else';

create view analytics.numbers_all as
select n.account_id, a.name as account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       h.valid_from as state_since, h.changed_after as state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id and d.valid_to is null)::integer
           as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at
  from syncer.virtual_number n
  join syncer.account a using (account_id)
  join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id)
  -- The newest period is the open one, or the one that the removal closed.
  join syncer.state_history h
    on h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id
   and h.valid_to is not distinct from n.removed_at;

create view analytics.numbers as
select n.account_id, a.name as account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       h.valid_from as state_since, h.changed_after as state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id and d.valid_to is null)::integer
           as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since
  from syncer.virtual_number n
  join syncer.account a using (account_id)
  join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id)
  join syncer.state_history h
    on h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id and h.valid_to is null
 where n.removed_at is null;

create view analytics.number_history as
with versions as (
    select account_id, virtual_number_id, number, comment, type, purpose, state, reason, scenario_id, group_scenario_id,
           group_id, is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
           app_id, nc_type, sip_uri, valid_from, valid_to, changed_after, closed_after, run_id
      from syncer.virtual_number_history
     union all
    select account_id, virtual_number_id, number, comment, type, purpose, state, reason, scenario_id, group_scenario_id,
           group_id, is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
           app_id, nc_type, sip_uri, changed_at, removed_at, changed_after,
           case when removed_at is not null then last_read_at end, run_id
      from syncer.virtual_number
)
select v.account_id, a.name as account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id
  from versions v
  join syncer.account a using (account_id)
  left join syncer.region r using (region_id);

-- States ---------------------------------------------------------------------------------------------------------------

create view analytics.state_history as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       extract(epoch from coalesce(h.valid_to, now()) - h.valid_from) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id
  from syncer.state_history h
  join syncer.virtual_number n using (account_id, virtual_number_id)
  join syncer.account a using (account_id)
  join syncer.number_state s on s.state = h.state;

create view analytics.state_changes as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.valid_from as changed_at, h.changed_after,
       b.state as from_state, f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       h.state as to_state, t.title_en as to_state_title_en, t.title_ru as to_state_title_ru,
       b.reason as from_reason, h.reason as to_reason, h.run_id
  from syncer.state_history h
  join syncer.state_history b
    on b.account_id = h.account_id and b.virtual_number_id = h.virtual_number_id and b.valid_to = h.valid_from
  join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  join syncer.account a on a.account_id = h.account_id
  join syncer.number_state f on f.state = b.state
  join syncer.number_state t on t.state = h.state;

-- Redirects ------------------------------------------------------------------------------------------------------------

create view analytics.redirect_history as
select d.account_id, a.name as account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       extract(epoch from coalesce(d.valid_to, now()) - d.valid_from) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.virtual_number_redirect d
  join syncer.virtual_number n using (account_id, virtual_number_id)
  join syncer.account a using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create view analytics.redirects as
select account_id, account, virtual_number_id, number, number_key, redirect_number_id, redirect_from, redirect_from_key,
       valid_from, valid_to, is_current, duration_seconds, changed_after, closed_after, run_id
  from analytics.redirect_history where is_current;

-- Changes --------------------------------------------------------------------------------------------------------------

create view analytics.changes as
with versions as (
    -- Each version beside the one before it: of a changed number the one that the same run closed, of a restored one
    -- the one that its removal closed.
    select n.*, p.virtual_number_id is not null as has_former, p.valid_to as former_valid_to,
           p.number as former_number, p.comment as former_comment, p.type as former_type, p.purpose as former_purpose,
           p.state as former_state, p.reason as former_reason, p.scenario_id as former_scenario_id,
           p.group_scenario_id as former_group_scenario_id, p.group_id as former_group_id,
           p.is_scenario_active as former_is_scenario_active,
           p.is_group_scenario_active as former_is_group_scenario_active, p.employee_id as former_employee_id,
           p.dgn_number as former_dgn_number, p.redirect_number as former_redirect_number,
           p.region_id as former_region_id, p.app_id as former_app_id, p.nc_type as former_nc_type,
           p.sip_uri as former_sip_uri
      from (
            select account_id, virtual_number_id, run_id, changed_at as valid_from, changed_after, number, comment, type,
                   purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
                   is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri
              from syncer.virtual_number
             union all
            select account_id, virtual_number_id, run_id, valid_from, changed_after, number, comment, type,
                   purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
                   is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri
              from syncer.virtual_number_history) n
      left join lateral (
            select * from syncer.virtual_number_history h
             where h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id
               and h.valid_from < n.valid_from
             order by h.valid_from desc limit 1) p on true
), fields as (
    select v.account_id, v.virtual_number_id, v.run_id, v.valid_from as changed_at, v.changed_after,
           case when not v.has_former then 'created'
                when v.former_valid_to < v.valid_from then 'restored'
                when f.field in ('state', 'reason') then 'state'
                else 'changed' end as kind,
           f.field, f.old_value, f.new_value, null::bigint as redirect_number_id
      from versions v
      left join syncer.region r on r.region_id = v.region_id
      left join syncer.region q on q.region_id = v.former_region_id
     cross join lateral (values
           ('number', v.former_number, v.number),
           ('comment', v.former_comment, v.comment),
           ('type', v.former_type, v.type),
           ('purpose', v.former_purpose, v.purpose),
           ('state', v.former_state, v.state),
           ('reason', v.former_reason, v.reason),
           ('scenario_id', v.former_scenario_id::text, v.scenario_id::text),
           ('group_scenario_id', v.former_group_scenario_id::text, v.group_scenario_id::text),
           ('group_id', v.former_group_id::text, v.group_id::text),
           ('is_scenario_active', v.former_is_scenario_active::text, v.is_scenario_active::text),
           ('is_group_scenario_active', v.former_is_group_scenario_active::text, v.is_group_scenario_active::text),
           ('employee_id', v.former_employee_id::text, v.employee_id::text),
           ('dgn_number', v.former_dgn_number, v.dgn_number),
           ('redirect_number', v.former_redirect_number, v.redirect_number),
           ('region', q.name, r.name),
           ('app_id', v.former_app_id::text, v.app_id::text),
           ('nc_type', v.former_nc_type, v.nc_type),
           ('sip_uri', v.former_sip_uri, v.sip_uri)) as f (field, old_value, new_value)
     where f.old_value is distinct from f.new_value
        or (v.has_former and v.former_valid_to < v.valid_from and f.new_value is not null)
), happened as (
    select * from fields
     union all
    -- A number is gone with its last period of state: no other one begins where that ends.
    select h.account_id, h.virtual_number_id, h.closed_run_id, h.valid_to, h.closed_after, 'removed', null, null, null, null
      from syncer.state_history h
     where h.closed_run_id is not null
       and not exists (select from syncer.state_history n
                        where n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
                          and n.valid_from = h.valid_to)
     union all
    select account_id, virtual_number_id, run_id, valid_from, changed_after, 'redirect_opened', 'from_redirect_numbers',
           null, number, redirect_number_id
      from syncer.virtual_number_redirect
     union all
    select account_id, virtual_number_id, closed_run_id, valid_to, closed_after, 'redirect_closed',
           'from_redirect_numbers', number, null, redirect_number_id
      from syncer.virtual_number_redirect where closed_run_id is not null
)
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, r.finished_at as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id
  from happened h
  join syncer.sync_run r on r.account_id = h.account_id and r.run_id = h.run_id
  join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  join syncer.account a on a.account_id = h.account_id;

-- Days -----------------------------------------------------------------------------------------------------------------

-- Counted by what comes and goes on each day, and summed up: the cost follows the changes, not numbers times days.
-- A version counts on the days at whose end it was in force: from the day it began to the one before it ended.
create view analytics.daily_states as
with steps as (
    select v.account_id, v.region_id, v.type, v.state, (s.at at time zone a.time_zone)::date as day, sum(s.step) as step
      from (select account_id, region_id, type, state, valid_from, valid_to from syncer.virtual_number_history
             union all
            select account_id, region_id, type, state, changed_at, removed_at from syncer.virtual_number) v
      join syncer.account a using (account_id)
     cross join lateral (values (v.valid_from, 1), (v.valid_to, -1)) as s (at, step)
     where s.at is not null
     group by 1, 2, 3, 4, 5
), spans as (
    select account_id, region_id, type, state, day, sum(step) over kept as numbers, lead(day) over kept as next_day
      from steps window kept as (partition by account_id, region_id, type, state order by day)
)
select s.account_id, a.name as account, each.day::date as day, r.name as region, s.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, s.state, w.title_en as state_title_en, w.title_ru as state_title_ru,
       s.numbers::integer as numbers
  from spans s
  join syncer.account a using (account_id)
  join syncer.number_state w using (state)
  left join syncer.number_type t using (type)
  left join syncer.region r using (region_id)
 cross join lateral generate_series(
           s.day::timestamp, coalesce(s.next_day - 1, (now() at time zone a.time_zone)::date)::timestamp, interval '1 day')
           as each (day)
 where s.numbers > 0;

create view analytics.state_share as
with parts as (
    select h.account_id, h.virtual_number_id, each.day::date as day, h.state,
           sum(extract(epoch from least(coalesce(h.valid_to, now()), d.ends) - greatest(h.valid_from, d.begins))) as seconds
      from syncer.state_history h
      join syncer.account a using (account_id)
     cross join lateral generate_series(
               (h.valid_from at time zone a.time_zone)::date::timestamp,
               (coalesce(h.valid_to, now()) at time zone a.time_zone)::date::timestamp, interval '1 day') as each (day)
     cross join lateral (select each.day at time zone a.time_zone as begins,
                                (each.day + interval '1 day') at time zone a.time_zone as ends) d
     where greatest(h.valid_from, d.begins) < least(coalesce(h.valid_to, now()), d.ends)
     group by 1, 2, 3, 4
)
select p.account_id, a.name as account, p.virtual_number_id, n.number,
       p.account_id || ':' || p.virtual_number_id as number_key, p.day, p.state, s.title_en as state_title_en,
       s.title_ru as state_title_ru,
       p.seconds / sum(p.seconds) over (partition by p.account_id, p.virtual_number_id, p.day) as share,
       p.seconds as duration_seconds
  from parts p
  join syncer.virtual_number n using (account_id, virtual_number_id)
  join syncer.account a using (account_id)
  join syncer.number_state s on s.state = p.state;

-- Polls ----------------------------------------------------------------------------------------------------------------

create view analytics.runs as
select r.account_id, a.name as account, r.run_id, r.trigger, r.started_at, r.finished_at,
       extract(epoch from r.finished_at - r.started_at) as duration_seconds, r.outcome, r.error_kind, r.error,
       r.http_status, r.response_bytes, r.received, r.created, r.changed, r.unchanged, r.removed, r.restored, r.held,
       r.rejected, r.state_changes, r.redirects_opened, r.redirects_closed
  from syncer.sync_run r
  join syncer.account a using (account_id);

-- The longest time within each day in which nobody looked: between its successful polls, and to its ends.
create view analytics.coverage as
with days as (
    select a.account_id, a.name as account, each.day::date as day, each.day at time zone a.time_zone as begins,
           least((each.day + interval '1 day') at time zone a.time_zone, now()) as ends
      from syncer.account a
     cross join lateral generate_series(
               (least(a.created_at, (select min(started_at) from syncer.sync_run r where r.account_id = a.account_id))
                    at time zone a.time_zone)::date::timestamp,
               (now() at time zone a.time_zone)::date::timestamp, interval '1 day') as each (day)
), successes as (
    select r.account_id, (r.started_at at time zone a.time_zone)::date as day, r.started_at,
           lag(r.started_at) over (partition by r.account_id, (r.started_at at time zone a.time_zone)::date
                                       order by r.started_at) as before
      from syncer.sync_run r
      join syncer.account a using (account_id)
     where r.outcome in ('applied', 'unchanged')
), gaps as (
    select account_id, day, min(started_at) as first, max(started_at) as last, max(started_at - before) as between_polls
      from successes group by 1, 2
), counts as (
    select r.account_id, (r.started_at at time zone a.time_zone)::date as day, count(*) as polls,
           count(*) filter (where r.outcome in ('failed', 'abandoned')) as failed
      from syncer.sync_run r
      join syncer.account a using (account_id)
     where r.outcome <> 'running'
     group by 1, 2
)
select d.account_id, d.account, d.day, (coalesce(c.polls, 0) + coalesce(p.polls, 0))::integer as polls,
       (coalesce(c.failed, 0) + coalesce(p.failed, 0))::integer as failed,
       -- Of a day whose runs were pruned, what they added up to is known, and what remains of them is not the whole day.
       coalesce(p.longest_gap_seconds,
                extract(epoch from case when g.first is null then d.ends - d.begins
                                        else greatest(g.first - d.begins, g.between_polls, d.ends - g.last) end))
           as longest_gap_seconds
  from days d
  left join gaps g using (account_id, day)
  left join counts c using (account_id, day)
  left join syncer.sync_day p using (account_id, day);

create view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       extract(epoch from now() - a.observed_at) as lag_seconds, l.outcome as last_outcome, l.error_kind as last_error_kind,
       l.error as last_error,
       (select count(*) from syncer.virtual_number n
         where n.account_id = a.account_id and n.last_read_at is not null and n.removed_at is null
           and n.missing_since is not null)::integer as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected
  from syncer.account a
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true;

create function analytics.readable(payload bytea) returns text language plpgsql immutable parallel safe as $$
begin
    return convert_from(payload, 'UTF8');
exception when others then
    return encode(payload, 'escape');
end
$$;
comment on function analytics.readable(bytea) is 'Bytes as text; where they are none, as escapes';

create view analytics.rejected_records as
select j.account_id, a.name as account, j.virtual_number_id, n.number,
       j.account_id || ':' || j.virtual_number_id as number_key, j.error, analytics.readable(j.payload) as payload,
       f.started_at as first_seen_at, l.started_at as last_seen_at, j.occurrences
  from syncer.rejected_record j
  join syncer.account a on a.account_id = j.account_id and a.applied_run_id = j.last_run_id
  left join syncer.virtual_number n on n.account_id = j.account_id and n.virtual_number_id = j.virtual_number_id
  left join syncer.sync_run f on f.account_id = j.account_id and f.run_id = j.first_run_id
  left join syncer.sync_run l on l.account_id = j.account_id and l.run_id = a.success_run_id;

-- The past -------------------------------------------------------------------------------------------------------------

-- Read with the owner's rights, as the views are: an analyst has none on the tables.
create function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe security definer set search_path = pg_catalog
begin atomic
select v.account_id, v.account, v.virtual_number_id, v.number, v.number_key, v.e164, v.comment,
       v.type, t.title_en, t.title_ru, v.purpose, p.title_en, p.title_ru, v.state, s.title_en, s.title_ru, v.reason,
       h.valid_from, h.changed_after,
       v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
       v.dgn_number, v.redirect_number, v.region_id, v.region, v.app_id, v.nc_type, v.sip_uri,
       case when v.is_current then n.extra end,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = v.account_id and d.virtual_number_id = v.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at, v.valid_from, v.changed_after,
       case when v.is_current then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since end
  from analytics.number_history v
  join syncer.virtual_number n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join syncer.state_history h
    on h.account_id = v.account_id and h.virtual_number_id = v.virtual_number_id
   and h.valid_from <= moment and (h.valid_to is null or h.valid_to > moment)
  join syncer.number_state s on s.state = v.state
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
 where v.valid_from <= moment and (v.valid_to is null or v.valid_to > moment);
end;
comment on function analytics.numbers_as_of(timestamptz) is
    'The view numbers as history has it at a moment; example: select state, count(*) from analytics.numbers_as_of(''2026-03-01 00:00 Europe/Moscow'') group by 1';
