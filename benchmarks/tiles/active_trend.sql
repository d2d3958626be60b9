-- 3965c457f30479b989d82ba9f31c7084eae0ba22150f1c3cef6b8883ddd879f2
SELECT sum(numbers) filter (where days_ago = 0 and state = 'active') - sum(numbers) filter (where days_ago = 30 and state = 'active') AS active_change 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id) WHERE n.day >= (SELECT CAST(MIN(observed_until) AS DATE) - 32 FROM analytics.accounts)
) AS virtual_table 
 LIMIT 50000;

