-- What 0023_down.sql reverts. Where tables are distributed over servers, account_schedule is on one of them alone, and
-- nearly every view read it through account_known. What they read there is in the other tables of accounts now.

-- An upgrade from 0010 or earlier gave each account this row, and so does its registration.
insert into syncer.account_fence (account_id) select account_id from syncer.account on conflict (account_id) do nothing;

alter table syncer.account add column retired_at timestamptz;
update syncer.account a set retired_at = s.retired_at
  from syncer.account_schedule s
 where s.account_id = a.account_id and s.retired_at is not null;

-- Until now an account counted until now while its polls were due. Due times are later than the polls: the account counts
-- as it did before, until its next failed poll or success.
alter table syncer.account_fence add column attempted_at timestamptz;
update syncer.account_fence f set attempted_at = s.due_at
  from syncer.account_schedule s
 where s.account_id = f.account_id;

-- From the table that is distributed, and with the other as a left join: nobody who does not ask for names reads it.
create or replace view syncer.account_known as
select f.account_id, a.name as account, a.time_zone, a.retired_at,
       case when a.retired_at is null and greatest(f.observed_at, f.attempted_at) > now() - interval '1 day' then now()
            else f.observed_at end as known_until
  from syncer.account_fence f
  left join syncer.account a using (account_id);

create or replace view syncer.account_zone as
select account_id::bigint as account_id, syncer.known_zone(min(time_zone)) as zone
  from syncer.account
 group by account_id::bigint;

-- A body that is parsed when the function is made depends on the tables in it. A view that calls it could not be on a
-- server that has only some of them.
create or replace function syncer.succeeded_by(
    account_id integer, success_run_id bigint, success_started_at timestamptz, observed_at timestamptz, now timestamptz)
returns timestamptz language sql stable parallel safe security definer set search_path = pg_catalog as $$
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
                order by r.run_id limit 100) r) later
$$;

create or replace view analytics.freshness as
select a.account_id, a.name as account, f.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = f.applied_run_id)::integer as rejected,
       a.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       f.observed_at is distinct from k.succeeded_by as clock_ahead,
       (syncer.outcome_title(l.outcome))[1] as last_outcome_title_en,
       (syncer.outcome_title(l.outcome))[2] as last_outcome_title_ru,
       (syncer.error_kind_title(l.error_kind))[1] as last_error_kind_title_en,
       (syncer.error_kind_title(l.error_kind))[2] as last_error_kind_title_ru
  from syncer.account a
  left join syncer.account_fence f using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = f.success_run_id
  left join lateral (
            select r.outcome, r.error_kind, r.error
              from syncer.sync_run r
             where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
             order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, f.success_run_id, f.success_started_at, f.observed_at, now())
                     offset 0) k (succeeded_by);

alter table syncer.account_schedule drop column retired_at;

-- Days ----------------------------------------------------------------------------------------------------------------

-- A row of day_summary. The views of days call functions with this type: with the table's own type they needed the table,
-- and a table cannot be distributed that views need which it needs for its own type.
create type syncer.counted_day as (
    account_id integer,
    day date,
    time_zone text,
    ends timestamptz,
    states text[],
    region_id integer[],
    type text[],
    state text[],
    numbers integer[],
    entered integer[],
    exited integer[],
    arrived integer[],
    returned integer[],
    removed integer[],
    microseconds bigint[],
    pair_region_id integer[],
    pair_type text[],
    month_opening integer[],
    month_closing integer[],
    month_arrived integer[],
    month_returned integer[],
    month_removed integer[],
    month_locks integer[],
    month_unlocks integer[],
    month_active_microseconds bigint[],
    month_listed_microseconds bigint[]
);

-- The function as it was, of the other type.
do $$
declare
    path text := current_setting('search_path');
begin
    perform set_config('search_path', '', true);  -- so that the type's name is qualified
    execute replace(
        pg_get_functiondef(
            'syncer.count_days(integer, text, syncer.day_summary, timestamptz, date)'::regprocedure),
        'syncer.day_summary', 'syncer.counted_day');
    perform set_config('search_path', path, true);
end
$$;

alter function syncer.last_day_summary(integer, text, timestamptz) rename to last_day_summary_0022;
alter function syncer.summarised_days(integer, text, timestamptz) rename to summarised_days_0022;

-- In PL/pgSQL, as a function in SQL that has parameters may not read distributed tables.
create function syncer.last_day_summary(of_account integer, zone text, until timestamptz) returns syncer.counted_day
language plpgsql stable as $$
declare
    newest syncer.counted_day;
begin
    select s.* into newest from syncer.day_summary s
     where s.account_id = of_account and s.time_zone = zone and s.ends <= until
       and s.ends = syncer.day_start(s.day + interval '1 day', zone)
     order by s.day desc limit 1;
    return newest;
end
$$;

create function syncer.summarised_days(of_account integer, time_zone text, until timestamptz)
returns setof syncer.counted_day
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    zone text := syncer.known_zone(time_zone);
    last syncer.counted_day := syncer.last_day_summary(of_account, zone, until);
begin
    return query
    select s.* from syncer.day_summary s
     where s.account_id = of_account and s.time_zone = zone and s.day <= last.day;
    return query select c.* from syncer.count_days(of_account, zone, last, until) c;
end
$$;

-- The account's id is that of the account: a query of one account, by its id too, then counts the days of this one only.
create or replace view syncer.summarised_day as
select k.account, k.account_id, d.day, d.time_zone, d.ends, d.states, d.region_id, d.type, d.state, d.numbers, d.entered,
       d.exited, d.arrived, d.returned, d.removed, d.microseconds, d.pair_region_id, d.pair_type, d.month_opening,
       d.month_closing, d.month_arrived, d.month_returned, d.month_removed, d.month_locks, d.month_unlocks,
       d.month_active_microseconds, d.month_listed_microseconds, d.all_states,
       case when d.states = d.all_states then '{}'
            else array(select unnest(d.all_states) except select unnest(d.states)) end as later_states
  from syncer.account_known k
 cross join lateral (
       select *, last_value(states) over (order by day rows between unbounded preceding and unbounded following)
                     as all_states
         from syncer.summarised_days(k.account_id, k.time_zone, k.known_until)) d;

drop function syncer.summarised_days_0022(integer, text, timestamptz);
drop function syncer.last_day_summary_0022(integer, text, timestamptz);
drop function syncer.count_days(integer, text, syncer.day_summary, timestamptz, date);

-- Comments ------------------------------------------------------------------------------------------------------------

comment on column syncer.account.retired_at is
    'Since when the account has been in no configuration and is not polled; null while it is configured';
comment on column syncer.account_fence.attempted_at is
    'When a poll last failed, written at most once an hour: an account that is polled counts until now also while its '
    'polls fail';
comment on column syncer.account_known.known_until is
    'Now while it is polled, also if the polls fail; the last success once it is retired, or was not polled for a day';
comment on type syncer.counted_day is 'A day of an account as day_summary stores it';
comment on function syncer.count_days(integer, text, syncer.counted_day, timestamptz, date) is
    'Counts the days of an account from its history, after the day of a summary, or all';
comment on function syncer.last_day_summary(integer, text, timestamptz) is
    'The newest summary of an account''s days in a time zone';
comment on function syncer.summarised_days(integer, text, timestamptz) is
    'All days of an account: those that are summarised, and those after them counted from the history';
