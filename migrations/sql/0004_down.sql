-- A view can lose a column only by being made again.
drop view analytics.freshness;
create view analytics.freshness as
select a.account_id, a.name as account, a.observed_at as last_success_at,
       extract(epoch from now() - a.observed_at) as lag_seconds, l.outcome as last_outcome, l.error_kind as last_error_kind,
       l.error as last_error,
       (select count(*) from syncer.virtual_number n
         where n.account_id = a.account_id and n.last_read_at is not null and n.removed_at is null
           and n.missing_since is not null)::integer as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = a.applied_run_id)::integer as rejected
  from syncer.account a
  left join lateral (select outcome, error_kind, error from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by r.run_id desc limit 1) l on true;
comment on view analytics.freshness is 'How the polling of each account is doing now';
comment on column analytics.freshness.account_id is 'Account, as a number made here; example: 1';
comment on column analytics.freshness.account is 'Account, as the configuration names it; example: default';
comment on column analytics.freshness.last_success_at is 'When the newest successful poll was recorded';
comment on column analytics.freshness.lag_seconds is 'How long ago that was, in seconds';
comment on column analytics.freshness.last_outcome is 'What the newest poll came to';
comment on column analytics.freshness.last_error_kind is 'What kind of failure that was, if it failed';
comment on column analytics.freshness.last_error is 'What it failed with, if it did';
comment on column analytics.freshness.held is 'Numbers that are missing, and whose removal is not believed yet';
comment on column analytics.freshness.rejected is 'Elements of the response that could not be taken';
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.freshness to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.freshness to syncer_daemon;
    end if;
end
$$;
