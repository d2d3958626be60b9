drop function analytics.numbers_as_of(timestamptz);
drop view analytics.rejected_records;
drop function analytics.readable(bytea);
drop view analytics.freshness;
drop view analytics.coverage;
drop view analytics.runs;
drop view analytics.state_share;
drop view analytics.daily_states;
drop view analytics.changes;
drop view analytics.redirects;
drop view analytics.redirect_history;
drop view analytics.state_changes;
drop view analytics.state_history;
drop view analytics.number_history;
drop view analytics.numbers;
drop view analytics.numbers_all;
drop function analytics.e164(text);
drop view analytics.regions;
drop view analytics.purposes;
drop view analytics.types;
drop view analytics.states;
drop view analytics.accounts;
drop schema analytics;

drop trigger closed_stays_closed on syncer.sync_run;
drop trigger closed_stays_closed on syncer.virtual_number_history;
drop trigger closed_stays_closed on syncer.virtual_number_redirect;
drop trigger closed_stays_closed on syncer.state_history;
drop function syncer.refuse_rewrite();

-- The roles stay: they belong to the whole server. What they were granted goes, so that 0001 is what it was.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        revoke all on all tables in schema syncer from syncer_daemon;
        revoke all on schema syncer from syncer_daemon;
    end if;
end
$$;
