-- b2562870de0f730da8e816933526a0f6ee6fe64adccaec309c718ba1c475f565
SELECT month AS month, state_title AS state_title, sum(numbers) AS numbers_that_day 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago, TO_CHAR(n.day, 'YYYY-MM') AS month, EXTRACT(DAY FROM n.day + 1) = 1 OR n.day = CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) AS is_month_end FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' AND is_month_end = true GROUP BY month, state_title ORDER BY numbers_that_day DESC 
 LIMIT 10000;

