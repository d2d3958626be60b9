-- The view of all periods is a union, beside which Citus refuses left joins and subqueries of tables that are distributed.
-- What a number was when a period began, and the names, are joined to the two parts of the union; the titles of values are
-- subqueries.
create or replace view analytics.state_history as
select h.account_id, k.account, h.virtual_number_id, h.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, (select w.title_en from syncer.number_state w where w.state = h.state) as state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = h.state) as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, k.known_until) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state,
       h.ended_by, h.number_now, h.type, h.purpose,
       (select r.name from syncer.region r where r.region_id = h.region_id) as region, h.employee_id,
       syncer.local_day(h.valid_from, z.zone) as began_day,
       (select w.title_en from syncer.number_state w where w.state = h.to_state) as to_state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = h.to_state) as to_state_title_ru,
       (syncer.ended_by_title(h.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(h.ended_by))[2] as ended_by_title_ru,
       (select t.title_en from syncer.number_type t where t.type = h.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = h.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_ru,
       h.employee
  from (select h.account_id, h.virtual_number_id, h.state, h.reason, h.valid_from, h.valid_to, h.changed_after,
               h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state, h.ended_by,
               n.number as number_now,
               case when n.changed_at = h.valid_from then n.number else v.number end as number,
               case when n.changed_at = h.valid_from then n.type else v.type end as type,
               case when n.changed_at = h.valid_from then n.purpose else v.purpose end as purpose,
               case when n.changed_at = h.valid_from then n.region_id else v.region_id end as region_id,
               case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end as employee_id,
               case when ex.account_id is null then e.name else ex.name end as employee
          from syncer.state_history h
          join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id and v.valid_from = h.valid_from
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end
           and ex.answers_after <= h.valid_from and ex.answers_until > h.valid_from
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end
         union all
        select n.account_id, n.virtual_number_id, n.state, n.reason, n.reason_since, null, n.reason_since_earliest,
               null, n.reason_run_id, null, n.state_since, n.state_since_earliest, null, null, n.number,
               case when n.changed_at = n.reason_since then n.number else v.number end,
               case when n.changed_at = n.reason_since then n.type else v.type end,
               case when n.changed_at = n.reason_since then n.purpose else v.purpose end,
               case when n.changed_at = n.reason_since then n.region_id else v.region_id end,
               case when n.changed_at = n.reason_since then n.employee_id else v.employee_id end,
               case when ex.account_id is null then e.name else ex.name end
          from syncer.virtual_number n
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id and v.valid_from = n.reason_since
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when n.changed_at = n.reason_since then n.employee_id else v.employee_id end
           and ex.answers_after <= n.reason_since and ex.answers_until > n.reason_since
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when n.changed_at = n.reason_since then n.employee_id else v.employee_id end
         where n.removed_at is null) h
  join syncer.account_known k on k.account_id = h.account_id
  join syncer.account_zone z on z.account_id = h.account_id;

create or replace view analytics.state_spells as
select s.account_id, k.account, s.virtual_number_id, s.number_now,
       s.account_id || ':' || s.virtual_number_id as number_key,
       s.state, (select w.title_en from syncer.number_state w where w.state = s.state) as state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = s.state) as state_title_ru,
       s.first_reason, s.last_reason, s.state_since as valid_from, s.valid_to, s.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(s.valid_to, k.known_until) - s.state_since), 0) as duration_seconds,
       s.state_began_by as began_by, s.from_state, s.ended_by, s.to_state,
       s.state_since_earliest as changed_after, s.closed_after, s.closed_run_id, s.number, s.type, s.purpose,
       (select r.name from syncer.region r where r.region_id = s.region_id) as region, s.employee_id,
       syncer.local_day(s.state_since, z.zone) as began_day,
       (syncer.began_by_title(s.state_began_by))[1] as began_by_title_en,
       (syncer.began_by_title(s.state_began_by))[2] as began_by_title_ru,
       (select w.title_en from syncer.number_state w where w.state = s.from_state) as from_state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = s.from_state) as from_state_title_ru,
       (syncer.ended_by_title(s.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(s.ended_by))[2] as ended_by_title_ru,
       (select w.title_en from syncer.number_state w where w.state = s.to_state) as to_state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = s.to_state) as to_state_title_ru,
       (select t.title_en from syncer.number_type t where t.type = s.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = s.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = s.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = s.purpose) as purpose_title_ru,
       s.employee
  from (select h.account_id, h.virtual_number_id, h.state, h.reason as last_reason, h.valid_to, h.closed_after,
               h.closed_run_id, h.state_since, h.state_since_earliest, h.state_began_by, h.from_state, h.to_state,
               h.ended_by, n.number as number_now,
               case when n.changed_at = h.state_since then n.reason else v.reason end as first_reason,
               case when n.changed_at = h.state_since then n.number else v.number end as number,
               case when n.changed_at = h.state_since then n.type else v.type end as type,
               case when n.changed_at = h.state_since then n.purpose else v.purpose end as purpose,
               case when n.changed_at = h.state_since then n.region_id else v.region_id end as region_id,
               case when n.changed_at = h.state_since then n.employee_id else v.employee_id end as employee_id,
               case when ex.account_id is null then e.name else ex.name end as employee
          from syncer.state_history h
          join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id and v.valid_from = h.state_since
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when n.changed_at = h.state_since then n.employee_id else v.employee_id end
           and ex.answers_after <= h.state_since and ex.answers_until > h.state_since
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when n.changed_at = h.state_since then n.employee_id else v.employee_id end
         where h.ended_by = 'removed' or h.to_state <> h.state
         union all
        select n.account_id, n.virtual_number_id, n.state, n.reason, null, null, null, n.state_since,
               n.state_since_earliest,
               case when n.state_since > n.listed_since then 'changed' when n.listed_since = n.first_seen_at then 'created'
                    else 'restored' end,
               n.from_state, null, null, n.number,
               case when n.changed_at = n.state_since then n.reason else v.reason end,
               case when n.changed_at = n.state_since then n.number else v.number end,
               case when n.changed_at = n.state_since then n.type else v.type end,
               case when n.changed_at = n.state_since then n.purpose else v.purpose end,
               case when n.changed_at = n.state_since then n.region_id else v.region_id end,
               case when n.changed_at = n.state_since then n.employee_id else v.employee_id end,
               case when ex.account_id is null then e.name else ex.name end
          from syncer.virtual_number n
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id and v.valid_from = n.state_since
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when n.changed_at = n.state_since then n.employee_id else v.employee_id end
           and ex.answers_after <= n.state_since and ex.answers_until > n.state_since
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when n.changed_at = n.state_since then n.employee_id else v.employee_id end
         where n.removed_at is null) s
  join syncer.account_known k on k.account_id = s.account_id
  join syncer.account_zone z on z.account_id = s.account_id;
