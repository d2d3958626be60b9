-- 2e5a1391908541b324c077eb88dfa76e408a51712d1e8e4a661664b5b90a3684
SELECT count(*) AS transitions 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, COALESCE(c.from_state_title_en, 'undocumented: ' || c.from_state) AS from_title, COALESCE(c.to_state_title_en, 'undocumented: ' || c.to_state) AS to_title FROM analytics.state_changes AS c JOIN analytics.accounts AS a USING (account_id) WHERE c.from_state <> c.to_state
) AS virtual_table 
WHERE changed_at >= TO_TIMESTAMP(':since 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') 
 LIMIT 50000;

