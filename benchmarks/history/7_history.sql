-- The history: replaced versions, and all periods of states and redirects.
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, employee_id, region_id, app_id,
        nc_type, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id)
select account_id, virtual_number_id, '79' || lpad(i::text, 9, '0'), 'note ' || columns, type, purpose,
       state, reason, employee_id, region_now, account_id, 'custom',
       seen_at, ended, after, closed_after, run_id, closed_run_id
  from version where step < 5 order by seen_at, account_id, virtual_number_id;
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
        closed_run_id)
select account_id, virtual_number_id, f.state, f.reason, f.seen_at, l.ended, f.after, l.closed_after, f.run_id,
       l.closed_run_id
  from (select account_id, virtual_number_id, min(step) as first, max(step) as last
          from version group by account_id, virtual_number_id, period) periods
  join version f using (account_id, virtual_number_id)
  join version l using (account_id, virtual_number_id)
 where f.step = first and l.step = last
 order by f.seen_at, account_id, virtual_number_id;
insert into syncer.virtual_number_redirect
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
        run_id, closed_run_id)
select account_id, virtual_number_id, virtual_number_id + 1, '74950000000', opened_at, closed_at, after, closed_after,
       run_id, closed_run_id
  from redirect order by opened_at, account_id, virtual_number_id;
