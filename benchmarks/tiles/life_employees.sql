-- 3fe044d225bbe4ad80912e37cfe7ab4d2190c0085c00702af36ffc510347cb41
SELECT number AS number, employee AS employee, since AS since, until AS until, days AS days 
FROM (SELECT s.account, s.number_now AS number, s.number_key, COALESCE(s.region, 'no region') AS region, COALESCE(s.type_title_en, s.type, 'no type') AS type_title, COALESCE(s.employee || ' (' || s.employee_id || ')', CAST(s.employee_id AS TEXT), '') AS employee, COALESCE((SELECT e.name || ' (' || e.employee_id || ')' FROM analytics.employees AS e WHERE e.account_id = s.account_id AND e.employee_id = s.employee_id), CAST(s.employee_id AS TEXT), '') AS employee_now, s.valid_from AT TIME ZONE a.time_zone AS since, s.valid_to AT TIME ZONE a.time_zone AS until, s.is_current, CAST(s.duration_seconds AS DOUBLE PRECISION) / 86400 AS days FROM analytics.assignments AS s JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table ORDER BY since DESC 
 LIMIT 10000;

