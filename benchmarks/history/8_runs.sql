-- The runs, each with the counters of its rows, and the accounts' columns about the newest runs.
create temp table counted as
select account_id, hour,
       count(*) filter (where kind = 'created') as created, count(*) filter (where kind = 'restored') as restored,
       count(*) filter (where kind = 'removed') as removed, count(*) filter (where kind = 'state') as state_changes,
       count(*) filter (where kind in ('state', 'column', 'opened', 'closed')) as changed,
       count(*) filter (where kind = 'missing') as missing, count(*) filter (where kind = 'rejected') as rejected,
       count(*) filter (where kind in ('opened', 'opened, restored')) as redirects_opened,
       count(*) filter (where kind in ('closed', 'closed, removed')) as redirects_closed
  from (select account_id, hour, kind from event
         union all
        select account_id, missing_hour, 'missing' from removal
         union all
        select account_id, removed_hour, 'removed' from removal where removed_hour is not null
         union all
        select account_id, opened_hour, case hours_later when 0 then 'opened, restored' else 'opened' end from redirect
         union all
        select account_id, closed_hour, 'closed' from redirect where closed_hour is not null
         union all
        select d.account_id, r.removed_hour, 'closed, removed'
          from redirect d
          join removal r on r.account_id = d.account_id and r.virtual_number_id = d.virtual_number_id
               and r.removed_run_id = d.closed_run_id
         union all
        select account_id, (lives - 1) * polls + 17400, 'rejected'
          from scale cross join number where virtual_number_id % 1000 = 17) events
 group by 1, 2;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, http_status, response_bytes, received, created,
        changed, unchanged, removed, restored, held, rejected, state_changes, redirects_opened, redirects_closed)
overriding system value
select account_id, run_id, 'schedule', started_at, seen_at,
       case when is_applied then 'applied' else 'unchanged' end, 200, 400 * (listed + rejected), listed + rejected,
       created, changed, listed - created - restored - changed, removed, restored, held, rejected, state_changes,
       redirects_opened, redirects_closed
  from (select l.*, c.hour is not null as is_applied, coalesce(created, 0) as created, coalesce(changed, 0) as changed,
               coalesce(removed, 0) as removed, coalesce(restored, 0) as restored,
               coalesce(state_changes, 0) as state_changes, coalesce(redirects_opened, 0) as redirects_opened,
               coalesce(redirects_closed, 0) as redirects_closed,
               coalesce(sum(created + restored - missing - rejected) over until_now, 0) as listed,
               coalesce(sum(missing - removed) over until_now, 0) as held,
               coalesce(sum(rejected) over until_now, 0) as rejected
          from success l
          left join counted c using (account_id, hour)
        window until_now as (partition by account_id order by hour)) successes;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, error_kind, error)
overriding system value
select account_id, run_id, 'schedule', started_at, started_at + interval '1 minute', 'failed', 'timeout',
       'the endpoint did not answer in time'
  from poll where failed;
update syncer.account_fence a
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
       (select count(*) from counted c where c.account_id = n.account_id and c.hour >= l.hour)
  from number n
  join success l on l.account_id = n.account_id and l.hour = (select (lives - 1) * polls + 17400 from scale)
  join syncer.account_fence a on a.account_id = n.account_id
 where n.virtual_number_id % 1000 = 17;
select setval(pg_get_serial_sequence('syncer.sync_run', 'run_id'), (select max(run_id) from syncer.sync_run)),
       setval(pg_get_serial_sequence('syncer.account', 'account_id'), (select max(account_id) from syncer.account));
