-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';
-- Believable responses: only these are evidence that a number is gone.
alter table syncer.account
    add column believable_responses bigint not null default 0,
    add column believable_run_id bigint,
    add column believable_started_at timestamptz;
comment on column syncer.account.believable_responses is
    'How many successful runs had a believable response: not empty, every id readable, not a part of the list';
comment on column syncer.account.believable_run_id is 'The newest successful run whose response was believable';
comment on column syncer.account.believable_started_at is
    'Start of that run; a number that it did not list, and that is listed later, appeared after it';
comment on column syncer.account.body_digest is
    'Digest of the response body that the stored data corresponds to; null while numbers are missing';
-- Before, a response was believed whatever its headers. While an id cannot be read, the last run without rejected
-- elements is taken.
update syncer.account a
   set believable_responses = 1, believable_run_id = r.run_id, believable_started_at = r.started_at
  from syncer.sync_run r
 where r.account_id = a.account_id
   and r.run_id = (select max(run_id) from syncer.sync_run s
                    where s.account_id = a.account_id and s.outcome in ('applied', 'unchanged') and s.received > 0
                      and (s.rejected = 0
                           or s.run_id = a.success_run_id
                              and not exists (select from syncer.rejected_record j
                                               where j.account_id = a.account_id and j.last_run_id = a.applied_run_id
                                                 and j.virtual_number_id is null)));

alter table syncer.virtual_number
    add column believable_missing_since timestamptz,
    add column believable_missing_from bigint;
comment on column syncer.virtual_number.believable_missing_since is
    'Time of the first believable response that no longer listed the number; the hold time counts from it';
comment on column syncer.virtual_number.believable_missing_from is
    'Which of the account''s believable_responses that was, counted from 1; each later one confirms it';

alter table syncer.sync_run add column unconfirmed integer not null default 0;
comment on column syncer.sync_run.unconfirmed is
    'Missing numbers whose removal only waited for another response to confirm it';
comment on column syncer.sync_run.held is
    'Missing numbers whose removal was on hold after the run; a person should look';

create or replace view analytics.runs as
select r.account_id, a.name as account, r.run_id, r.trigger, r.started_at, r.finished_at,
       extract(epoch from r.finished_at - r.started_at) as duration_seconds, r.outcome, r.error_kind, r.error,
       r.http_status, r.response_bytes, r.received, r.created, r.changed, r.unchanged, r.removed, r.restored, r.held,
       r.rejected, r.state_changes, r.redirects_opened, r.redirects_closed, r.unconfirmed
  from syncer.sync_run r
  join syncer.account a using (account_id);
comment on column analytics.runs.unconfirmed is
    'Missing numbers whose removal only waited for another response to confirm it; example: 2';

-- The newest success counted which of the missing numbers are held and which only wait for their confirmation.
create or replace view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       -- now() is when the transaction began, and what it sees may be younger; of nothing there is no lag.
       case when a.observed_at is not null then greatest(extract(epoch from now() - a.observed_at), 0) end as lag_seconds,
       l.outcome as last_outcome,
       l.error_kind as last_error_kind,
       l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected,
       s.retired_at,
       coalesce(newest.unconfirmed, 0) as unconfirmed
  from syncer.account a
  left join syncer.account_schedule s using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = a.success_run_id
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true;
comment on column analytics.freshness.unconfirmed is
    'Missing numbers whose removal only waits for another response to confirm it; example: 2';

-- A response that is not believable, such as an empty list, tells nothing of when a number appeared.
do $$
declare
    one record;
begin
    for one in select c.oid::regclass as relation, a.attname, d.description
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid
                 join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = a.attnum
                where c.relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
                  and a.attname = 'changed_after' loop
        execute format('comment on column %s.%I is %L', one.relation, one.attname,
                       replace(one.description, 'null if the account''s first successful poll found it',
                                                'null if the account''s first non-empty response had it'));
    end loop;
end
$$;
