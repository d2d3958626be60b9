-- What revision 0018 stores in addition to 0017: a cursor, a notice of changes that was sent and one of a condition that
-- waits, and the condition.
\ir 0017.sql

insert into syncer.account_condition (account_id, kind, began_at, run_id, affected)
select 1, 'held', syncer.clock() - interval '1 hour', f.success_run_id, 3
  from syncer.account_fence f where account_id = 1;
insert into syncer.notice_cursor (account_id, rule, channel, run_id, condition_id, open_condition_ids, planned_at)
select 1, 'locks', 'duty', f.applied_run_id, k.condition_id, array[k.condition_id], syncer.clock()
  from syncer.account_fence f join syncer.account_condition k using (account_id) where account_id = 1;
insert into syncer.notice
       (account_id, rule, channel, kind, after_run_id, through_run_id, events, message_id, outcome, made_at, due_at,
        attempts, finished_at, http_status)
select 1, 'locks', 'duty', 'changes', f.applied_run_id - 1, f.applied_run_id, '{"locked": 1}', gen_random_uuid(), 'sent',
       syncer.clock(), syncer.clock(), 1, syncer.clock(), 200
  from syncer.account_fence f where account_id = 1;
insert into syncer.notice
       (account_id, rule, channel, kind, begun_condition_ids, events, message_id, made_at, due_at)
select 1, 'locks', 'duty', 'conditions', array[condition_id], '{"held": 1}', gen_random_uuid(), syncer.clock(),
       syncer.clock()
  from syncer.account_condition where account_id = 1;
