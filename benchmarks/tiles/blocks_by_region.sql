-- d31022b8d82170b42cc0b6a5cec7e07e2a3b7888e57e07d16d64bb2dc411557f
SELECT region AS region, state_title AS state_title, sum(entered) AS times_entered 
FROM (SELECT f.account, f.day, COALESCE(f.region, 'no region') AS region, COALESCE(f.type_title_en, f.type, 'no type') AS type_title, f.state, COALESCE(f.state_title_en, 'undocumented: ' || f.state) AS state_title, f.entered, f.exited, CAST(EXTRACT(DAY FROM f.day) AS INT) AS day_of_month FROM analytics.daily_flows AS f
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') AND state IN ('debt_lock', 'freeze') AND entered > 0 GROUP BY region, state_title ORDER BY times_entered DESC 
 LIMIT 10000;

