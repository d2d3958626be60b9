-- e7fee42dc7d76309eb73bd1e7d39bf1018d5dd7aa837aa637166adbfd28f37ca
SELECT number AS number, error AS error, first_received AS first_received, last_received AS last_received, occurrences AS occurrences, payload AS payload 
FROM (SELECT r.account, r.number, r.error, REPLACE(LEFT(r.payload, 300), ',"', ', "') AS payload, r.occurrences, r.first_seen_at AT TIME ZONE a.time_zone AS first_received, r.last_seen_at AT TIME ZONE a.time_zone AS last_received FROM analytics.rejected_records AS r JOIN analytics.accounts AS a USING (account_id)
) AS virtual_table ORDER BY first_received ASC 
 LIMIT 10000;

