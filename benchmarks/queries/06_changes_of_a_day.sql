-- All that happened on one day.
select changed_at, number, kind, field, old_value, new_value
  from analytics.changes
 where changed_at >= timestamptz '2026-04-15 00:00 Europe/Moscow'
   and changed_at < timestamptz '2026-04-16 00:00 Europe/Moscow'
 order by changed_at, number, kind, field
