-- e52a9320fa0baed1916b804599679798c7490eb3e3282e072555a0d5d4f75b3f
SELECT DATE_TRUNC('day', day) AS day, sum(polls - failed) AS successful_polls, sum(failed) AS failed_polls 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' GROUP BY DATE_TRUNC('day', day) ORDER BY successful_polls DESC 
 LIMIT 10000;

