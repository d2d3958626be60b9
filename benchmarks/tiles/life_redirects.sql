-- 11544fdb5a13dfeb207cdc9328ea08dc1510719216a4f4300b0c80045ec8456a
SELECT number AS number, redirect_from AS redirect_from, since AS since, until AS until, days AS days 
FROM (SELECT r.account, r.number, r.number_key, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, r.redirect_from, r.valid_from AT TIME ZONE a.time_zone AS since, r.valid_to AT TIME ZONE a.time_zone AS until, r.is_current, CAST(r.duration_seconds AS DOUBLE PRECISION) / 86400 AS days FROM analytics.redirect_history AS r JOIN analytics.numbers_all AS n USING (account_id, virtual_number_id) JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table ORDER BY since DESC 
 LIMIT 10000;

