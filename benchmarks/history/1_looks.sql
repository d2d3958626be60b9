-- One successful poll an hour, but for every 97th, which fails: nobody looked then, so nothing begins or ends there.
create temp table poll as
select a as account_id, k as look, (k - 1) * accounts + a as run_id, k % 97 = 0 as failed,
       timestamptz '2024-07-01 00:00:00Z' + k * interval '1 hour' + a * interval '1 second' as started_at
  from scale cross join generate_series(1, accounts) a cross join generate_series(1, looks) k;
create temp table look as
select account_id, look, run_id, started_at, started_at + interval '2 seconds' as seen_at,
       lag(started_at) over (partition by account_id order by look) as after
  from poll where not failed;
create function pg_temp.ok(look integer) returns integer immutable language sql
return look + (look % 97 = 0)::integer;
