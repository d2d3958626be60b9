-- The tables of revision 0008 are those of 0007.
-- Except that 0007 stores the number of a run where 0008 stores a random version.
alter table syncer.account rename column fingerprints_version to fingerprints_run_id;
alter table syncer.account alter column fingerprints_run_id type bigint using null;
\ir 0007.sql
alter table syncer.account alter column fingerprints_run_id type uuid
    using case when fingerprints_run_id is not null then gen_random_uuid() end;
alter table syncer.account rename column fingerprints_run_id to fingerprints_version;

-- How long the endpoint asked not to be polled (Retry-After).
update syncer.account_schedule set not_before = '2026-03-02 01:00:00Z' where account_id = 1;
