-- b272f1f3b1ce635d474937f15d369846744e243562df9c8ee5152fce86e05e8e
SELECT count(*) AS redirects 
FROM (SELECT p.account, p.number, p.path, p.target_number, COALESCE(n.region, 'no region') AS region, COALESCE(n.type_title_en, n.type, 'no type') AS type_title, COALESCE(p.target_state_title_en, 'undocumented: ' || p.target_state) AS state_title, n.state_since AT TIME ZONE a.time_zone AS state_since, p.is_loop, p.works FROM analytics.redirect_paths AS p JOIN analytics.accounts AS a USING (account_id) JOIN analytics.numbers_all AS n ON n.number_key = p.target_key
) AS virtual_table 
WHERE works = false 
 LIMIT 50000;

