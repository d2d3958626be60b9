-- What 0011_down.sql reverts. What each poll locks and writes of an account is in a table of its own, apart from what
-- identifies it. Both tables are new: a table with dropped columns cannot be distributed later.
create schema syncer_before;
alter table syncer.account set schema syncer_before;

create table syncer.account (
    account_id integer not null generated always as identity,
    name text not null,
    app_id bigint,
    time_zone text not null,
    created_at timestamptz not null,
    constraint account_pkey primary key (account_id),
    constraint account_name_key unique (name)
);
insert into syncer.account overriding system value
select account_id, name, app_id, time_zone, created_at from syncer_before.account order by account_id;
select setval('syncer.account_account_id_seq', last_value, is_called) from syncer_before.account_account_id_seq;

create table syncer.account_fence (
    account_id integer not null,
    success_run_id bigint,
    success_started_at timestamptz,
    first_success_at timestamptz,
    observed_at timestamptz,
    applied_run_id bigint,
    fingerprints_version uuid,
    body_digest bytea,
    decoder_version smallint,
    believable_responses bigint default 0 not null,
    believable_run_id bigint,
    believable_started_at timestamptz,
    -- Last, so that what every poll writes to the log ends before it.
    record_keys text[],
    constraint account_fence_pkey primary key (account_id),
    constraint account_fence_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
-- The first success is a run that changed something, and is kept, unless the first responses were empty lists: then it
-- was not before the earliest day whose runs were deleted and had not all failed.
insert into syncer.account_fence
select a.account_id, a.success_run_id, a.success_started_at,
       case when a.success_run_id is not null
            then least((select min(started_at) from syncer.sync_run r
                         where r.account_id = a.account_id and r.outcome in ('applied', 'unchanged')),
                       (select min(first_seen_at) from syncer.virtual_number n where n.account_id = a.account_id),
                       (select greatest(syncer.day_start(min(d.day)::timestamp, syncer.known_zone(a.time_zone)),
                                        a.created_at)
                          from syncer.sync_day d where d.account_id = a.account_id and d.polls > d.failed having count(*) > 0)) end,
       a.observed_at, a.applied_run_id, a.fingerprints_version, a.body_digest, a.decoder_version,
       a.believable_responses, a.believable_run_id, a.believable_started_at, null
  from syncer_before.account a
 order by a.account_id;

do $$
declare
    one record;
begin
    for one in select conrelid::regclass as referencing, conname, pg_get_constraintdef(oid) as definition
                 from pg_constraint where confrelid = 'syncer_before.account'::regclass loop
        execute format('alter table %s drop constraint %I, add constraint %I %s', one.referencing, one.conname,
                       one.conname, replace(one.definition, 'syncer_before.account', 'syncer.account'));
    end loop;
end
$$;

create or replace view syncer.account_known as
select a.account_id, a.name as account, a.time_zone, s.retired_at,
       case when s.retired_at is null and greatest(f.observed_at, s.due_at) > now() - interval '1 day' then now()
            else f.observed_at end as known_until
  from syncer.account a
  left join syncer.account_fence f using (account_id)
  left join syncer.account_schedule s using (account_id);

create or replace view analytics.freshness as
select a.account_id, a.name as account, f.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = f.applied_run_id)::integer as rejected,
       s.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       f.observed_at is distinct from k.succeeded_by as clock_ahead
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

create or replace view analytics.rejected_records as
select j.account_id, a.name as account, j.virtual_number_id, n.number,
       j.account_id || ':' || j.virtual_number_id as number_key, j.error, analytics.readable(j.payload) as payload,
       first.started_at as first_seen_at, last.started_at as last_seen_at, j.occurrences
  from syncer.rejected_record j
  join syncer.account_fence f on f.account_id = j.account_id and f.applied_run_id = j.last_run_id
  join syncer.account a on a.account_id = j.account_id
  left join syncer.virtual_number n on n.account_id = j.account_id and n.virtual_number_id = j.virtual_number_id
  left join syncer.sync_run first on first.account_id = j.account_id and first.run_id = j.first_run_id
  left join syncer.sync_run last on last.account_id = j.account_id and last.run_id = f.success_run_id;

-- In its own words: those in which PostgreSQL would print it differ.
:analytics.changes

-- All other views take the name and the time zone of an account, which are where they were.
do $$
declare
    one record;
begin
    for one in select distinct w.ev_class::regclass as view
                 from pg_depend d
                 join pg_rewrite w on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
                where d.refobjid = 'syncer_before.account'::regclass loop
        execute format('create or replace view %s as %s', one.view,
                       replace(pg_get_viewdef(one.view), 'syncer_before.account', 'syncer.account'));
    end loop;
end
$$;
drop table syncer_before.account;
drop schema syncer_before;

-- The evidence of runs --------------------------------------------------------------------------------------------------

-- A run that has ended stays as it was, its times included. What failed or was abandoned can still end otherwise.
drop trigger finished_stays_finished on syncer.sync_run;
create trigger finished_stays_finished after update on syncer.sync_run
    for each row when (old.outcome not in ('running', 'abandoned', 'failed')) execute function syncer.refuse_rewrite();
-- A rejected record was seen when it was seen; it can only be seen again.
create trigger seen_stays_seen after update on syncer.rejected_record
    for each row when (new.last_run_id < old.last_run_id or new.first_run_id <> old.first_run_id
                       or new.payload <> old.payload or new.occurrences < old.occurrences)
    execute function syncer.refuse_rewrite();

create table syncer.retention (
    is_only_row boolean default true not null,
    rejected_records interval not null,
    constraint retention_pkey primary key (is_only_row),
    constraint retention_is_only_row_check check (is_only_row)
);
insert into syncer.retention (rejected_records) values (interval '90 days');

-- The daemon's role deletes rejected records by these two functions only, which run with the owner's rights.
create function syncer.delete_rejected_records(account_id integer, before timestamptz, batch integer) returns bigint
language sql security definer set search_path = pg_catalog
begin atomic
with old as (
    select j.account_id, j.rejected_record_id
      from syncer.retention
     cross join lateral (select least($2, syncer.clock() - rejected_records) as cutoff) limits
      join syncer.rejected_record j on j.account_id = $1
      join syncer.sync_run seen on seen.account_id = j.account_id and seen.run_id = j.last_run_id
     where seen.started_at < cutoff
       -- It was last seen until the first later run was applied that did not contain it.
       and exists (select from syncer.sync_run r
                    where r.account_id = j.account_id and r.run_id > j.last_run_id and r.outcome = 'applied'
                      and r.started_at < cutoff)
     limit $3
), deleted as (
    delete from syncer.rejected_record j using old
     where j.account_id = old.account_id and j.rejected_record_id = old.rejected_record_id
    returning 1
)
select count(*) from deleted;
end;
create function syncer.delete_surplus_rejected_records(account_id integer) returns bigint
language sql security definer set search_path = pg_catalog
begin atomic
with surplus as (
    select j.account_id, j.rejected_record_id
      from syncer.rejected_record j
     where j.account_id = $1
     order by j.last_run_id desc, j.first_run_id desc, j.rejected_record_id offset 10000
), deleted as (
    delete from syncer.rejected_record j using surplus
     where j.account_id = surplus.account_id and j.rejected_record_id = surplus.rejected_record_id
    returning 1
)
select count(*) from deleted;
end;
revoke execute on function syncer.delete_rejected_records(integer, timestamptz, integer),
    syncer.delete_surplus_rejected_records(integer) from public;

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.account, syncer.account_fence to syncer_daemon;
        grant select, update on sequence syncer.account_account_id_seq to syncer_daemon;
        grant select on syncer.retention to syncer_daemon;
        revoke update, delete on syncer.rejected_record from syncer_daemon;
        grant update (last_run_id, error, occurrences) on syncer.rejected_record to syncer_daemon;
        grant execute on function syncer.delete_rejected_records(integer, timestamptz, integer),
            syncer.delete_surplus_rejected_records(integer) to syncer_daemon;
    end if;
end
$$;

-- Comments --------------------------------------------------------------------------------------------------------------

comment on table syncer.account is 'One row per account that was ever configured: what identifies it';
comment on column syncer.account.account_id is 'Identifier assigned by syncer';
comment on column syncer.account.name is 'Name of the account in the configuration';
comment on column syncer.account.app_id is
    'Identifier of the Личный кабинет: the most frequent app_id of the first successful response';
comment on column syncer.account.time_zone is 'IANA time zone of the account''s days';
comment on column syncer.account.created_at is 'When it was first polled';
comment on table syncer.account_fence is
    'What the newest successful poll of each account recorded for the next one; a poll locks the row to write';
comment on column syncer.account_fence.account_id is 'The account';
comment on column syncer.account_fence.success_run_id is
    'The newest successful run; a run that began before it must not change anything';
comment on column syncer.account_fence.success_started_at is
    'Start of the newest successful run; anything that it did not see happened later';
comment on column syncer.account_fence.first_success_at is 'Start of the account''s first successful run';
comment on column syncer.account_fence.observed_at is 'Time recorded for the newest successful run; it never decreases';
comment on column syncer.account_fence.applied_run_id is
    'The newest applied run; its rejected records are the ones that count as rejected now';
comment on column syncer.account_fence.fingerprints_version is
    'Random version of the stored fingerprints, replaced whenever they change; null before they first did';
comment on column syncer.account_fence.body_digest is
    'Digest of the response body that the stored data corresponds to; null while numbers are missing';
comment on column syncer.account_fence.decoder_version is 'Version of the decoder that read that response body';
comment on column syncer.account_fence.record_keys is
    'Keys that the records of the last response with accepted records had';
comment on column syncer.account_fence.believable_responses is
    'How many successful runs had a believable response: not empty, every id readable, not a part of the list';
comment on column syncer.account_fence.believable_run_id is 'The newest successful run whose response was believable';
comment on column syncer.account_fence.believable_started_at is
    'Start of that run; a number that it did not list, and that is listed later, appeared after it';
comment on table syncer.retention is 'What the daemon''s role may delete: one row, which only the owner changes';
comment on column syncer.retention.is_only_row is 'Always true: there is one row';
comment on column syncer.retention.rejected_records is
    'How long rejected records are kept at least; `syncer migrate` writes SYNCER_RUN_RETENTION here';
comment on function syncer.delete_rejected_records(integer, timestamptz, integer) is
    'Deletes at most batch rejected records of an account last seen before a time, and longer ago than '
    'syncer.retention says';
comment on function syncer.delete_surplus_rejected_records(integer) is
    'Deletes the rejected records of an account beyond the 10,000 that were seen last';
