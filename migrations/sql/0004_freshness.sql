create or replace view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       -- now() is when the transaction began, and what it sees may be younger; of nothing there is no lag.
       case when a.observed_at is not null then greatest(extract(epoch from now() - a.observed_at), 0) end as lag_seconds,
       l.outcome as last_outcome,
       l.error_kind as last_error_kind,
       l.error as last_error,
       (select count(*) from syncer.virtual_number n
         where n.account_id = a.account_id and n.last_read_at is not null and n.removed_at is null
           and n.missing_since is not null)::integer as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true;
