-- 93605a899ab8de5de9174700a2bbab4beaa07883665598d38af204555b265f51
SELECT day AS day, account AS account, polls AS polls, failed AS failed, longest_gap_hours AS longest_gap_hours 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') ORDER BY longest_gap_hours DESC 
 LIMIT 10000;

