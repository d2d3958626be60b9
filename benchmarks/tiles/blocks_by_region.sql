-- c392dc7155da450755bcda3ad8110c0f7f66da5c95dfc6acd815176b83bbd3a6
SELECT region AS region, state_title AS state_title, sum(entered) AS times_entered 
FROM (SELECT f.account, f.day, COALESCE(f.region, 'no region') AS region, COALESCE(f.type_title_en, f.type, 'no type') AS type_title, f.state, COALESCE(f.state_title_en, 'undocumented: ' || f.state) AS state_title, f.entered, f.exited, CAST(EXTRACT(DAY FROM f.day) AS INT) AS day_of_month FROM analytics.daily_flows AS f
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' AND state IN ('debt_lock', 'freeze') AND entered > 0 GROUP BY region, state_title ORDER BY times_entered DESC 
 LIMIT 10000;

