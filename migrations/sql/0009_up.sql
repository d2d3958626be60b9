-- What 0009_down.sql reverts. What is in force now is updated in virtual_number and virtual_number_redirect; what has
-- ended is only added to, in the order in which it ended. The tables are rebuilt, because an update in place of each
-- row would leave twice their size and no order.
set local work_mem = '256MB';
set local maintenance_work_mem = '512MB';
set local jit = off;

-- Views refer to tables, not to names: they keep working, and so do those that others have made of them.
create schema syncer_before;
alter table syncer.virtual_number set schema syncer_before;
alter table syncer.virtual_number_redirect set schema syncer_before;
alter table syncer.virtual_number_history set schema syncer_before;
alter table syncer.state_history set schema syncer_before;

-- What is known of each period from those around it -------------------------------------------------------------------

do $$ begin raise notice '0009: reading what is known of each period'; end $$;
create temporary table period on commit drop as
with linked as (
    select *, coalesce(lag(valid_to) over life = valid_from, false) as is_change,
           lag(state) over life as previous_state,
           case when lead(valid_from) over life = valid_to then lead(state) over life end as to_state,
           lead(valid_from) over life is null as is_last
      from syncer_before.state_history
    window life as (partition by account_id, virtual_number_id order by valid_from)
), stays as (
    select *, max(valid_from) filter (where not is_change) over life as listed_since,
           min(valid_from) over life as first_seen_at,
           max(valid_from) filter (where not is_change or state <> previous_state) over life as state_since
      from linked
    window life as (partition by account_id, virtual_number_id order by valid_from)
)
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, is_last, listed_since, state_since,
       first_value(changed_after) over stay as state_since_earliest,
       case when state_since > listed_since then first_value(previous_state) over stay end as from_state,
       case when state_since > listed_since then 'changed'
            when listed_since > first_seen_at then 'restored'
            else 'created' end as state_began_by,
       to_state
  from stays
window stay as (partition by account_id, virtual_number_id, state_since order by valid_from);

do $$ begin raise notice '0009: reading the versions of each number'; end $$;
create temporary table version on commit drop as
select *, lag(valid_to) over life as previous_to, lead(valid_from) over life as next_from
  from (select account_id, virtual_number_id,
               number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id,
               is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
               app_id, nc_type, sip_uri,
               valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
          from syncer_before.virtual_number_history
         union all
        -- A removal ends the current version too; only the state period says which run closed it.
        select n.account_id, n.virtual_number_id,
               n.number, n.comment, n.type, n.purpose, n.state, n.reason, n.scenario_id, n.group_scenario_id,
               n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id, n.dgn_number,
               n.redirect_number, n.region_id, n.app_id, n.nc_type, n.sip_uri,
               n.changed_at, n.removed_at, n.changed_after, n.last_read_at, n.run_id, p.closed_run_id
          from syncer_before.virtual_number n
          join period p on p.account_id = n.account_id and p.virtual_number_id = n.virtual_number_id and p.is_last
       ) versions
window life as (partition by account_id, virtual_number_id order by valid_from);

-- Tables --------------------------------------------------------------------------------------------------------------

do $$ begin raise notice '0009: writing virtual_number (1 of 4 tables)'; end $$;
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
    missing_run_id bigint,
    removed_run_id bigint,
    listed_since timestamptz not null,
    state_since timestamptz not null,
    state_since_earliest timestamptz,
    from_state text,
    reason_since timestamptz not null,
    reason_since_earliest timestamptz,
    reason_run_id bigint not null,
    believable_missing_since timestamptz,
    believable_missing_from bigint,
    constraint virtual_number_removed_check check ((removed_at is null) = (removed_run_id is null)),
    constraint virtual_number_since_check check (listed_since <= state_since and state_since <= reason_since)
) with (fillfactor = 80);
insert into syncer.virtual_number
select n.account_id, n.virtual_number_id,
       n.number, n.comment, n.type, n.purpose, n.state, n.reason, n.scenario_id, n.group_scenario_id, n.group_id,
       n.is_scenario_active, n.is_group_scenario_active, n.employee_id, n.dgn_number, n.redirect_number, n.region_id,
       n.app_id, n.nc_type, n.sip_uri,
       n.extra, n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at, n.run_id,
       null, case when n.removed_at is not null then p.closed_run_id end, p.listed_since, p.state_since,
       p.state_since_earliest, p.from_state, p.valid_from, p.changed_after, p.run_id, n.believable_missing_since,
       n.believable_missing_from
  from syncer_before.virtual_number n
  join period p on p.account_id = n.account_id and p.virtual_number_id = n.virtual_number_id and p.is_last
 order by n.first_seen_at, n.account_id, n.virtual_number_id;

create table syncer.virtual_number_redirect (
    account_id integer not null,
    virtual_number_id bigint not null,
    redirect_number_id bigint not null,
    number text not null,
    valid_from timestamptz not null,
    changed_after timestamptz,
    run_id bigint not null
);
insert into syncer.virtual_number_redirect
select account_id, virtual_number_id, redirect_number_id, number, valid_from, changed_after, run_id
  from syncer_before.virtual_number_redirect
 where valid_to is null
 order by account_id, virtual_number_id;

do $$ begin raise notice '0009: writing virtual_number_history (2 of 4 tables)'; end $$;
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
    valid_to timestamptz not null,
    changed_after timestamptz,
    closed_after timestamptz not null,
    run_id bigint not null,
    closed_run_id bigint not null,
    ended_by text not null,
    began_by text not null,
    constraint virtual_number_history_period_check check (valid_from < valid_to),
    constraint virtual_number_history_ended_by_check check (ended_by in ('changed', 'removed')),
    constraint virtual_number_history_began_by_check check (began_by in ('created', 'restored', 'changed'))
);
insert into syncer.virtual_number_history
select account_id, virtual_number_id,
       number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
       is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri,
       valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id,
       case when next_from = valid_to then 'changed' else 'removed' end,
       case when previous_to is null then 'created' when previous_to < valid_from then 'restored' else 'changed' end
  from version
 where valid_to is not null
 order by closed_run_id, account_id, virtual_number_id;

do $$ begin raise notice '0009: writing state_history (3 of 4 tables)'; end $$;
create table syncer.state_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    state text not null,
    reason text,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    changed_after timestamptz,
    closed_after timestamptz not null,
    run_id bigint not null,
    closed_run_id bigint not null,
    ended_by text not null,
    state_since timestamptz not null,
    state_since_earliest timestamptz,
    state_began_by text not null,
    from_state text,
    to_state text,
    constraint state_history_period_check check (valid_from < valid_to),
    constraint state_history_ended_by_check check (ended_by in ('changed', 'removed')),
    constraint state_history_state_began_by_check check (state_began_by in ('created', 'restored', 'changed')),
    constraint state_history_from_state_check check ((from_state is not null) = (state_began_by = 'changed')),
    constraint state_history_to_state_check check ((to_state is not null) = (ended_by = 'changed')),
    constraint state_history_state_since_check check (state_since <= valid_from)
);
insert into syncer.state_history
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, case when to_state is null then 'removed' else 'changed' end, state_since, state_since_earliest,
       state_began_by, from_state, to_state
  from period
 where valid_to is not null
 order by closed_run_id, account_id, virtual_number_id;

do $$ begin raise notice '0009: writing virtual_number_redirect_history (4 of 4 tables)'; end $$;
create table syncer.virtual_number_redirect_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    redirect_number_id bigint not null,
    number text not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    changed_after timestamptz,
    closed_after timestamptz not null,
    run_id bigint not null,
    closed_run_id bigint not null,
    ended_by text not null,
    constraint virtual_number_redirect_history_period_check check (valid_from < valid_to),
    constraint virtual_number_redirect_history_ended_by_check check (ended_by in ('changed', 'removed'))
);
insert into syncer.virtual_number_redirect_history
select r.account_id, r.virtual_number_id, r.redirect_number_id, r.number, r.valid_from, r.valid_to, r.changed_after,
       r.closed_after, r.run_id, r.closed_run_id, case when p.valid_to is null then 'changed' else 'removed' end
  from syncer_before.virtual_number_redirect r
  left join period p
    on p.account_id = r.account_id and p.virtual_number_id = r.virtual_number_id and p.valid_to = r.valid_to
   and p.to_state is null
 where r.valid_to is not null
 order by r.closed_run_id, r.account_id, r.virtual_number_id;

create table syncer.absence_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    missing_since timestamptz not null,
    run_id bigint,
    ended_at timestamptz not null,
    closed_run_id bigint not null,
    ended_by text not null,
    constraint absence_history_period_check check (missing_since <= ended_at),
    constraint absence_history_ended_by_check check (ended_by in ('returned', 'removed'))
);

-- Keys and indexes ----------------------------------------------------------------------------------------------------

do $$ begin raise notice '0009: making keys and indexes'; end $$;
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
create index virtual_number_listed_since_idx on syncer.virtual_number using brin (listed_since)
    with (pages_per_range = 32, autosummarize = on);
create index virtual_number_number_idx on syncer.virtual_number (number);
create index virtual_number_removed_idx on syncer.virtual_number (account_id, removed_at) where removed_at is not null;
create index virtual_number_unread_idx on syncer.virtual_number (account_id)
    where last_read_at is not null and removed_at is null;
alter table syncer.virtual_number_redirect add constraint virtual_number_redirect_pkey
    primary key (account_id, virtual_number_id, redirect_number_id, number);
alter table syncer.virtual_number_redirect add constraint virtual_number_redirect_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
alter table syncer.virtual_number_history add constraint virtual_number_history_pkey
    primary key (account_id, virtual_number_id, valid_from);
alter table syncer.virtual_number_history add constraint virtual_number_history_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index virtual_number_history_order_idx on syncer.virtual_number_history
    using brin (valid_to, closed_run_id, valid_from, run_id)
    with (pages_per_range = 32, autosummarize = on);
alter table syncer.state_history add constraint state_history_pkey
    primary key (account_id, virtual_number_id, valid_from);
alter table syncer.state_history add constraint state_history_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index state_history_order_idx on syncer.state_history
    using brin (valid_to, closed_run_id, valid_from, run_id)
    with (pages_per_range = 32, autosummarize = on);
create index state_history_removed_idx on syncer.state_history (account_id, valid_to) where ended_by = 'removed';
alter table syncer.virtual_number_redirect_history add constraint virtual_number_redirect_history_pkey
    primary key (account_id, virtual_number_id, redirect_number_id, number, valid_from);
alter table syncer.virtual_number_redirect_history add constraint virtual_number_redirect_history_number_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index virtual_number_redirect_history_order_idx on syncer.virtual_number_redirect_history
    using brin (valid_to, closed_run_id, valid_from, run_id)
    with (pages_per_range = 32, autosummarize = on);
alter table syncer.absence_history add constraint absence_history_pkey
    primary key (account_id, virtual_number_id, missing_since);
alter table syncer.absence_history add constraint absence_history_account_id_virtual_number_id_fkey
    foreign key (account_id, virtual_number_id) references syncer.virtual_number (account_id, virtual_number_id);
create index absence_history_order_idx on syncer.absence_history using brin (ended_at, closed_run_id)
    with (pages_per_range = 32, autosummarize = on);

-- All periods, ended or not, for the views ----------------------------------------------------------------------------

create view syncer.number_version as
select account_id, virtual_number_id,
       number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
       is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri,
       valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by, ended_by
  from syncer.virtual_number_history
 union all
select account_id, virtual_number_id,
       number, comment, type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
       is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri,
       changed_at, null, changed_after, null, run_id, null,
       case when changed_at = first_seen_at then 'created' when changed_at = listed_since then 'restored'
            else 'changed' end, null
  from syncer.virtual_number
 where removed_at is null;

create view syncer.state_period as
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, state_since, state_since_earliest, state_began_by, from_state, to_state, ended_by
  from syncer.state_history
 union all
select account_id, virtual_number_id, state, reason, reason_since, null, reason_since_earliest, null, reason_run_id,
       null, state_since, state_since_earliest,
       case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
            else 'restored' end, from_state, null, null
  from syncer.virtual_number
 where removed_at is null;

create view syncer.redirect_period as
select account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
       run_id, closed_run_id, ended_by
  from syncer.virtual_number_redirect_history
 union all
select account_id, virtual_number_id, redirect_number_id, number, valid_from, null, changed_after, null, run_id, null,
       null
  from syncer.virtual_number_redirect;

-- Who may write what --------------------------------------------------------------------------------------------------

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.virtual_number to syncer_daemon;
        grant select, insert, delete on syncer.virtual_number_redirect to syncer_daemon;
        grant select, insert on syncer.virtual_number_history, syncer.state_history,
            syncer.virtual_number_redirect_history, syncer.absence_history to syncer_daemon;
        grant select on syncer.number_version, syncer.state_period, syncer.redirect_period to syncer_daemon;
    end if;
end
$$;
-- The owner, who is not bound by grants, is held back too.
create trigger closed_stays_closed before update on syncer.virtual_number_history
    for each row execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.state_history
    for each row execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.virtual_number_redirect_history
    for each row execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.absence_history
    for each row execute function syncer.refuse_rewrite();
-- What a finished run counted stays as it was.
create trigger finished_stays_finished
    after update of outcome, error_kind, error, http_status, response_bytes, received, created, changed, unchanged,
                    removed, restored, held, rejected, state_changes, redirects_opened, redirects_closed, unconfirmed
    on syncer.sync_run
    for each row when (old.outcome not in ('running', 'abandoned', 'failed')) execute function syncer.refuse_rewrite();
-- A record changes with a run that first saw it so. After the update, so that no row is locked twice.
create function syncer.refuse_change_without_run() returns trigger language plpgsql as $$
begin
    raise exception 'the record of number % cannot change without a later run', old.virtual_number_id
        using errcode = 'restrict_violation';
end
$$;
comment on function syncer.refuse_change_without_run() is 'Refuses to change a record without a later run';
create trigger record_changes_with_run after update on syncer.virtual_number
    for each row when (
        (new.run_id <= old.run_id or new.changed_at <= old.changed_at)
        and (new.run_id, new.changed_at,
             new.number, new.comment, new.type, new.purpose, new.state, new.reason, new.scenario_id,
             new.group_scenario_id, new.group_id, new.is_scenario_active, new.is_group_scenario_active,
             new.employee_id, new.dgn_number, new.redirect_number, new.region_id, new.app_id, new.nc_type, new.sip_uri)
            is distinct from
            (old.run_id, old.changed_at,
             old.number, old.comment, old.type, old.purpose, old.state, old.reason, old.scenario_id,
             old.group_scenario_id, old.group_id, old.is_scenario_active, old.is_group_scenario_active,
             old.employee_id, old.dgn_number, old.redirect_number, old.region_id, old.app_id, old.nc_type, old.sip_uri))
    execute function syncer.refuse_change_without_run();

-- The views for analysts, with the same rows --------------------------------------------------------------------------

create or replace view analytics.numbers_all as
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

create or replace view analytics.number_history as
select v.account_id, a.name as account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id
  from syncer.number_version v
  left join syncer.account a using (account_id)
  left join syncer.region r using (region_id);

create or replace view analytics.state_history as
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

-- What a period followed is in the row of that one: it ended when this one began.
create or replace view analytics.state_changes as
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

-- What is asked of number, kind, run or time reaches each part of the feed, because each part has them as columns of
-- its own, and its kind as a constant; a part that cannot have what is asked is not read at all. A change is found by
-- the version that it ended, which the history has in the order of runs. The numbers of a run that are as it created or
-- restored them are found by the time of the run.
create or replace view analytics.changes as
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

create or replace view syncer.account_day as
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

-- A period that fills a day needs no look at others, and nearly all do. Of those that share a day and a state the first
-- has the sum of all.
create or replace view analytics.state_share as
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
comment on column syncer.virtual_number.number is
    'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number.comment is 'The account''s own comment on the number';
comment on column syncer.virtual_number.type is 'Type of number: def is mobile, abc is landline';
comment on column syncer.virtual_number.purpose is 'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number.state is 'State of the number, as the vendor names it';
comment on column syncer.virtual_number.reason is
    'Reason for the last change of state, free text from the vendor';
comment on column syncer.virtual_number.scenario_id is 'Incoming-call scenario assigned to the number';
comment on column syncer.virtual_number.group_scenario_id is 'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number.is_scenario_active is
    'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number.is_group_scenario_active is
    'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number.dgn_number is 'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number.redirect_number is 'The number that calls are redirected to';
comment on column syncer.virtual_number.region_id is 'Region that the number belongs to';
comment on column syncer.virtual_number.app_id is
    'Identifier of the Личный кабинет that the number belongs to, according to its record';
comment on column syncer.virtual_number.nc_type is
    'The vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number.extra is
    'Fields of the latest record that have no column of their own; replaced as a whole, not versioned';
comment on column syncer.virtual_number.first_seen_at is 'When the number was first seen';
comment on column syncer.virtual_number.changed_at is
    'When the current version of the record was first seen';
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
comment on column syncer.virtual_number.missing_run_id is
    'The run of missing_since; null before revision 0009';
comment on column syncer.virtual_number.removed_run_id is
    'The run that applied the removal; null until then';
comment on column syncer.virtual_number.listed_since is
    'When the number was first seen, or when it was seen again after its last removal';
comment on column syncer.virtual_number.state_since is
    'Since when the number has been in its state without a break, whatever its reasons';
comment on column syncer.virtual_number.state_since_earliest is
    'It came into its state after this time; null as in changed_after';
comment on column syncer.virtual_number.from_state is
    'The state before it; null if the number was created or restored with its state';
comment on column syncer.virtual_number.reason_since is 'Since when it has had its state and its reason';
comment on column syncer.virtual_number.reason_since_earliest is
    'It came to both after this time; null as in changed_after';
comment on column syncer.virtual_number.reason_run_id is 'The run that first saw both';
comment on table syncer.virtual_number_redirect is
    'The entries of from_redirect_numbers of each number that is not removed';
comment on column syncer.virtual_number_redirect.account_id is 'The account';
comment on column syncer.virtual_number_redirect.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.virtual_number_redirect.redirect_number_id is
    'The vendor''s id of the number whose calls are redirected to this one: id in from_redirect_numbers';
comment on column syncer.virtual_number_redirect.number is
    'The number whose calls are redirected to this one, as the vendor writes it';
comment on column syncer.virtual_number_redirect.valid_from is
    'Since when it has been listed: when it was first seen';
comment on column syncer.virtual_number_redirect.changed_after is
    'It was listed after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number_redirect.run_id is 'The run that first saw it';
comment on table syncer.virtual_number_history is
    'Earlier versions of records: a row is added when a column changes or the number is removed';
comment on column syncer.virtual_number_history.account_id is 'The account';
comment on column syncer.virtual_number_history.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.virtual_number_history.number is
    'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number_history.comment is 'The account''s own comment on the number';
comment on column syncer.virtual_number_history.type is 'Type of number: def is mobile, abc is landline';
comment on column syncer.virtual_number_history.purpose is
    'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number_history.state is 'State of the number, as the vendor names it';
comment on column syncer.virtual_number_history.reason is
    'Reason for the last change of state, free text from the vendor';
comment on column syncer.virtual_number_history.scenario_id is
    'Incoming-call scenario assigned to the number';
comment on column syncer.virtual_number_history.group_scenario_id is
    'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number_history.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number_history.is_scenario_active is
    'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number_history.is_group_scenario_active is
    'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number_history.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number_history.dgn_number is
    'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number_history.redirect_number is
    'The number that calls are redirected to';
comment on column syncer.virtual_number_history.region_id is 'Region that the number belongs to';
comment on column syncer.virtual_number_history.app_id is
    'Identifier of the Личный кабинет that the number belongs to, according to its record';
comment on column syncer.virtual_number_history.nc_type is
    'The vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number_history.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number_history.valid_from is
    'Start of the period, inclusive: when it was first seen';
comment on column syncer.virtual_number_history.valid_to is 'End of the period, exclusive';
comment on column syncer.virtual_number_history.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number_history.closed_after is 'The period ended after this time';
comment on column syncer.virtual_number_history.run_id is 'The run that first saw the period';
comment on column syncer.virtual_number_history.closed_run_id is
    'The run that saw its end, and added the row';
comment on column syncer.virtual_number_history.ended_by is
    'How the period ended: changed, if another one followed at once, or removed, with its number';
comment on column syncer.virtual_number_history.began_by is
    'How the version began: created or restored, with its number, or changed, if it followed another one';
comment on table syncer.state_history is
    'Earlier periods in which a number had one state and one reason: a row is added when one of them changes or '
    'the number is removed';
comment on column syncer.state_history.account_id is 'The account';
comment on column syncer.state_history.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.state_history.state is 'State of the number, as the vendor names it';
comment on column syncer.state_history.reason is 'Reason for the state, free text from the vendor';
comment on column syncer.state_history.valid_from is
    'Start of the period, inclusive: when it was first seen';
comment on column syncer.state_history.valid_to is 'End of the period, exclusive';
comment on column syncer.state_history.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.state_history.closed_after is 'The period ended after this time';
comment on column syncer.state_history.run_id is 'The run that first saw the period';
comment on column syncer.state_history.closed_run_id is 'The run that saw its end, and added the row';
comment on column syncer.state_history.ended_by is
    'How the period ended: changed, if another one followed at once, or removed, with its number';
comment on column syncer.state_history.state_since is
    'Since when the number was in this state without a break, whatever its reasons; not after valid_from';
comment on column syncer.state_history.state_since_earliest is
    'It came into the state after this time; null as in changed_after';
comment on column syncer.state_history.state_began_by is
    'How it came into the state: created or restored, with its number, or changed, from another state';
comment on column syncer.state_history.from_state is
    'The state before it; null unless state_began_by is changed';
comment on column syncer.state_history.to_state is
    'The state after the period, also if it is the same; null if it was removed';
comment on table syncer.virtual_number_redirect_history is
    'Earlier periods in which from_redirect_numbers of a number had an entry with this id and number';
comment on column syncer.virtual_number_redirect_history.account_id is 'The account';
comment on column syncer.virtual_number_redirect_history.virtual_number_id is
    'The vendor''s id of the number';
comment on column syncer.virtual_number_redirect_history.redirect_number_id is
    'The vendor''s id of the number whose calls are redirected to this one: id in from_redirect_numbers';
comment on column syncer.virtual_number_redirect_history.number is
    'The number whose calls are redirected to this one, as the vendor writes it';
comment on column syncer.virtual_number_redirect_history.valid_from is
    'Start of the period, inclusive: when it was first seen';
comment on column syncer.virtual_number_redirect_history.valid_to is 'End of the period, exclusive';
comment on column syncer.virtual_number_redirect_history.changed_after is
    'The period began after this time; null if the account''s first non-empty response had it';
comment on column syncer.virtual_number_redirect_history.closed_after is 'The period ended after this time';
comment on column syncer.virtual_number_redirect_history.run_id is 'The run that first saw the period';
comment on column syncer.virtual_number_redirect_history.closed_run_id is
    'The run that saw its end, and added the row';
comment on column syncer.virtual_number_redirect_history.ended_by is
    'How the period ended: changed, if another one followed at once, or removed, with its number';
comment on table syncer.absence_history is
    'Absences that have ended, since revision 0009: a row is added when a missing number is listed again or its '
    'removal is applied; those that have not are in virtual_number';
comment on column syncer.absence_history.account_id is 'The account';
comment on column syncer.absence_history.virtual_number_id is 'The vendor''s id of the number';
comment on column syncer.absence_history.missing_since is
    'Time of the first successful poll that no longer listed the number';
comment on column syncer.absence_history.run_id is
    'That poll''s run, which may have been deleted since; null if it was before revision 0009';
comment on column syncer.absence_history.ended_at is
    'When it was listed again, or when its removal was applied';
comment on column syncer.absence_history.closed_run_id is
    'The run that saw it again, which may have been deleted since, or that applied the removal';
comment on column syncer.absence_history.ended_by is 'How the absence ended: returned or removed';
comment on view syncer.number_version is 'All versions of records, ended or not, for the views of schema analytics';
comment on view syncer.state_period is
    'All periods of states and reasons, ended or not, for the views of schema analytics';
comment on view syncer.redirect_period is 'All periods of redirects, ended or not, for the views of schema analytics';
do $$
declare
    one record;
begin
    for one in select format('%s.%I', p.view, a.attname) as name, col_description(p.source, s.attnum) as comment
                 from (values ('syncer.number_version'::regclass, 'syncer.virtual_number_history'::regclass),
                              ('syncer.state_period'::regclass, 'syncer.state_history'::regclass),
                              ('syncer.redirect_period'::regclass, 'syncer.virtual_number_redirect_history'::regclass))
                      p (view, source)
                 join pg_attribute a on a.attrelid = p.view and a.attnum > 0
                 join pg_attribute s on s.attrelid = p.source and s.attname = a.attname loop
        execute format('comment on column %s is %L', one.name, one.comment);
    end loop;
end
$$;

drop table syncer_before.state_history, syncer_before.virtual_number_redirect, syncer_before.virtual_number_history,
    syncer_before.virtual_number;
drop schema syncer_before;
