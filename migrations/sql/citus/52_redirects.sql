-- As of states: what a number was when a redirect began, and the names, are joined to the two parts of the union. The
-- version of the number that held at that moment is the current one if none that has ended did.
create or replace view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, d.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.redirect_from, d.account_id || ':' || d.redirect_from_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id, d.number_now, d.type, d.purpose,
       (select r.name from syncer.region r where r.region_id = d.region_id) as region, d.employee_id,
       syncer.local_day(d.valid_from, z.zone) as began_day,
       (select t.title_en from syncer.number_type t where t.type = d.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = d.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = d.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = d.purpose) as purpose_title_ru,
       d.employee
  from (select d.account_id, d.virtual_number_id, d.redirect_number_id, d.number as redirect_from, d.valid_from,
               d.valid_to, d.changed_after, d.closed_after, d.run_id, d.closed_run_id, n.number as number_now,
               case when v.account_id is null then n.number else v.number end as number,
               case when v.account_id is null then n.type else v.type end as type,
               case when v.account_id is null then n.purpose else v.purpose end as purpose,
               case when v.account_id is null then n.region_id else v.region_id end as region_id,
               case when v.account_id is null then n.employee_id else v.employee_id end as employee_id,
               case when ex.account_id is null then e.name else ex.name end as employee,
               o.virtual_number_id as redirect_from_id
          from syncer.virtual_number_redirect_history d
          join syncer.virtual_number n on n.account_id = d.account_id and n.virtual_number_id = d.virtual_number_id
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id
           and v.valid_from <= d.valid_from and v.valid_to > d.valid_from
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
           and ex.answers_after <= d.valid_from and ex.answers_until > d.valid_from
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
          left join syncer.virtual_number o
            on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number
         union all
        select d.account_id, d.virtual_number_id, d.redirect_number_id, d.number, d.valid_from, null, d.changed_after,
               null, d.run_id, null, n.number,
               case when v.account_id is null then n.number else v.number end,
               case when v.account_id is null then n.type else v.type end,
               case when v.account_id is null then n.purpose else v.purpose end,
               case when v.account_id is null then n.region_id else v.region_id end,
               case when v.account_id is null then n.employee_id else v.employee_id end,
               case when ex.account_id is null then e.name else ex.name end,
               o.virtual_number_id
          from syncer.virtual_number_redirect d
          join syncer.virtual_number n on n.account_id = d.account_id and n.virtual_number_id = d.virtual_number_id
          left join syncer.virtual_number_history v
            on v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id
           and v.valid_from <= d.valid_from and v.valid_to > d.valid_from
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees'
           and ex.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
           and ex.answers_after <= d.valid_from and ex.answers_until > d.valid_from
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees'
           and e.object_id = case when v.account_id is null then n.employee_id else v.employee_id end
          left join syncer.virtual_number o
            on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number) d
  join syncer.account_known k on k.account_id = d.account_id
  join syncer.account_zone z on z.account_id = d.account_id;
