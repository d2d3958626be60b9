-- What 0012_down.sql reverts. A bare attribute of a row is as it was when the row began; `…_now` is today's.

-- Days ----------------------------------------------------------------------------------------------------------------

-- Grouped, so that the zone is looked up once per account, and not at all where nobody asks for it.
create view syncer.account_zone as
select account_id, syncer.known_zone(min(time_zone)) as zone from syncer.account_known group by account_id;

create function syncer.local_day(moment timestamptz, zone text) returns date language sql stable parallel safe
begin atomic
-- A day begins at the earlier of two midnights where clocks go back over midnight: only its last hours can come twice.
select case when (moment at time zone zone)::time >= '21:00'
             and moment >= syncer.day_start((moment at time zone zone)::date + interval '1 day', zone)
            then (moment at time zone zone)::date + 1
            else (moment at time zone zone)::date end;
end;

-- Numbers and their periods -------------------------------------------------------------------------------------------

create or replace view analytics.number_history as
select v.account_id, k.account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id,
       v.closed_run_id, n.number as number_now, t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       s.title_en as state_title_en, s.title_ru as state_title_ru,
       greatest(extract(epoch from coalesce(v.valid_to, k.known_until) - v.valid_from), 0) as duration_seconds,
       syncer.local_day(v.valid_from, z.zone) as began_day, v.began_by, v.ended_by
  from syncer.number_version v
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.account_zone z using (account_id)
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  left join syncer.number_state s on s.state = v.state
  left join syncer.region r on r.region_id = v.region_id;

-- A period of a state begins with a version, at the same moment: that version is in the row of the number if it still
-- is the current one, else in the history. Both are joined by their key, so that they are left out where nobody asks
-- for what the number was then.
create or replace view analytics.state_history as
select h.account_id, k.account, h.virtual_number_id,
       case when n.changed_at = h.valid_from then n.number else v.number end as number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, k.known_until) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state,
       h.ended_by, n.number as number_now,
       case when n.changed_at = h.valid_from then n.type else v.type end as type,
       case when n.changed_at = h.valid_from then n.purpose else v.purpose end as purpose, r.name as region,
       case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(h.valid_from, z.zone) as began_day
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from = h.valid_from
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id
  left join syncer.number_state s on s.state = h.state
  left join syncer.region r
    on r.region_id = case when n.changed_at = h.valid_from then n.region_id else v.region_id end;

create or replace view analytics.state_spells as
with spells as (
    select account_id, virtual_number_id, state, reason, valid_to, closed_after, closed_run_id, state_since,
           state_since_earliest, state_began_by, from_state, to_state, ended_by
      from syncer.state_history
     where ended_by = 'removed' or to_state <> state
     union all
    select account_id, virtual_number_id, state, reason, null, null, null, state_since, state_since_earliest,
           case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                else 'restored' end, from_state, null, null
      from syncer.virtual_number
     where removed_at is null
)
select s.account_id, k.account, s.virtual_number_id, n.number as number_now,
       s.account_id || ':' || s.virtual_number_id as number_key,
       s.state, t.title_en as state_title_en, t.title_ru as state_title_ru,
       case when n.changed_at = s.state_since then n.reason else v.reason end as first_reason,
       s.reason as last_reason, s.state_since as valid_from, s.valid_to, s.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(s.valid_to, k.known_until) - s.state_since), 0) as duration_seconds,
       s.state_began_by as began_by, s.from_state, s.ended_by, s.to_state,
       s.state_since_earliest as changed_after, s.closed_after, s.closed_run_id,
       case when n.changed_at = s.state_since then n.number else v.number end as number,
       case when n.changed_at = s.state_since then n.type else v.type end as type,
       case when n.changed_at = s.state_since then n.purpose else v.purpose end as purpose, r.name as region,
       case when n.changed_at = s.state_since then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(s.state_since, z.zone) as began_day
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = s.account_id and v.virtual_number_id = s.virtual_number_id and v.valid_from = s.state_since
  left join syncer.account_known k on k.account_id = s.account_id
  left join syncer.account_zone z on z.account_id = s.account_id
  left join syncer.number_state t on t.state = s.state
  left join syncer.region r
    on r.region_id = case when n.changed_at = s.state_since then n.region_id else v.region_id end;

create or replace view analytics.state_changes as
select b.account_id, k.account, b.virtual_number_id,
       case when n.changed_at = b.valid_to then n.number else v.number end as number,
       b.account_id || ':' || b.virtual_number_id as number_key,
       b.valid_to as changed_at, b.closed_after as changed_after,
       b.state as from_state, f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       b.to_state, t.title_en as to_state_title_en, t.title_ru as to_state_title_ru,
       b.reason as from_reason, case when n.changed_at = b.valid_to then n.reason else v.reason end as to_reason,
       b.closed_run_id as run_id, n.number as number_now,
       case when n.changed_at = b.valid_to then n.type else v.type end as type,
       case when n.changed_at = b.valid_to then n.purpose else v.purpose end as purpose, r.name as region,
       case when n.changed_at = b.valid_to then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(b.valid_to, z.zone) as changed_day
  from syncer.state_history b
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = b.account_id and v.virtual_number_id = b.virtual_number_id and v.valid_from = b.valid_to
  left join syncer.account_known k on k.account_id = b.account_id
  left join syncer.account_zone z on z.account_id = b.account_id
  left join syncer.number_state f on f.state = b.state
  left join syncer.number_state t on t.state = b.to_state
  left join syncer.region r
    on r.region_id = case when n.changed_at = b.valid_to then n.region_id else v.region_id end
 where b.ended_by = 'changed';

-- A redirect begins and ends at any time of a version: that is found by one look into the key. `distinct on` shows the
-- planner that there is one at most, so that it does not look where nobody asks.
create or replace view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, v.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id, n.number as number_now, v.type, v.purpose,
       r.name as region, v.employee_id, syncer.local_day(d.valid_from, z.zone) as began_day
  from syncer.redirect_period d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join lateral (
       select distinct on (v.account_id, v.virtual_number_id) v.account_id, v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.employee_id
         from syncer.number_version v
        where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id and v.valid_from <= d.valid_from
        order by v.account_id, v.virtual_number_id, v.valid_from desc limit 1) v
    on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
  left join syncer.account_known k on k.account_id = d.account_id
  left join syncer.account_zone z on z.account_id = d.account_id
  left join syncer.region r on r.region_id = v.region_id
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create or replace view analytics.redirects as
select account_id, account, virtual_number_id, number, number_key, redirect_number_id, redirect_from, redirect_from_key,
       valid_from, valid_to, is_current, duration_seconds, changed_after, closed_after, run_id, number_now, type,
       purpose, region, employee_id, began_day
  from analytics.redirect_history where is_current;

-- The feed ------------------------------------------------------------------------------------------------------------

-- What is asked of number, kind, run or time reaches each part of the feed, because each part has them as columns of
-- its own, and its kind as a constant; a part that cannot have what is asked is not read at all. A change is found by
-- the version that it ended, which the history has in the order of runs; the version that it began is joined by its key,
-- as in state_history. The numbers of a run that are as it created or restored them are found by the time of the run.
create or replace view analytics.changes as
with listings as not materialized (
    select n.number as number_now, v.began_by, v.account_id, v.virtual_number_id, v.run_id, v.valid_from, v.changed_after,
           v.state, v.reason, v.number, v.comment, v.type, v.purpose, v.scenario_id, v.group_scenario_id, v.group_id,
           v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number,
           v.region_id, v.app_id, v.nc_type, v.sip_uri
      from syncer.virtual_number_history v
      left join syncer.virtual_number n using (account_id, virtual_number_id)
     where v.began_by <> 'changed'
     union all
    select n.number, case when n.changed_at = n.first_seen_at then 'created' else 'restored' end, n.account_id,
           n.virtual_number_id, r.run_id, n.listed_since, n.changed_after,
           n.state, n.reason, n.number, n.comment, n.type, n.purpose, n.scenario_id, n.group_scenario_id, n.group_id,
           n.is_scenario_active, n.is_group_scenario_active, n.employee_id, n.dgn_number, n.redirect_number,
           n.region_id, n.app_id, n.nc_type, n.sip_uri
      from syncer.virtual_number n
      join syncer.sync_run r
        on r.account_id = n.account_id and r.run_id = n.run_id
       and n.listed_since >= r.started_at and n.listed_since <= r.finished_at
     where n.changed_at = n.listed_since and n.removed_at is null
), replacements as not materialized (
    select n.number as number_now, p.account_id, p.virtual_number_id, p.closed_run_id as run_id, p.valid_to,
           p.closed_after,
           case when n.changed_at = p.valid_to then n.state else v.state end as state,
           case when n.changed_at = p.valid_to then n.reason else v.reason end as reason,
           case when n.changed_at = p.valid_to then n.number else v.number end as number,
           case when n.changed_at = p.valid_to then n.comment else v.comment end as comment,
           case when n.changed_at = p.valid_to then n.type else v.type end as type,
           case when n.changed_at = p.valid_to then n.purpose else v.purpose end as purpose,
           case when n.changed_at = p.valid_to then n.scenario_id else v.scenario_id end as scenario_id,
           case when n.changed_at = p.valid_to then n.group_scenario_id else v.group_scenario_id end as group_scenario_id,
           case when n.changed_at = p.valid_to then n.group_id else v.group_id end as group_id,
           case when n.changed_at = p.valid_to then n.is_scenario_active else v.is_scenario_active end as is_scenario_active,
           case when n.changed_at = p.valid_to then n.is_group_scenario_active else v.is_group_scenario_active end as is_group_scenario_active,
           case when n.changed_at = p.valid_to then n.employee_id else v.employee_id end as employee_id,
           case when n.changed_at = p.valid_to then n.dgn_number else v.dgn_number end as dgn_number,
           case when n.changed_at = p.valid_to then n.redirect_number else v.redirect_number end as redirect_number,
           case when n.changed_at = p.valid_to then n.region_id else v.region_id end as region_id,
           case when n.changed_at = p.valid_to then n.app_id else v.app_id end as app_id,
           case when n.changed_at = p.valid_to then n.nc_type else v.nc_type end as nc_type,
           case when n.changed_at = p.valid_to then n.sip_uri else v.sip_uri end as sip_uri,
           p.state as former_state, p.reason as former_reason, p.number as former_number, p.comment as former_comment,
           p.type as former_type, p.purpose as former_purpose, p.scenario_id as former_scenario_id,
           p.group_scenario_id as former_group_scenario_id, p.group_id as former_group_id,
           p.is_scenario_active as former_is_scenario_active,
           p.is_group_scenario_active as former_is_group_scenario_active, p.employee_id as former_employee_id,
           p.dgn_number as former_dgn_number, p.redirect_number as former_redirect_number,
           p.region_id as former_region_id, p.app_id as former_app_id, p.nc_type as former_nc_type,
           p.sip_uri as former_sip_uri
      from syncer.virtual_number_history p
      join syncer.virtual_number n using (account_id, virtual_number_id)
      left join syncer.virtual_number_history v
        on v.account_id = p.account_id and v.virtual_number_id = p.virtual_number_id and v.valid_from = p.valid_to
     where p.ended_by = 'changed'
), begun as (
    select 'created' as kind, l.number_now, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
           l.state, l.reason, l.number, l.comment, l.type, l.purpose, l.scenario_id, l.group_scenario_id, l.group_id,
           l.is_scenario_active, l.is_group_scenario_active, l.employee_id, l.dgn_number, l.redirect_number,
           l.region_id, l.app_id, l.nc_type, l.sip_uri,
           null::text as former_state, null::text as former_reason, null::text as former_number,
           null::text as former_comment, null::text as former_type, null::text as former_purpose,
           null::bigint as former_scenario_id, null::bigint as former_group_scenario_id,
           null::bigint as former_group_id, null::boolean as former_is_scenario_active,
           null::boolean as former_is_group_scenario_active, null::bigint as former_employee_id,
           null::text as former_dgn_number, null::text as former_redirect_number, null::integer as former_region_id,
           null::bigint as former_app_id, null::text as former_nc_type, null::text as former_sip_uri
      from listings l
     where l.began_by = 'created'
     union all
    select 'restored', l.number_now, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
           l.state, l.reason, l.number, l.comment, l.type, l.purpose, l.scenario_id, l.group_scenario_id, l.group_id,
           l.is_scenario_active, l.is_group_scenario_active, l.employee_id, l.dgn_number, l.redirect_number,
           l.region_id, l.app_id, l.nc_type, l.sip_uri,
           p.state, p.reason, p.number, p.comment, p.type, p.purpose, p.scenario_id, p.group_scenario_id, p.group_id,
           p.is_scenario_active, p.is_group_scenario_active, p.employee_id, p.dgn_number, p.redirect_number,
           p.region_id, p.app_id, p.nc_type, p.sip_uri
      from listings l
      -- The version that the removal ended.
     cross join lateral (select * from syncer.virtual_number_history h
                          where h.account_id = l.account_id and h.virtual_number_id = l.virtual_number_id
                            and h.valid_from < l.valid_from
                          order by h.valid_from desc limit 1) p
     where l.began_by = 'restored'
     union all
    select 'changed', * from replacements
     union all
    select 'state', * from replacements
), happened as (
    select b.account_id, b.virtual_number_id, b.number, b.number_now, b.type, b.purpose, r.name as region, b.employee_id,
           b.run_id, b.valid_from as changed_at, b.changed_after, 1 as step, b.kind, f.field, f.old_value, f.new_value,
           null::bigint as redirect_number_id
      from begun b
      left join syncer.region r on r.region_id = b.region_id
      left join syncer.region q on q.region_id = b.former_region_id
     -- Not a list of values: of these the planner leaves out the fields that nobody asks for.
     cross join lateral (
            select 'state' as field, b.former_state as old_value, b.state as new_value
             union all select 'reason', b.former_reason, b.reason
             union all select 'number', b.former_number, b.number
             union all select 'comment', b.former_comment, b.comment
             union all select 'type', b.former_type, b.type
             union all select 'purpose', b.former_purpose, b.purpose
             union all select 'scenario_id', b.former_scenario_id::text, b.scenario_id::text
             union all select 'group_scenario_id', b.former_group_scenario_id::text, b.group_scenario_id::text
             union all select 'group_id', b.former_group_id::text, b.group_id::text
             union all select 'is_scenario_active', b.former_is_scenario_active::text, b.is_scenario_active::text
             union all select 'is_group_scenario_active', b.former_is_group_scenario_active::text,
                              b.is_group_scenario_active::text
             union all select 'employee_id', b.former_employee_id::text, b.employee_id::text
             union all select 'dgn_number', b.former_dgn_number, b.dgn_number
             union all select 'redirect_number', b.former_redirect_number, b.redirect_number
             union all select 'region', q.name, r.name
             union all select 'app_id', b.former_app_id::text, b.app_id::text
             union all select 'nc_type', b.former_nc_type, b.nc_type
             union all select 'sip_uri', b.former_sip_uri, b.sip_uri) f
     where case b.kind when 'created' then f.new_value is not null
                       when 'restored' then f.old_value is not null or f.new_value is not null
                       else f.old_value is distinct from f.new_value
                            and (b.kind = 'state') = (f.field in ('state', 'reason')) end
     union all
    select h.account_id, h.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           h.closed_run_id, h.valid_to, h.closed_after, 4, 'removed', null, null, null, null
      from syncer.state_history h
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.account_id, v.virtual_number_id) v.account_id, v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.virtual_number_history v
            where v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from < h.valid_to
            order by v.account_id, v.virtual_number_id, v.valid_from desc limit 1) v
        on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     where h.ended_by = 'removed'
     union all
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id, d.run_id,
           d.valid_from, d.changed_after, 3, 'redirect_opened', 'from_redirect_numbers', null, d.number,
           d.redirect_number_id
      from syncer.redirect_period d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.account_id, v.virtual_number_id) v.account_id, v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_from
            order by v.account_id, v.virtual_number_id, v.valid_from desc limit 1) v
        on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     union all
    -- With the number, or with the version that began then, if the number stayed.
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           d.closed_run_id, d.valid_to, d.closed_after, 2, 'redirect_closed', 'from_redirect_numbers', d.number, null,
           d.redirect_number_id
      from syncer.virtual_number_redirect_history d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.account_id, v.virtual_number_id) v.account_id, v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_to
            order by v.account_id, v.virtual_number_id, v.valid_from desc limit 1) v
        on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
)
select h.account_id, k.account, h.virtual_number_id, h.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, s.finished_at as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id,
       -- A number can list one redirect's id with several numbers.
       concat_ws(':', h.account_id, h.run_id, h.virtual_number_id, h.step, h.kind, h.field, h.redirect_number_id,
                 case when h.redirect_number_id is not null then coalesce(h.new_value, h.old_value) end)
           collate "C" as change_id,
       h.number_now, h.type, h.purpose, h.region, h.employee_id, syncer.local_day(h.changed_at, z.zone) as changed_day
  from happened h
  left join syncer.sync_run s on s.account_id = h.account_id and s.run_id = h.run_id
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id;

-- What a copy has once it has every change: for each account its newest run that changed something. Runs of an account
-- commit in the order of their ids, those of several accounts do not.
create view analytics.changes_cursor as
select coalesce(jsonb_object_agg(a.account_id, a.applied_run_id), '{}') as cursor
  from syncer.account_fence a
 where a.applied_run_id is not null;

-- Each account is asked with its own values, so that the planner takes the indexes; a join would read the history. What
-- created and restored numbers began with is found by time: a run is recorded after the beginning of those before it.
create function analytics.changes_since(cursor jsonb) returns setof analytics.changes language plpgsql stable as $$
declare
    newest jsonb := (select c.cursor from analytics.changes_cursor c);
    one record;
begin
    if jsonb_typeof(changes_since.cursor) is distinct from 'object' then
        raise exception 'the cursor must be an object such as {"1": 709}: for each account_id the newest run copied'
            using errcode = 'invalid_parameter_value';
    end if;
    for one in select key as account, value::text as copied, (newest -> key)::bigint as run_id
                 from jsonb_each(changes_since.cursor) loop
        if one.copied !~ '^[0-9]{1,18}$' or one.copied::bigint > coalesce(one.run_id, 0) then
            raise exception 'the cursor has % for account %, which is no run of this database', one.copied, one.account
                using errcode = 'invalid_parameter_value',
                      hint = 'It is of another database, or this one was restored from a backup: copy again from {}.';
        end if;
    end loop;
    for one in select n.key::integer as account_id, n.value::bigint as run_id, c.copied, r.started_at
                 from jsonb_each(newest) n
                cross join lateral (select coalesce((changes_since.cursor -> n.key)::bigint, 0) as copied) c
                 left join analytics.runs r on r.account_id = n.key::integer and r.run_id = c.copied
                order by 1 loop
        if one.run_id > one.copied then
            return query execute
                'select * from analytics.changes'
                ' where account_id = $1 and run_id > $2 and (kind not in (''created'', ''restored'') or changed_at > $3)'
                ' order by run_id, change_id'
                using one.account_id, one.copied, coalesce(one.started_at, '-infinity');
        end if;
    end loop;
end
$$;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on view syncer.account_zone is 'The time zone of each account''s days, or UTC if this server does not know it';
comment on column syncer.account_zone.account_id is 'The account';
comment on column syncer.account_zone.zone is 'IANA time zone';
comment on function syncer.local_day(timestamptz, text) is
    'The day of a moment in a time zone; where clocks go back over midnight, a day begins at the earlier midnight';
comment on view analytics.changes is
    'A row for each changed field, immutable but for number_now and changed_day; to copy the new rows, call changes_since; '
    'example: select changed_at, number, field, old_value, new_value from analytics.changes '
    'where changed_at > now() - interval ''1 day'' order by run_id, change_id';
comment on view analytics.changes_cursor is
    'One row: what a copy of changes has that has them all, to give to changes_since the next time; example: '
    'select cursor from analytics.changes_cursor';
comment on column analytics.changes_cursor.cursor is
    'For each account_id its newest run that changed something; example: {"1": 1834, "2": 1836}';
comment on function analytics.changes_since(jsonb) is
    'The rows of changes that are newer than a cursor, in the order account_id, run_id, change_id; {} for all; read the next '
    'cursor from changes_cursor in the same transaction (repeatable read); example: '
    'select * from analytics.changes_since(''{"1": 1834}'')';
do $$
declare
    one record;
begin
    for one in
        select c.view, c.name, c.comment
          from (values
            ('number_history', 'closed_run_id', 'The poll that recorded the end of the version; null for the current one; '
             'example: 1907'),
            ('number_history', 'duration_seconds', 'Length of the version''s period in seconds, until observed_until of the '
             'account for the current one; example: 259200 (three days)'),
            ('number_history', 'began_by', 'How the version began: created or restored, with its number, or changed; '
             'example: changed'),
            ('number_history', 'ended_by', 'How it ended: changed, if another one followed, or removed, with its number; '
             'null for the current one; example: changed'),
            ('number_history', 'type_title_en', 'Type of number, in English; example: Mobile'),
            ('number_history', 'type_title_ru', 'Type of number, in Russian; example: мобильный'),
            ('number_history', 'purpose_title_en', 'Whom the number serves, in English; example: Company'),
            ('number_history', 'purpose_title_ru', 'Whom the number serves, in Russian; example: компания'),
            ('number_history', 'state_title_en', 'State of the number, in English; example: Locked for debt'),
            ('number_history', 'state_title_ru', 'State of the number, in Russian; example: блокировка за долг'),
            ('changes', 'change_id', 'Identifies the row, and never changes; the order of the rows of one run_id; '
             'example: 1:1834:250:1:state:state'),
            ('changes', 'changed_day', 'The day of changed_at in the account''s time zone, as that is now; '
             'example: 2026-03-01'),
            ('state_changes', 'changed_day', 'The day of changed_at in the account''s time zone; example: 2026-03-01')
          ) c (view, name, comment)
         union all
        select v.view, 'began_day', 'The day of valid_from in the account''s time zone; example: 2026-03-01'
          from unnest(array['number_history', 'state_history', 'state_spells', 'redirects', 'redirect_history']) v (view)
         union all
        select v.view, 'duration_seconds', 'Length of the period in seconds, until observed_until of the account for a '
               'current one; example: 259200 (three days)'
          from unnest(array['state_history', 'redirects', 'redirect_history']) v (view)
         union all
        select v.view, 'number_now', 'The phone number as it is now; found by an index; example: 79208547433'
          from unnest(array['number_history', 'state_history', 'state_spells', 'state_changes', 'redirects',
                            'redirect_history', 'changes']) v (view)
         union all
        select v.view, c.name, format(c.comment, v.moment)
          from (values ('state_history', 'when the period began'), ('state_spells', 'when it came into the state'),
                       ('state_changes', 'after the change'), ('redirects', 'when the redirect began'),
                       ('redirect_history', 'when the redirect began'),
                       ('changes', 'after the change, or before it was removed')) v (view, moment)
         cross join (values
            ('number', 'The phone number %s, as the vendor writes it; example: 79208547433'),
            ('type', 'Type of the number %s, as the vendor names it; example: def (mobile)'),
            ('purpose', 'Whom the number served %s, as the vendor names it; example: company'),
            ('region', 'Region of the number %s, as the vendor names it; example: Брянская область'),
            ('employee_id', 'Employee the number was assigned to %s; example: 125')) c (name, comment)
    loop
        execute format('comment on column analytics.%I.%I is %L', one.view, one.name, one.comment);
    end loop;
end
$$;

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.changes_cursor to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.account_zone, analytics.changes_cursor to syncer_daemon;
    end if;
end
$$;
