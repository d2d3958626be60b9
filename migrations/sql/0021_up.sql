-- What 0021_down.sql reverts. Names behind the ids of employees, groups and scenarios, from the vendor's own lists. A list
-- is not a poll: its absence, or that of an id in it, ends nothing, since an employee who left is still whom an id meant.
create table syncer.name (
    account_id integer not null references syncer.account,
    list text not null,
    object_id bigint not null,
    name text,
    position text,
    scenario_type text,
    target_list text,
    target_id bigint,
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    changed_after timestamptz,
    unlisted_since timestamptz,
    primary key (account_id, list, object_id)
);
create table syncer.name_history (
    account_id integer not null references syncer.account,
    list text not null,
    object_id bigint not null,
    name text,
    position text,
    scenario_type text,
    target_list text,
    target_id bigint,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    changed_after timestamptz,
    closed_after timestamptz not null,
    primary key (account_id, list, object_id, valid_from)
);
create trigger closed_stays_closed before update on syncer.name_history
    for each row execute function syncer.refuse_rewrite();
create table syncer.name_list (
    account_id integer not null references syncer.account,
    list text not null,
    due_at timestamptz,
    lease_holder text,
    lease_until timestamptz,
    attempted_at timestamptz,
    success_at timestamptz,
    body_digest bytea,
    received integer,
    skipped integer,
    outcome text,
    error_kind text,
    error text,
    http_status integer,
    primary key (account_id, list)
);

alter table syncer.erasure
    add employee_id bigint,
    add comment_hashes bytea[],
    drop constraint erasure_subject_check,
    add constraint erasure_subject_check
        check (virtual_number_id is not null or number_hash is not null or employee_id is not null);

comment on table syncer.name is
    'What the vendor''s lists call an employee, a group or a scenario now, or called it when they last had it';
comment on column syncer.name.account_id is 'The account';
comment on column syncer.name.list is
    'The vendor''s list that has it: employees, groups, employee_groups, scenarios or group_scenarios';
comment on column syncer.name.object_id is 'The vendor''s id in that list';
comment on column syncer.name.name is 'Name; null of scenarios, which have none, and if it was erased';
comment on column syncer.name.position is 'An employee''s position; null if none is given, of others, and if it was erased';
comment on column syncer.name.scenario_type is
    'What a scenario does with a call, as the vendor names it; varies if its working shifts differ; null of others';
comment on column syncer.name.target_list is
    'Whom a scenario leads a call to: employees or employee_groups; null if to neither, or if its working shifts differ';
comment on column syncer.name.target_id is 'The vendor''s id of that employee or group of employees';
comment on column syncer.name.first_seen_at is 'When the id was first seen in the list';
comment on column syncer.name.changed_at is 'When it was first seen as it is now';
comment on column syncer.name.changed_after is 'It became so after this time; null if the first list that was read had it';
comment on column syncer.name.unlisted_since is
    'Since when the list has not had it, which changes nothing else; null while it has';
comment on table syncer.name_history is 'What the vendor''s lists called an employee, a group or a scenario before';
comment on column syncer.name_history.account_id is 'The account';
comment on column syncer.name_history.list is
    'The vendor''s list that has it: employees, groups, employee_groups, scenarios or group_scenarios';
comment on column syncer.name_history.object_id is 'The vendor''s id in that list';
comment on column syncer.name_history.name is 'Name; null of scenarios, which have none, and if it was erased';
comment on column syncer.name_history.position is
    'An employee''s position; null if none is given, of others, and if it was erased';
comment on column syncer.name_history.scenario_type is
    'What a scenario does with a call, as the vendor names it; varies if its working shifts differ; null of others';
comment on column syncer.name_history.target_list is
    'Whom a scenario leads a call to: employees or employee_groups; null if to neither, or if its working shifts differ';
comment on column syncer.name_history.target_id is 'The vendor''s id of that employee or group of employees';
comment on column syncer.name_history.valid_from is 'When it was first seen so';
comment on column syncer.name_history.valid_to is 'When it was first seen otherwise';
comment on column syncer.name_history.changed_after is
    'It became so after this time; null if the first list that was read had it';
comment on column syncer.name_history.closed_after is 'It ceased to be so after this time';
comment on table syncer.name_list is 'When each list of names was read, and is to be read';
comment on column syncer.name_list.account_id is 'The account';
comment on column syncer.name_list.list is
    'The vendor''s list that has it: employees, groups, employee_groups, scenarios or group_scenarios';
comment on column syncer.name_list.due_at is 'When the list is to be read next; null if no daemon reads it';
comment on column syncer.name_list.lease_holder is 'The process that is reading it, or was the last';
comment on column syncer.name_list.lease_until is 'Until when no other process reads it';
comment on column syncer.name_list.attempted_at is 'When it was last asked for; null if it never was';
comment on column syncer.name_list.success_at is 'When it was last read: the time before the request; null if it never was';
comment on column syncer.name_list.body_digest is 'Keyed hash of the response that was last read';
comment on column syncer.name_list.received is 'Records of the response that was last read';
comment on column syncer.name_list.skipped is 'Those of them that were not stored: without an id, or with a broken name';
comment on column syncer.name_list.outcome is 'How the last attempt ended: read, unchanged or failed';
comment on column syncer.name_list.error_kind is 'Kind of the error of the last attempt; null if it did not fail';
comment on column syncer.name_list.error is 'That error in one line';
comment on column syncer.name_list.http_status is 'Status of the last answer; null if there was none';
comment on table syncer.erasure is
    'Personal data that were erased: each row keeps a number or a name from being stored again';
comment on column syncer.erasure.kind is 'number or employee: on request; age: a number that was removed long ago';
comment on column syncer.erasure.virtual_number_id is
    'The vendor''s id of the erased number; null if only other numbers mentioned it, and of an employee';
comment on column syncer.erasure.lifted_at is 'Since when it is stored again; null while it is not';
comment on column syncer.erasure.employee_id is 'The vendor''s id of the employee whose name was erased; null of numbers';
comment on column syncer.erasure.comment_hashes is
    'Keyed hashes of the comments that were erased with an employee; null if comments were kept';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.name, syncer.name_list to syncer_daemon;
        grant select, insert on syncer.name_history to syncer_daemon;
    end if;
end
$$;

-- Views ---------------------------------------------------------------------------------------------------------------

-- What an id is called at some moment is in the first version that ends after it: the first one that is known reaches back,
-- since names were read later than numbers.
create view syncer.name_version as
select account_id, list, object_id, name, position, scenario_type, target_list, target_id, valid_from, valid_to,
       changed_after, closed_after
  from syncer.name_history
 union all
select account_id, list, object_id, name, position, scenario_type, target_list, target_id, changed_at, null,
       changed_after, null
  from syncer.name;

create function syncer.scenario_type_title(scenario_type text) returns text[] language sql immutable parallel safe
return case scenario_type
    when 'redirect_to_employee' then array['To an employee', 'На сотрудника']
    when 'redirect_to_employee_group' then array['To a group of employees', 'На группу сотрудников']
    when 'informer' then array['Announcement', 'Информатор']
    when 'duty_informer' then array['Duty announcement', 'Дежурный информатор']
    when 'duty' then array['Duty', 'Дежурный']
    when 'varies' then array['Differs by working shift', 'Зависит от смены']
end;

create function syncer.name_list_title(list text) returns text[] language sql immutable parallel safe
return case list
    when 'employees' then array['Employees', 'Сотрудники']
    when 'groups' then array['Groups of numbers', 'Группы номеров']
    when 'employee_groups' then array['Groups of employees', 'Группы сотрудников']
    when 'scenarios' then array['Scenarios of numbers', 'Сценарии номеров']
    when 'group_scenarios' then array['Scenarios of groups', 'Сценарии групп']
end;

create function syncer.name_outcome_title(outcome text) returns text[] language sql immutable parallel safe
return case outcome
    when 'read' then array['Read', 'Прочитан']
    when 'unchanged' then array['Unchanged', 'Без изменений']
    when 'failed' then array['Failed', 'Сбой']
end;

-- As named now.
create or replace view analytics.numbers_all as
select n.account_id, k.account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       n.state_since, n.state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id)::integer as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at,
       n.reason_since, n.reason_since_earliest, k.retired_at,
       e.name as employee, e.position as employee_position, g.name as group_name, c.scenario_type as scenario_type,
       (syncer.scenario_type_title(c.scenario_type))[1] as scenario_type_title_en,
       (syncer.scenario_type_title(c.scenario_type))[2] as scenario_type_title_ru, c.target_id as scenario_target_id,
       ct.name as scenario_target, gc.scenario_type as group_scenario_type,
       (syncer.scenario_type_title(gc.scenario_type))[1] as group_scenario_type_title_en,
       (syncer.scenario_type_title(gc.scenario_type))[2] as group_scenario_type_title_ru, gc.target_id as
       group_scenario_target_id, gct.name as group_scenario_target
  from syncer.virtual_number n
  left join syncer.account_known k using (account_id)
  left join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id)
  left join syncer.name e on e.account_id = n.account_id and e.list = 'employees' and e.object_id = n.employee_id
  left join syncer.name g on g.account_id = n.account_id and g.list = 'groups' and g.object_id = n.group_id
  left join syncer.name c on c.account_id = n.account_id and c.list = 'scenarios' and c.object_id = n.scenario_id
  left join syncer.name ct on ct.account_id = c.account_id and ct.list = c.target_list and ct.object_id = c.target_id
  left join syncer.name gc
    on gc.account_id = n.account_id and gc.list = 'group_scenarios' and gc.object_id = n.group_scenario_id
  left join syncer.name gct
    on gct.account_id = gc.account_id and gct.list = gc.target_list and gct.object_id = gc.target_id;

create or replace view analytics.numbers as
select account_id, account, virtual_number_id, number, number_key, e164, comment, type, type_title_en, type_title_ru,
       purpose, purpose_title_en, purpose_title_ru, state, state_title_en, state_title_ru, reason, state_since,
       state_since_earliest, scenario_id, group_scenario_id, group_id, is_scenario_active, is_group_scenario_active,
       employee_id, dgn_number, redirect_number, region_id, region, app_id, nc_type, sip_uri, extra, redirect_count,
       first_seen_at, changed_at, changed_after, last_read_at, missing_since, reason_since,
       reason_since_earliest,
       employee, employee_position, group_name, scenario_type, scenario_type_title_en, scenario_type_title_ru,
       scenario_target_id, scenario_target, group_scenario_type, group_scenario_type_title_en, group_scenario_type_title_ru,
       group_scenario_target_id, group_scenario_target
  from analytics.numbers_all where removed_at is null and retired_at is null;

-- As named when the version ended.
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
       syncer.local_day(v.valid_from, z.zone) as began_day, v.began_by, v.ended_by,
       (syncer.began_by_title(v.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(v.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(v.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(v.ended_by))[2] as ended_by_title_ru,
       e.name as employee, e.position as employee_position, g.name as group_name, c.scenario_type as scenario_type,
       (syncer.scenario_type_title(c.scenario_type))[1] as scenario_type_title_en,
       (syncer.scenario_type_title(c.scenario_type))[2] as scenario_type_title_ru, c.target_id as scenario_target_id,
       ct.name as scenario_target, gc.scenario_type as group_scenario_type,
       (syncer.scenario_type_title(gc.scenario_type))[1] as group_scenario_type_title_en,
       (syncer.scenario_type_title(gc.scenario_type))[2] as group_scenario_type_title_ru, gc.target_id as
       group_scenario_target_id, gct.name as group_scenario_target
  from syncer.number_version v
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.account_zone z on z.account_id = v.account_id::bigint
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  left join syncer.number_state s on s.state = v.state
  left join syncer.region r on r.region_id = v.region_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name, p.position
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = 'employees' and p.object_id = v.employee_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) e
    on e.object_id = v.employee_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = 'groups' and p.object_id = v.group_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) g
    on g.object_id = v.group_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.scenario_type, p.target_list, p.target_id
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = 'scenarios' and p.object_id = v.scenario_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) c
    on c.object_id = v.scenario_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = c.target_list and p.object_id = c.target_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) ct
    on ct.object_id = c.target_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.scenario_type, p.target_list, p.target_id
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = 'group_scenarios' and p.object_id = v.group_scenario_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) gc
    on gc.object_id = v.group_scenario_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from syncer.name_version p
        where p.account_id = v.account_id and p.list = gc.target_list and p.object_id = gc.target_id
          and coalesce(p.valid_to, 'infinity') >= coalesce(v.valid_to, 'infinity')
        order by p.object_id, p.valid_to limit 1) gct
    on gct.object_id = gc.target_id;

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
       syncer.local_day(h.valid_from, z.zone) as began_day,
       w.title_en as to_state_title_en, w.title_ru as to_state_title_ru,
       (syncer.ended_by_title(h.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(h.ended_by))[2] as ended_by_title_ru,
       case when n.changed_at = h.valid_from then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = h.valid_from then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = h.valid_from then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = h.valid_from then pn.title_ru else pv.title_ru end as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = h.account_id and p.list = 'employees' and p.object_id = case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end
           and coalesce(p.valid_to, 'infinity') > h.valid_from
         order by p.valid_to limit 1) as employee
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from = h.valid_from
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint
  left join syncer.number_state s on s.state = h.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
  left join syncer.number_state w on w.state = h.to_state
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose;

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
       syncer.local_day(s.state_since, z.zone) as began_day,
       (syncer.began_by_title(s.state_began_by))[1] as began_by_title_en,
       (syncer.began_by_title(s.state_began_by))[2] as began_by_title_ru,
       f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       (syncer.ended_by_title(s.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(s.ended_by))[2] as ended_by_title_ru,
       w.title_en as to_state_title_en, w.title_ru as to_state_title_ru,
       case when n.changed_at = s.state_since then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = s.state_since then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = s.state_since then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = s.state_since then pn.title_ru else pv.title_ru end as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = s.account_id and p.list = 'employees' and p.object_id = case when n.changed_at = s.state_since then n.employee_id else v.employee_id end
           and coalesce(p.valid_to, 'infinity') > s.state_since
         order by p.valid_to limit 1) as employee
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = s.account_id and v.virtual_number_id = s.virtual_number_id and v.valid_from = s.state_since
  left join syncer.account_known k on k.account_id = s.account_id
  left join syncer.account_zone z on z.account_id = s.account_id::bigint
  left join syncer.number_state t on t.state = s.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
  left join syncer.number_state f on f.state = s.from_state
  left join syncer.number_state w on w.state = s.to_state
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose;

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
       syncer.local_day(b.valid_to, z.zone) as changed_day,
       case when n.changed_at = b.valid_to then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = b.valid_to then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = b.valid_to then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = b.valid_to then pn.title_ru else pv.title_ru end as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = b.account_id and p.list = 'employees' and p.object_id = case when n.changed_at = b.valid_to then n.employee_id else v.employee_id end
           and coalesce(p.valid_to, 'infinity') > b.valid_to
         order by p.valid_to limit 1) as employee
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
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose
 where b.ended_by = 'changed';

create or replace view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, v.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id, n.number as number_now, v.type, v.purpose,
       r.name as region, v.employee_id, syncer.local_day(d.valid_from, z.zone) as began_day,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = d.account_id and p.list = 'employees' and p.object_id = v.employee_id
           and coalesce(p.valid_to, 'infinity') > d.valid_from
         order by p.valid_to limit 1) as employee
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
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create or replace view analytics.redirects as
select account_id, account, virtual_number_id, number, number_key, redirect_number_id, redirect_from, redirect_from_key,
       valid_from, valid_to, is_current, duration_seconds, changed_after, closed_after, run_id, number_now, type,
       purpose, region, employee_id, began_day, type_title_en, type_title_ru, purpose_title_en,
       purpose_title_ru,
       employee
  from analytics.redirect_history where is_current;

-- As named at the time of the change.
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
           null::bigint as redirect_number_id, f.old_name, f.new_name
      from begun b
      left join syncer.region r on r.region_id = b.region_id
      left join syncer.region q on q.region_id = b.former_region_id
     -- Not a list of values: of these the planner leaves out the fields that nobody asks for.
     cross join lateral (
            select 'state' as field, b.former_state as old_value, b.state as new_value,
                   null as old_name, null as new_name
             union all select 'reason', b.former_reason, b.reason, null, null
             union all select 'number', b.former_number, b.number, null, null
             union all select 'comment', b.former_comment, b.comment, null, null
             union all select 'type', b.former_type, b.type, null, null
             union all select 'purpose', b.former_purpose, b.purpose, null, null
             union all select 'scenario_id', b.former_scenario_id::text, b.scenario_id::text, null, null
             union all select 'group_scenario_id', b.former_group_scenario_id::text, b.group_scenario_id::text, null, null
             union all select 'group_id', b.former_group_id::text, b.group_id::text,
                              (select p.name from syncer.name_version p
                                 where p.account_id = b.account_id and p.list = 'groups'
                                   and p.object_id = b.former_group_id
                                   and coalesce(p.valid_to, 'infinity') > b.valid_from
                                 order by p.valid_to limit 1),
                              (select p.name from syncer.name_version p
                                 where p.account_id = b.account_id and p.list = 'groups'
                                   and p.object_id = b.group_id
                                   and coalesce(p.valid_to, 'infinity') > b.valid_from
                                 order by p.valid_to limit 1)
             union all select 'is_scenario_active', b.former_is_scenario_active::text, b.is_scenario_active::text, null, null
             union all select 'is_group_scenario_active', b.former_is_group_scenario_active::text,
                              b.is_group_scenario_active::text, null, null
             union all select 'employee_id', b.former_employee_id::text, b.employee_id::text,
                              (select p.name from syncer.name_version p
                                 where p.account_id = b.account_id and p.list = 'employees'
                                   and p.object_id = b.former_employee_id
                                   and coalesce(p.valid_to, 'infinity') > b.valid_from
                                 order by p.valid_to limit 1),
                              (select p.name from syncer.name_version p
                                 where p.account_id = b.account_id and p.list = 'employees'
                                   and p.object_id = b.employee_id
                                   and coalesce(p.valid_to, 'infinity') > b.valid_from
                                 order by p.valid_to limit 1)
             union all select 'dgn_number', b.former_dgn_number, b.dgn_number, null, null
             union all select 'redirect_number', b.former_redirect_number, b.redirect_number, null, null
             union all select 'region', q.name, r.name, null, null
             union all select 'app_id', b.former_app_id::text, b.app_id::text, null, null
             union all select 'nc_type', b.former_nc_type, b.nc_type, null, null
             union all select 'sip_uri', b.former_sip_uri, b.sip_uri, null, null) f
     where case b.kind when 'created' then f.new_value is not null
                       when 'restored' then f.old_value is not null or f.new_value is not null
                       else f.old_value is distinct from f.new_value
                            and (b.kind = 'state') = (f.field in ('state', 'reason')) end
     union all
    select h.account_id, h.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           h.closed_run_id, h.valid_to, h.closed_after, 4, 'removed', null, null, null, null, null, null
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
           d.redirect_number_id, null, null
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
           d.redirect_number_id, null, null
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
       h.number_now, h.type, h.purpose, h.region, h.employee_id, syncer.local_day(h.changed_at, z.zone) as changed_day,
       (syncer.kind_title(h.kind))[1] as kind_title_en,
       (syncer.kind_title(h.kind))[2] as kind_title_ru,
       (syncer.field_title(h.field))[1] as field_title_en,
       (syncer.field_title(h.field))[2] as field_title_ru,
       -- Not joined: a part of the feed would look for what the number was then, also where nobody asks for it.
       (select t.title_en from syncer.number_type t where t.type = h.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = h.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_ru,
       case when h.employee_id is not null then
       (select p.name from syncer.name_version p
         where p.account_id = h.account_id and p.list = 'employees' and p.object_id = h.employee_id
           and coalesce(p.valid_to, 'infinity') > h.changed_at
         order by p.valid_to limit 1) end as employee, h.old_name, h.new_name
  from happened h
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint;

-- As named when the assignment ended.
create or replace view analytics.assignments as
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
       f.type, f.purpose, r.name as region, syncer.local_day(f.valid_from, z.zone) as began_day,
       (syncer.began_by_title(f.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(f.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(e.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(e.ended_by))[2] as ended_by_title_ru,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = e.account_id and p.list = 'employees' and p.object_id = e.employee_id
           and coalesce(p.valid_to, 'infinity') >= coalesce(e.valid_to, 'infinity')
         order by p.valid_to limit 1) as employee
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
  left join syncer.region r on r.region_id = f.region_id
  left join syncer.number_type t on t.type = f.type
  left join syncer.number_purpose p on p.purpose = f.purpose;

create or replace view analytics.absences as
select m.account_id, k.account, m.virtual_number_id, v.number,
       m.account_id || ':' || m.virtual_number_id as number_key, m.missing_since, m.ended_at,
       m.ended_at is null as is_current, m.ended_by,
       greatest(extract(epoch from coalesce(m.ended_at, k.known_until) - m.missing_since), 0) as duration_seconds,
       m.run_id, m.closed_run_id, n.number as number_now, v.type, v.purpose, r.name as region, v.employee_id,
       syncer.local_day(m.missing_since, z.zone) as began_day,
       (syncer.ended_by_title(m.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(m.ended_by))[2] as ended_by_title_ru,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       (select p.name from syncer.name_version p
         where p.account_id = m.account_id and p.list = 'employees' and p.object_id = v.employee_id
           and coalesce(p.valid_to, 'infinity') > m.missing_since
         order by p.valid_to limit 1) as employee
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
  left join syncer.region r on r.region_id = v.region_id
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose;

create or replace view analytics.register as
select n.account_id, n.account, n.virtual_number_id, n.number, n.number_key, n.e164, n.comment,
       coalesce(n.state_title_en, n.state) as state_title_en, coalesce(n.state_title_ru, n.state) as state_title_ru,
       n.reason, n.state_since, (extract(epoch from a.observed_until - n.state_since) / 86400)::integer as days_in_state,
       coalesce(n.type_title_en, n.type) as type_title_en, coalesce(n.type_title_ru, n.type) as type_title_ru,
       coalesce(n.purpose_title_en, n.purpose) as purpose_title_en,
       coalesce(n.purpose_title_ru, n.purpose) as purpose_title_ru, n.region, n.employee_id,
       n.redirect_number as redirected_to,
       (select string_agg(d.number, ', ' order by d.number) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id) as redirected_from,
       n.first_seen_at, n.missing_since,
       n.employee, n.employee_position, n.group_name
  from analytics.numbers n
  join analytics.accounts a using (account_id);

create view analytics.employees as
select m.account_id, k.account, m.object_id as employee_id, m.account_id || ':' || m.object_id as employee_key,
       m.name, m.position, m.first_seen_at, m.changed_at, m.changed_after, m.unlisted_since is null as is_listed,
       m.unlisted_since,
       coalesce(n.numbers, 0) as numbers
  from syncer.name m
  left join syncer.account_known k using (account_id)
  left join (select account_id, employee_id, count(*)::integer as numbers
               from syncer.virtual_number where removed_at is null group by account_id, employee_id) n
    on n.account_id = m.account_id and n.employee_id = m.object_id
 where m.list = 'employees';

create view analytics.groups as
select m.account_id, k.account, m.object_id as group_id, m.account_id || ':' || m.object_id as group_key,
       m.name, m.first_seen_at, m.changed_at, m.changed_after, m.unlisted_since is null as is_listed, m.unlisted_since,
       coalesce(n.numbers, 0) as numbers
  from syncer.name m
  left join syncer.account_known k using (account_id)
  left join (select account_id, group_id, count(*)::integer as numbers
               from syncer.virtual_number where removed_at is null group by account_id, group_id) n
    on n.account_id = m.account_id and n.group_id = m.object_id
 where m.list = 'groups';

create view analytics.name_history as
select v.account_id, k.account, v.list, (syncer.name_list_title(v.list))[1] as list_title_en,
       (syncer.name_list_title(v.list))[2] as list_title_ru, v.object_id,
       v.name, v.position, v.scenario_type, (syncer.scenario_type_title(v.scenario_type))[1] as scenario_type_title_en,
       (syncer.scenario_type_title(v.scenario_type))[2] as scenario_type_title_ru, v.target_list,
       (syncer.name_list_title(v.target_list))[1] as target_list_title_en,
       (syncer.name_list_title(v.target_list))[2] as target_list_title_ru, v.target_id,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after
  from syncer.name_version v
  left join syncer.account_known k using (account_id);

create view analytics.name_lists as
select l.account_id, k.account, l.list, (syncer.name_list_title(l.list))[1] as list_title_en,
       (syncer.name_list_title(l.list))[2] as list_title_ru, l.success_at as last_success_at,
       l.due_at is not null as is_read, l.attempted_at as last_attempt_at, l.outcome as last_outcome,
       (syncer.name_outcome_title(l.outcome))[1] as last_outcome_title_en,
       (syncer.name_outcome_title(l.outcome))[2] as last_outcome_title_ru, l.error_kind as last_error_kind,
       (syncer.error_kind_title(l.error_kind))[1] as last_error_kind_title_en,
       (syncer.error_kind_title(l.error_kind))[2] as last_error_kind_title_ru, l.error as last_error, l.received,
       l.skipped
  from syncer.name_list l
  left join syncer.account_known k using (account_id);

-- Replaced with `numbers`, whose columns it returns.
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
       case when n.reason_since <= moment then n.reason_since_earliest else h.changed_after end,
       e.name, e.position, g.name, c.scenario_type, (syncer.scenario_type_title(c.scenario_type))[1],
       (syncer.scenario_type_title(c.scenario_type))[2], c.target_id, ct.name, gc.scenario_type,
       (syncer.scenario_type_title(gc.scenario_type))[1], (syncer.scenario_type_title(gc.scenario_type))[2], gc.target_id,
       gct.name
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
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name, p.position
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = 'employees' and p.object_id = case when n.changed_at <= moment then n.employee_id else v.employee_id end
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) e
    on e.object_id = case when n.changed_at <= moment then n.employee_id else v.employee_id end
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = 'groups' and p.object_id = case when n.changed_at <= moment then n.group_id else v.group_id end
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) g
    on g.object_id = case when n.changed_at <= moment then n.group_id else v.group_id end
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.scenario_type, p.target_list, p.target_id
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = 'scenarios' and p.object_id = case when n.changed_at <= moment then n.scenario_id else v.scenario_id end
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) c
    on c.object_id = case when n.changed_at <= moment then n.scenario_id else v.scenario_id end
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = c.target_list and p.object_id = c.target_id
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) ct
    on ct.object_id = c.target_id
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.scenario_type, p.target_list, p.target_id
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = 'group_scenarios' and p.object_id = case when n.changed_at <= moment then n.group_scenario_id else v.group_scenario_id end
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) gc
    on gc.object_id = case when n.changed_at <= moment then n.group_scenario_id else v.group_scenario_id end
  left join lateral (
       select distinct on (p.object_id) p.object_id, p.name
         from analytics.name_history p
        where p.account_id = n.account_id and p.list = gc.target_list and p.object_id = gc.target_id
          and coalesce(p.valid_to, 'infinity') > moment
        order by p.object_id, p.valid_to limit 1) gct
    on gct.object_id = gc.target_id
 where case when n.changed_at <= moment then n.removed_at is null or n.removed_at > moment
            else v.valid_to > moment end;
end;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on view syncer.name_version is 'The versions of each name, the current one included';
comment on column syncer.name_version.account_id is 'The account';
comment on column syncer.name_version.list is 'The vendor''s list that has it';
comment on column syncer.name_version.object_id is 'The vendor''s id in that list';
comment on column syncer.name_version.name is 'Name; null of scenarios, and if it was erased';
comment on column syncer.name_version.position is 'An employee''s position';
comment on column syncer.name_version.scenario_type is 'What a scenario does with a call, or varies';
comment on column syncer.name_version.target_list is 'Whom a scenario leads a call to: employees or employee_groups';
comment on column syncer.name_version.target_id is 'The vendor''s id of that employee or group of employees';
comment on column syncer.name_version.valid_from is 'When it was first seen so';
comment on column syncer.name_version.valid_to is 'When it was first seen otherwise; null of the current version';
comment on column syncer.name_version.changed_after is 'It became so after this time; null if the first list had it';
comment on column syncer.name_version.closed_after is 'It ceased to be so after this time; null of the current version';
comment on function syncer.scenario_type_title(text) is
    'Title of what a scenario does with a call, in English and in Russian; null if unknown';
comment on function syncer.name_outcome_title(text) is
    'Title of how an attempt to read a list of names ended, in English and in Russian; null if unknown';
comment on function syncer.name_list_title(text) is 'Title of a list of names, in English and in Russian; null if unknown';

comment on view analytics.employees is
    E'A row for each employee that the vendor''s list has or had; a null name was erased; example: select name, position, '
    'numbers from analytics.employees where is_listed order by numbers desc\n'
    'Строка — сотрудник, который есть или был в списке оператора; name = null — имя удалено; пример: select name, position, '
    'numbers from analytics.employees where is_listed order by numbers desc';
comment on view analytics.groups is
    E'A row for each group of numbers that the vendor''s list has or had; example: select name, numbers from '
    'analytics.groups where is_listed order by name\n'
    'Строка — группа номеров, которая есть или была в списке оператора; пример: select name, numbers from '
    'analytics.groups where is_listed order by name';
comment on view analytics.name_history is
    E'A row for each name that an employee, a group or a scenario had, and when; example: select name, valid_from, valid_to '
    'from analytics.name_history where list = ''employees'' and object_id = 125\n'
    'Строка — имя сотрудника или группы или назначение сценария и время, когда оно было таким; пример: select name, '
    'valid_from, valid_to from analytics.name_history where list = ''employees'' and object_id = 125';
comment on view analytics.name_lists is
    E'A row for each list of names of an account: when it was last read, and what went wrong; example: select account, '
    'list, last_success_at, last_error from analytics.name_lists where is_read\n'
    'Строка — список имён личного кабинета: когда прочитан в последний раз и что пошло не так; пример: select account, '
    'list, last_success_at, last_error from analytics.name_lists where is_read';
do $$
declare
    one record;
begin
    -- A text of one view wins over the text for all.
    for one in
        with texts (view, name, english, russian, example) as (values
            (null, 'employee', 'Name of the employee, as of the same time as employee_id; null if it is not known or was '
             'erased', 'Имя сотрудника на тот же момент, что и employee_id; null, если неизвестно или удалено', 'Орлова Анна'),
            ('numbers', 'employee', 'Name of the employee now; null if it is not known or was erased',
             'Имя сотрудника сейчас; null, если неизвестно или удалено', 'Орлова Анна'),
            ('numbers_all', 'employee', 'Name of the employee now; null if it is not known or was erased',
             'Имя сотрудника сейчас; null, если неизвестно или удалено', 'Орлова Анна'),
            ('register', 'employee', 'Name of the employee now; null if it is not known or was erased',
             'Имя сотрудника сейчас; null, если неизвестно или удалено', 'Орлова Анна'),
            ('number_history', 'employee', 'Name of the employee when the version ended, or now; null if it is not known or '
             'was erased', 'Имя сотрудника в конце версии или сейчас; null, если неизвестно или удалено', 'Орлова Анна'),
            ('assignments', 'employee', 'Name of the employee when the assignment ended, or now; null if it is not known or '
             'was erased', 'Имя сотрудника в конце закрепления или сейчас; null, если неизвестно или удалено', 'Орлова Анна'),
            (null, 'employee_position', 'Position of the employee; null if none is known',
             'Должность сотрудника; null, если неизвестна', 'Менеджер'),
            (null, 'group_name', 'Name of the group of numbers; null if it is not known',
             'Название группы номеров; null, если неизвестно', 'Отдел продаж'),
            (null, 'scenario_type', 'What the incoming-call scenario does with a call, as the vendor names it; varies if its '
             'working shifts differ; null if it is not known', 'Что сценарий делает с вызовом, словами оператора; varies, если '
             'рабочие смены различаются; null, если неизвестно', 'redirect_to_employee'),
            (null, 'scenario_type_title_en', 'What the scenario does with a call, in English',
             'Что сценарий делает с вызовом, по-английски', 'To an employee'),
            (null, 'scenario_type_title_ru', 'What the scenario does with a call, in Russian',
             'Что сценарий делает с вызовом, по-русски', 'На сотрудника'),
            (null, 'scenario_target_id', 'The employee or the group of employees that the scenario leads a call to; null if '
             'there is none, or if its working shifts differ', 'Сотрудник или группа сотрудников, на которых сценарий направляет '
             'вызов; null, если их нет или рабочие смены различаются', '125'),
            (null, 'scenario_target', 'Name of that employee or group of employees; null if it is not known',
             'Имя этого сотрудника или название группы сотрудников; null, если неизвестно', 'Орлова Анна'),
            (null, 'group_scenario_type', 'What the scenario of the number''s group does with a call, as the vendor names it; '
             'varies if its working shifts differ; null if it is not known', 'Что сценарий группы делает с вызовом, словами '
             'оператора; varies, если рабочие смены различаются; null, если неизвестно', 'redirect_to_employee_group'),
            (null, 'group_scenario_type_title_en', 'What the group''s scenario does with a call, in English',
             'Что сценарий группы делает с вызовом, по-английски', 'To a group of employees'),
            (null, 'group_scenario_type_title_ru', 'What the group''s scenario does with a call, in Russian',
             'Что сценарий группы делает с вызовом, по-русски', 'На группу сотрудников'),
            (null, 'group_scenario_target_id', 'The employee or the group of employees that the group''s scenario leads a call '
             'to; null if there is none, or if its working shifts differ', 'Сотрудник или группа сотрудников, на которых '
             'сценарий группы направляет вызов; null, если их нет или рабочие смены различаются', '79'),
            (null, 'group_scenario_target', 'Name of that employee or group of employees; null if it is not known',
             'Имя этого сотрудника или название группы сотрудников; null, если неизвестно', 'Дежурная смена'),
            ('changes', 'old_name', 'What old_value was called, if the field is employee_id or group_id; null if it is not '
             'known or was erased', 'Имя или название для old_value, если поле — employee_id или group_id; null, если '
             'неизвестно или удалено', 'Орлова Анна'),
            ('changes', 'new_name', 'What new_value was called, if the field is employee_id or group_id; null if it is not '
             'known or was erased', 'Имя или название для new_value, если поле — employee_id или group_id; null, если '
             'неизвестно или удалено', 'Белов Игорь'),
            ('*', 'account_id', 'The account', 'Личный кабинет', '1'),
            ('*', 'account', 'Name of the account', 'Название личного кабинета', 'head office'),
            ('employees', 'employee_id', 'The vendor''s id of the employee', 'Номер сотрудника у оператора', '125'),
            ('employees', 'employee_key', 'account_id and employee_id, to join by one column',
             'account_id и employee_id, чтобы соединять по одному столбцу', '1:125'),
            ('employees', 'name', 'Name now, or when the list last had the employee; null if it was erased',
             'Имя сейчас или последнее известное; null, если удалено', 'Орлова Анна'),
            ('employees', 'position', 'Position; null if the list gives none, or it was erased',
             'Должность; null, если в списке её нет или она удалена', 'Менеджер'),
            ('groups', 'group_id', 'The vendor''s id of the group', 'Номер группы у оператора', '12'),
            ('groups', 'group_key', 'account_id and group_id, to join by one column',
             'account_id и group_id, чтобы соединять по одному столбцу', '1:12'),
            ('groups', 'name', 'Name now, or when the list last had the group', 'Название сейчас или последнее известное',
             'Отдел продаж'),
            ('*', 'first_seen_at', 'When the list was first seen to have it', 'Когда впервые замечено в списке',
             '2026-03-01 10:00:07+03'),
            ('*', 'changed_at', 'When it was first seen as it is now', 'С какого момента замечено таким, как сейчас',
             '2026-03-01 10:00:07+03'),
            ('*', 'changed_after', 'It became so after this time; null if the first list that was read had it',
             'Стало таким после этого момента; null, если так было уже в первом прочитанном списке', '2026-03-01 09:00:07+03'),
            ('*', 'is_listed', 'Whether the newest list has it', 'Есть ли в последнем прочитанном списке', 'true'),
            ('*', 'unlisted_since', 'Since when the list has not had it; null while it has',
             'С какого момента его нет в списке; null, пока есть', '2026-05-04 11:00:02+03'),
            ('employees', 'numbers', 'Numbers that are assigned to the employee now', 'Номеров закреплено сейчас', '2'),
            ('groups', 'numbers', 'Numbers that the group has now', 'Номеров в группе сейчас', '5'),
            ('*', 'list', 'employees, groups, employee_groups, scenarios or group_scenarios',
             'employees, groups, employee_groups, scenarios или group_scenarios', 'employees'),
            ('*', 'list_title_en', 'Title of the list, in English', 'Название списка по-английски', 'Employees'),
            ('*', 'list_title_ru', 'Title of the list, in Russian', 'Название списка по-русски', 'Сотрудники'),
            ('name_history', 'object_id', 'The vendor''s id in that list', 'Номер в этом списке у оператора', '125'),
            ('name_history', 'name', 'Name; null of scenarios, which have none, and if it was erased',
             'Имя или название; null у сценариев, у которых его нет, и если удалено', 'Орлова Анна'),
            ('name_history', 'position', 'An employee''s position; null of others, and if none is known',
             'Должность сотрудника; null у остальных и если неизвестна', 'Менеджер'),
            ('name_history', 'target_list', 'Whom a scenario leads a call to: employees or employee_groups; null of others',
             'На кого сценарий направляет вызов: employees или employee_groups; null у остальных', 'employees'),
            ('name_history', 'target_list_title_en', 'Title of that list, in English', 'Название этого списка по-английски',
             'Employees'),
            ('name_history', 'target_list_title_ru', 'Title of that list, in Russian', 'Название этого списка по-русски',
             'Сотрудники'),
            ('name_history', 'target_id', 'The vendor''s id of that employee or group of employees',
             'Номер этого сотрудника или группы сотрудников у оператора', '125'),
            ('name_history', 'valid_from', 'When it was first seen so', 'Когда впервые замечено таким',
             '2026-03-01 10:00:07+03'),
            ('name_history', 'valid_to', 'When it was first seen otherwise; null while it is so',
             'Когда впервые замечено другим; null, пока такое', '2026-05-04 11:00:02+03'),
            ('name_history', 'is_current', 'Whether it is so now', 'Такое ли сейчас', 'false'),
            ('name_history', 'closed_after', 'It ceased to be so after this time; null while it is so',
             'Перестало быть таким после этого момента; null, пока такое', '2026-05-04 10:00:02+03'),
            ('name_lists', 'last_success_at', 'When the list was last read; null if it never was',
             'Когда список прочитан в последний раз; null, если ни разу', '2026-05-04 11:00:02+03'),
            ('name_lists', 'is_read', 'Whether a daemon reads it', 'Читает ли его служба', 'true'),
            ('name_lists', 'last_attempt_at', 'When it was last asked for; null if it never was',
             'Когда его запрашивали в последний раз; null, если ни разу', '2026-05-04 11:00:02+03'),
            ('name_lists', 'last_outcome', 'How the last attempt ended: read, unchanged or failed',
             'Итог последней попытки: read, unchanged или failed', 'unchanged'),
            ('name_lists', 'last_outcome_title_en', 'How the last attempt ended, in English',
             'Итог последней попытки по-английски', 'Unchanged'),
            ('name_lists', 'last_outcome_title_ru', 'How the last attempt ended, in Russian',
             'Итог последней попытки по-русски', 'Без изменений'),
            ('name_lists', 'last_error_kind', 'Kind of the error of the last attempt; null if it did not fail',
             'Вид ошибки последней попытки; null, если её не было', 'forbidden'),
            ('name_lists', 'last_error_kind_title_en', 'Kind of that error, in English', 'Вид этой ошибки по-английски',
             'Access denied'),
            ('name_lists', 'last_error_kind_title_ru', 'Kind of that error, in Russian', 'Вид этой ошибки по-русски',
             'Доступ запрещён'),
            ('name_lists', 'last_error', 'That error in one line', 'Эта ошибка одной строкой',
             'the token may not read /employee'),
            ('name_lists', 'received', 'Records of the list that was last read', 'Записей в последнем прочитанном списке', '48'),
            ('name_lists', 'skipped', 'Those of them that were not stored: without an id, or with a broken name',
             'Из них не сохранено: без номера или с испорченным именем', '0')
        )
        select distinct on (c.oid, a.attnum) c.oid::regclass as view, a.attname,
               format(E'%s; example: %s\n%s; пример: %2$s', t.english, t.example, t.russian) as comment
          from texts t
          join pg_class c on c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
          join pg_attribute a on a.attrelid = c.oid and a.attname = t.name
         where (t.view is null or t.view = c.relname
                or t.view = '*' and c.relname in ('employees', 'groups', 'name_history', 'name_lists'))
           and col_description(c.oid, a.attnum) is null
         order by c.oid, a.attnum, t.view nulls last, t.view = '*'
    loop
        execute format('comment on column %s.%I is %L', one.view, one.attname, one.comment);
    end loop;
    for one in select c.oid::regclass as view
                 from pg_class c
                where c.oid in ('analytics.employees'::regclass, 'analytics.groups'::regclass,
                                'analytics.name_history'::regclass, 'analytics.name_lists'::regclass) loop
        if exists (select from pg_roles where rolname = 'syncer_analyst') then
            execute format('grant select on %s to syncer_analyst', one.view);
        end if;
        if exists (select from pg_roles where rolname = 'syncer_daemon') then
            execute format('grant select on %s to syncer_daemon', one.view);
        end if;
    end loop;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.name_version to syncer_daemon;
    end if;
end
$$;
