-- Reverts 0023_up.sql.

-- Days ----------------------------------------------------------------------------------------------------------------

do $$
declare
    path text := current_setting('search_path');
begin
    perform set_config('search_path', '', true);  -- so that the type's name is qualified
    execute replace(
        pg_get_functiondef(
            'syncer.count_days(integer, text, syncer.counted_day, timestamptz, date)'::regprocedure),
        'syncer.counted_day', 'syncer.day_summary');
    perform set_config('search_path', path, true);
end
$$;

alter function syncer.last_day_summary(integer, text, timestamptz) rename to last_day_summary_0023;
alter function syncer.summarised_days(integer, text, timestamptz) rename to summarised_days_0023;

create function syncer.last_day_summary(of_account integer, zone text, until timestamptz) returns syncer.day_summary
language sql stable as $$
select s from syncer.day_summary s
 where s.account_id = of_account and s.time_zone = zone and s.ends <= until
   and s.ends = syncer.day_start(s.day + interval '1 day', zone)
 order by s.day desc limit 1
$$;

create function syncer.summarised_days(of_account integer, time_zone text, until timestamptz)
returns setof syncer.day_summary
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    zone text := syncer.known_zone(time_zone);
    last syncer.day_summary := syncer.last_day_summary(of_account, zone, until);
begin
    return query
    select s.* from syncer.day_summary s
     where s.account_id = of_account and s.time_zone = zone and s.day <= last.day;
    return query select c.* from syncer.count_days(of_account, zone, last, until) c;
end
$$;

create or replace view syncer.summarised_day as
select k.account, d.*,
       case when d.states = d.all_states then '{}'
            else array(select unnest(d.all_states) except select unnest(d.states)) end as later_states
  from syncer.account_known k
 cross join lateral (
       select *, last_value(states) over (order by day rows between unbounded preceding and unbounded following)
                     as all_states
         from syncer.summarised_days(k.account_id, k.time_zone, k.known_until)) d;

drop function syncer.summarised_days_0023(integer, text, timestamptz);
drop function syncer.last_day_summary_0023(integer, text, timestamptz);
drop function syncer.count_days(integer, text, syncer.counted_day, timestamptz, date);
drop type syncer.counted_day;

-- Accounts ------------------------------------------------------------------------------------------------------------

create schema syncer_after;
alter table syncer.account_schedule set schema syncer_after;
create table syncer.account_schedule (
    account_id integer not null,
    due_at timestamptz not null,
    lease_holder text,
    lease_until timestamptz,
    retired_at timestamptz,
    not_before timestamptz,
    constraint account_schedule_pkey primary key (account_id),
    constraint account_schedule_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
-- An account that only `syncer sync` has polled has no row yet that could say that it is retired.
insert into syncer.account_schedule (account_id, due_at, lease_holder, lease_until, retired_at, not_before)
select a.account_id, coalesce(s.due_at, a.retired_at), s.lease_holder, s.lease_until, a.retired_at, s.not_before
  from syncer.account a
  left join syncer_after.account_schedule s using (account_id)
 where s.account_id is not null or a.retired_at is not null;

create or replace view syncer.account_known as
select a.account_id, a.name as account, a.time_zone, s.retired_at,
       case when s.retired_at is null and greatest(f.observed_at, s.due_at) > now() - interval '1 day' then now()
            else f.observed_at end as known_until
  from syncer.account a
  left join syncer.account_fence f using (account_id)
  left join syncer.account_schedule s using (account_id);

create or replace view syncer.account_zone as
select account_id::bigint as account_id, syncer.known_zone(min(time_zone)) as zone
  from syncer.account_known
 group by account_id::bigint;

create or replace function syncer.succeeded_by(
    account_id integer, success_run_id bigint, success_started_at timestamptz, observed_at timestamptz, now timestamptz)
returns timestamptz language sql stable parallel safe security definer set search_path = pg_catalog
begin atomic
select case when success.observed_at <= success.now + interval '5 minutes'
                 and (later.started_at is null
                      or later.started_at >= success.success_started_at - interval '5 minutes')
            then success.observed_at
            else least(later.past_started_at,
                       case when success.success_started_at <= success.now then success.success_started_at end) end
  from (select $1 as account_id, $2 as success_run_id, $3 as success_started_at, $4 as observed_at, $5 as now) success
 cross join lateral (
       select min(r.started_at) as started_at, min(r.started_at) filter (where r.started_at <= success.now) as past_started_at
         from (select started_at from syncer.sync_run r
                where r.account_id = success.account_id and r.run_id > success.success_run_id
                order by r.run_id limit 100) r) later;
end;

create or replace view analytics.freshness as
select a.account_id, a.name as account, f.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = f.applied_run_id)::integer as rejected,
       s.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       f.observed_at is distinct from k.succeeded_by as clock_ahead,
       (syncer.outcome_title(l.outcome))[1] as last_outcome_title_en,
       (syncer.outcome_title(l.outcome))[2] as last_outcome_title_ru,
       (syncer.error_kind_title(l.error_kind))[1] as last_error_kind_title_en,
       (syncer.error_kind_title(l.error_kind))[2] as last_error_kind_title_ru
  from syncer.account a
  left join syncer.account_fence f using (account_id)
  left join syncer.account_schedule s using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = f.success_run_id
  left join lateral (
            select r.outcome, r.error_kind, r.error
              from syncer.sync_run r
             where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
             order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, f.success_run_id, f.success_started_at, f.observed_at, now())
                     offset 0) k (succeeded_by);

alter table syncer.account_fence drop column attempted_at;
alter table syncer.account drop column retired_at;
drop table syncer_after.account_schedule;
drop schema syncer_after;

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.account_schedule to syncer_daemon;
    end if;
end
$$;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on table syncer.account_schedule is 'When each account is due to be polled, and which process is polling it';
comment on column syncer.account_schedule.account_id is 'The account';
comment on column syncer.account_schedule.due_at is 'When the account is due to be polled next';
comment on column syncer.account_schedule.lease_holder is 'The process that is polling the account';
comment on column syncer.account_schedule.lease_until is
    'When the lease expires, so that another process may poll the account';
comment on column syncer.account_schedule.retired_at is
    'Since when the account has been in no configuration and is not polled; null while it is configured';
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';
comment on column syncer.account_known.known_until is
    'Now while polls are due or succeed; the last success once it is retired, or once no poll has been due for a day';
comment on function syncer.count_days(integer, text, syncer.day_summary, timestamptz, date) is
    'Counts the days of an account from its history, after the day of a summary, or all';
comment on function syncer.last_day_summary(integer, text, timestamptz) is
    'The newest summary of an account''s days in a time zone';
comment on function syncer.summarised_days(integer, text, timestamptz) is
    'All days of an account: those that are summarised, and those after them counted from the history';
