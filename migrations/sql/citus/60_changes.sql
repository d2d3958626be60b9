-- The fields of a change are rows of `unnest`, which Citus can join to tables, not to a union: so each kind of change, and
-- each table of versions, has a part of its own, with all joins that need the account's server. Titles are subqueries.
-- From which of its tables a part takes account_id decides whether the servers can run the union: see EXPLAIN, which has
-- to show one task for each shard and no subplan.

create or replace function syncer.changing_fields() returns text[] language sql immutable parallel safe
return array[
    'state', 'reason', 'number', 'comment', 'type', 'purpose', 'scenario_id', 'group_scenario_id',
    'group_id', 'is_scenario_active', 'is_group_scenario_active', 'employee_id', 'dgn_number',
    'redirect_number', 'region', 'app_id', 'nc_type', 'sip_uri'];
comment on function syncer.changing_fields() is 'The fields of the arrays of former_record and current_record';

create or replace view syncer.former_record as
select account_id, virtual_number_id, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by,
       ended_by, number, type, purpose, region_id, employee_id,
       array[state, reason, number, comment, type, purpose, scenario_id::text, group_scenario_id::text,
             group_id::text, is_scenario_active::text, is_group_scenario_active::text, employee_id::text,
             dgn_number, redirect_number, region_id::text, app_id::text, nc_type, sip_uri] as content
  from syncer.virtual_number_history;
comment on view syncer.former_record is
    'Versions of numbers that have ended, with what they hold as texts in the order of changing_fields';

create or replace view syncer.current_record as
select account_id, virtual_number_id, changed_at, changed_after, first_seen_at, listed_since, removed_at, run_id, number,
       type, purpose, region_id, employee_id,
       array[state, reason, number, comment, type, purpose, scenario_id::text, group_scenario_id::text,
             group_id::text, is_scenario_active::text, is_group_scenario_active::text, employee_id::text,
             dgn_number, redirect_number, region_id::text, app_id::text, nc_type, sip_uri] as content
  from syncer.virtual_number;
comment on view syncer.current_record is
    'Numbers with what they hold as texts in the order of changing_fields';

create or replace function syncer.compared_fields(old_content text[], new_content text[])
returns table (field text, old_value text, new_value text, list text, old_id bigint, new_id bigint)
language sql immutable parallel safe as $$
select field, old_value, new_value, list, case when list is not null then old_value::bigint end,
       case when list is not null then new_value::bigint end
  from unnest(syncer.changing_fields(), old_content, new_content) as f (field, old_value, new_value)
 cross join lateral (
       select case field when 'employee_id' then 'employees' when 'group_id' then 'groups' end as list) named
$$;
comment on function syncer.compared_fields(text[], text[]) is
    'The values of each field before and after, and the list and the ids by which those have names';

create or replace view analytics.changes as
select h.account_id, k.account, h.virtual_number_id, h.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, h.recorded_at, h.changed_at, h.changed_after,
       -- A function that the planner does not compute. A condition that it knows to be false of a part, as kind = 'removed'
       -- of what was created, would take the place of the part's condition on account_id, and all servers would be asked.
       format('%s', h.kind) as kind, nullif(format('%s', h.field), '') as field,
       case when h.field = 'region' then (select r.name from syncer.region r where r.region_id = h.old_value::integer)
            else h.old_value end as old_value,
       case when h.field = 'region' then (select r.name from syncer.region r where r.region_id = h.new_value::integer)
            else h.new_value end as new_value,
       h.redirect_number_id,
       concat_ws(':', h.account_id, h.run_id, h.virtual_number_id, h.step, h.kind, h.field, h.redirect_number_id,
                 case when h.redirect_number_id is not null then coalesce(h.new_value, h.old_value) end)
           collate "C" as change_id,
       h.number_now, h.type, h.purpose,
       (select r.name from syncer.region r where r.region_id = h.region_id) as region, h.employee_id,
       syncer.local_day(h.changed_at, z.zone) as changed_day,
       (syncer.kind_title(h.kind))[1] as kind_title_en,
       (syncer.kind_title(h.kind))[2] as kind_title_ru,
       (syncer.field_title(h.field))[1] as field_title_en,
       (syncer.field_title(h.field))[2] as field_title_ru,
       (select t.title_en from syncer.number_type t where t.type = h.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = h.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_ru,
       h.employee, h.old_name, h.new_name
  from (
    -- Created: versions that have ended, and current ones.
    select n.account_id, v.virtual_number_id, v.number, n.number as number_now,
           v.type, v.purpose, v.region_id, v.employee_id,
           v.run_id, s.finished_at as recorded_at, v.valid_from as changed_at, v.changed_after, 1 as step,
           'created' as kind, f.field, f.old_value, f.new_value, null::bigint as redirect_number_id,
           case when ex.account_id is null then e.name else ex.name end as employee,
           case when ox.account_id is null then o.name else ox.name end as old_name,
           case when wx.account_id is null then w.name else wx.name end as new_name
      from syncer.former_record v
      join syncer.virtual_number n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
     cross join lateral syncer.compared_fields(null, v.content) f
      left join syncer.sync_run s on s.account_id = n.account_id and s.run_id = v.run_id
      left join syncer.former_name ex
        on ex.account_id = n.account_id and ex.list = 'employees' and ex.object_id = v.employee_id
       and ex.answers_after <= v.valid_from and ex.answers_until > v.valid_from
      left join syncer.name e
        on e.account_id = n.account_id and e.list = 'employees' and e.object_id = v.employee_id
      left join syncer.former_name ox
        on ox.account_id = n.account_id and ox.list = f.list and ox.object_id = f.old_id
       and ox.answers_after <= v.valid_from and ox.answers_until > v.valid_from
      left join syncer.name o
        on o.account_id = n.account_id and o.list = f.list and o.object_id = f.old_id
      left join syncer.former_name wx
        on wx.account_id = n.account_id and wx.list = f.list and wx.object_id = f.new_id
       and wx.answers_after <= v.valid_from and wx.answers_until > v.valid_from
      left join syncer.name w
        on w.account_id = n.account_id and w.list = f.list and w.object_id = f.new_id
     where v.began_by = 'created' and f.new_value is not null
     union all
    select r.account_id, n.virtual_number_id, n.number, n.number,
           n.type, n.purpose, n.region_id, n.employee_id,
           n.run_id, s.finished_at, n.listed_since, n.changed_after, 1,
           'created', f.field, f.old_value, f.new_value, null::bigint,
           case when ex.account_id is null then e.name else ex.name end,
           case when ox.account_id is null then o.name else ox.name end,
           case when wx.account_id is null then w.name else wx.name end
      from syncer.current_record n
      join syncer.sync_run r
        on r.account_id = n.account_id and r.run_id = n.run_id
       and n.listed_since >= r.started_at and n.listed_since <= r.finished_at
     cross join lateral syncer.compared_fields(null, n.content) f
      left join syncer.sync_run s on s.account_id = r.account_id and s.run_id = n.run_id
      left join syncer.former_name ex
        on ex.account_id = r.account_id and ex.list = 'employees' and ex.object_id = n.employee_id
       and ex.answers_after <= n.listed_since and ex.answers_until > n.listed_since
      left join syncer.name e
        on e.account_id = r.account_id and e.list = 'employees' and e.object_id = n.employee_id
      left join syncer.former_name ox
        on ox.account_id = r.account_id and ox.list = f.list and ox.object_id = f.old_id
       and ox.answers_after <= n.listed_since and ox.answers_until > n.listed_since
      left join syncer.name o
        on o.account_id = r.account_id and o.list = f.list and o.object_id = f.old_id
      left join syncer.former_name wx
        on wx.account_id = r.account_id and wx.list = f.list and wx.object_id = f.new_id
       and wx.answers_after <= n.listed_since and wx.answers_until > n.listed_since
      left join syncer.name w
        on w.account_id = r.account_id and w.list = f.list and w.object_id = f.new_id
     where n.changed_at = n.listed_since and n.changed_at = n.first_seen_at and n.removed_at is null
       and f.new_value is not null
     union all
    -- Restored: compared with the version that the removal ended.
    select n.account_id, v.virtual_number_id, v.number, n.number,
           v.type, v.purpose, v.region_id, v.employee_id,
           v.run_id, s.finished_at, v.valid_from, v.changed_after, 1,
           'restored', f.field, f.old_value, f.new_value, null::bigint,
           case when ex.account_id is null then e.name else ex.name end,
           case when ox.account_id is null then o.name else ox.name end,
           case when wx.account_id is null then w.name else wx.name end
      from syncer.former_record v
      join syncer.virtual_number n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
      join (select b.account_id, b.virtual_number_id, b.valid_from, max(h.valid_from) as former_from
              from syncer.virtual_number_history b
              join syncer.virtual_number_history h
                on h.account_id = b.account_id and h.virtual_number_id = b.virtual_number_id
               and h.valid_from < b.valid_from
             where b.began_by = 'restored'
             group by b.account_id, b.virtual_number_id, b.valid_from) q
        on q.account_id = v.account_id and q.virtual_number_id = v.virtual_number_id and q.valid_from = v.valid_from
      join syncer.former_record p
        on p.account_id = q.account_id and p.virtual_number_id = q.virtual_number_id and p.valid_from = q.former_from
     cross join lateral syncer.compared_fields(p.content, v.content) f
      left join syncer.sync_run s on s.account_id = n.account_id and s.run_id = v.run_id
      left join syncer.former_name ex
        on ex.account_id = n.account_id and ex.list = 'employees' and ex.object_id = v.employee_id
       and ex.answers_after <= v.valid_from and ex.answers_until > v.valid_from
      left join syncer.name e
        on e.account_id = n.account_id and e.list = 'employees' and e.object_id = v.employee_id
      left join syncer.former_name ox
        on ox.account_id = n.account_id and ox.list = f.list and ox.object_id = f.old_id
       and ox.answers_after <= v.valid_from and ox.answers_until > v.valid_from
      left join syncer.name o
        on o.account_id = n.account_id and o.list = f.list and o.object_id = f.old_id
      left join syncer.former_name wx
        on wx.account_id = n.account_id and wx.list = f.list and wx.object_id = f.new_id
       and wx.answers_after <= v.valid_from and wx.answers_until > v.valid_from
      left join syncer.name w
        on w.account_id = n.account_id and w.list = f.list and w.object_id = f.new_id
     where v.began_by = 'restored' and (f.old_value is not null or f.new_value is not null)
     union all
    select r.account_id, n.virtual_number_id, n.number, n.number,
           n.type, n.purpose, n.region_id, n.employee_id,
           n.run_id, s.finished_at, n.listed_since, n.changed_after, 1,
           'restored', f.field, f.old_value, f.new_value, null::bigint,
           case when ex.account_id is null then e.name else ex.name end,
           case when ox.account_id is null then o.name else ox.name end,
           case when wx.account_id is null then w.name else wx.name end
      from syncer.current_record n
      join syncer.sync_run r
        on r.account_id = n.account_id and r.run_id = n.run_id
       and n.listed_since >= r.started_at and n.listed_since <= r.finished_at
      join (select b.account_id, b.virtual_number_id, max(h.valid_from) as former_from
              from syncer.virtual_number b
              join syncer.virtual_number_history h
                on h.account_id = b.account_id and h.virtual_number_id = b.virtual_number_id
               and h.valid_from < b.listed_since
             where b.listed_since > b.first_seen_at
             group by b.account_id, b.virtual_number_id) q
        on q.account_id = n.account_id and q.virtual_number_id = n.virtual_number_id
      join syncer.former_record p
        on p.account_id = q.account_id and p.virtual_number_id = q.virtual_number_id and p.valid_from = q.former_from
     cross join lateral syncer.compared_fields(p.content, n.content) f
      left join syncer.sync_run s on s.account_id = r.account_id and s.run_id = n.run_id
      left join syncer.former_name ex
        on ex.account_id = r.account_id and ex.list = 'employees' and ex.object_id = n.employee_id
       and ex.answers_after <= n.listed_since and ex.answers_until > n.listed_since
      left join syncer.name e
        on e.account_id = r.account_id and e.list = 'employees' and e.object_id = n.employee_id
      left join syncer.former_name ox
        on ox.account_id = r.account_id and ox.list = f.list and ox.object_id = f.old_id
       and ox.answers_after <= n.listed_since and ox.answers_until > n.listed_since
      left join syncer.name o
        on o.account_id = r.account_id and o.list = f.list and o.object_id = f.old_id
      left join syncer.former_name wx
        on wx.account_id = r.account_id and wx.list = f.list and wx.object_id = f.new_id
       and wx.answers_after <= n.listed_since and wx.answers_until > n.listed_since
      left join syncer.name w
        on w.account_id = r.account_id and w.list = f.list and w.object_id = f.new_id
     where n.changed_at = n.listed_since and n.changed_at <> n.first_seen_at and n.removed_at is null
       and (f.old_value is not null or f.new_value is not null)
     union all
    -- Changed: with what the version that ended had, and the one that began then has.
    select a.account_id, p.virtual_number_id, case when n.changed_at = p.valid_to then n.number else v.number end,
    n.number,
           case when n.changed_at = p.valid_to then n.type else v.type end,
           case when n.changed_at = p.valid_to then n.purpose else v.purpose end,
           case when n.changed_at = p.valid_to then n.region_id else v.region_id end,
           case when n.changed_at = p.valid_to then n.employee_id else v.employee_id end,
           p.closed_run_id, s.finished_at, p.valid_to, p.closed_after, 1,
           case when f.field in ('state', 'reason') then 'state' else 'changed' end, f.field, f.old_value, f.new_value,
           null::bigint,
           case when ex.account_id is null then e.name else ex.name end,
           case when ox.account_id is null then o.name else ox.name end,
           case when wx.account_id is null then w.name else wx.name end
      from syncer.former_record p
      join syncer.current_record n on n.account_id = p.account_id and n.virtual_number_id = p.virtual_number_id
      join syncer.account_fence a on a.account_id = p.account_id
      left join syncer.former_record v
        on v.account_id = p.account_id and v.virtual_number_id = p.virtual_number_id and v.valid_from = p.valid_to
     cross join lateral syncer.compared_fields(
           p.content, case when n.changed_at = p.valid_to then n.content else v.content end) f
      left join syncer.sync_run s on s.account_id = a.account_id and s.run_id = p.closed_run_id
      left join syncer.former_name ex
        on ex.account_id = a.account_id and ex.list = 'employees'
       and ex.object_id = case when n.changed_at = p.valid_to then n.employee_id else v.employee_id end
       and ex.answers_after <= p.valid_to and ex.answers_until > p.valid_to
      left join syncer.name e
        on e.account_id = a.account_id and e.list = 'employees'
       and e.object_id = case when n.changed_at = p.valid_to then n.employee_id else v.employee_id end
      left join syncer.former_name ox
        on ox.account_id = a.account_id and ox.list = f.list and ox.object_id = f.old_id
       and ox.answers_after <= p.valid_to and ox.answers_until > p.valid_to
      left join syncer.name o
        on o.account_id = a.account_id and o.list = f.list and o.object_id = f.old_id
      left join syncer.former_name wx
        on wx.account_id = a.account_id and wx.list = f.list and wx.object_id = f.new_id
       and wx.answers_after <= p.valid_to and wx.answers_until > p.valid_to
      left join syncer.name w
        on w.account_id = a.account_id and w.list = f.list and w.object_id = f.new_id
     where p.ended_by = 'changed' and f.old_value is distinct from f.new_value
     union all
    -- Removed.
    select h.account_id, h.virtual_number_id, case when v.account_id is null then n.number else v.number end, n.number,
           case when v.account_id is null then n.type else v.type end,
           case when v.account_id is null then n.purpose else v.purpose end,
           case when v.account_id is null then n.region_id else v.region_id end,
           case when v.account_id is null then n.employee_id else v.employee_id end,
           h.closed_run_id, s.finished_at, h.valid_to, h.closed_after, 4, 'removed', null, null, null, null,
           case when ex.account_id is null then e.name else ex.name end, null, null
      from syncer.state_history h
      join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
      left join syncer.virtual_number_history v
        on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id
       and v.valid_from < h.valid_to and v.valid_to >= h.valid_to
      left join syncer.sync_run s on s.account_id = h.account_id and s.run_id = h.closed_run_id
      left join syncer.former_name ex
        on ex.account_id = h.account_id and ex.list = 'employees'
       and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
       and ex.answers_after <= h.valid_to and ex.answers_until > h.valid_to
      left join syncer.name e
        on e.account_id = h.account_id and e.list = 'employees'
       and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
     where h.ended_by = 'removed'
     union all
    -- Redirects that were added, that have ended and not, and those that were removed.
    select d.account_id, d.virtual_number_id, case when v.account_id is null then n.number else v.number end, n.number,
           case when v.account_id is null then n.type else v.type end,
           case when v.account_id is null then n.purpose else v.purpose end,
           case when v.account_id is null then n.region_id else v.region_id end,
           case when v.account_id is null then n.employee_id else v.employee_id end,
           d.run_id, s.finished_at, d.valid_from, d.changed_after, 3, 'redirect_opened', 'from_redirect_numbers', null, d.number,
           d.redirect_number_id,
           case when ex.account_id is null then e.name else ex.name end, null, null
      from syncer.virtual_number_redirect_history d
      join syncer.virtual_number n on n.account_id = d.account_id and n.virtual_number_id = d.virtual_number_id
      left join syncer.virtual_number_history v
        on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
       and v.valid_from <= d.valid_from and v.valid_to > d.valid_from
      left join syncer.sync_run s on s.account_id = d.account_id and s.run_id = d.run_id
      left join syncer.former_name ex
        on ex.account_id = d.account_id and ex.list = 'employees'
       and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
       and ex.answers_after <= d.valid_from and ex.answers_until > d.valid_from
      left join syncer.name e
        on e.account_id = d.account_id and e.list = 'employees'
       and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
     union all
    select d.account_id, d.virtual_number_id, case when v.account_id is null then n.number else v.number end, n.number,
           case when v.account_id is null then n.type else v.type end,
           case when v.account_id is null then n.purpose else v.purpose end,
           case when v.account_id is null then n.region_id else v.region_id end,
           case when v.account_id is null then n.employee_id else v.employee_id end,
           d.run_id, s.finished_at, d.valid_from, d.changed_after, 3, 'redirect_opened', 'from_redirect_numbers', null, d.number,
           d.redirect_number_id,
           case when ex.account_id is null then e.name else ex.name end, null, null
      from syncer.virtual_number_redirect d
      join syncer.virtual_number n on n.account_id = d.account_id and n.virtual_number_id = d.virtual_number_id
      left join syncer.virtual_number_history v
        on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
       and v.valid_from <= d.valid_from and v.valid_to > d.valid_from
      left join syncer.sync_run s on s.account_id = d.account_id and s.run_id = d.run_id
      left join syncer.former_name ex
        on ex.account_id = d.account_id and ex.list = 'employees'
       and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
       and ex.answers_after <= d.valid_from and ex.answers_until > d.valid_from
      left join syncer.name e
        on e.account_id = d.account_id and e.list = 'employees'
       and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
     union all
    select d.account_id, d.virtual_number_id, case when v.account_id is null then n.number else v.number end, n.number,
           case when v.account_id is null then n.type else v.type end,
           case when v.account_id is null then n.purpose else v.purpose end,
           case when v.account_id is null then n.region_id else v.region_id end,
           case when v.account_id is null then n.employee_id else v.employee_id end,
           d.closed_run_id, s.finished_at, d.valid_to, d.closed_after, 2, 'redirect_closed', 'from_redirect_numbers', d.number, null,
           d.redirect_number_id,
           case when ex.account_id is null then e.name else ex.name end, null, null
      from syncer.virtual_number_redirect_history d
      join syncer.virtual_number n on n.account_id = d.account_id and n.virtual_number_id = d.virtual_number_id
      left join syncer.virtual_number_history v
        on v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
       and v.valid_from <= d.valid_to
       and (v.valid_to > d.valid_to or (v.valid_to = d.valid_to and v.ended_by = 'removed'))
      left join syncer.sync_run s on s.account_id = d.account_id and s.run_id = d.closed_run_id
      left join syncer.former_name ex
        on ex.account_id = d.account_id and ex.list = 'employees'
       and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
       and ex.answers_after <= d.valid_to and ex.answers_until > d.valid_to
      left join syncer.name e
        on e.account_id = d.account_id and e.list = 'employees'
       and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
  ) h
  join syncer.account_known k on k.account_id = h.account_id
  join syncer.account_zone z on z.account_id = h.account_id;
