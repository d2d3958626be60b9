-- Distributes the tables over the servers of a Citus cluster, in one transaction; what is distributed already stays as it
-- is. `syncer migrate` runs this in a database that has the extension, and each migration does once it is distributed.
--
-- Each table of schema syncer is of one kind. A table that is referred to comes before those that refer to it.
do $$
declare
    -- Small tables that the others refer to or that every server reads: each server has a copy.
    reference_tables text[] := array[
        'account', 'number_type', 'number_purpose', 'number_state', 'region', 'hash_key', 'retention'];
    -- Tables that belong to accounts: the rows of an account are on one server. A poll locks the first of them.
    distributed_tables text[] := array[
        'account_fence', 'sync_run', 'sync_day', 'rejected_record', 'virtual_number', 'virtual_number_history',
        'state_history', 'virtual_number_redirect', 'virtual_number_redirect_history', 'absence_history',
        'record_fingerprint', 'day_summary', 'account_condition', 'notice_cursor', 'notice', 'erasure', 'name',
        'name_history', 'name_list'];
    -- Tables that only the coordinator has. Daemons share the work by locking rows of many accounts at once, which a
    -- distributed table cannot do; nothing that a view reads may be in one of these.
    local_tables text[] := array['account_schedule', 'viewer', 'alembic_version'];
    name text;
begin
    for name in
        select tablename from pg_tables
         where schemaname = 'syncer' and tablename <> all (reference_tables || distributed_tables || local_tables)
    loop
        raise exception 'distribute.sql does not say of which kind the table syncer.% is', name;
    end loop;
    -- Citus makes a type on the workers with a table that has it, and not with a function that returns it. A type that was
    -- made after the extension is there already.
    if not exists (select from pg_dist_object
                    where classid = 'pg_type'::regclass and objid = 'syncer.counted_day'::regtype) then
        create table syncer.with_types (day syncer.counted_day);
        perform create_reference_table('syncer.with_types');
        drop table syncer.with_types;
    end if;
    foreach name in array reference_tables loop
        if not exists (select from pg_dist_partition where logicalrelid = ('syncer.' || name)::regclass) then
            perform create_reference_table('syncer.' || name);
        end if;
    end loop;
    foreach name in array distributed_tables loop
        if exists (select from pg_dist_partition where logicalrelid = ('syncer.' || name)::regclass) then
            continue;
        elsif name = 'account_fence' then
            perform create_distributed_table('syncer.account_fence', 'account_id');
        else
            perform create_distributed_table('syncer.' || name, 'account_id', colocate_with => 'syncer.account_fence');
        end if;
    end loop;
    -- So with functions: with the tables, Citus has made those that a view or a trigger calls.
    for name in
        select p.oid::regprocedure from pg_proc p
         where p.pronamespace = 'syncer'::regnamespace
           and not exists (select from pg_dist_object where classid = 'pg_proc'::regclass and objid = p.oid)
    loop
        perform create_distributed_function(name::regprocedure);
        -- Citus gives the workers what is granted, and not what is revoked.
        if not has_function_privilege('public', name::regprocedure, 'execute') then
            execute format('revoke execute on function %s from public', name);
        end if;
    end loop;
end
$$;
