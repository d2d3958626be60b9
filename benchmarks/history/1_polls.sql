-- A poll per hour, or as many as the lives that each number has. Every 97th fails, and no period begins or ends at it.
-- All times of a life are given in polls.
create temp table poll as
select a as account_id, k as hour, (k - 1) * accounts + a as run_id, k % 97 = 0 as failed,
       timestamptz '2024-07-01 00:00:00Z' + k * interval '1 hour' / lives + a * interval '1 second' as started_at
  from scale cross join generate_series(1, accounts) a cross join generate_series(1, polls * lives) k;
create temp table success as
select account_id, hour, run_id, started_at, started_at + interval '2 seconds' as seen_at,
       lag(started_at) over (partition by account_id order by hour) as after
  from poll where not failed;
create function pg_temp.success_at_or_after(hour integer) returns integer immutable language sql
return hour + (hour % 97 = 0)::integer;
