-- Reverts 0008_up.sql, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule drop column not_before;
-- The age of the last success ------------------------------------------------------------------------------------------

drop view analytics.freshness;
create view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       -- now() is when the transaction began, and what it sees may be younger; of nothing there is no lag.
       case when a.observed_at is not null then greatest(extract(epoch from now() - a.observed_at), 0) end as lag_seconds,
       l.outcome as last_outcome,
       l.error_kind as last_error_kind,
       l.error as last_error,
       (select count(*) from syncer.virtual_number n
         where n.account_id = a.account_id and n.last_read_at is not null and n.removed_at is null
           and n.missing_since is not null)::integer as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true;
comment on view analytics.freshness is
    'How recent the data of each account is, and how its newest poll ended; example: select account, lag_seconds from analytics.freshness where lag_seconds > 3600';
comment on column analytics.freshness.account_id is 'Identifier of the account, assigned by syncer; example: 1';
comment on column analytics.freshness.account is 'Name of the account in the configuration; example: default';
comment on column analytics.freshness.last_success_at is 'When the newest successful poll was recorded; example: 2026-03-01 12:05:00+03';
comment on column analytics.freshness.lag_seconds is 'Time since last_success_at, in seconds; example: 140';
comment on column analytics.freshness.last_outcome is 'Outcome of the newest poll that has finished; example: unchanged';
comment on column analytics.freshness.last_error_kind is 'Kind of failure of the newest poll that has finished; null unless it failed; example: http_status';
comment on column analytics.freshness.last_error is 'Error of the newest poll that has finished; null unless it failed; example: the endpoint answered 502 Bad Gateway';
comment on column analytics.freshness.held is 'Missing numbers whose removal is on hold; example: 70';
comment on column analytics.freshness.rejected is 'Elements of the newest response that were rejected; example: 1';
comment on column analytics.freshness.retired_at is 'Since when the account has been in no configuration and is not polled; null while it is configured; example: 2026-03-01 12:05:00+03';
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.freshness to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.freshness to syncer_daemon;
    end if;
end
$$;
drop function syncer.succeeded_by(integer, bigint, timestamptz, timestamptz, timestamptz);

-- Days and time zones --------------------------------------------------------------------------------------------------

create or replace view analytics.coverage as
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

create or replace view syncer.account_day as
select a.account_id, d.day, d.begins, d.ends
  from syncer.account a
 cross join lateral (
       -- `offset 0`: a day's ends are computed once a day, not once for each row that is compared with them.
       select day::date as day, day at time zone a.time_zone as begins,
              (day + interval '1 day') at time zone a.time_zone as ends
         from generate_series(
                  (select (h.valid_from at time zone a.time_zone)::date::timestamp from syncer.state_history h
                    where h.account_id = a.account_id order by h.run_id limit 1),
                  (now() at time zone a.time_zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;

drop function syncer.known_zone(text);
drop function syncer.day_start(timestamp, text);
