-- What 0022_down.sql reverts: two things that keep statements from running where tables are distributed over servers.

-- An UPDATE there may not call a volatile function. Whatever the volatility, the clock is read when the function is called.
alter function syncer.clock() stable;

-- A function in SQL that has parameters may not read distributed tables; one in PL/pgSQL may. Each table names the account,
-- so that every statement runs on the account's server alone. Both run beside polls now, so they leave a record that a
-- poll sees again while they wait for its lock. Privileges and comments stay as they are.
create or replace function syncer.delete_rejected_records(account_id integer, before timestamptz, batch integer)
returns bigint language plpgsql security definer set search_path = pg_catalog as $$
#variable_conflict use_column
declare
    deleted bigint;
begin
    with old as (
        select j.rejected_record_id, j.last_run_id
          from syncer.retention
         cross join lateral (select least($2, syncer.clock() - rejected_records) as cutoff) limits
          join syncer.rejected_record j on j.account_id = $1
          join syncer.sync_run seen on seen.account_id = j.account_id and seen.account_id = $1 and seen.run_id = j.last_run_id
         where seen.started_at < limits.cutoff
           -- It was last seen until the first later run was applied that did not contain it.
           and exists (select from syncer.sync_run r
                        where r.account_id = $1 and r.run_id > j.last_run_id and r.outcome = 'applied'
                          and r.started_at < limits.cutoff)
         limit $3
    )
    delete from syncer.rejected_record j using old
     where j.account_id = $1 and j.rejected_record_id = old.rejected_record_id and j.last_run_id = old.last_run_id;
    get diagnostics deleted = row_count;
    return deleted;
end
$$;
create or replace function syncer.delete_surplus_rejected_records(account_id integer)
returns bigint language plpgsql security definer set search_path = pg_catalog as $$
#variable_conflict use_column
declare
    deleted bigint;
begin
    with surplus as (
        select j.rejected_record_id, j.last_run_id
          from syncer.rejected_record j
         where j.account_id = $1
         order by j.last_run_id desc, j.first_run_id desc, j.rejected_record_id offset 10000
    )
    delete from syncer.rejected_record j using surplus
     where j.account_id = $1 and j.rejected_record_id = surplus.rejected_record_id
       and j.last_run_id = surplus.last_run_id;
    get diagnostics deleted = row_count;
    return deleted;
end
$$;
