-- 5a2b7fe3dcef3e810d9cfea964dd95af2bccafb687f5f1eb7a55198b64f289f8
SELECT avg((longest_gap_hours < 24)::integer) AS days_watched 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' 
 LIMIT 50000;

