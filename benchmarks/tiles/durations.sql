-- c4ec55910d72319d716fc17430f8e6f46107918090d6288d53243b766b57304d
SELECT month AS month, sum(spells) AS ended_spells, max(median_days) AS longest_median, max(p95_days) AS longest_p95 
FROM (SELECT s.account, s.month AS month_start, TO_CHAR(s.month, 'YYYY-MM') AS month, s.state, COALESCE(s.state_title_en, 'undocumented: ' || s.state) AS state_title, s.spells, CAST(s.median_seconds AS DOUBLE PRECISION) / 86400 AS median_days, CAST(s.p95_seconds AS DOUBLE PRECISION) / 86400 AS p95_days FROM analytics.monthly_spells AS s WHERE s.ended_by = 'changed' AND s.state IN ('debt_lock', 'freeze')
) AS virtual_table 
WHERE month_start >= ':180_days_ago 00:00:00.000000' AND state = 'debt_lock' GROUP BY month ORDER BY max(month_start) DESC 
 LIMIT 10000;

