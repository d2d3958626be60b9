-- As of redirects: what a number was when it was first missed, and the names, are joined to the two parts of the union.
create or replace view analytics.absences as
select m.account_id, k.account, m.virtual_number_id, m.number,
       m.account_id || ':' || m.virtual_number_id as number_key, m.missing_since, m.ended_at,
       m.ended_at is null as is_current, m.ended_by,
       greatest(extract(epoch from coalesce(m.ended_at, k.known_until) - m.missing_since), 0) as duration_seconds,
       m.run_id, m.closed_run_id, m.number_now, m.type, m.purpose,
       (select r.name from syncer.region r where r.region_id = m.region_id) as region, m.employee_id,
       syncer.local_day(m.missing_since, z.zone) as began_day,
       (syncer.ended_by_title(m.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(m.ended_by))[2] as ended_by_title_ru,
       (select t.title_en from syncer.number_type t where t.type = m.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = m.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = m.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = m.purpose) as purpose_title_ru,
       m.employee
  from (select m.account_id, m.virtual_number_id, m.missing_since, m.ended_at, m.ended_by, m.run_id, m.closed_run_id,
               n.number as number_now,
               case when v.account_id is null then n.number else v.number end as number,
               case when v.account_id is null then n.type else v.type end as type,
               case when v.account_id is null then n.purpose else v.purpose end as purpose,
               case when v.account_id is null then n.region_id else v.region_id end as region_id,
               case when v.account_id is null then n.employee_id else v.employee_id end as employee_id,
               case when ex.account_id is null then e.name else ex.name end as employee
          from syncer.absence_history m
          join syncer.virtual_number n on n.account_id = m.account_id and n.virtual_number_id = m.virtual_number_id
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id
           and v.valid_from < m.missing_since and v.valid_to >= m.missing_since
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
           and ex.answers_after <= m.missing_since and ex.answers_until > m.missing_since
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
         union all
        select n.account_id, n.virtual_number_id, n.missing_since, null, null, n.missing_run_id, null, n.number,
               case when v.account_id is null then n.number else v.number end,
               case when v.account_id is null then n.type else v.type end,
               case when v.account_id is null then n.purpose else v.purpose end,
               case when v.account_id is null then n.region_id else v.region_id end,
               case when v.account_id is null then n.employee_id else v.employee_id end,
               case when ex.account_id is null then e.name else ex.name end
          from syncer.virtual_number n
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id
           and v.valid_from < n.missing_since and v.valid_to >= n.missing_since
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
           and ex.answers_after <= n.missing_since and ex.answers_until > n.missing_since
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
         where n.missing_since is not null and n.removed_at is null) m
  join syncer.account_known k on k.account_id = m.account_id
  join syncer.account_zone z on z.account_id = m.account_id;
