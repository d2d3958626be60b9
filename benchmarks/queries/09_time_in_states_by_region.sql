-- How much time the numbers of each region spent in each state in a month.
select n.region, s.state, count(distinct s.number_key) as numbers, round(sum(s.duration_seconds) / 86400, 1) as days
  from analytics.state_share s
  join analytics.numbers_all n on n.number_key = s.number_key
 where s.day between '2026-05-01' and '2026-05-31'
 group by n.region, s.state
 order by n.region, s.state
