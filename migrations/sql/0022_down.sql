-- Reverts 0022_up.sql: both functions are as 0011_up.sql made them.
alter function syncer.clock() volatile;

create or replace function syncer.delete_rejected_records(account_id integer, before timestamptz, batch integer) returns bigint
language sql security definer set search_path = pg_catalog
begin atomic
with old as (
    select j.account_id, j.rejected_record_id
      from syncer.retention
     cross join lateral (select least($2, syncer.clock() - rejected_records) as cutoff) limits
      join syncer.rejected_record j on j.account_id = $1
      join syncer.sync_run seen on seen.account_id = j.account_id and seen.run_id = j.last_run_id
     where seen.started_at < cutoff
       -- It was last seen until the first later run was applied that did not contain it.
       and exists (select from syncer.sync_run r
                    where r.account_id = j.account_id and r.run_id > j.last_run_id and r.outcome = 'applied'
                      and r.started_at < cutoff)
     limit $3
), deleted as (
    delete from syncer.rejected_record j using old
     where j.account_id = old.account_id and j.rejected_record_id = old.rejected_record_id
    returning 1
)
select count(*) from deleted;
end;
create or replace function syncer.delete_surplus_rejected_records(account_id integer) returns bigint
language sql security definer set search_path = pg_catalog
begin atomic
with surplus as (
    select j.account_id, j.rejected_record_id
      from syncer.rejected_record j
     where j.account_id = $1
     order by j.last_run_id desc, j.first_run_id desc, j.rejected_record_id offset 10000
), deleted as (
    delete from syncer.rejected_record j using surplus
     where j.account_id = surplus.account_id and j.rejected_record_id = surplus.rejected_record_id
    returning 1
)
select count(*) from deleted;
end;
