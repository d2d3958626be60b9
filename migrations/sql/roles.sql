-- The roles and their privileges in the newest schema, for an administrator to run where the login of the migrations
-- may not create roles; `syncer check` names this file. It can be run again. The migrations grant the same.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['syncer_analyst', 'syncer_daemon'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;

grant usage on schema analytics to syncer_analyst;
grant select on all tables in schema analytics to syncer_analyst;

grant usage on schema syncer, analytics to syncer_daemon;
grant select on all tables in schema syncer, analytics to syncer_daemon;
grant insert on syncer.account, syncer.account_fence, syncer.account_schedule, syncer.sync_run, syncer.sync_day, syncer.region,
    syncer.number_type, syncer.number_purpose, syncer.number_state, syncer.virtual_number,
    syncer.virtual_number_redirect, syncer.record_fingerprint, syncer.rejected_record to syncer_daemon;
grant update on syncer.account, syncer.account_fence, syncer.account_schedule, syncer.sync_run, syncer.sync_day,
    syncer.virtual_number, syncer.record_fingerprint to syncer_daemon;
grant update (last_run_id, error, occurrences) on syncer.rejected_record to syncer_daemon;
grant delete on syncer.virtual_number_redirect, syncer.record_fingerprint, syncer.sync_run to syncer_daemon;
-- Rejected records are deleted by these functions only, which keep those that are younger than syncer.retention says.
grant execute on function syncer.delete_rejected_records(integer, timestamptz, integer),
    syncer.delete_surplus_rejected_records(integer) to syncer_daemon;
-- Summaries of days are counted again from the history, never changed.
grant insert, delete on syncer.day_summary to syncer_daemon;
-- What has ended is only added to.
grant insert on syncer.virtual_number_history, syncer.state_history, syncer.virtual_number_redirect_history,
    syncer.absence_history to syncer_daemon;
-- Notices are made and sent by the daemon, and deleted once they are old.
grant insert, update on syncer.account_condition, syncer.notice_cursor, syncer.notice to syncer_daemon;
grant delete on syncer.account_condition, syncer.notice to syncer_daemon;
-- Names are as the vendor's lists have them now; what they were before is only added to.
grant insert, update on syncer.name, syncer.name_list to syncer_daemon;
grant insert on syncer.name_history to syncer_daemon;
-- Generated ids that are behind the data, as after a copy, are put right by the daemon.
grant select, update on sequence syncer.account_account_id_seq, syncer.sync_run_run_id_seq, syncer.region_region_id_seq,
    syncer.account_condition_condition_id_seq, syncer.notice_notice_id_seq to syncer_daemon;
