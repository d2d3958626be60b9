-- 2ce4697519ce1d7de6b4d317d2fc9fc7ee39a45cd7eb6ecefc6500fd740ada39
SELECT month AS month, state_title AS state_title, sum(numbers) AS numbers_that_day 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago, TO_CHAR(n.day, 'YYYY-MM') AS month, EXTRACT(DAY FROM n.day + 1) = 1 OR n.day = CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) AS is_month_end FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE day >= TO_DATE(':since', 'YYYY-MM-DD') AND is_month_end = true GROUP BY month, state_title ORDER BY numbers_that_day DESC 
 LIMIT 10000;

