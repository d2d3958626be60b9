-- Reverts 0008_up.sql, in reverse order.

-- Generated ids.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
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

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule drop column not_before;
