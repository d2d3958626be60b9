"""Rule 8: the versions of each name follow each other without gap or overlap, and the current one is the last."""

from __future__ import annotations

from typing import Final

NAMES: Final = """
select 8 as rule, account_id, null::bigint as virtual_number_id, null::bigint as run_id,
       format('the version from %s of name %s in %s ', valid_from, object_id, list) || problem
  from (select v.*, n.first_seen_at,
               lag(v.valid_to) over name as previous_to, row_number() over name as position_in_time
          from name_version v
          left join name n using (account_id, list, object_id)
        window name as (partition by account_id, list, object_id order by v.valid_to is null, v.valid_from)) versions
 cross join lateral (select case
    when valid_to <= valid_from then format('ends at %s, which is not after it begins', valid_to)
    when position_in_time > 1 and previous_to is distinct from valid_from
    then format('begins then, but the one before it ends at %s', previous_to)
    when first_seen_at is null then 'has no current one after it'
    when position_in_time = 1 and first_seen_at <> valid_from
    then format('is the first one, but the id was first seen at %s', first_seen_at)
    when changed_after >= valid_from then format('has changed_after %s, which is not before it begins', changed_after)
    when closed_after >= valid_to
    then format('ends at %s, but has closed_after %s, which is not earlier', valid_to, closed_after)
    end as problem) checked
 where problem is not null
"""
