-- 3b0d3bc77aed2472efa3275dd04bbff733d119f754dbc6a9904a0b738126c624
SELECT 1 - sum(failed)::numeric / nullif(sum(polls), 0) AS success_share 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' 
 LIMIT 50000;

