-- An inner join with the table of which each server has a copy: Citus refuses other joins beside a left one. On one server
-- the left join is removed where nobody asks for the names.
create or replace view syncer.account_known as
select f.account_id, a.name as account, a.time_zone, a.retired_at,
       case when a.retired_at is null and greatest(f.observed_at, f.attempted_at) > now() - interval '1 day' then now()
            else f.observed_at end as known_until
  from syncer.account_fence f
  join syncer.account a using (account_id);
