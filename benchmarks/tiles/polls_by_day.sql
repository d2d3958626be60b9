-- e3a1c6ef1665b6c178772afbe99d8679df910b6894a54de68f99bd3e51405e1d
SELECT DATE_TRUNC('day', day) AS day, sum(polls - failed) AS successful_polls, sum(failed) AS failed_polls 
FROM (SELECT account, day, polls, failed, CAST(longest_gap_seconds AS DOUBLE PRECISION) / 3600 AS longest_gap_hours FROM analytics.coverage
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY successful_polls DESC 
 LIMIT 10000;

