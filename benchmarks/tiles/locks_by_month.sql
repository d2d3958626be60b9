-- c3267840a97f7babf53d305b85c271ef284f3c87fe28ce43a7acee731596ee9e
SELECT month AS month, sum(locks) AS locks_begun, sum(unlocks) AS locks_ended 
FROM (WITH found AS (SELECT h.account_id, CAST(DATE_TRUNC('MONTH', h.valid_from AT TIME ZONE a.time_zone) AS DATE) AS month, h.region, h.type, COUNT(*) AS numbers FROM analytics.number_history AS h JOIN analytics.accounts AS a USING (account_id) WHERE h.changed_after IS NULL GROUP BY 1, 2, 3, 4) SELECT m.account, m.month AS month_start, TO_CHAR(m.month, 'YYYY-MM') AS month, COALESCE(m.region, 'no region') AS region, COALESCE(m.type_title_en, m.type, 'no type') AS type_title, m.opening + COALESCE(f.numbers, 0) AS opening, m.arrived - COALESCE(f.numbers, 0) AS arrived, m.returned, m.removed, m.closing, m.locks, m.unlocks, m.active_seconds, m.listed_seconds FROM analytics.monthly_kpi AS m LEFT JOIN found AS f ON f.account_id = m.account_id AND f.month = m.month AND (f.region, f.type) IS NOT DISTINCT FROM (m.region, m.type)
) AS virtual_table 
WHERE month_start >= ':180_days_ago 00:00:00.000000' GROUP BY month ORDER BY locks_begun DESC 
 LIMIT 10000;

