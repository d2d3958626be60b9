-- What revision 0021 stores in addition to 0020: an employee who was renamed, and whose name was erased afterwards.
\ir 0020.sql

insert into syncer.name (account_id, list, object_id, name, position, first_seen_at, changed_at, changed_after)
values (1, 'employees', 4711, null, null, date_trunc('hour', syncer.clock()) - interval '2 hours', date_trunc('hour', syncer.clock()),
        date_trunc('hour', syncer.clock()) - interval '1 hour');
insert into syncer.name_history (account_id, list, object_id, name, position, valid_from, valid_to, closed_after)
values (1, 'employees', 4711, null, null, date_trunc('hour', syncer.clock()) - interval '2 hours',
        date_trunc('hour', syncer.clock()), date_trunc('hour', syncer.clock()) - interval '1 hour');
insert into syncer.name_list (account_id, list, due_at, success_at, outcome)
values (1, 'employees', syncer.clock(), syncer.clock(), 'read');
insert into syncer.erasure (account_id, kind, employee_id, erased_at, erased_by, rows)
values (1, 'employee', 4711, syncer.clock(), 'owner', '{}');
