-- What is new for a copy of the changes that lacks the last 300 polls of each account.
select c.run_id, c.changed_at, c.number_now, c.kind, c.field, c.old_value, c.new_value
  from (select jsonb_object_agg(key, (value -> 'run_id')::bigint - 300) as cursor
          from analytics.changes_cursor cross join jsonb_each(cursor)) copied
 cross join analytics.changes_since(copied.cursor) c
 order by c.run_id, c.changed_at, c.number_now, c.kind, coalesce(c.field, ''), coalesce(c.old_value, ''),
          coalesce(c.new_value, '')
