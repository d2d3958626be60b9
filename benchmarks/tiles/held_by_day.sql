-- 4b6deaf595abfb79bb892302568c5313f6090139ac3d0f064f2cd64b592dd3de
SELECT DATE_TRUNC('day', started_at) AS started_at, account AS account, max(held) AS most_held 
FROM (SELECT r.account, r.started_at AT TIME ZONE a.time_zone AS started_at, r.outcome, COALESCE(r.outcome_title_en, r.outcome) AS outcome_title, r.error_kind, COALESCE(r.error_kind_title_en, r.error_kind) AS error_title, r.http_status, r.error, r.held, r.rejected FROM analytics.runs AS r JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE started_at >= ':180_days_ago 00:00:00.000000' AND held > 0 GROUP BY DATE_TRUNC('day', started_at), account ORDER BY most_held DESC 
 LIMIT 10000;

