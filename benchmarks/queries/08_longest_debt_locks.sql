-- The debt locks that lasted longest.
select number, reason, valid_from, valid_to, round(duration_seconds / 86400, 1) as days
  from analytics.state_history
 where state = 'debt_lock' and not is_current
 order by duration_seconds desc, number
 limit 20
