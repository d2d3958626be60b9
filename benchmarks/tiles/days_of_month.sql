-- f3053bb845e53ef7bdc42bef2b7fe16628157ece9af0f6ffd0413480b270b98e
SELECT day_of_month AS day_of_month, sum(entered) AS times_entered 
FROM (SELECT f.account, f.day, COALESCE(f.region, 'no region') AS region, COALESCE(f.type_title_en, f.type, 'no type') AS type_title, f.state, COALESCE(f.state_title_en, 'undocumented: ' || f.state) AS state_title, f.entered, f.exited, CAST(EXTRACT(DAY FROM f.day) AS INT) AS day_of_month FROM analytics.daily_flows AS f
) AS virtual_table 
WHERE state = 'debt_lock' AND day >= ':180_days_ago 00:00:00.000000' GROUP BY day_of_month ORDER BY times_entered DESC 
 LIMIT 10000;

