-- 2912e47c7014066be15fa6a4c70776287f10a693eca79d055a76e9ecbaa786c8
SELECT path AS path, state_title AS state_title, state_since AS state_since, region AS region 
FROM (SELECT p.account, p.number, p.path, p.target_number, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, COALESCE(p.target_state_title_en, 'undocumented: ' || p.target_state) AS state_title, n.state_since AT TIME ZONE a.time_zone AS state_since, p.is_loop, p.works FROM analytics.redirect_paths AS p JOIN analytics.accounts AS a USING (account_id) JOIN analytics.numbers_all AS n ON n.number_key = p.target_key
) AS virtual_table 
WHERE works = false ORDER BY state_since ASC 
 LIMIT 10000;

