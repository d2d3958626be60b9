-- b9c0fac67ca0cd1a33c520523f0bda1c2eda395d125c7e2f095fdc23d3d1033c
SELECT account AS account, status AS status, last_success_at AS last_success_at, lag_minutes AS lag_minutes, outcome_title AS outcome_title, held AS held, rejected AS rejected, last_error AS last_error 
FROM (SELECT f.account, NOT f.retired_at IS NULL AS is_retired, CASE WHEN f.retired_at IS NULL THEN 'is polled' ELSE 'polled no more' END AS status, f.last_success_at AT TIME ZONE a.time_zone AS last_success_at, CAST(f.lag_seconds AS DOUBLE PRECISION) / 60 AS lag_minutes, COALESCE(f.last_outcome_title_en, f.last_outcome) AS outcome_title, COALESCE(f.last_error, '') AS last_error, f.held, f.rejected FROM analytics.freshness AS f JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table ORDER BY lag_minutes DESC 
 LIMIT 10000;

