-- 7c8e42dff1de90d9c99bfa3bafe724680a727330f036afc88d1095c386abac35
SELECT 1 - sum(failed)::numeric / nullif(sum(polls), 0) AS success_share 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') 
 LIMIT 50000;

