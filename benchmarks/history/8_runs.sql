-- The runs, each with the counters that its rows add up to, and where the newest ones leave the accounts.
create temp table counted as
select account_id, look,
       count(*) filter (where kind = 'created') as created, count(*) filter (where kind = 'restored') as restored,
       count(*) filter (where kind = 'removed') as removed, count(*) filter (where kind = 'state') as state_changes,
       count(*) filter (where kind in ('state', 'column', 'opened', 'closed')) as changed,
       count(*) filter (where kind = 'gone') as gone, count(*) filter (where kind = 'rejected') as rejected,
       count(*) filter (where kind in ('opened', 'opened, restored')) as redirects_opened,
       count(*) filter (where kind in ('closed', 'closed, removed')) as redirects_closed
  from (select account_id, look, kind from event
         union all
        select account_id, gone_look, 'gone' from removal
         union all
        select account_id, believed_look, 'removed' from removal where believed_look is not null
         union all
        select account_id, opened_look, case looks_later when 0 then 'opened, restored' else 'opened' end from redirect
         union all
        select account_id, closed_look, 'closed' from redirect where closed_look is not null
         union all
        select d.account_id, r.believed_look, 'closed, removed'
          from redirect d
          join removal r on r.account_id = d.account_id and r.virtual_number_id = d.virtual_number_id
               and r.believed_run_id = d.closed_run_id
         union all
        select account_id, 17400, 'rejected' from number where virtual_number_id % 1000 = 17) happened
 group by 1, 2;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, http_status, response_bytes, received, created,
        changed, unchanged, removed, restored, held, rejected, state_changes, redirects_opened, redirects_closed)
overriding system value
select account_id, run_id, 'schedule', started_at, seen_at,
       case when happened then 'applied' else 'unchanged' end, 200, 400 * (listed + rejected), listed + rejected,
       created, changed, listed - created - restored - changed, removed, restored, held, rejected, state_changes,
       redirects_opened, redirects_closed
  from (select l.*, c.look is not null as happened, coalesce(created, 0) as created, coalesce(changed, 0) as changed,
               coalesce(removed, 0) as removed, coalesce(restored, 0) as restored,
               coalesce(state_changes, 0) as state_changes, coalesce(redirects_opened, 0) as redirects_opened,
               coalesce(redirects_closed, 0) as redirects_closed,
               coalesce(sum(created + restored - gone - rejected) over so_far, 0) as listed,
               coalesce(sum(gone - removed) over so_far, 0) as held, coalesce(sum(rejected) over so_far, 0) as rejected
          from look l
          left join counted c using (account_id, look)
        window so_far as (partition by account_id order by look)) looks;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, error_kind, error)
overriding system value
select account_id, run_id, 'schedule', started_at, started_at + interval '1 minute', 'failed', 'timeout',
       'the endpoint did not answer in time'
  from poll where failed;
update syncer.account a
   set success_run_id = r.run_id, success_started_at = r.started_at, observed_at = r.finished_at,
       applied_run_id = (select max(run_id) from syncer.sync_run where account_id = a.account_id
                                                                   and outcome = 'applied')
  from syncer.sync_run r
 where r.account_id = a.account_id
   and r.run_id = (select max(run_id) from syncer.sync_run where account_id = a.account_id
                                                             and outcome in ('applied', 'unchanged'));
insert into syncer.rejected_record
       (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
select n.account_id, md5(n.i::text)::uuid, n.virtual_number_id, 'Expected `str`, got `null` - at `$.number`', '{}',
       l.run_id, a.applied_run_id,
       (select count(*) from counted c where c.account_id = n.account_id and c.look >= 17400)
  from number n
  join look l on l.account_id = n.account_id and l.look = 17400
  join syncer.account a on a.account_id = n.account_id
 where n.virtual_number_id % 1000 = 17;
select setval(pg_get_serial_sequence('syncer.sync_run', 'run_id'), (select max(run_id) from syncer.sync_run)),
       setval(pg_get_serial_sequence('syncer.account', 'account_id'), (select max(account_id) from syncer.account));
