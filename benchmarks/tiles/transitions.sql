-- aa9265dff2940f145febb5a3e1b4b57a8f222ae57a2c4331bd201b074893d08c
SELECT to_title AS to_title, from_title AS from_title, count(*) AS transitions 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, COALESCE(c.from_state_title_en, 'undocumented: ' || c.from_state) AS from_title, COALESCE(c.to_state_title_en, 'undocumented: ' || c.to_state) AS to_title FROM analytics.state_changes AS c JOIN analytics.accounts AS a USING (account_id) WHERE c.from_state <> c.to_state
) AS virtual_table 
WHERE changed_at >= TO_TIMESTAMP(':since 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY to_title, from_title ORDER BY transitions DESC 
 LIMIT 10000;

