-- 7acd6b82d235a583b4350408b233e36b2fe56c6aaab1ca0f19c68e6b75ee9dc7
SELECT count(*) AS changes 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, c.kind, COALESCE(c.kind_title_en, c.kind) AS kind_title, COALESCE(c.employee || ' (' || c.employee_id || ')', CAST(c.employee_id AS TEXT), '') AS employee, COALESCE((SELECT e.name || ' (' || e.employee_id || ')' FROM analytics.employees AS e WHERE e.account_id = c.account_id AND e.employee_id = c.employee_id), CAST(c.employee_id AS TEXT), '') AS employee_now FROM (SELECT account_id, account, number_now, number_key, region, type, type_title_en, changed_at, kind, kind_title_en, employee_id, employee FROM analytics.changes WHERE kind = 'removed' AND NOT changed_after IS NULL UNION ALL SELECT account_id, account, number_now, number_key, region, type, type_title_en, valid_from, began_by, began_by_title_en, employee_id, employee FROM analytics.state_spells WHERE began_by IN ('created', 'restored') AND NOT changed_after IS NULL) AS c JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE kind = 'restored' AND changed_at >= ':since 00:00:00.000000' 
 LIMIT 50000;

