-- All that is known of one number: its periods of state, the versions of its record, its redirects, and each change.
select 'state' as what, valid_from as since, valid_to as until, concat_ws(', ', state_title_en, reason) as how
  from analytics.state_history where number_now = '79000000043'
 union all
select 'record', valid_from, valid_to, concat_ws(', ', comment, type, purpose, region)
  from analytics.number_history where number_now = '79000000043'
 union all
select 'redirect', valid_from, valid_to, redirect_from
  from analytics.redirect_history where number_now = '79000000043'
 union all
select kind, changed_at, null, concat_ws(' ', field, 'from', old_value, 'to', new_value)
  from analytics.changes where number_now = '79000000043'
 order by since, what, how
