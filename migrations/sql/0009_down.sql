-- Reverts 0009_up.sql. Absences that have ended are lost: the older schema has no place for them.
set local work_mem = '256MB';
set local maintenance_work_mem = '512MB';
set local jit = off;

create schema syncer_before;
alter table syncer.virtual_number set schema syncer_before;
alter table syncer.virtual_number_redirect set schema syncer_before;
alter table syncer.virtual_number_history set schema syncer_before;
alter table syncer.state_history set schema syncer_before;

-- Tables --------------------------------------------------------------------------------------------------------------

create table syncer.virtual_number (
    account_id integer not null,
    virtual_number_id bigint not null,
    number text not null,
    comment text,
    type text,
    purpose text,
    state text not null,
    reason text,
    scenario_id bigint,
    group_scenario_id bigint,
    group_id bigint,
    is_scenario_active boolean,
    is_group_scenario_active boolean,
    employee_id bigint,
    dgn_number text,
    redirect_number text,
    region_id integer,
    app_id bigint,
    nc_type text,
    sip_uri text,
    extra jsonb default '{}' not null,
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    changed_after timestamptz,
    last_read_at timestamptz,
    missing_since timestamptz,
    removed_at timestamptz,
    run_id bigint not null,
    believable_missing_since timestamptz,
    believable_missing_from bigint
);
insert into syncer.virtual_number
select account_id, virtual_number_id,
       number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
       is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri,
       extra, first_seen_at, changed_at, changed_after, last_read_at, missing_since, removed_at, run_id,
       believable_missing_since, believable_missing_from
  from syncer_before.virtual_number
 order by account_id, virtual_number_id;

create table syncer.virtual_number_redirect (
    account_id integer not null,
    virtual_number_id bigint not null,
    redirect_number_id bigint not null,
    number text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    changed_after timestamptz,
    closed_after timestamptz,
    run_id bigint not null,
    closed_run_id bigint,
    constraint virtual_number_redirect_period_check check (valid_from < valid_to),
    constraint virtual_number_redirect_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null))
);
insert into syncer.virtual_number_redirect
select account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
       run_id, closed_run_id
  from syncer.redirect_period
 order by account_id, virtual_number_id, valid_from;

create table syncer.virtual_number_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    number text not null,
    comment text,
    type text,
    purpose text,
    state text not null,
    reason text,
    scenario_id bigint,
    group_scenario_id bigint,
    group_id bigint,
    is_scenario_active boolean,
    is_group_scenario_active boolean,
    employee_id bigint,
    dgn_number text,
    redirect_number text,
    region_id integer,
    app_id bigint,
    nc_type text,
    sip_uri text,
    valid_from timestamptz not null,
    valid_to timestamptz,
    changed_after timestamptz,
    closed_after timestamptz,
    run_id bigint not null,
    closed_run_id bigint,
    constraint virtual_number_history_period_check check (valid_from < valid_to),
    constraint virtual_number_history_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null))
);
-- The last version of a removed number is in its row alone.
insert into syncer.virtual_number_history
select h.account_id, h.virtual_number_id,
       h.number, h.comment, h.type, h.purpose, h.state, h.reason, h.scenario_id, h.group_scenario_id, h.group_id,
       h.is_scenario_active, h.is_group_scenario_active, h.employee_id, h.dgn_number, h.redirect_number, h.region_id,
       h.app_id, h.nc_type, h.sip_uri,
       h.valid_from, h.valid_to, h.changed_after, h.closed_after, h.run_id, h.closed_run_id
  from syncer_before.virtual_number_history h
  join syncer_before.virtual_number n using (account_id, virtual_number_id)
 where h.valid_to is distinct from n.removed_at
 order by h.closed_run_id, h.account_id, h.virtual_number_id;

create table syncer.state_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    state text not null,
    reason text,
    valid_from timestamptz not null,
    valid_to timestamptz,
    changed_after timestamptz,
    closed_after timestamptz,
    run_id bigint not null,
    closed_run_id bigint,
    constraint state_history_period_check check (valid_from < valid_to),
    constraint state_history_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null))
);
insert into syncer.state_history
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id
  from syncer.state_period
 order by valid_from, account_id, virtual_number_id;

-- Keys and indexes ----------------------------------------------------------------------------------------------------

alter table syncer.virtual_number add constraint virtual_number_pkey primary key (account_id, virtual_number_id);
alter table syncer.virtual_number add constraint virtual_number_account_id_fkey
    foreign key (account_id) references syncer.account (account_id);
alter table syncer.virtual_number add constraint virtual_number_type_fkey
    foreign key (type) references syncer.number_type (type);
alter table syncer.virtual_number add constraint virtual_number_purpose_fkey
    foreign key (purpose) references syncer.number_purpose (purpose);
alter table syncer.virtual_number add constraint virtual_number_state_fkey
    foreign key (state) references syncer.number_state (state);
alter table syncer.virtual_number add constraint virtual_number_region_id_fkey
    foreign key (region_id) references syncer.region (region_id);
create index virtual_number_number_idx on syncer.virtual_number (number);
create index virtual_number_run_id_idx on syncer.virtual_number (run_id, account_id);
create index virtual_number_unread_idx on syncer.virtual_number (account_id)
    where last_read_at is not null and removed_at is null;
create index virtual_number_removed_idx on syncer.virtual_number (account_id, removed_at)
    where removed_at is not null;

alter table syncer.virtual_number_redirect add constraint virtual_number_redirect_pkey
    primary key (account_id, virtual_number_id, redirect_number_id, number, valid_from);
alter table syncer.virtual_number_redirect add constraint virtual_number_redirect_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index virtual_number_redirect_run_id_idx on syncer.virtual_number_redirect (account_id, run_id);
create index virtual_number_redirect_closed_run_id_idx on syncer.virtual_number_redirect (account_id, closed_run_id);
create unique index virtual_number_redirect_open_idx
    on syncer.virtual_number_redirect (account_id, virtual_number_id, redirect_number_id, number)
    where valid_to is null;

alter table syncer.virtual_number_history add constraint virtual_number_history_pkey
    primary key (account_id, virtual_number_id, valid_from);
alter table syncer.virtual_number_history add constraint virtual_number_history_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index virtual_number_history_closed_run_id_idx on syncer.virtual_number_history (account_id, closed_run_id);

alter table syncer.state_history add constraint state_history_pkey
    primary key (account_id, virtual_number_id, valid_from);
alter table syncer.state_history add constraint state_history_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index state_history_run_id_idx on syncer.state_history (account_id, run_id);
create index state_history_closed_run_id_idx on syncer.state_history (account_id, closed_run_id);
create unique index state_history_open_idx on syncer.state_history (account_id, virtual_number_id)
    where valid_to is null;

-- Who may write what --------------------------------------------------------------------------------------------------

create trigger closed_stays_closed before update on syncer.state_history
    for each row when (old.valid_to is not null) execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.virtual_number_redirect
    for each row when (old.valid_to is not null) execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.virtual_number_history
    for each row execute function syncer.refuse_rewrite();
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.virtual_number to syncer_daemon;
        grant select, insert on syncer.virtual_number_history to syncer_daemon;
        grant select on syncer.state_history, syncer.virtual_number_redirect to syncer_daemon;
        grant insert (account_id, virtual_number_id, state, reason, valid_from, changed_after, run_id)
            on syncer.state_history to syncer_daemon;
        grant insert (account_id, virtual_number_id, redirect_number_id, number, valid_from, changed_after, run_id)
            on syncer.virtual_number_redirect to syncer_daemon;
        grant update (valid_to, closed_after, closed_run_id) on syncer.state_history, syncer.virtual_number_redirect
            to syncer_daemon;
    end if;
end
$$;

-- Views ---------------------------------------------------------------------------------------------------------------

create or replace view analytics.numbers_all as
select n.account_id, a.name as account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       -- The newest period is the open one, or the one that the removal closed.
       case when n.removed_at is null then h.valid_from
            else (select c.valid_from from syncer.state_history c
                   where c.account_id = n.account_id and c.virtual_number_id = n.virtual_number_id
                     and c.valid_to = n.removed_at) end as state_since,
       case when n.removed_at is null then h.changed_after
            else (select c.changed_after from syncer.state_history c
                   where c.account_id = n.account_id and c.virtual_number_id = n.virtual_number_id
                     and c.valid_to = n.removed_at) end as state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id
           and d.valid_to is null)::integer as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at
  from syncer.virtual_number n
  left join syncer.account a using (account_id)
  left join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id)
  left join syncer.state_history h
    on h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id and h.valid_to is null;

create or replace view analytics.number_history as
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
  left join syncer.account a using (account_id)
  left join syncer.region r using (region_id);

create or replace view analytics.state_history as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, now()) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id
  from syncer.state_history h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  left join syncer.number_state s on s.state = h.state;

create or replace view analytics.state_changes as
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

create or replace view analytics.redirect_history as
select d.account_id, a.name as account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, now()) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.virtual_number_redirect d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

-- What is asked of number, kind, run or time reaches each part of the feed, because each part has them as columns of
-- its own, and its kind as a constant; a part that cannot have what is asked is not read at all.
create or replace view analytics.changes as
with versions as not materialized (
    select n.number as called, n.first_seen_at, v.account_id, v.virtual_number_id, v.run_id, v.valid_from,
           v.changed_after, v.number, v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id,
           v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
           v.dgn_number, v.redirect_number, v.region_id, v.app_id, v.nc_type, v.sip_uri
      from syncer.virtual_number_history v
      join syncer.virtual_number n using (account_id, virtual_number_id)
     union all
    select number, first_seen_at, account_id, virtual_number_id, run_id, changed_at, changed_after, number, comment,
           type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
           is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri
      from syncer.virtual_number
), begun as (
    -- Each version with the moment at which the one before it ended: of a changed number at once, of a restored one
    -- when it was removed.
    select 'created' as kind, null::timestamptz as former_valid_to, v.*
      from versions v where v.valid_from = v.first_seen_at
     union all
    select 'changed', v.valid_from, v.* from versions v where v.valid_from > v.first_seen_at
     union all
    select 'state', v.valid_from, v.* from versions v where v.valid_from > v.first_seen_at
     union all
    select 'restored', (select max(p.valid_to) from syncer.virtual_number_history p
                         where p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id
                           and p.valid_from < v.valid_from), v.*
      from versions v
     where v.valid_from > v.first_seen_at
       and not exists (select from syncer.virtual_number_history p
                        where p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id
                          and p.valid_to = v.valid_from)
), happened as (
    select v.account_id, v.virtual_number_id, v.called, v.run_id, v.valid_from as changed_at, v.changed_after, v.kind,
           f.field, f.old_value, f.new_value, null::bigint as redirect_number_id
      from begun v
      left join syncer.virtual_number_history p
        on p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id and p.valid_to = v.former_valid_to
      left join syncer.region r on r.region_id = v.region_id
      left join syncer.region q on q.region_id = p.region_id
     -- Not a list of values: of these the planner leaves out the fields that nobody asks for.
     cross join lateral (
            select 'state' as field, p.state as old_value, v.state as new_value
             union all select 'reason', p.reason, v.reason
             union all select 'number', p.number, v.number
             union all select 'comment', p.comment, v.comment
             union all select 'type', p.type, v.type
             union all select 'purpose', p.purpose, v.purpose
             union all select 'scenario_id', p.scenario_id::text, v.scenario_id::text
             union all select 'group_scenario_id', p.group_scenario_id::text, v.group_scenario_id::text
             union all select 'group_id', p.group_id::text, v.group_id::text
             union all select 'is_scenario_active', p.is_scenario_active::text, v.is_scenario_active::text
             union all select 'is_group_scenario_active', p.is_group_scenario_active::text,
                              v.is_group_scenario_active::text
             union all select 'employee_id', p.employee_id::text, v.employee_id::text
             union all select 'dgn_number', p.dgn_number, v.dgn_number
             union all select 'redirect_number', p.redirect_number, v.redirect_number
             union all select 'region', q.name, r.name
             union all select 'app_id', p.app_id::text, v.app_id::text
             union all select 'nc_type', p.nc_type, v.nc_type
             union all select 'sip_uri', p.sip_uri, v.sip_uri) f
     where case v.kind when 'created' then f.new_value is not null
                       when 'restored' then f.old_value is not null or f.new_value is not null
                       else p.valid_to is not null and f.old_value is distinct from f.new_value
                            and (v.kind = 'state') = (f.field in ('state', 'reason')) end
     union all
    -- A number is gone with its last period of state: no other one begins where that ends.
    select h.account_id, h.virtual_number_id, n.number, h.closed_run_id, h.valid_to, h.closed_after, 'removed', null,
           null, null, null
      from syncer.state_history h
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where h.closed_run_id is not null
       and not exists (select from syncer.state_history f
                        where f.account_id = h.account_id and f.virtual_number_id = h.virtual_number_id
                          and f.valid_from = h.valid_to)
     union all
    select d.account_id, d.virtual_number_id, n.number, d.run_id, d.valid_from, d.changed_after, 'redirect_opened',
           'from_redirect_numbers', null, d.number, d.redirect_number_id
      from syncer.virtual_number_redirect d
      join syncer.virtual_number n using (account_id, virtual_number_id)
     union all
    select d.account_id, d.virtual_number_id, n.number, d.closed_run_id, d.valid_to, d.closed_after, 'redirect_closed',
           'from_redirect_numbers', d.number, null, d.redirect_number_id
      from syncer.virtual_number_redirect d
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where d.closed_run_id is not null
)
select h.account_id, a.name as account, h.virtual_number_id, h.called as number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, r.finished_at as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id
  from happened h
  left join syncer.sync_run r on r.account_id = h.account_id and r.run_id = h.run_id
  left join syncer.account a on a.account_id = h.account_id;

create or replace view syncer.account_day as
select a.account_id, d.day, d.begins, d.ends
  from syncer.account a
 -- `offset 0`: computed once per account and once per day, not for each row that is compared with them.
 cross join lateral (select syncer.known_zone(a.time_zone) as zone offset 0) z
 cross join lateral (
       select day::date as day, syncer.day_start(day, z.zone) as begins,
              syncer.day_start(day + interval '1 day', z.zone) as ends
         from generate_series(
                  (select (h.valid_from at time zone z.zone)::date::timestamp from syncer.state_history h
                    where h.account_id = a.account_id order by h.run_id limit 1),
                  (now() at time zone z.zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;

create or replace view analytics.daily_states as
select g.account_id, a.name as account, d.day, r.name as region, g.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, g.state, w.title_en as state_title_en, w.title_ru as state_title_ru, c.numbers
  from (select v.account_id, v.region_id, v.type, v.state,
               (select array_agg(moment order by moment) from unnest(array_agg(v.valid_from)) as moment) as began,
               (select array_agg(moment order by moment)
                  from unnest(array_agg(v.valid_to) filter (where v.valid_to is not null)) as moment) as ended
          from (select account_id, region_id, type, state, valid_from, valid_to from syncer.virtual_number_history
                 union all
                select account_id, region_id, type, state, changed_at, removed_at from syncer.virtual_number) v
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

create or replace view analytics.state_share as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key, d.day, h.state, s.title_en as state_title_en,
       s.title_ru as state_title_ru,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends) then 1::numeric
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                         filter (where o.state = h.state)
                         / sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_history o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as share,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
            then extract(epoch from least(d.ends, now()) - d.begins)
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_history o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id and o.state = h.state
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as duration_seconds
  from syncer.state_history h
  -- Not spelled as two comparisons: the planner would take the index on numbers for one on time.
  join syncer.account_day d
    on d.account_id = h.account_id
   and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
  left join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  left join syncer.account a on a.account_id = h.account_id
  left join syncer.number_state s on s.state = h.state
 where h.valid_from < now()
   and (h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
        or not exists (select from syncer.state_history o
                        where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                          and o.state = h.state and o.valid_from < h.valid_from and o.valid_to > d.begins));

create or replace view analytics.rejected_records as
select j.account_id, a.name as account, j.virtual_number_id, n.number,
       j.account_id || ':' || j.virtual_number_id as number_key, j.error, analytics.readable(j.payload) as payload,
       f.started_at as first_seen_at, l.started_at as last_seen_at, j.occurrences
  from syncer.rejected_record j
  join syncer.account a on a.account_id = j.account_id and a.applied_run_id = j.last_run_id
  left join syncer.virtual_number n on n.account_id = j.account_id and n.virtual_number_id = j.virtual_number_id
  left join syncer.sync_run f on f.account_id = j.account_id and f.run_id = j.first_run_id
  left join syncer.sync_run l on l.account_id = j.account_id and l.run_id = a.success_run_id;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on table syncer.virtual_number is 'The latest known record of every number ever seen';
comment on column syncer.virtual_number.account_id is 'The account';
comment on column syncer.virtual_number.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.virtual_number.number is 'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number.comment is 'The account''s own comment on the number';
comment on column syncer.virtual_number.type is 'Type of number: def is mobile, abc is landline';
comment on column syncer.virtual_number.purpose is 'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number.state is 'State of the number, as the vendor names it';
comment on column syncer.virtual_number.reason is 'Reason for the last change of state, free text from the vendor';
comment on column syncer.virtual_number.scenario_id is 'Incoming-call scenario assigned to the number';
comment on column syncer.virtual_number.group_scenario_id is 'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number.is_scenario_active is 'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number.is_group_scenario_active is
    'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number.dgn_number is 'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number.redirect_number is 'The number that calls are redirected to';
comment on column syncer.virtual_number.region_id is 'Region that the number belongs to';
comment on column syncer.virtual_number.app_id is
    'Identifier of the Личный кабинет that the number belongs to, according to its record';
comment on column syncer.virtual_number.nc_type is 'The vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number.extra is
    'Fields of the latest record that have no column of their own; replaced as a whole, not versioned';
comment on column syncer.virtual_number.first_seen_at is 'When the number was first seen';
comment on column syncer.virtual_number.changed_at is 'When the current version of the record was first seen';
comment on column syncer.virtual_number.changed_after is
    'The current version began after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number.last_read_at is
    'Null if the newest successful poll read the record; otherwise the start of the last one that did';
comment on column syncer.virtual_number.missing_since is
    'Time of the first successful poll that no longer listed the number; null while it is listed';
comment on column syncer.virtual_number.removed_at is
    'Equal to missing_since once the removal is applied; null until then';
comment on column syncer.virtual_number.run_id is 'The run that first saw the current version';
comment on column syncer.virtual_number.believable_missing_since is
    'Time of the first believable response that no longer listed the number; the hold time counts from it';
comment on column syncer.virtual_number.believable_missing_from is
    'Which of the account''s believable_responses that was, counted from 1; each later one confirms it';
comment on table syncer.virtual_number_redirect is
    'A row for each period in which from_redirect_numbers of a number had an entry with this id and number';
comment on column syncer.virtual_number_redirect.account_id is 'The account';
comment on column syncer.virtual_number_redirect.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.virtual_number_redirect.redirect_number_id is
    'The vendor''s id of the number whose calls are redirected to this one: id in from_redirect_numbers';
comment on column syncer.virtual_number_redirect.number is
    'The number whose calls are redirected to this one, as the vendor writes it';
comment on column syncer.virtual_number_redirect.valid_from is 'Start of the period, inclusive: when it was first seen';
comment on column syncer.virtual_number_redirect.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.virtual_number_redirect.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number_redirect.closed_after is
    'The period ended after this time; null while it is open';
comment on column syncer.virtual_number_redirect.run_id is 'The run that opened the row';
comment on column syncer.virtual_number_redirect.closed_run_id is 'The run that closed the row; null while it is open';
comment on table syncer.virtual_number_history is
    'Earlier versions of records: a row is added when a column changes or a removed number returns';
comment on column syncer.virtual_number_history.account_id is 'The account';
comment on column syncer.virtual_number_history.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.virtual_number_history.number is
    'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number_history.comment is 'The account''s own comment on the number';
comment on column syncer.virtual_number_history.type is 'Type of number: def is mobile, abc is landline';
comment on column syncer.virtual_number_history.purpose is 'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number_history.state is 'State of the number, as the vendor names it';
comment on column syncer.virtual_number_history.reason is
    'Reason for the last change of state, free text from the vendor';
comment on column syncer.virtual_number_history.scenario_id is 'Incoming-call scenario assigned to the number';
comment on column syncer.virtual_number_history.group_scenario_id is 'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number_history.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number_history.is_scenario_active is 'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number_history.is_group_scenario_active is
    'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number_history.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number_history.dgn_number is 'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number_history.redirect_number is 'The number that calls are redirected to';
comment on column syncer.virtual_number_history.region_id is 'Region that the number belongs to';
comment on column syncer.virtual_number_history.app_id is
    'Identifier of the Личный кабинет that the number belongs to, according to its record';
comment on column syncer.virtual_number_history.nc_type is
    'The vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number_history.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number_history.valid_from is 'Start of the period, inclusive: when it was first seen';
comment on column syncer.virtual_number_history.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.virtual_number_history.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number_history.closed_after is
    'The period ended after this time; null while it is open';
comment on column syncer.virtual_number_history.run_id is 'The run that opened the row';
comment on column syncer.virtual_number_history.closed_run_id is 'The run that closed the row; null while it is open';
comment on table syncer.state_history is 'A row for each period in which a number had one state and one reason';
comment on column syncer.state_history.account_id is 'The account';
comment on column syncer.state_history.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.state_history.state is 'State of the number, as the vendor names it';
comment on column syncer.state_history.reason is 'Reason for the state, free text from the vendor';
comment on column syncer.state_history.valid_from is 'Start of the period, inclusive: when it was first seen';
comment on column syncer.state_history.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.state_history.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.state_history.closed_after is 'The period ended after this time; null while it is open';
comment on column syncer.state_history.run_id is 'The run that opened the row';
comment on column syncer.state_history.closed_run_id is 'The run that closed the row; null while it is open';

drop view syncer.number_version, syncer.state_period, syncer.redirect_period;
drop trigger finished_stays_finished on syncer.sync_run;
drop table syncer_before.state_history, syncer_before.virtual_number_redirect, syncer_before.virtual_number_history,
    syncer.virtual_number_redirect_history, syncer.absence_history, syncer_before.virtual_number;
drop function syncer.refuse_change_without_run();
drop schema syncer_before;
