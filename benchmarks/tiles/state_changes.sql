-- a5aefd80113f4d9c1a2a4c57110aab1f3cfb14af1b2ff63f061e44f0507d54d0
SELECT count(*) AS transitions 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, COALESCE(c.from_state_title_en, 'undocumented: ' || c.from_state) AS from_title, COALESCE(c.to_state_title_en, 'undocumented: ' || c.to_state) AS to_title FROM analytics.state_changes AS c JOIN analytics.accounts AS a USING (account_id) WHERE c.from_state <> c.to_state
) AS virtual_table 
WHERE changed_at >= ':180_days_ago 00:00:00.000000' 
 LIMIT 50000;

