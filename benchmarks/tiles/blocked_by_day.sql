-- ba83171b6a308dcb864b390fbe00b5a796df45c445c6a5c90081debe07c312e1
SELECT DATE_TRUNC('day', day) AS day, state_title AS state_title, sum(numbers) AS numbers_that_day 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago, TO_CHAR(n.day, 'YYYY-MM') AS month, EXTRACT(DAY FROM n.day + 1) = 1 OR n.day = CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) AS is_month_end FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') AND state IN ('debt_lock', 'freeze') GROUP BY DATE_TRUNC('day', day), state_title ORDER BY numbers_that_day DESC 
 LIMIT 10000;

