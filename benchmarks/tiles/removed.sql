-- 42197a47d826cbf19f16b61c094fb8c92f8ea2ac9d5bfdf8d5ef1255a1d4bce4
SELECT count(*) AS changes 
FROM (SELECT c.account, c.number_now AS number, c.number_key, COALESCE(c.region, 'no region') AS region, COALESCE(c.type_title_en, c.type, 'no type') AS type_title, c.changed_at AT TIME ZONE a.time_zone AS changed_at, c.changed_at AS moment, c.kind, COALESCE(c.kind_title_en, c.kind) AS kind_title, COALESCE(c.employee || ' (' || c.employee_id || ')', CAST(c.employee_id AS TEXT), '') AS employee, COALESCE((SELECT e.name || ' (' || e.employee_id || ')' FROM analytics.employees AS e WHERE e.account_id = c.account_id AND e.employee_id = c.employee_id), CAST(c.employee_id AS TEXT), '') AS employee_now FROM (SELECT account_id, account, number_now, number_key, region, type, type_title_en, changed_at, kind, kind_title_en, employee_id, employee FROM analytics.changes WHERE kind = 'removed' AND NOT changed_after IS NULL UNION ALL SELECT account_id, account, number_now, number_key, region, type, type_title_en, valid_from, began_by, began_by_title_en, employee_id, employee FROM analytics.state_spells WHERE began_by IN ('created', 'restored') AND NOT changed_after IS NULL) AS c JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE kind = 'removed' AND changed_at >= ':180_days_ago 00:00:00.000000' 
 LIMIT 50000;

