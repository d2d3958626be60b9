-- 32e0d992d0c730668e8777e6151a01637cccda925f00c5d3239a540e2f63007a
SELECT sum(numbers) filter (where days_ago = 0) - sum(numbers) filter (where days_ago = 30) AS numbers_change 
FROM (SELECT n.account, n.day, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, n.state, COALESCE(n.state_title_en, 'undocumented: ' || n.state) AS state_title, n.numbers, CAST((a.observed_until AT TIME ZONE a.time_zone) AS DATE) - n.day AS days_ago FROM analytics.daily_states AS n JOIN analytics.accounts AS a USING (account_id) WHERE n.day >= (SELECT CAST(MIN(observed_until) AS DATE) - 32 FROM analytics.accounts)
) AS virtual_table 
 LIMIT 50000;

