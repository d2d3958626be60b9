-- c9742625ab8afd4eeb823b0dfcd384e8aabb517aad6370b0ff923c442376023d
SELECT day AS day, sum(numbers) AS numbers_that_day, coalesce(sum(numbers) filter (where state = 'active'), 0) AS active_that_day, coalesce(sum(numbers) filter (where state = 'debt_lock'), 0) AS locked_that_day, coalesce(sum(numbers) filter (where state = 'freeze'), 0) AS frozen_that_day, coalesce(sum(numbers) filter (where state not in ('active', 'debt_lock', 'freeze')), 0) AS other_that_day 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago, TO_CHAR(n.day, 'YYYY-MM') AS month, EXTRACT(DAY FROM n.day + 1) = 1 OR n.day = CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) AS is_month_end FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE day >= ':180_days_ago 00:00:00.000000' GROUP BY day ORDER BY max(day) DESC 
 LIMIT 10000;

