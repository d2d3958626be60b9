-- 6ea9224198fde458cc4ead063a8bc19d9603c1a35cf43359ec7551b33b359ee5
SELECT to_title AS to_title, from_title AS from_title, count(*) AS transitions 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, COALESCE(c.from_state_title_en, 'undocumented: ' || c.from_state) AS from_title, COALESCE(c.to_state_title_en, 'undocumented: ' || c.to_state) AS to_title FROM analytics.state_changes AS c JOIN analytics.accounts AS a USING (account_id) WHERE c.from_state <> c.to_state
) AS virtual_table 
WHERE changed_at >= ':180_days_ago 00:00:00.000000' GROUP BY to_title, from_title ORDER BY transitions DESC 
 LIMIT 10000;

