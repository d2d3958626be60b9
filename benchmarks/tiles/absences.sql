-- a4033c3b640acd886de129e928c7c75190a735f08f3f0ca895aa16c95295e2cc
SELECT number AS number, account AS account, region AS region, type_title AS type_title, since AS since, until AS until, hours AS hours, ended_title AS ended_title 
FROM (SELECT s.account, s.number_now AS number, s.number_key, COALESCE((SELECT h.region FROM analytics.number_history AS h WHERE h.account_id = s.account_id AND h.virtual_number_id = s.virtual_number_id AND h.valid_from < s.missing_since ORDER BY h.valid_from DESC NULLS LAST LIMIT 1), 'no region') AS region, COALESCE((SELECT COALESCE(h.type_title_en, h.type) FROM analytics.number_history AS h WHERE h.account_id = s.account_id AND h.virtual_number_id = s.virtual_number_id AND h.valid_from < s.missing_since ORDER BY h.valid_from DESC NULLS LAST LIMIT 1), 'no type') AS type_title, s.missing_since AT TIME ZONE a.time_zone AS since, s.ended_at AT TIME ZONE a.time_zone AS until, s.is_current, CAST(s.duration_seconds AS DOUBLE PRECISION) / 3600 AS hours, COALESCE(s.ended_by_title_en, s.ended_by, 'Still missing') AS ended_title FROM analytics.absences AS s JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE since >= ':180_days_ago 00:00:00.000000' ORDER BY since DESC 
 LIMIT 1000;

