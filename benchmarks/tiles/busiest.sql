-- 4c977db2a9d2dba1e6c05357d69302e1ba8696b0971783a6ba04b7a1cbbab94a
SELECT number AS number, region AS region, type_title AS type_title, count(*) AS versions 
FROM (SELECT v.account, v.number_now AS number, v.number_key, COALESCE(v.region, 'no region') AS region, COALESCE(v.type_title_en, v.type, 'no type') AS type_title, COALESCE(v.employee || ' (' || v.employee_id || ')', CAST(v.employee_id AS TEXT), '') AS employee, COALESCE((SELECT e.name || ' (' || e.employee_id || ')' FROM analytics.employees AS e WHERE e.account_id = v.account_id AND e.employee_id = v.employee_id), CAST(v.employee_id AS TEXT), '') AS employee_now, v.valid_from AT TIME ZONE a.time_zone AS changed_at, v.valid_from AS moment FROM analytics.number_history AS v JOIN analytics.accounts AS a USING (account_id) WHERE NOT v.changed_after IS NULL
) AS virtual_table 
WHERE moment >= ':30_days_ago 00:00:00.000000' GROUP BY number, region, type_title ORDER BY versions DESC 
 LIMIT 1000;

