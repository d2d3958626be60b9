-- Roles belong to the whole server: one that exists is taken, and one that may not be made is left to an administrator,
-- whom `syncer check` tells.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['syncer_analyst', 'syncer_daemon'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when insufficient_privilege or duplicate_object or unique_violation then
                    raise notice 'role % was not made: %', wanted, sqlerrm;
            end;
        end if;
    end loop;

    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant usage on schema analytics to syncer_analyst;
        grant select on all tables in schema analytics to syncer_analyst;
    end if;

    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant usage on schema syncer, analytics to syncer_daemon;
        grant select on all tables in schema syncer, analytics to syncer_daemon;
        grant insert on syncer.account, syncer.account_schedule, syncer.sync_run, syncer.sync_day, syncer.region,
            syncer.number_type, syncer.number_purpose, syncer.number_state, syncer.virtual_number,
            syncer.virtual_number_history, syncer.record_digest, syncer.rejected_record to syncer_daemon;
        -- A period is opened, not invented with its end.
        grant insert (account_id, virtual_number_id, state, reason, valid_from, changed_after, run_id)
            on syncer.state_history to syncer_daemon;
        grant insert (account_id, virtual_number_id, redirect_number_id, number, valid_from, changed_after, run_id)
            on syncer.virtual_number_redirect to syncer_daemon;
        grant update on syncer.account, syncer.account_schedule, syncer.sync_run, syncer.sync_day, syncer.virtual_number,
            syncer.record_digest, syncer.rejected_record to syncer_daemon;
        -- What is open may be closed, and nothing else of it be changed.
        grant update (valid_to, closed_after, closed_run_id) on syncer.state_history, syncer.virtual_number_redirect
            to syncer_daemon;
        grant delete on syncer.record_digest, syncer.sync_run, syncer.rejected_record to syncer_daemon;
    end if;
end
$$;
