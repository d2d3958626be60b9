-- Privileges that the servers of a Citus cluster need besides those of roles.sql. Citus runs each part of a query on its
-- server as the role that asks, not as the owner of the view, and puts the privileges of whole tables on the shards, not
-- those of columns.
do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant usage on schema syncer to syncer_analyst;
        grant select on all tables in schema syncer to syncer_analyst;
        -- No view reads these.
        revoke select on syncer.hash_key, syncer.record_fingerprint, syncer.erasure, syncer.viewer from syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant update on syncer.rejected_record to syncer_daemon;
    end if;
end
$$;
