-- 201707e478424f93df4c4ae1615804c8f47bd22a798d7918812d8ca6b591afce
SELECT employee AS employee, number AS number, region AS region, type_title AS type_title, since AS since, until AS until, days AS days 
FROM (SELECT s.account, s.number_now AS number, s.number_key, COALESCE(s.region, 'no region') AS region, COALESCE(s.type_title_en, s.type, 'no type') AS type_title, COALESCE(s.employee || ' (' || s.employee_id || ')', CAST(s.employee_id AS TEXT), '') AS employee, COALESCE(e.name || ' (' || s.employee_id || ')', CAST(s.employee_id AS TEXT), '') AS employee_now, s.valid_from AT TIME ZONE a.time_zone AS since, s.valid_to AT TIME ZONE a.time_zone AS until, s.is_current, CAST(s.duration_seconds AS DOUBLE PRECISION) / 86400 AS days FROM analytics.assignments AS s JOIN analytics.accounts AS a USING (account_id) LEFT JOIN analytics.employees AS e ON e.account_id = s.account_id AND e.employee_id = s.employee_id
) AS virtual_table ORDER BY since DESC 
 LIMIT 10000;

