-- What has ended, in the order in which it ended, and the redirects that are listed now.
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, employee_id, region_id, app_id,
        nc_type, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by, ended_by)
select account_id, virtual_number_id, '79' || lpad(i::text, 9, '0'), 'note ' || columns, type, purpose,
       state, reason, employee_id, region_now, account_id, 'custom',
       seen_at, ended, after, closed_after, run_id, closed_run_id,
       case when kind in ('created', 'restored') then kind else 'changed' end, ended_by
  from version where ended is not null order by closed_run_id, account_id, virtual_number_id;
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
        closed_run_id, ended_by, state_since, state_since_earliest, state_began_by, from_state, to_state)
select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id, ended_by, state_since, state_since_earliest, state_began_by, from_state, to_state
  from state_span where valid_to is not null order by closed_run_id, account_id, virtual_number_id;
insert into syncer.virtual_number_redirect_history
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
        run_id, closed_run_id, ended_by)
select account_id, virtual_number_id, virtual_number_id + 1, '74950000000', opened_at, closed_at, after, closed_after,
       run_id, closed_run_id, ended_by
  from redirect where closed_at is not null order by closed_run_id, account_id, virtual_number_id;
insert into syncer.virtual_number_redirect
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, changed_after, run_id)
select account_id, virtual_number_id, virtual_number_id + 1, '74950000000', opened_at, after, run_id
  from redirect where closed_at is null order by account_id, virtual_number_id;
insert into syncer.absence_history
       (account_id, virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by)
select account_id, virtual_number_id, missing_since, missing_run_id, applied_at, removed_run_id, 'removed'
  from removal where removed_hour is not null order by removed_run_id, account_id, virtual_number_id;
