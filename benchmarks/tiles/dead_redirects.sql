-- efa5b59b8ff3c848382c925bddf15729af1e85615a8ea0449baa6f14727431c1
SELECT path AS path, state_title AS state_title, state_since AS state_since, region AS region 
FROM (SELECT p.account, p.number, p.path, p.target_number, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, COALESCE(p.target_state_title_en, 'undocumented: ' || p.target_state) AS state_title, n.state_since AT TIME ZONE a.time_zone AS state_since, p.is_loop, p.works FROM analytics.redirect_paths AS p JOIN analytics.accounts AS a USING (account_id) JOIN analytics.numbers_all AS n ON n.number_key = p.target_key
) AS virtual_table 
WHERE works = false ORDER BY state_since ASC 
 LIMIT 10000;

