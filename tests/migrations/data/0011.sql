-- The history of 0009 as revision 0011 stores it: what each poll writes of an account apart from what identifies it.
insert into syncer.region
       (region_id, name)
overriding system value
values (1, 'регион Москва'),
       (2, 'Брянская область');
select setval(pg_get_serial_sequence('syncer.region', 'region_id'), max(region_id)) from syncer.region;
insert into syncer.number_state
       (state, documented)
values ('porting', false);
insert into syncer.account
       (account_id, name, app_id, time_zone, created_at)
overriding system value
values (1, 'default', 1200054, 'Europe/Moscow', '2026-03-01 11:59:59Z'),
       (2, 'other', 7, 'Asia/Yekaterinburg', '2026-03-01 11:59:59Z');
insert into syncer.account_fence
       (account_id, success_run_id, success_started_at, first_success_at, observed_at, applied_run_id,
        fingerprints_version, body_digest, decoder_version, record_keys, believable_responses, believable_run_id,
        believable_started_at)
values (1, 9, '2026-03-01 20:00:00Z', '2026-03-01 12:00:00Z', '2026-03-01 20:00:01Z', 9,
        '41818ade-b60b-48e7-8e72-c019d60dc2d1', '\x00112233445566778899aabbccddeeff', 1, array['id', 'number', 'state'], 7,
        9, '2026-03-01 20:00:00Z'),
       (2, 12, '2026-03-01 22:00:00Z', '2026-03-01 21:00:00Z', '2026-03-01 22:00:01Z', 12,
        '728df3af-ba12-422c-a375-16130fb2d87b', null, 1, null, 2, 12, '2026-03-01 22:00:00Z');
select setval(pg_get_serial_sequence('syncer.account', 'account_id'), max(account_id)) from syncer.account;
insert into syncer.account_schedule
       (account_id, due_at, lease_holder, lease_until, retired_at, not_before)
values (1, '2026-03-01 22:00:00Z', 'host:1', '2026-03-01 21:00:15Z', null, '2026-03-02 01:00:00Z'),
       (2, '2026-03-01 23:00:00Z', null, null, '2026-03-01 22:30:00Z', null);
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, error_kind, error, http_status, response_bytes,
        received, created, changed, unchanged, removed, restored, held, rejected, state_changes, redirects_opened,
        redirects_closed, unconfirmed)
overriding system value
values (1, 1, 'schedule', '2026-03-01 12:00:00Z', '2026-03-01 12:00:02Z', 'applied', null, null, 200, 900, 3, 3, 0, 0,
        0, 0, 0, 0, 0, 1, 0, 0),
       (1, 2, 'schedule', '2026-03-01 13:00:00Z', '2026-03-01 13:00:02Z', 'unchanged', null, null, 200, 900, 3, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0, 0),
       (1, 3, 'schedule', '2026-03-01 14:00:00Z', '2026-03-01 14:00:02Z', 'applied', null, null, 200, 910, 3, 0, 2, 1,
        0, 0, 0, 0, 1, 1, 1, 0),
       (1, 4, 'schedule', '2026-03-01 15:00:00Z', '2026-03-01 15:01:00Z', 'failed', 'timeout',
        'the endpoint did not answer in time', null, null, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
       (1, 5, 'schedule', '2026-03-01 16:00:00Z', '2026-03-01 16:00:02Z', 'applied', null, null, 200, 600, 2, 0, 0, 2,
        0, 0, 1, 0, 0, 0, 0, 0),
       (1, 6, 'accept_removals', '2026-03-01 17:00:00Z', '2026-03-01 17:00:02Z', 'applied', null, null, 200, 600, 2, 0,
        0, 2, 1, 0, 0, 0, 0, 0, 1, 0),
       (1, 7, 'schedule', '2026-03-01 18:00:00Z', '2026-03-01 18:00:02Z', 'applied', null, null, 200, 900, 3, 0, 0, 1,
        0, 1, 0, 1, 0, 1, 0, 0),
       (1, 8, 'command', '2026-03-01 19:00:00Z', '2026-03-01 19:00:02Z', 'applied', null, null, 200, 990, 4, 0, 1, 1,
        0, 0, 0, 2, 1, 0, 0, 0),
       (1, 9, 'accept_removals', '2026-03-01 20:00:00Z', '2026-03-01 20:00:02Z', 'applied', null, null, 200, 900, 3, 1,
        0, 1, 1, 0, 0, 1, 0, 0, 0, 0),
       (1, 10, 'schedule', '2026-03-01 21:00:00Z', null, 'running', null, null, null, null, null, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0),
       (2, 11, 'schedule', '2026-03-01 21:00:00Z', '2026-03-01 21:00:02Z', 'applied', null, null, 200, 300, 2, 2, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0),
       (2, 12, 'schedule', '2026-03-01 22:00:00Z', '2026-03-01 22:00:02Z', 'applied', null, null, 200, 300, 1, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 0, 1);
select setval(pg_get_serial_sequence('syncer.sync_run', 'run_id'), max(run_id)) from syncer.sync_run;
insert into syncer.sync_day
       (account_id, day, polls, failed, longest_gap_seconds)
values (1, '2026-02-28', 288, 3, 900.5);
insert into syncer.virtual_number
       (account_id, virtual_number_id, number, comment, type, purpose, state, region_id, app_id, nc_type, extra,
        first_seen_at, changed_at, changed_after, last_read_at, missing_since, removed_at, run_id,
        believable_missing_since, believable_missing_from, missing_run_id, removed_run_id, listed_since, state_since,
        state_since_earliest, from_state, reason_since, reason_since_earliest, reason_run_id)
values (1, 1, '79000000001', null, 'def', 'company', 'debt_lock', 1, 1200054, 'custom', '{"tariff": 1.5}',
        '2026-03-01 12:00:01Z', '2026-03-01 19:00:01Z', '2026-03-01 18:00:00Z', '2026-03-01 19:00:00Z',
        '2026-03-01 20:00:01Z', '2026-03-01 20:00:01Z', 8, null, null, null, 9, '2026-03-01 12:00:01Z',
        '2026-03-01 19:00:01Z', '2026-03-01 18:00:00Z', 'freeze', '2026-03-01 19:00:01Z', '2026-03-01 18:00:00Z', 8),
       (1, 2, '79000000002', 'вторая', 'def', 'company', 'active', 1, 1200054, 'custom', '{}', '2026-03-01 12:00:01Z',
        '2026-03-01 18:00:01Z', '2026-03-01 14:00:00Z', null, null, null, 7, null, null, null, null,
        '2026-03-01 18:00:01Z', '2026-03-01 18:00:01Z', '2026-03-01 14:00:00Z', null, '2026-03-01 18:00:01Z',
        '2026-03-01 14:00:00Z', 7),
       (1, 3, '74990000003', null, 'abc', 'employee', 'porting', 2, 1200054, null, '{}', '2026-03-01 12:00:01Z',
        '2026-03-01 12:00:01Z', null, '2026-03-01 17:00:00Z', null, null, 1, null, null, null, null,
        '2026-03-01 12:00:01Z', '2026-03-01 12:00:01Z', null, null, '2026-03-01 12:00:01Z', null, 1),
       (1, 4, '79000000004', null, 'def', 'company', 'active', null, null, 'custom', '{}', '2026-03-01 20:00:01Z',
        '2026-03-01 20:00:01Z', null, null, null, null, 9, null, null, null, null, '2026-03-01 20:00:01Z',
        '2026-03-01 20:00:01Z', null, null, '2026-03-01 20:00:01Z', null, 9),
       (2, 1, '79000000101', null, 'def', 'company', 'active', 2, 7, 'custom', '{}', '2026-03-01 21:00:01Z',
        '2026-03-01 21:00:01Z', null, null, null, null, 11, null, null, null, null, '2026-03-01 21:00:01Z',
        '2026-03-01 21:00:01Z', null, null, '2026-03-01 21:00:01Z', null, 11),
       (2, 2, '79000000102', null, 'def', 'company', 'active', 2, 7, 'custom', '{}', '2026-03-01 21:00:01Z',
        '2026-03-01 21:00:01Z', null, '2026-03-01 21:00:00Z', '2026-03-01 22:00:01Z', null, 11, '2026-03-01 22:00:01Z',
        2, 12, null, '2026-03-01 21:00:01Z', '2026-03-01 21:00:01Z', null, null, '2026-03-01 21:00:01Z', null, 11);
insert into syncer.virtual_number_redirect
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, changed_after, run_id)
values (1, 2, 678, '78009966666', '2026-03-01 18:00:01Z', '2026-03-01 14:00:00Z', 7);
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, region_id, app_id, nc_type,
        valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, ended_by, began_by)
values (1, 1, '79000000001', null, 'def', 'company', 'active', null, 1, 1200054, 'custom', '2026-03-01 12:00:01Z',
        '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3, 'changed', 'created'),
       (1, 1, '79000000001', null, 'def', 'company', 'freeze', 'долг', 1, 1200054, 'custom', '2026-03-01 14:00:01Z',
        '2026-03-01 19:00:01Z', '2026-03-01 13:00:00Z', '2026-03-01 18:00:00Z', 3, 8, 'changed', 'changed'),
       (1, 1, '79000000001', null, 'def', 'company', 'debt_lock', null, 1, 1200054, 'custom', '2026-03-01 19:00:01Z',
        '2026-03-01 20:00:01Z', '2026-03-01 18:00:00Z', '2026-03-01 19:00:00Z', 8, 9, 'removed', 'changed'),
       (1, 2, '79000000002', null, 'def', 'company', 'active', null, 1, 1200054, 'custom', '2026-03-01 12:00:01Z',
        '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3, 'changed', 'created'),
       (1, 2, '79000000002', 'вторая', 'def', 'company', 'active', null, 1, 1200054, 'custom', '2026-03-01 14:00:01Z',
        '2026-03-01 16:00:01Z', '2026-03-01 13:00:00Z', '2026-03-01 14:00:00Z', 3, 6, 'removed', 'changed');
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
        closed_run_id, ended_by, state_since, state_since_earliest, state_began_by, from_state, to_state)
values (1, 1, 'active', null, '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3,
        'changed', '2026-03-01 12:00:01Z', null, 'created', null, 'freeze'),
       (1, 1, 'freeze', 'долг', '2026-03-01 14:00:01Z', '2026-03-01 19:00:01Z', '2026-03-01 13:00:00Z',
        '2026-03-01 18:00:00Z', 3, 8, 'changed', '2026-03-01 14:00:01Z', '2026-03-01 13:00:00Z', 'changed', 'active',
        'debt_lock'),
       (1, 1, 'debt_lock', null, '2026-03-01 19:00:01Z', '2026-03-01 20:00:01Z', '2026-03-01 18:00:00Z',
        '2026-03-01 19:00:00Z', 8, 9, 'removed', '2026-03-01 19:00:01Z', '2026-03-01 18:00:00Z', 'changed', 'freeze',
        null),
       (1, 2, 'active', null, '2026-03-01 12:00:01Z', '2026-03-01 16:00:01Z', null, '2026-03-01 14:00:00Z', 1, 6,
        'removed', '2026-03-01 12:00:01Z', null, 'created', null, null);
insert into syncer.virtual_number_redirect_history
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
        run_id, closed_run_id, ended_by)
values (1, 2, 249, '74994088157', '2026-03-01 12:00:01Z', '2026-03-01 14:00:01Z', null, '2026-03-01 13:00:00Z', 1, 3,
        'changed'),
       (1, 2, 678, '78009966666', '2026-03-01 14:00:01Z', '2026-03-01 16:00:01Z', '2026-03-01 13:00:00Z',
        '2026-03-01 14:00:00Z', 3, 6, 'removed');
insert into syncer.absence_history
       (account_id, virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by)
values (1, 2, '2026-03-01 16:00:01Z', 5, '2026-03-01 17:00:01Z', 6, 'removed');
insert into syncer.record_fingerprint
       (account_id, virtual_number_id, fingerprint, decoder_version)
values (1, 2, '\x02020202020202020202020202020202', 1),
       (1, 4, '\x04040404040404040404040404040404', 1),
       (2, 1, '\x01010101010101010101010101010101', 1);
insert into syncer.rejected_record
       (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
values (1, '03030303-0303-0303-0303-030303030303', 3, 'Expected `str`, got `null` - at `$.number`',
        '{"id": 3, "number": null}', 7, 9, 3),
       (1, '04040404-0404-0404-0404-040404040404', 4, 'Expected `str`, got `null` - at `$.number`',
        '{"id": 4, "number": null}', 8, 8, 1);
