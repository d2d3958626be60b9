-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';
-- Days and time zones --------------------------------------------------------------------------------------------------

create function syncer.day_start(day timestamp, zone text) returns timestamptz language sql stable parallel safe
begin atomic
-- Where clocks go back over midnight, PostgreSQL reads `day` as the later of two midnights. The earlier one comes as
-- long after six hours before as it would if no clock were changed.
select case when ((day at time zone zone) - interval '6 hours'
                  + (day - (((day at time zone zone) - interval '6 hours') at time zone zone))) at time zone zone = day
            then least(day at time zone zone,
                       (day at time zone zone) - interval '6 hours'
                       + (day - (((day at time zone zone) - interval '6 hours') at time zone zone)))
            else day at time zone zone end;
end;
comment on function syncer.day_start(timestamp, text) is
    'When a day begins in a time zone: at the earlier of two midnights where clocks go back over midnight';

create function syncer.known_zone(zone text) returns text language plpgsql stable as $$
begin
    perform now() at time zone zone;
    return zone;
exception when invalid_parameter_value then
    return 'UTC';
end
$$;
comment on function syncer.known_zone(text) is
    'The time zone, or UTC if this server does not know it, so that one account cannot break the views of all';
do $$
begin
    -- Before PostgreSQL 17, a block with an exception clause fails in a query that runs in parallel.
    if current_setting('server_version_num')::integer >= 170000 then
        alter function syncer.known_zone(text) parallel safe;
    end if;
end
$$;

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

-- The age of the last success ------------------------------------------------------------------------------------------

-- A success that is recorded in the future, or that a later poll began before, was recorded by a clock that was ahead.
-- What is certain then: it is not younger than its own beginning, nor than the beginning of any later poll, where a
-- right clock recorded these. A few polls are looked at, so that the answer does not take longer as failures go on. It
-- reads with the owner's rights, as the views do: an analyst has none on runs.
create function syncer.succeeded_by(
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
comment on function syncer.succeeded_by(integer, bigint, timestamptz, timestamptz, timestamptz) is
    'The latest moment at which the last successful poll of an account can have been recorded: observed_at, or earlier '
    'if the clock was ahead then; null if nothing is known';

create or replace view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       -- now() is when the transaction began, and what it reads may be younger.
       case when k.succeeded_by is not null then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome,
       l.error_kind as last_error_kind,
       l.error as last_error,
       (select count(*) from syncer.virtual_number n
         where n.account_id = a.account_id and n.last_read_at is not null and n.removed_at is null
           and n.missing_since is not null)::integer as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at,
       a.observed_at is distinct from k.succeeded_by as clock_ahead
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, a.success_run_id, a.success_started_at, a.observed_at, now())
                     offset 0) k (succeeded_by);
comment on column analytics.freshness.lag_seconds is
    'Time since last_success_at, in seconds; if clock_ahead, the time that has certainly passed since the newest '
    'successful poll, null if none has; example: 140';
comment on column analytics.freshness.clock_ahead is
    'Whether the database''s clock was ahead when the newest successful poll was recorded, so that last_success_at is '
    'later than it was; example: false';
