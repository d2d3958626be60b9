-- The history of a few numbers as revision 0007 stores it. Two accounts use the same ids. A poll starts at each full hour,
-- its changes are dated a second later, and it is committed another second later. In the first account: 1 changes its state
-- twice and is removed; 2 changes, goes missing, is removed by an operator and returns, and its redirects change; 3 is
-- rejected from a certain poll on; 4 is rejected before it was ever read, so that its beginning is not known.
-- The second account is no longer configured.
insert into syncer.region (name) values ('регион Москва'), ('Брянская область');
insert into syncer.number_state (state, documented) values ('porting', false);
insert into syncer.account
       (name, app_id, time_zone, created_at, success_run_id, success_started_at, observed_at, applied_run_id,
        fingerprints_run_id, body_digest, decoder_version)
values ('default', 1200054, 'Europe/Moscow', '2026-03-01 11:59:59Z', 9, '2026-03-01 20:00:00Z',
        '2026-03-01 20:00:01Z', 9, 9, '\x00112233445566778899aabbccddeeff', 1),
       ('other', 7, 'Asia/Yekaterinburg', '2026-03-01 11:59:59Z', 12, '2026-03-01 22:00:00Z',
        '2026-03-01 22:00:01Z', 11, 11, '\xffeeddccbbaa99887766554433221100', 1);
insert into syncer.account_schedule (account_id, due_at, lease_holder, lease_until)
values (1, '2026-03-01 22:00:00Z', 'host:1', '2026-03-01 21:00:15Z'), (2, '2026-03-01 23:00:00Z', null, null);

insert into syncer.sync_run
       (account_id, trigger, started_at, finished_at, outcome, error_kind, error, http_status, response_bytes, received,
        created, changed, unchanged, removed, restored, held, rejected, state_changes, redirects_opened,
        redirects_closed)
values (1, 'schedule', '2026-03-01 12:00:00Z', '2026-03-01 12:00:02Z', 'applied', null, null, 200, 900, 3,
        3, 0, 0, 0, 0, 0, 0, 0, 1, 0),
       (1, 'schedule', '2026-03-01 13:00:00Z', '2026-03-01 13:00:02Z', 'unchanged', null, null, 200, 900, 3,
        0, 0, 3, 0, 0, 0, 0, 0, 0, 0),
       (1, 'schedule', '2026-03-01 14:00:00Z', '2026-03-01 14:00:02Z', 'applied', null, null, 200, 910, 3,
        0, 2, 1, 0, 0, 0, 0, 1, 1, 1),
       (1, 'schedule', '2026-03-01 15:00:00Z', '2026-03-01 15:01:00Z', 'failed', 'timeout',
        'the endpoint did not answer in time', null, null, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
       (1, 'schedule', '2026-03-01 16:00:00Z', '2026-03-01 16:00:02Z', 'applied', null, null, 200, 600, 2,
        0, 0, 2, 0, 0, 1, 0, 0, 0, 0),
       (1, 'accept_removals', '2026-03-01 17:00:00Z', '2026-03-01 17:00:02Z', 'applied', null, null, 200, 600, 2,
        0, 0, 2, 1, 0, 0, 0, 0, 0, 1),
       (1, 'schedule', '2026-03-01 18:00:00Z', '2026-03-01 18:00:02Z', 'applied', null, null, 200, 900, 3,
        0, 0, 1, 0, 1, 0, 1, 0, 1, 0),
       (1, 'command', '2026-03-01 19:00:00Z', '2026-03-01 19:00:02Z', 'applied', null, null, 200, 990, 4,
        0, 1, 1, 0, 0, 0, 2, 1, 0, 0),
       (1, 'accept_removals', '2026-03-01 20:00:00Z', '2026-03-01 20:00:02Z', 'applied', null, null, 200, 900, 3,
        1, 0, 1, 1, 0, 0, 1, 0, 0, 0),
       (1, 'schedule', '2026-03-01 21:00:00Z', null, 'running', null, null, null, null, null,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
       (2, 'schedule', '2026-03-01 21:00:00Z', '2026-03-01 21:00:02Z', 'applied', null, null, 200, 300, 1,
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
       (2, 'schedule', '2026-03-01 22:00:00Z', '2026-03-01 22:00:02Z', 'unchanged', null, null, 200, 300, 1,
        0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
insert into syncer.sync_day (account_id, day, polls, failed, longest_gap_seconds) values (1, '2026-02-28', 288, 3, 900.5);

insert into syncer.virtual_number
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, region_id, app_id, nc_type, extra,
        first_seen_at, changed_at, changed_after, last_read_at, missing_since, removed_at, run_id)
values (1, 1, '79000000001', null, 'def', 'company', 'debt_lock', null, 1, 1200054, 'custom', '{"tariff": 1.5}',
        '2026-03-01 12:00:01Z', '2026-03-01 19:00:01Z', '2026-03-01 18:00:00Z',
        '2026-03-01 19:00:00Z', '2026-03-01 20:00:01Z', '2026-03-01 20:00:01Z', 8),
       (1, 2, '79000000002', 'вторая', 'def', 'company', 'active', null, 1, 1200054, 'custom', '{}',
        '2026-03-01 12:00:01Z', '2026-03-01 18:00:01Z', '2026-03-01 14:00:00Z', null, null, null, 7),
       (1, 3, '74990000003', null, 'abc', 'employee', 'porting', null, 2, 1200054, null, '{}',
        '2026-03-01 12:00:01Z', '2026-03-01 12:00:01Z', null, '2026-03-01 17:00:00Z', null, null, 1),
       (1, 4, '79000000004', null, 'def', 'company', 'active', null, null, null, 'custom', '{}',
        '2026-03-01 20:00:01Z', '2026-03-01 20:00:01Z', null, null, null, null, 9),
       (2, 1, '79000000101', null, 'def', 'company', 'active', null, 2, 7, 'custom', '{}',
        '2026-03-01 21:00:01Z', '2026-03-01 21:00:01Z', null, null, null, null, 11);
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, region_id, app_id, nc_type,
        valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id)
values (1, 1, '79000000001', null, 'def', 'company', 'active', null, 1, 1200054, 'custom',
        '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3),
       (1, 1, '79000000001', null, 'def', 'company', 'freeze', 'долг', 1, 1200054, 'custom',
        '2026-03-01 14:00:01Z', '2026-03-01 19:00:01Z', '2026-03-01 13:00:00Z', '2026-03-01 18:00:00Z', 3, 8),
       (1, 2, '79000000002', null, 'def', 'company', 'active', null, 1, 1200054, 'custom',
        '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3),
       (1, 2, '79000000002', 'вторая', 'def', 'company', 'active', null, 1, 1200054, 'custom',
        '2026-03-01 14:00:01Z', '2026-03-01 16:00:01Z', '2026-03-01 13:00:00Z', '2026-03-01 14:00:00Z', 3, 6);
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
        closed_run_id)
values (1, 1, 'active', null, '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3),
       (1, 1, 'freeze', 'долг', '2026-03-01 14:00:01Z', '2026-03-01 19:00:01Z', '2026-03-01 13:00:00Z',
        '2026-03-01 18:00:00Z', 3, 8),
       (1, 1, 'debt_lock', null, '2026-03-01 19:00:01Z', '2026-03-01 20:00:01Z', '2026-03-01 18:00:00Z',
        '2026-03-01 19:00:00Z', 8, 9),
       (1, 2, 'active', null, '2026-03-01 12:00:01Z', '2026-03-01 16:00:01Z', null, '2026-03-01 14:00:00Z', 1, 6),
       (1, 2, 'active', null, '2026-03-01 18:00:01Z', null, '2026-03-01 14:00:00Z', null, 7, null),
       (1, 3, 'porting', null, '2026-03-01 12:00:01Z', null, null, null, 1, null),
       (1, 4, 'active', null, '2026-03-01 20:00:01Z', null, null, null, 9, null),
       (2, 1, 'active', null, '2026-03-01 21:00:01Z', null, null, null, 11, null);
insert into syncer.virtual_number_redirect
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
        run_id, closed_run_id)
values (1, 2, 249, '74994088157', '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3),
       (1, 2, 678, '78009966666', '2026-03-01 14:00:01Z', '2026-03-01 16:00:01Z', '2026-03-01 13:00:00Z',
        '2026-03-01 14:00:00Z', 3, 6),
       (1, 2, 678, '78009966666', '2026-03-01 18:00:01Z', null, '2026-03-01 14:00:00Z', null, 7, null);
insert into syncer.record_fingerprint (account_id, virtual_number_id, fingerprint, decoder_version)
values (1, 2, '\x02020202020202020202020202020202', 1), (1, 4, '\x04040404040404040404040404040404', 1),
       (2, 1, '\x01010101010101010101010101010101', 1);
insert into syncer.rejected_record
       (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
values (1, '03030303-0303-0303-0303-030303030303', 3, 'Expected `str`, got `null` - at `$.number`',
        '{"id": 3, "number": null}', 7, 9, 3),
       (1, '04040404-0404-0404-0404-040404040404', 4, 'Expected `str`, got `null` - at `$.number`',
        '{"id": 4, "number": null}', 8, 8, 1);
update syncer.account_schedule set retired_at = '2026-03-01 22:30:00Z' where account_id = 2;
