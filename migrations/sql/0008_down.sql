-- Reverts 0008_up.sql, in reverse order.

-- Fingerprints and digests
comment on column syncer.rejected_record.rejected_record_id is
    'Content hash (XXH3, 128 bits) of the bytes as received';
-- The fingerprints and digests are keyed, and mean nothing to older versions.
comment on column syncer.record_fingerprint.fingerprint is
    'Content hash (XXH3, 128 bits) of the bytes that the current record was read from';
update syncer.account set body_digest = null;
truncate syncer.record_fingerprint;
drop table syncer.hash_key;

-- Generated ids.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        revoke select on syncer.account_day from syncer_daemon;
        revoke select, update on sequence syncer.account_account_id_seq, syncer.sync_run_run_id_seq,
            syncer.region_region_id_seq from syncer_daemon;
    end if;
end
$$;

-- What a process remembers.
alter table syncer.account alter column fingerprints_version type bigint
    using case when fingerprints_version is not null then success_run_id end;
alter table syncer.account rename column fingerprints_version to fingerprints_run_id;
comment on column syncer.account.fingerprints_run_id is 'The run that last changed the stored fingerprints';

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

-- Believable responses
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
                       replace(one.description, 'null if the account''s first non-empty response had it',
                                                'null if the account''s first successful poll found it'));
    end loop;
end
$$;
-- A view can lose a column only by being made again, and its comments and grants with it.
create temporary table described on commit drop as
select c.relname, a.attname, d.description
  from pg_class c
  join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and a.attnum > 0
 where c.oid in ('analytics.runs'::regclass, 'analytics.freshness'::regclass)
   and a.attname is distinct from 'unconfirmed' and a.attname is distinct from 'clock_ahead';
create temporary table granted on commit drop as
select c.relname, g.grantee::regrole as role, g.privilege_type
  from pg_class c
 cross join lateral aclexplode(c.relacl) g
 where c.oid in ('analytics.runs'::regclass, 'analytics.freshness'::regclass) and g.grantee <> c.relowner;
drop view analytics.freshness;
drop view analytics.runs;
create view analytics.runs as
select r.account_id, a.name as account, r.run_id, r.trigger, r.started_at, r.finished_at,
       extract(epoch from r.finished_at - r.started_at) as duration_seconds, r.outcome, r.error_kind, r.error,
       r.http_status, r.response_bytes, r.received, r.created, r.changed, r.unchanged, r.removed, r.restored, r.held,
       r.rejected, r.state_changes, r.redirects_opened, r.redirects_closed
  from syncer.sync_run r
  join syncer.account a using (account_id);
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
do $$
declare
    one record;
begin
    for one in select * from described loop
        if one.attname is null then
            execute format('comment on view analytics.%I is %L', one.relname, one.description);
        else
            execute format('comment on column analytics.%I.%I is %L', one.relname, one.attname, one.description);
        end if;
    end loop;
    for one in select * from granted loop
        execute format('grant %s on analytics.%I to %s', one.privilege_type, one.relname, one.role);
    end loop;
end
$$;
drop table described, granted;
-- A removal that waits counts as held by the older version.
update syncer.sync_run set held = held + unconfirmed where unconfirmed > 0;
comment on column syncer.sync_run.held is 'Missing numbers whose removal was on hold after the run';
alter table syncer.sync_run drop column unconfirmed;
alter table syncer.virtual_number drop column believable_missing_since, drop column believable_missing_from;
comment on column syncer.account.body_digest is
    'Digest of the response body that the stored data corresponds to; null while removals are held';
alter table syncer.account
    drop column believable_responses, drop column believable_run_id, drop column believable_started_at;
-- The age of the last success, whose view is the one before.
comment on column analytics.freshness.lag_seconds is 'Time since last_success_at, in seconds; example: 140';
drop function syncer.succeeded_by(integer, bigint, timestamptz, timestamptz, timestamptz);

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule drop column not_before;
