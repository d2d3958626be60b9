-- A year, month by month: what there was, what came and went.
select month, sum(arrived) as arrived, sum(returned) as returned, sum(removed) as removed, sum(locks) as locks,
       sum(unlocks) as unlocks, sum(closing) as closing
  from analytics.monthly_kpi
 where month between '2025-06-01' and '2026-05-01'
 group by month
 order by month
