-- What 0012_down.sql reverts. A bare attribute of a row is as it was when the row began; `…_now` is today's.

-- Days ----------------------------------------------------------------------------------------------------------------

-- Grouped, so that the zone is looked up once per account, and not at all where nobody asks for it. A bigint, so that it
-- is left out also where a query holds the account constant: the comparison with another type stays one.
create view syncer.account_zone as
select account_id::bigint as account_id, syncer.known_zone(min(time_zone)) as zone
  from syncer.account_known
 group by account_id::bigint;

create function syncer.local_day(moment timestamptz, zone text) returns date language sql stable parallel safe
begin atomic
-- A day begins at the earlier of two midnights where clocks go back over midnight: only its last hours can come twice.
select case when (moment at time zone zone)::time >= '21:00'
             and moment >= syncer.day_start((moment at time zone zone)::date + interval '1 day', zone)
            then (moment at time zone zone)::date + 1
            else (moment at time zone zone)::date end;
end;

-- The condition is outside of the union: each part of it is then a table, so that what is asked of a number finds its
-- rows by key in a join as well.
create or replace view syncer.number_version as
select account_id, virtual_number_id,
       number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
       is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri,
       valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by, ended_by
  from (select account_id, virtual_number_id,
               number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id,
               is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
               app_id, nc_type, sip_uri,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by, ended_by,
               null::timestamptz as removed_at
          from syncer.virtual_number_history
         union all
        select account_id, virtual_number_id,
               number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id,
               is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
               app_id, nc_type, sip_uri,
               changed_at, null, changed_after, null, run_id, null,
               case when changed_at = first_seen_at then 'created' when changed_at = listed_since then 'restored'
                    else 'changed' end, null, removed_at
          from syncer.virtual_number) v
 where removed_at is null;

create or replace view syncer.state_period as
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, state_since, state_since_earliest, state_began_by, from_state, to_state, ended_by
  from (select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
               closed_run_id, state_since, state_since_earliest, state_began_by, from_state, to_state, ended_by,
               null::timestamptz as removed_at
          from syncer.state_history
         union all
        select account_id, virtual_number_id, state, reason, reason_since, null, reason_since_earliest, null,
               reason_run_id, null, state_since, state_since_earliest,
               case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                    else 'restored' end, from_state, null, null, removed_at
          from syncer.virtual_number) h
 where removed_at is null;

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
  left join syncer.account_zone z on z.account_id = v.account_id::bigint
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  left join syncer.number_state s on s.state = v.state
  left join syncer.region r on r.region_id = v.region_id;

-- A period of a state begins with a version, at the same moment: that version is in the row of the number if it still
-- is the current one, else in the history. Both are joined by their key, and the region to each of them, so that they
-- are left out where nobody asks for what the number was then.
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
       case when n.changed_at = h.valid_from then n.purpose else v.purpose end as purpose,
       case when n.changed_at = h.valid_from then rn.name else rv.name end as region,
       case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(h.valid_from, z.zone) as began_day
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from = h.valid_from
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint
  left join syncer.number_state s on s.state = h.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id;

create or replace view analytics.state_spells as
with spells as (
    select *
      from (select account_id, virtual_number_id, state, reason, valid_to, closed_after, closed_run_id, state_since,
                   state_since_earliest, state_began_by, from_state, to_state, ended_by,
                   ended_by = 'removed' or to_state <> state as is_last
              from syncer.state_history
             union all
            select account_id, virtual_number_id, state, reason, null, null, null, state_since, state_since_earliest,
                   case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                        else 'restored' end, from_state, null, null, removed_at is null
              from syncer.virtual_number) periods
     where is_last
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
       case when n.changed_at = s.state_since then n.purpose else v.purpose end as purpose,
       case when n.changed_at = s.state_since then rn.name else rv.name end as region,
       case when n.changed_at = s.state_since then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(s.state_since, z.zone) as began_day
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = s.account_id and v.virtual_number_id = s.virtual_number_id and v.valid_from = s.state_since
  left join syncer.account_known k on k.account_id = s.account_id
  left join syncer.account_zone z on z.account_id = s.account_id::bigint
  left join syncer.number_state t on t.state = s.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id;

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
       case when n.changed_at = b.valid_to then n.purpose else v.purpose end as purpose,
       case when n.changed_at = b.valid_to then rn.name else rv.name end as region,
       case when n.changed_at = b.valid_to then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(b.valid_to, z.zone) as changed_day
  from syncer.state_history b
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = b.account_id and v.virtual_number_id = b.virtual_number_id and v.valid_from = b.valid_to
  left join syncer.account_known k on k.account_id = b.account_id
  left join syncer.account_zone z on z.account_id = b.account_id::bigint
  left join syncer.number_state f on f.state = b.state
  left join syncer.number_state t on t.state = b.to_state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
 where b.ended_by = 'changed';

-- A redirect begins and ends at any time of a version: that is found by one look into the key. `distinct on` shows the
-- planner that there is one at most, so that it does not look where nobody asks. By one column: a comparison with what a
-- query holds constant, such as the account, would be lost to it.
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
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.employee_id
         from syncer.number_version v
        where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id and v.valid_from <= d.valid_from
        order by v.virtual_number_id, v.valid_from desc limit 1) v
    on v.virtual_number_id = d.virtual_number_id
  left join syncer.account_known k on k.account_id = d.account_id
  left join syncer.account_zone z on z.account_id = d.account_id::bigint
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
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.virtual_number_history v
            where v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from < h.valid_to
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = h.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     where h.ended_by = 'removed'
     union all
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id, d.run_id,
           d.valid_from, d.changed_after, 3, 'redirect_opened', 'from_redirect_numbers', null, d.number,
           d.redirect_number_id
      from syncer.redirect_period d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_from
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     union all
    -- With the number, or with the version that began then, if the number stayed.
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           d.closed_run_id, d.valid_to, d.closed_after, 2, 'redirect_closed', 'from_redirect_numbers', d.number, null,
           d.redirect_number_id
      from syncer.virtual_number_redirect_history d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_to
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
)
select h.account_id, k.account, h.virtual_number_id, h.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id,
       -- Not joined: what a copy lacks are a few rows, and a join would read all runs of the account.
       (select s.finished_at from syncer.sync_run s where s.account_id = h.account_id and s.run_id = h.run_id)
           as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id,
       -- A number can list one redirect's id with several numbers.
       concat_ws(':', h.account_id, h.run_id, h.virtual_number_id, h.step, h.kind, h.field, h.redirect_number_id,
                 case when h.redirect_number_id is not null then coalesce(h.new_value, h.old_value) end)
           collate "C" as change_id,
       h.number_now, h.type, h.purpose, h.region, h.employee_id, syncer.local_day(h.changed_at, z.zone) as changed_day
  from happened h
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint;

-- What a copy has once it has every change: for each account its newest run that changed something. Runs of an account
-- commit in the order of their ids, those of several accounts do not.
create view analytics.changes_cursor as
select coalesce(jsonb_object_agg(account_id, applied_run_id), '{}') as cursor
  from syncer.account_fence
 where applied_run_id is not null;

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

-- Who has and had which number, where calls end up, and what was missing ------------------------------------------------

create index virtual_number_history_employee_idx on syncer.virtual_number_history (employee_id)
    where employee_id is not null;

-- The last version of an assignment is known by itself: it ended with the number, another employee or none followed, or
-- it is the current one. The first is found by the key. What is asked of an employee reaches each version.
create view analytics.assignments as
with assignment as (
    select v.account_id, v.virtual_number_id, n.number as number_now, v.employee_id, v.valid_from as last_from, v.valid_to,
           v.closed_after, v.closed_run_id, v.ended_by
      from syncer.virtual_number_history v
      join syncer.virtual_number n using (account_id, virtual_number_id)
      left join syncer.virtual_number_history x
        on x.account_id = v.account_id and x.virtual_number_id = v.virtual_number_id and x.valid_from = v.valid_to
     where v.employee_id is not null
       and (v.ended_by = 'removed'
            or case when n.changed_at = v.valid_to then n.employee_id else x.employee_id end
               is distinct from v.employee_id)
     union all
    select account_id, virtual_number_id, number, employee_id, changed_at, null, null, null, null
      from syncer.virtual_number
     where removed_at is null and employee_id is not null
)
select e.account_id, k.account, e.virtual_number_id, f.number,
       e.account_id || ':' || e.virtual_number_id as number_key, e.employee_id,
       f.valid_from, e.valid_to, e.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(e.valid_to, k.known_until) - f.valid_from), 0) as duration_seconds,
       f.changed_after, e.closed_after, f.run_id, e.closed_run_id, f.began_by, e.ended_by, e.number_now,
       f.type, f.purpose, r.name as region, syncer.local_day(f.valid_from, z.zone) as began_day
  from assignment e
  left join lateral (
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.valid_from, v.changed_after, v.run_id, v.began_by
         from syncer.number_version v
        where v.account_id = e.account_id and v.virtual_number_id = e.virtual_number_id
          and v.valid_from > coalesce((
              select b.valid_from
                from syncer.virtual_number_history b
               where b.account_id = e.account_id and b.virtual_number_id = e.virtual_number_id
                 and b.valid_from < e.last_from
                 and (b.ended_by = 'removed' or b.employee_id is distinct from e.employee_id)
               order by b.valid_from desc limit 1), '-infinity')
        order by v.virtual_number_id, v.valid_from limit 1) f
    on f.virtual_number_id = e.virtual_number_id
  left join syncer.account_known k on k.account_id = e.account_id
  left join syncer.account_zone z on z.account_id = e.account_id::bigint
  left join syncer.region r on r.region_id = f.region_id;

create view analytics.redirect_paths as
with recursive edge as materialized (
    select d.account_id, d.redirect_number_id as source_id, d.number as source, d.virtual_number_id as target_id,
           t.number as target, t.state as target_state, s.virtual_number_id is not null as is_own
      from syncer.virtual_number_redirect d
      join syncer.virtual_number t using (account_id, virtual_number_id)
      left join syncer.virtual_number s
        on s.account_id = d.account_id and s.virtual_number_id = d.redirect_number_id and s.number = d.number
       and s.removed_at is null
), path as (
    select account_id, source_id, source, is_own, target_id, target, target_state, 1 as hops,
           -- The id of a number that is not listed may be that of another one.
           case when is_own then array[source_id, target_id] else array[target_id] end as nodes,
           source || ' → ' || target as path, source_id = target_id and is_own as is_loop
      from edge
     union all
    select p.account_id, p.source_id, p.source, p.is_own, e.target_id, e.target, e.target_state, p.hops + 1,
           p.nodes || e.target_id,
           p.path || ' → ' || e.target, e.target_id = any (p.nodes)
      from path p
      join edge e on e.account_id = p.account_id and e.source_id = p.target_id and e.is_own
     where not p.is_loop and p.hops < 16
)
select p.account_id, k.account, p.source_id as virtual_number_id, p.source as number,
       case when p.is_own then p.account_id || ':' || p.source_id end as number_key,
       p.target_id as target_number_id, p.target as target_number,
       p.account_id || ':' || p.target_id as target_key, p.target_state,
       w.title_en as target_state_title_en, w.title_ru as target_state_title_ru, p.hops, p.path,
       p.is_loop, not p.is_loop and p.target_state = 'active' as works
  from path p
  join syncer.account_known k on k.account_id = p.account_id and k.retired_at is null
  left join syncer.number_state w on w.state = p.target_state
 where p.is_loop or p.hops = 16
    or not exists (select from edge e where e.account_id = p.account_id and e.source_id = p.target_id and e.is_own);

create view analytics.absences as
select m.account_id, k.account, m.virtual_number_id, v.number,
       m.account_id || ':' || m.virtual_number_id as number_key, m.missing_since, m.ended_at,
       m.ended_at is null as is_current, m.ended_by,
       greatest(extract(epoch from coalesce(m.ended_at, k.known_until) - m.missing_since), 0) as duration_seconds,
       m.run_id, m.closed_run_id, n.number as number_now, v.type, v.purpose, r.name as region, v.employee_id,
       syncer.local_day(m.missing_since, z.zone) as began_day
  from (select account_id, virtual_number_id, missing_since, ended_at, ended_by, run_id, closed_run_id
          from syncer.absence_history
         union all
        select account_id, virtual_number_id, missing_since, null, null, missing_run_id, null
          from syncer.virtual_number
         where missing_since is not null and removed_at is null) m
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join lateral (
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.employee_id
         from syncer.number_version v
        where v.account_id = m.account_id and v.virtual_number_id = m.virtual_number_id
          and v.valid_from < m.missing_since
        order by v.virtual_number_id, v.valid_from desc limit 1) v
    on v.virtual_number_id = m.virtual_number_id
  left join syncer.account_known k on k.account_id = m.account_id
  left join syncer.account_zone z on z.account_id = m.account_id::bigint
  left join syncer.region r on r.region_id = v.region_id;

create view analytics.register as
select n.account_id, n.account, n.virtual_number_id, n.number, n.number_key, n.e164, n.comment,
       coalesce(n.state_title_en, n.state) as state_title_en, coalesce(n.state_title_ru, n.state) as state_title_ru,
       n.reason, n.state_since, (extract(epoch from a.observed_until - n.state_since) / 86400)::integer as days_in_state,
       coalesce(n.type_title_en, n.type) as type_title_en, coalesce(n.type_title_ru, n.type) as type_title_ru,
       coalesce(n.purpose_title_en, n.purpose) as purpose_title_en,
       coalesce(n.purpose_title_ru, n.purpose) as purpose_title_ru, n.region, n.employee_id,
       n.redirect_number as redirected_to,
       (select string_agg(d.number, ', ' order by d.number) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id) as redirected_from,
       n.first_seen_at, n.missing_since
  from analytics.numbers n
  join analytics.accounts a using (account_id);

-- A number that is as it was at the moment is in its own row; of any other, one look into the key finds the version. That
-- it is not looked for otherwise is in the comparison with the key: PostgreSQL 15 would not leave out the joins that nobody
-- needs if it were a condition of its own. Of a moment yet to come, or at which an account was polled no more, nothing is
-- known.
create or replace function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe
begin atomic
select n.account_id, n.account, n.virtual_number_id,
       case when n.changed_at <= moment then n.number else v.number end,
       n.number_key,
       case when n.changed_at <= moment then n.e164 else v.e164 end,
       case when n.changed_at <= moment then n.comment else v.comment end,
       case when n.changed_at <= moment then n.type else v.type end,
       t.title_en, t.title_ru,
       case when n.changed_at <= moment then n.purpose else v.purpose end,
       p.title_en, p.title_ru,
       case when n.changed_at <= moment then n.state else v.state end,
       s.title_en, s.title_ru,
       case when n.changed_at <= moment then n.reason else v.reason end,
       case when n.reason_since <= moment then n.state_since else h.state_since end,
       case when n.reason_since <= moment then n.state_since_earliest else h.state_since_earliest end,
       case when n.changed_at <= moment then n.scenario_id else v.scenario_id end,
       case when n.changed_at <= moment then n.group_scenario_id else v.group_scenario_id end,
       case when n.changed_at <= moment then n.group_id else v.group_id end,
       case when n.changed_at <= moment then n.is_scenario_active else v.is_scenario_active end,
       case when n.changed_at <= moment then n.is_group_scenario_active else v.is_group_scenario_active end,
       case when n.changed_at <= moment then n.employee_id else v.employee_id end,
       case when n.changed_at <= moment then n.dgn_number else v.dgn_number end,
       case when n.changed_at <= moment then n.redirect_number else v.redirect_number end,
       case when n.changed_at <= moment then n.region_id else v.region_id end,
       case when n.changed_at <= moment then n.region else v.region end,
       case when n.changed_at <= moment then n.app_id else v.app_id end,
       case when n.changed_at <= moment then n.nc_type else v.nc_type end,
       case when n.changed_at <= moment then n.sip_uri else v.sip_uri end,
       case when n.changed_at <= moment and n.removed_at is null then n.extra end,
       (select count(*) from analytics.redirect_history d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at,
       case when n.changed_at <= moment then n.changed_at else v.valid_from end,
       case when n.changed_at <= moment then n.changed_after else v.changed_after end,
       case when n.changed_at <= moment and n.removed_at is null and n.last_read_at <= moment then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since
            else (select m.missing_since from analytics.absences m
                   where m.account_id = n.account_id and m.virtual_number_id = n.virtual_number_id
                     and m.missing_since <= moment and m.ended_at > moment) end,
       case when n.reason_since <= moment then n.reason_since else h.valid_from end,
       case when n.reason_since <= moment then n.reason_since_earliest else h.changed_after end
  from analytics.numbers_all n
  join analytics.accounts a on a.account_id = n.account_id and a.observed_until >= moment
  left join lateral (
       select h.number, h.e164, h.comment, h.type, h.purpose, h.state, h.reason, h.scenario_id, h.group_scenario_id,
              h.group_id, h.is_scenario_active, h.is_group_scenario_active, h.employee_id, h.dgn_number,
              h.redirect_number, h.region_id, h.region, h.app_id, h.nc_type, h.sip_uri, h.valid_from,
              h.changed_after, h.valid_to
         from analytics.number_history h
        where h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id and h.valid_to is not null
          and h.valid_from <= case when n.changed_at > moment then moment end
        order by h.valid_from desc limit 1) v on true
  left join lateral (
       select distinct on (h.virtual_number_id) h.virtual_number_id, h.state_since, h.state_since_earliest,
              h.valid_from, h.changed_after
         from analytics.state_history h
        where h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id and h.valid_to is not null
          and h.valid_from <= case when n.reason_since > moment then moment end
        order by h.virtual_number_id, h.valid_from desc limit 1) h
    on h.virtual_number_id = n.virtual_number_id
  left join analytics.states s on s.state = case when n.changed_at <= moment then n.state else v.state end
  left join analytics.types t on t.type = case when n.changed_at <= moment then n.type else v.type end
  left join analytics.purposes p on p.purpose = case when n.changed_at <= moment then n.purpose else v.purpose end
 where case when n.changed_at <= moment then n.removed_at is null or n.removed_at > moment
            else v.valid_to > moment end;
end;

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
comment on view analytics.assignments is
    'A row for each unbroken time in which a number was assigned to one employee; example: select employee_id, number, '
    'valid_from from analytics.assignments where is_current order by employee_id';
comment on view analytics.redirect_paths is
    'Where calls end up now: a row for each number whose calls are forwarded, followed to the end of the chain; accounts that '
    'are polled no more are left out; example: select number, path, target_state from analytics.redirect_paths '
    'where not works';
comment on view analytics.absences is
    'A row for each time in which the vendor did not list a number that was not removed, since revision 0009; example: '
    'select number, missing_since, ended_by from analytics.absences where missing_since > now() - interval ''7 days''';
comment on view analytics.register is
    'The numbers that are listed now, with the columns for a printed list, in words; undocumented words are as the vendor '
    'writes them; example: select number, state_title_en, region from analytics.register order by number';
do $$
declare
    one record;
begin
    -- As in numbers and number_history, where a column means the same.
    for one in select c.view, a.attname,
                      coalesce(col_description('analytics.numbers'::regclass, n.attnum),
                               col_description('analytics.number_history'::regclass, h.attnum)) as comment
                 from unnest(array['assignments', 'redirect_paths', 'absences', 'register']) c (view)
                 join pg_attribute a on a.attrelid = format('analytics.%I', c.view)::regclass and a.attnum > 0
                 left join pg_attribute n on n.attrelid = 'analytics.numbers'::regclass and n.attname = a.attname
                 left join pg_attribute h on h.attrelid = 'analytics.number_history'::regclass and h.attname = a.attname
                where coalesce(n.attnum, h.attnum) is not null loop
        execute format('comment on column analytics.%I.%I is %L', one.view, one.attname, one.comment);
    end loop;
end
$$;
do $$
declare
    one record;
begin
    for one in
        select c.view, c.name, c.comment
          from (values
            ('assignments', 'employee_id', 'The employee; example: 125'),
            ('assignments', 'valid_from', 'When the number was assigned to the employee: when that was first seen; '
             'example: 2026-03-01 12:05:00+03'),
            ('assignments', 'valid_to', 'When that ended; null while it lasts; example: 2026-03-04 09:05:00+03'),
            ('assignments', 'is_current', 'Whether the employee has the number now; example: true'),
            ('assignments', 'duration_seconds', 'How long the employee has or had the number, in seconds, until '
             'observed_until of the account if that has not ended; example: 259200 (three days)'),
            ('assignments', 'closed_run_id', 'The poll that recorded its end; null while it lasts; example: 1907'),
            ('assignments', 'began_by', 'How it began: created or restored, with its number, or changed; example: changed'),
            ('assignments', 'ended_by', 'How it ended: changed, or removed, with its number; null while it lasts; '
             'example: changed'),
            ('redirect_paths', 'virtual_number_id', 'The vendor''s id of the number whose calls are forwarded; '
             'example: 249'),
            ('redirect_paths', 'number', 'The number whose calls are forwarded; example: 74994088157'),
            ('redirect_paths', 'number_key', 'Its number_key; null if numbers has no row for it; example: 1:249'),
            ('redirect_paths', 'target_number_id', 'The vendor''s id of the number at which its calls end up; '
             'example: 250'),
            ('redirect_paths', 'target_number', 'The number at which its calls end up, or at which a loop closes; '
             'example: 79208547433'),
            ('redirect_paths', 'target_key', 'number_key of that number; example: 1:250'),
            ('redirect_paths', 'target_state', 'State of that number, as the vendor names it; example: debt_lock'),
            ('redirect_paths', 'target_state_title_en', 'State of that number, in English; example: Locked for debt'),
            ('redirect_paths', 'target_state_title_ru', 'State of that number, in Russian; example: блокировка за долг'),
            ('redirect_paths', 'hops', 'How many times a call is forwarded, at most 16; example: 1'),
            ('redirect_paths', 'path', 'The numbers on the way; example: 74994088157 → 79208547433'),
            ('redirect_paths', 'is_loop', 'Whether the way leads back to a number on it; example: false'),
            ('redirect_paths', 'works', 'Whether it ends at an active number; example: true'),
            ('absences', 'missing_since', 'Time of the first successful poll that did not list the number; '
             'example: 2026-03-01 12:05:00+03'),
            ('absences', 'ended_at', 'When it was listed again, or when its removal was recorded; null while it is missing; '
             'example: 2026-03-02 12:05:00+03'),
            ('absences', 'is_current', 'Whether it is missing now, and not removed; example: false'),
            ('absences', 'ended_by', 'returned, or removed: then the number is removed as of missing_since; null while it is '
             'missing; example: returned'),
            ('absences', 'duration_seconds', 'How long it was missing and not removed, in seconds, until observed_until of '
             'the account if that has not ended; example: 86400'),
            ('absences', 'run_id', 'The poll that first missed it, which may have been deleted since; null before revision '
             '0009; example: 1834'),
            ('absences', 'closed_run_id', 'The poll that listed it again, which may have been deleted since, or that '
             'recorded its removal; null while it is missing; example: 1907'),
            ('absences', 'began_day', 'The day of missing_since in the account''s time zone; example: 2026-03-01'),
            ('register', 'days_in_state', 'Days since state_since, rounded; example: 12'),
            ('register', 'redirected_to', 'The number that calls are redirected to; example: 74994088157'),
            ('register', 'redirected_from', 'The numbers whose calls are redirected to this one; example: '
             '74994088157, 74994088158'),
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
          from unnest(array['number_history', 'state_history', 'state_spells', 'redirects', 'redirect_history',
                            'assignments']) v (view)
         union all
        select v.view, 'duration_seconds', 'Length of the period in seconds, until observed_until of the account for a '
               'current one; example: 259200 (three days)'
          from unnest(array['state_history', 'redirects', 'redirect_history']) v (view)
         union all
        select v.view, 'number_now', 'The phone number as it is now; found by an index; example: 79208547433'
          from unnest(array['number_history', 'state_history', 'state_spells', 'state_changes', 'redirects',
                            'redirect_history', 'changes', 'assignments', 'absences']) v (view)
         union all
        select v.view, c.name, format(c.comment, v.moment)
          from (values ('state_history', 'when the period began'), ('state_spells', 'when it came into the state'),
                       ('state_changes', 'after the change'), ('redirects', 'when the redirect began'),
                       ('redirect_history', 'when the redirect began'), ('assignments', 'when the assignment began'),
                       ('absences', 'before it was missing'),
                       ('changes', 'after the change, or before it was removed')) v (view, moment)
         cross join (values
            ('number', 'The phone number %s, as the vendor writes it; example: 79208547433'),
            ('type', 'Type of the number %s, as the vendor names it; example: def (mobile)'),
            ('purpose', 'Whom the number served %s, as the vendor names it; example: company'),
            ('region', 'Region of the number %s, as the vendor names it; example: Брянская область'),
            ('employee_id', 'Employee the number was assigned to %s; example: 125')) c (name, comment)
         where v.view <> 'assignments' or c.name <> 'employee_id'
    loop
        execute format('comment on column analytics.%I.%I is %L', one.view, one.name, one.comment);
    end loop;
end
$$;

comment on column analytics.assignments.changed_after is
    'The employee was assigned after this time and no later than valid_from; null if the account''s first non-empty '
    'response had it so; example: 2026-03-01 12:00:00+03';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.changes_cursor, analytics.assignments, analytics.redirect_paths, analytics.absences,
            analytics.register to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.account_zone, analytics.changes_cursor, analytics.assignments, analytics.redirect_paths,
            analytics.absences, analytics.register to syncer_daemon;
    end if;
end
$$;
