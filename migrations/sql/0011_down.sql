-- Reverts 0011_up.sql.
drop function syncer.delete_surplus_rejected_records(integer);
drop function syncer.delete_rejected_records(integer, timestamptz, integer);
drop table syncer.retention;
drop trigger seen_stays_seen on syncer.rejected_record;
drop trigger finished_stays_finished on syncer.sync_run;
create trigger finished_stays_finished
    after update of outcome, error_kind, error, http_status, response_bytes, received, created, changed, unchanged,
                    removed, restored, held, rejected, state_changes, redirects_opened, redirects_closed, unconfirmed
    on syncer.sync_run
    for each row when (old.outcome not in ('running', 'abandoned', 'failed')) execute function syncer.refuse_rewrite();

create schema syncer_after;
alter table syncer.account set schema syncer_after;
create table syncer.account (
    account_id integer not null generated always as identity,
    name text not null,
    app_id bigint,
    time_zone text not null,
    created_at timestamptz not null,
    success_run_id bigint,
    success_started_at timestamptz,
    observed_at timestamptz,
    applied_run_id bigint,
    fingerprints_version uuid,
    body_digest bytea,
    decoder_version smallint,
    believable_responses bigint default 0 not null,
    believable_run_id bigint,
    believable_started_at timestamptz,
    constraint account_pkey primary key (account_id),
    constraint account_name_key unique (name)
);
insert into syncer.account overriding system value
select a.account_id, a.name, a.app_id, a.time_zone, a.created_at, f.success_run_id, f.success_started_at,
       f.observed_at, f.applied_run_id, f.fingerprints_version, f.body_digest, f.decoder_version,
       coalesce(f.believable_responses, 0), f.believable_run_id, f.believable_started_at
  from syncer_after.account a
  left join syncer.account_fence f using (account_id)
 order by a.account_id;
select setval('syncer.account_account_id_seq', last_value, is_called) from syncer_after.account_account_id_seq;

create or replace view syncer.account_known as
select a.account_id, a.name as account, a.time_zone, s.retired_at,
       case when s.retired_at is null and greatest(a.observed_at, s.due_at) > now() - interval '1 day' then now()
            else a.observed_at end as known_until
  from syncer.account a
  left join syncer.account_schedule s using (account_id);

create or replace view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       a.observed_at is distinct from k.succeeded_by as clock_ahead
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = a.success_run_id
  left join lateral (
            select r.outcome, r.error_kind, r.error
              from syncer.sync_run r
             where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
             order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, a.success_run_id, a.success_started_at, a.observed_at, now())
                     offset 0) k (succeeded_by);

create or replace view analytics.rejected_records as
select j.account_id, a.name as account, j.virtual_number_id, n.number,
       j.account_id || ':' || j.virtual_number_id as number_key, j.error, analytics.readable(j.payload) as payload,
       f.started_at as first_seen_at, l.started_at as last_seen_at, j.occurrences
  from syncer.rejected_record j
  join syncer.account a on a.account_id = j.account_id and a.applied_run_id = j.last_run_id
  left join syncer.virtual_number n on n.account_id = j.account_id and n.virtual_number_id = j.virtual_number_id
  left join syncer.sync_run f on f.account_id = j.account_id and f.run_id = j.first_run_id
  left join syncer.sync_run l on l.account_id = j.account_id and l.run_id = a.success_run_id;

:analytics.changes

do $$
declare
    one record;
begin
    for one in select distinct w.ev_class::regclass as view
                 from pg_depend d
                 join pg_rewrite w on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
                where d.refobjid = 'syncer_after.account'::regclass loop
        execute format('create or replace view %s as %s', one.view,
                       replace(pg_get_viewdef(one.view), 'syncer_after.account', 'syncer.account'));
    end loop;
    drop table syncer.account_fence;
    for one in select conrelid::regclass as referencing, conname, pg_get_constraintdef(oid) as definition
                 from pg_constraint where confrelid = 'syncer_after.account'::regclass loop
        execute format('alter table %s drop constraint %I, add constraint %I %s', one.referencing, one.conname,
                       one.conname, replace(one.definition, 'syncer_after.account', 'syncer.account'));
    end loop;
end
$$;
drop table syncer_after.account;
drop schema syncer_after;

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, insert, update on syncer.account to syncer_daemon;
        grant select, update on sequence syncer.account_account_id_seq to syncer_daemon;
        revoke update (last_run_id, error, occurrences) on syncer.rejected_record from syncer_daemon;
        grant update, delete on syncer.rejected_record to syncer_daemon;
    end if;
end
$$;

comment on table syncer.account is
    'One row per configured account, with what its newest successful poll recorded for the next one';
comment on column syncer.account.account_id is 'Identifier assigned by syncer';
comment on column syncer.account.name is 'Name of the account in the configuration';
comment on column syncer.account.app_id is
    'Identifier of the Личный кабинет: the most frequent app_id of the first successful response';
comment on column syncer.account.time_zone is 'IANA time zone of the account''s days';
comment on column syncer.account.created_at is 'When it was first polled';
comment on column syncer.account.success_run_id is
    'The newest successful run; a run that began before it must not change anything';
comment on column syncer.account.success_started_at is
    'Start of the newest successful run; anything that it did not see happened later';
comment on column syncer.account.observed_at is 'Time recorded for the newest successful run; it never decreases';
comment on column syncer.account.applied_run_id is
    'The newest applied run; its rejected records are the ones that count as rejected now';
comment on column syncer.account.fingerprints_version is
    'Random version of the stored fingerprints, replaced whenever they change; null before they first did';
comment on column syncer.account.body_digest is
    'Digest of the response body that the stored data corresponds to; null while numbers are missing';
comment on column syncer.account.decoder_version is 'Version of the decoder that read that response body';
comment on column syncer.account.believable_responses is
    'How many successful runs had a believable response: not empty, every id readable, not a part of the list';
comment on column syncer.account.believable_run_id is 'The newest successful run whose response was believable';
comment on column syncer.account.believable_started_at is
    'Start of that run; a number that it did not list, and that is listed later, appeared after it';
