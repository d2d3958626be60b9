-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';

-- What a process remembers. The number of a run comes again after a dump was restored; a random version does not.
alter table syncer.account rename column fingerprints_run_id to fingerprints_version;
alter table syncer.account alter column fingerprints_version type uuid
    using case when fingerprints_version is not null then gen_random_uuid() end;
comment on column syncer.account.fingerprints_version is
    'Random version of the stored fingerprints, replaced whenever they change; null before they first did';

-- Generated ids that are behind the data, as after a copy, are put right by who polls.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select, update on sequence syncer.account_account_id_seq, syncer.sync_run_run_id_seq,
            syncer.region_region_id_seq to syncer_daemon;
    end if;
end
$$;
