-- Reverts 0012_up.sql.

-- A view can lose a column only by being created again, and its comments and grants with it.
create temporary table restored on commit drop as
select unnest(array['analytics.number_history'::regclass, 'analytics.state_history'::regclass, 'analytics.state_spells'::regclass, 'analytics.state_changes'::regclass, 'analytics.redirect_history'::regclass, 'analytics.redirects'::regclass, 'analytics.changes'::regclass]) as relation;
create temporary table described on commit drop as
select relation::text, a.attname, d.description
  from restored
  join pg_description d on d.objoid = relation and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = relation and a.attnum = d.objsubid and a.attnum > 0;
create temporary table granted on commit drop as
select relation::text, g.grantee::regrole as role, g.privilege_type
  from restored
  join pg_class c on c.oid = relation
 cross join lateral aclexplode(c.relacl) g
 where g.grantee <> c.relowner;
create temporary table function_comment on commit drop as
select obj_description('analytics.numbers_as_of(timestamptz)'::regprocedure, 'pg_proc') as description;
drop table restored;

drop function analytics.changes_since(jsonb);
drop view analytics.changes_cursor;
drop function analytics.numbers_as_of(timestamptz);
drop view analytics.changes;
drop view analytics.redirects;
drop view analytics.redirect_history;
drop view analytics.state_changes;
drop view analytics.state_spells;
drop view analytics.state_history;
drop view analytics.number_history;
drop function syncer.local_day(timestamptz, text);
drop view syncer.account_zone;

create view analytics.number_history as
select v.account_id, a.name as account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id
  from syncer.number_version v
  left join syncer.account a using (account_id)
  left join syncer.region r using (region_id);

create view analytics.state_history as
select h.account_id, k.account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, k.known_until) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state,
       h.ended_by
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.number_state s on s.state = h.state;

create view analytics.state_spells as
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
       (select p.reason from syncer.state_period p
         where p.account_id = s.account_id and p.virtual_number_id = s.virtual_number_id
           and p.valid_from = s.state_since) as first_reason,
       s.reason as last_reason, s.state_since as valid_from, s.valid_to, s.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(s.valid_to, k.known_until) - s.state_since), 0) as duration_seconds,
       s.state_began_by as began_by, s.from_state, s.ended_by, s.to_state,
       s.state_since_earliest as changed_after, s.closed_after, s.closed_run_id
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.number_state t on t.state = s.state;

create view analytics.state_changes as
select b.account_id, a.name as account, b.virtual_number_id, n.number,
       b.account_id || ':' || b.virtual_number_id as number_key,
       b.valid_to as changed_at, b.closed_after as changed_after,
       b.state as from_state, f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       b.to_state, t.title_en as to_state_title_en, t.title_ru as to_state_title_ru,
       b.reason as from_reason,
       (select h.reason from syncer.state_period h
         where h.account_id = b.account_id and h.virtual_number_id = b.virtual_number_id
           and h.valid_from = b.valid_to) as to_reason,
       b.closed_run_id as run_id
  from syncer.state_history b
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  left join syncer.number_state f on f.state = b.state
  left join syncer.number_state t on t.state = b.to_state
 where b.ended_by = 'changed';

create view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.redirect_period d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create view analytics.redirects as
select account_id, account, virtual_number_id, number, number_key, redirect_number_id, redirect_from, redirect_from_key,
       valid_from, valid_to, is_current, duration_seconds, changed_after, closed_after, run_id
  from analytics.redirect_history where is_current;

create view analytics.changes as
with listings as not materialized (
    select n.number as called, v.began_by, v.account_id, v.virtual_number_id, v.run_id, v.valid_from, v.changed_after,
           v.state, v.reason, v.number, v.comment, v.type, v.purpose, v.scenario_id, v.group_scenario_id, v.group_id,
           v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number,
           v.region_id, v.app_id, v.nc_type, v.sip_uri
      from syncer.virtual_number_history v
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where v.began_by <> 'changed'
     union all
    select n.number, case when n.changed_at = n.first_seen_at then 'created' else 'restored' end, n.account_id,
           n.virtual_number_id, r.run_id, n.changed_at, n.changed_after,
           n.state, n.reason, n.number, n.comment, n.type, n.purpose, n.scenario_id, n.group_scenario_id, n.group_id,
           n.is_scenario_active, n.is_group_scenario_active, n.employee_id, n.dgn_number, n.redirect_number,
           n.region_id, n.app_id, n.nc_type, n.sip_uri
      from syncer.virtual_number n
      join syncer.sync_run r
        on r.account_id = n.account_id and r.run_id = n.run_id
       and n.listed_since >= r.started_at and n.listed_since <= r.finished_at
     where n.changed_at = n.listed_since and n.removed_at is null
), replacements as not materialized (
    select n.number as called, v.account_id, v.virtual_number_id, p.closed_run_id as run_id, p.valid_to,
           p.closed_after,
           v.state, v.reason, v.number, v.comment, v.type, v.purpose, v.scenario_id, v.group_scenario_id, v.group_id,
           v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number,
           v.region_id, v.app_id, v.nc_type, v.sip_uri,
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
      join syncer.number_version v
        on v.account_id = p.account_id and v.virtual_number_id = p.virtual_number_id and v.valid_from = p.valid_to
     where p.ended_by = 'changed'
), begun as (
    select 'created' as kind, l.called, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
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
    select 'restored', l.called, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
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
    select b.account_id, b.virtual_number_id, b.called, b.run_id, b.valid_from as changed_at, b.changed_after, b.kind,
           f.field, f.old_value, f.new_value, null::bigint as redirect_number_id
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
    select h.account_id, h.virtual_number_id, n.number, h.closed_run_id, h.valid_to, h.closed_after, 'removed', null,
           null, null, null
      from syncer.state_history h
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where h.ended_by = 'removed'
     union all
    select d.account_id, d.virtual_number_id, n.number, d.run_id, d.valid_from, d.changed_after, 'redirect_opened',
           'from_redirect_numbers', null, d.number, d.redirect_number_id
      from syncer.redirect_period d
      join syncer.virtual_number n using (account_id, virtual_number_id)
     union all
    select d.account_id, d.virtual_number_id, n.number, d.closed_run_id, d.valid_to, d.closed_after, 'redirect_closed',
           'from_redirect_numbers', d.number, null, d.redirect_number_id
      from syncer.virtual_number_redirect_history d
      join syncer.virtual_number n using (account_id, virtual_number_id)
)
select h.account_id, a.name as account, h.virtual_number_id, h.called as number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, r.finished_at as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id
  from happened h
  left join syncer.sync_run r on r.account_id = h.account_id and r.run_id = h.run_id
  left join syncer.account a on a.account_id = h.account_id;

create function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe
begin atomic
select v.account_id, v.account, v.virtual_number_id, v.number, v.number_key, v.e164, v.comment,
       v.type, t.title_en, t.title_ru, v.purpose, p.title_en, p.title_ru, v.state, s.title_en, s.title_ru, v.reason,
       h.state_since, h.state_since_earliest,
       v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
       v.dgn_number, v.redirect_number, v.region_id, v.region, v.app_id, v.nc_type, v.sip_uri,
       case when v.is_current then n.extra end,
       (select count(*) from analytics.redirect_history d
         where d.account_id = v.account_id and d.virtual_number_id = v.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at, v.valid_from, v.changed_after,
       case when v.is_current and n.last_read_at <= moment then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since end,
       h.valid_from, h.changed_after
  from analytics.number_history v
  join analytics.accounts a on a.account_id = v.account_id and a.observed_until >= moment
  join analytics.numbers_all n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join analytics.state_history h
    on h.account_id = v.account_id and h.virtual_number_id = v.virtual_number_id
   and h.valid_from <= moment and (h.valid_to is null or h.valid_to > moment)
  left join analytics.states s on s.state = v.state
  left join analytics.types t on t.type = v.type
  left join analytics.purposes p on p.purpose = v.purpose
 where v.valid_from <= moment and (v.valid_to is null or v.valid_to > moment);
end;

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
comment on view analytics.changes is
    'Feed of all changes, one row per field; to copy it incrementally, take the rows of each account whose run_id is '
    'greater than the last one copied; example: select * from analytics.changes where account_id = 1 and run_id > 1000 '
    'order by run_id';
comment on column analytics.state_spells.number_now is
    'The phone number as it is now, whatever it was then; example: 79208547433';
do $$
declare
    one text;
begin
    foreach one in array array['state_history', 'state_changes', 'redirects', 'redirect_history', 'changes'] loop
        execute format('comment on column analytics.%I.number is %L', one,
                       'The current phone number, as the vendor writes it; example: 79208547433');
    end loop;
    foreach one in array array['state_history', 'redirects', 'redirect_history'] loop
        execute format('comment on column analytics.%I.duration_seconds is %L', one,
                       'Length of the period in seconds; until now for a current period; '
                       'example: 259200 (three days)');
    end loop;
end
$$;
