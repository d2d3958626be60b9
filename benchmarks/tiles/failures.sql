-- 96848f999064dacfcfd385a2b7a2a80ab3fdb71bfc5e1f16646ee837c8a9ed7e
SELECT error_title AS error_title, http_status AS http_status, count(*) AS polls, max(started_at) AS last_at 
FROM (SELECT r.account, r.started_at AT TIME ZONE a.time_zone AS started_at, r.outcome, COALESCE(r.outcome_title_en, r.outcome) AS outcome_title, r.error_kind, COALESCE(r.error_kind_title_en, r.error_kind) AS error_title, r.http_status, r.error, r.held, r.rejected FROM analytics.runs AS r JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
WHERE outcome = 'failed' AND started_at >= TO_TIMESTAMP(':since 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY error_title, http_status ORDER BY polls DESC 
 LIMIT 10000;

