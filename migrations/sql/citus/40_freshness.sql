-- Citus refuses a query that begins with a table of which each server has a copy, `offset 0`, and a function that reads
-- distributed tables: syncer.succeeded_by is written out.
create or replace view analytics.freshness as
select f.account_id, a.name as account, f.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held, coalesce(rejected.records, 0)::integer as rejected,
       a.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       f.observed_at is distinct from k.succeeded_by as clock_ahead,
       (syncer.outcome_title(l.outcome))[1] as last_outcome_title_en,
       (syncer.outcome_title(l.outcome))[2] as last_outcome_title_ru,
       (syncer.error_kind_title(l.error_kind))[1] as last_error_kind_title_en,
       (syncer.error_kind_title(l.error_kind))[2] as last_error_kind_title_ru
  from syncer.account_fence f
  join syncer.account a using (account_id)
  left join syncer.sync_run newest on newest.account_id = f.account_id and newest.run_id = f.success_run_id
  left join lateral (
            select r.outcome, r.error_kind, r.error
              from syncer.sync_run r
             where r.account_id = f.account_id and r.outcome not in ('running', 'abandoned')
             order by r.run_id desc limit 1) l on true
  left join lateral (
            select count(*) as records
              from syncer.rejected_record j
             where j.account_id = f.account_id and j.last_run_id = f.applied_run_id) rejected on true
  left join lateral (
            select min(r.started_at) as started_at,
                   min(r.started_at) filter (where r.started_at <= now()) as past_started_at
              from (select s.started_at from syncer.sync_run s
                     where s.account_id = f.account_id and s.run_id > f.success_run_id
                     order by s.run_id limit 100) r) later on true
 cross join lateral unnest(array[
            case when f.observed_at <= now() + interval '5 minutes'
                      and (later.started_at is null
                           or later.started_at >= f.success_started_at - interval '5 minutes')
                 then f.observed_at
                 else least(later.past_started_at,
                            case when f.success_started_at <= now() then f.success_started_at end) end])
       as k (succeeded_by);
