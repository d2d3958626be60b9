-- How many numbers were in each state on an average day of 90 days.
select state, round(avg(numbers), 2) as numbers
  from analytics.daily_totals
 where account = 'account 1' and day between '2026-04-01' and '2026-06-29'
 group by state
 order by state
