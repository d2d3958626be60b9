-- bdd1256dac862138355e686b4b23b7a6f1a37c03a27e7c94a4ea0a06959fc1bc
SELECT sum(numbers) filter (where days_ago = 0 and state = 'debt_lock') - sum(numbers) filter (where days_ago = 30 and state = 'debt_lock') AS locked_change 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id) WHERE n.day >= (SELECT CAST(MIN(observed_until) AS DATE) - 32 FROM analytics.accounts)
) AS virtual_table 
 LIMIT 50000;

