-- f087efd3471b9a9041e60586dcab8d34e2a4c74dd4993207fb636898419d83e9
SELECT day AS day, account AS account, polls AS polls, failed AS failed, longest_gap_hours AS longest_gap_hours 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' ORDER BY longest_gap_hours DESC 
 LIMIT 10000;

