-- What goes on the chart of states by day: one account, 90 days.
select day, state, sum(numbers) as numbers
  from analytics.daily_states
 where account = 'account 1' and day between '2026-04-01' and '2026-06-29'
 group by day, state
 order by day, state
