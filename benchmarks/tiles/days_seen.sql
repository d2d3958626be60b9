-- 0772b160e6b1b2521a7fa1ceedaab8c1ba8e1dcd8f10967e7b2d23167a1081ff
SELECT avg((longest_gap_hours < 24)::integer) AS days_watched 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') 
 LIMIT 50000;

