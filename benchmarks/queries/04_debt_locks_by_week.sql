-- How many numbers were locked for debt in each week of a year.
select date_trunc('week', changed_at at time zone 'Europe/Moscow')::date as week, count(*) as locks,
       count(distinct number_key) as numbers
  from analytics.state_changes
 where to_state = 'debt_lock' and from_state <> to_state
   and changed_at >= timestamptz '2025-06-30 00:00 Europe/Moscow'
   and changed_at < timestamptz '2026-06-29 00:00 Europe/Moscow'
 group by week
 order by week
