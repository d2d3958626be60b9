-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';

-- Believable responses: only these are evidence that a number is gone.
alter table syncer.account
    add column believable_responses bigint not null default 0,
    add column believable_run_id bigint,
    add column believable_started_at timestamptz;
comment on column syncer.account.believable_responses is
    'How many successful runs had a believable response: not empty, every id readable, not a part of the list';
comment on column syncer.account.believable_run_id is 'The newest successful run whose response was believable';
comment on column syncer.account.believable_started_at is
    'Start of that run; a number that it did not list, and that is listed later, appeared after it';
comment on column syncer.account.body_digest is
    'Digest of the response body that the stored data corresponds to; null while numbers are missing';
-- Before, a response was believed whatever its headers. While an id cannot be read, the last run without rejected
-- elements is taken.
update syncer.account a
   set believable_responses = 1, believable_run_id = r.run_id, believable_started_at = r.started_at
  from syncer.sync_run r
 where r.account_id = a.account_id
   and r.run_id = (select max(run_id) from syncer.sync_run s
                    where s.account_id = a.account_id and s.outcome in ('applied', 'unchanged') and s.received > 0
                      and (s.rejected = 0
                           or s.run_id = a.success_run_id
                              and not exists (select from syncer.rejected_record j
                                               where j.account_id = a.account_id and j.last_run_id = a.applied_run_id
                                                 and j.virtual_number_id is null)));

alter table syncer.virtual_number
    add column believable_missing_since timestamptz,
    add column believable_missing_from bigint;
comment on column syncer.virtual_number.believable_missing_since is
    'Time of the first believable response that no longer listed the number; the hold time counts from it';
comment on column syncer.virtual_number.believable_missing_from is
    'Which of the account''s believable_responses that was, counted from 1; each later one confirms it';

alter table syncer.sync_run add column unconfirmed integer not null default 0;
comment on column syncer.sync_run.unconfirmed is
    'Missing numbers whose removal only waited for another response to confirm it';
comment on column syncer.sync_run.held is
    'Missing numbers whose removal was on hold after the run; a person should look';

create or replace view analytics.runs as
select r.account_id, a.name as account, r.run_id, r.trigger, r.started_at, r.finished_at,
       extract(epoch from r.finished_at - r.started_at) as duration_seconds, r.outcome, r.error_kind, r.error,
       r.http_status, r.response_bytes, r.received, r.created, r.changed, r.unchanged, r.removed, r.restored, r.held,
       r.rejected, r.state_changes, r.redirects_opened, r.redirects_closed, r.unconfirmed
  from syncer.sync_run r
  join syncer.account a using (account_id);
comment on column analytics.runs.unconfirmed is
    'Missing numbers whose removal only waited for another response to confirm it; example: 2';

-- A response that is not believable, such as an empty list, does not show when a number appeared.
do $$
declare
    one record;
begin
    for one in select c.oid::regclass as relation, a.attname, d.description
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid
                 join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = a.attnum
                where c.relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
                  and a.attname = 'changed_after' loop
        execute format('comment on column %s.%I is %L', one.relation, one.attname,
                       replace(one.description, 'null if the account''s first successful poll found it',
                                                'null if the account''s first non-empty response had it'));
    end loop;
end
$$;

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

-- The newest success counted which of the missing numbers are held and which only wait for their confirmation.
create or replace view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       -- now() is when the transaction began, and what it reads may be younger.
       case when k.succeeded_by is not null then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome,
       l.error_kind as last_error_kind,
       l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at,
       coalesce(newest.unconfirmed, 0) as unconfirmed,
       a.observed_at is distinct from k.succeeded_by as clock_ahead
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = a.success_run_id
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, a.success_run_id, a.success_started_at, a.observed_at, now())
                     offset 0) k (succeeded_by);
comment on column analytics.freshness.lag_seconds is
    'Time since last_success_at, in seconds; if clock_ahead, the time that has certainly passed since the newest '
    'successful poll, null if none has; example: 140';
comment on column analytics.freshness.unconfirmed is
    'Missing numbers whose removal only waits for another response to confirm it; example: 2';
comment on column analytics.freshness.clock_ahead is
    'Whether the database''s clock was ahead when the newest successful poll was recorded, so that last_success_at is '
    'later than it was; example: false';

-- What a process remembers. The number of a run comes again after a dump was restored; a random version does not.
alter table syncer.account rename column fingerprints_run_id to fingerprints_version;
alter table syncer.account alter column fingerprints_version type uuid
    using case when fingerprints_version is not null then gen_random_uuid() end;
comment on column syncer.account.fingerprints_version is
    'Random version of the stored fingerprints, replaced whenever they change; null before they first did';

-- Generated ids that are behind the data, as after a copy, are put right by who polls. The view is granted because
-- roles.sql grants reading all of the schema.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.account_day to syncer_daemon;
        grant select, update on sequence syncer.account_account_id_seq, syncer.sync_run_run_id_seq,
            syncer.region_region_id_seq to syncer_daemon;
    end if;
end
$$;

-- Fingerprints and digests are keyed: without the key, nobody can make two records that have the same one.
create table syncer.hash_key (
    is_only_row boolean primary key default true check (is_only_row),
    key bytea not null check (octet_length(key) = 32)
);
comment on table syncer.hash_key is
    'The key of all fingerprints and digests: one row, random, made by the migration, and not for analysts';
comment on column syncer.hash_key.is_only_row is 'Always true: there is one row';
comment on column syncer.hash_key.key is 'The secret key of 32 bytes';
insert into syncer.hash_key (key) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.hash_key to syncer_daemon;
    end if;
end
$$;
-- The old ones were not keyed. Each account's first response after the upgrade is decoded in full.
truncate syncer.record_fingerprint;
update syncer.account set body_digest = null;
comment on column syncer.record_fingerprint.fingerprint is
    'Content hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the bytes that the current record was read from';
comment on column syncer.rejected_record.rejected_record_id is
    'Content hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the bytes as received';
