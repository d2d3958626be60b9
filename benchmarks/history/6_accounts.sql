-- The current rows: accounts and the last version of each number.
insert into syncer.region (name) select 'Region ' || r from generate_series(1, 80) r;
insert into syncer.account (account_id, name, app_id, time_zone, created_at)
overriding system value
select a, 'account ' || a, a, 'Europe/Moscow', timestamptz '2024-07-01 00:00:00Z'
  from scale cross join generate_series(1, accounts) a;
insert into syncer.account_fence (account_id, first_success_at)
select account_id, created_at from syncer.account;
insert into syncer.virtual_number
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, employee_id, region_id, app_id,
        nc_type, first_seen_at, changed_at, changed_after, last_read_at, missing_since, missing_run_id, removed_at,
        removed_run_id, run_id, listed_since, state_since, state_since_earliest, from_state, reason_since,
        reason_since_earliest, reason_run_id)
select v.account_id, v.virtual_number_id, '79' || lpad(v.i::text, 9, '0'), 'note ' || v.columns, v.type, v.purpose,
       v.state, v.reason, v.employee_id, v.region_now, v.account_id, 'custom',
       f.seen_at, v.seen_at, v.after, coalesce(g.after, rejected.after), g.missing_since, g.missing_run_id, v.ended,
       case when v.ended is not null then v.closed_run_id end, v.run_id, s.listed_since, s.state_since,
       s.state_since_earliest, s.from_state, s.valid_from, s.changed_after, s.run_id
  from scale
 cross join version v
  join event f using (account_id, virtual_number_id)
  join (select distinct on (account_id, virtual_number_id) *
          from state_span order by account_id, virtual_number_id, valid_from desc) s
       using (account_id, virtual_number_id)
  left join removal g on (g.account_id, g.virtual_number_id, g.step) = (v.account_id, v.virtual_number_id, v.step + 1)
  left join success rejected on rejected.account_id = v.account_id and rejected.hour = (lives - 1) * polls + 17400
       and v.virtual_number_id % 1000 = 17
 where v.step = lives * 6 - 1 and f.step = 0;
analyze syncer.virtual_number;
