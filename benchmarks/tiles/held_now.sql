-- 46d4711271ab671b54655d386b7525555a2aa398a76fc2fab56fb0880e41a79e
SELECT sum(held) AS held_now 
FROM (SELECT f.account, NOT f.retired_at IS NULL AS is_retired, CASE WHEN f.retired_at IS NULL THEN 'is polled' ELSE 'polled no more' END AS status, f.last_success_at AT TIME ZONE a.time_zone AS last_success_at, CAST(f.lag_seconds AS DOUBLE PRECISION) / 60 AS lag_minutes, COALESCE(f.last_outcome_title_en, f.last_outcome) AS outcome_title, COALESCE(f.last_error, '') AS last_error, f.held, f.rejected FROM analytics.freshness AS f JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table 
 LIMIT 50000;

