-- b68606a67ac0f6772cf40ed471f843bd45ac0e554860b44541d1f78aa3ff0eba
SELECT number AS number, account AS account, region AS region, type_title AS type_title, since AS since, until AS until, hours AS hours, ended_title AS ended_title 
FROM (SELECT s.account, s.number_now AS number, s.number_key, COALESCE(s.region, 'no region') AS region, COALESCE(s.type_title_en, s.type, 'no type') AS type_title, s.missing_since AT TIME ZONE a.time_zone AS since, s.ended_at AT TIME ZONE a.time_zone AS until, s.is_current, CAST(s.duration_seconds AS DOUBLE PRECISION) / 3600 AS hours, COALESCE(s.ended_by_title_en, s.ended_by, 'Still missing') AS ended_title FROM analytics.absences AS s JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE since >= TO_TIMESTAMP(':since 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY since DESC 
 LIMIT 10000;

