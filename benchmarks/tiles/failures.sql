-- 72f01886e402f466f7b064bad2b4cb4f83276cd84f4ae1601d47419056fa02cf
SELECT error_title AS error_title, http_status AS http_status, count(*) AS polls, max(started_at) AS last_at 
FROM (SELECT r.account, r.started_at AT TIME ZONE a.time_zone AS started_at, r.outcome, COALESCE(r.outcome_title_en, r.outcome) AS outcome_title, r.error_kind, COALESCE(r.error_kind_title_en, r.error_kind) AS error_title, r.http_status, r.error, r.held, r.rejected FROM analytics.runs AS r JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE outcome = 'failed' AND started_at >= ':180_days_ago 00:00:00.000000' GROUP BY error_title, http_status ORDER BY polls DESC 
 LIMIT 10000;

