-- What revision 0008 stores in addition to 0007.
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

-- Which responses were believable, and a number of the second account whose removal waits for its confirmation.
update syncer.account
   set believable_responses = 7, believable_run_id = 9, believable_started_at = '2026-03-01 20:00:00Z'
 where account_id = 1;
update syncer.account
   set believable_responses = 2, believable_run_id = 12, believable_started_at = '2026-03-01 22:00:00Z',
       applied_run_id = 12, body_digest = null
 where account_id = 2;
update syncer.sync_run set received = 2, created = 2 where account_id = 2 and run_id = 11;
update syncer.sync_run set outcome = 'applied', unconfirmed = 1 where account_id = 2 and run_id = 12;
insert into syncer.virtual_number
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, region_id, app_id, nc_type, extra,
        first_seen_at, changed_at, changed_after, last_read_at, missing_since, removed_at, run_id,
        believable_missing_since, believable_missing_from)
values (2, 2, '79000000102', null, 'def', 'company', 'active', null, 2, 7, 'custom', '{}',
        '2026-03-01 21:00:01Z', '2026-03-01 21:00:01Z', null, '2026-03-01 21:00:00Z', '2026-03-01 22:00:01Z', null, 11,
        '2026-03-01 22:00:01Z', 2);
insert into syncer.state_history (account_id, virtual_number_id, state, reason, valid_from, valid_to, run_id)
values (2, 2, 'active', null, '2026-03-01 21:00:01Z', null, 11);
