-- 3c7c8b45be38a8bd7cf99ca395b4491ddb56c7b3c38785376da97379ab6330ef
SELECT DATE_TRUNC('day', day) AS day, state_title AS state_title, sum(numbers) AS numbers_that_day 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago, TO_CHAR(n.day, 'YYYY-MM') AS month, EXTRACT(DAY FROM n.day + 1) = 1 OR n.day = CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) AS is_month_end FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' AND state != 'active' GROUP BY DATE_TRUNC('day', day), state_title ORDER BY numbers_that_day DESC 
 LIMIT 10000;

