-- The view of all versions is a union, in which Citus cannot look up the version with which an assignment began. Of an
-- assignment that has ended it is a version that has ended; of one that holds it is the current one if there is none.
create or replace view analytics.assignments as
select e.account_id, k.account, e.virtual_number_id, e.number,
       e.account_id || ':' || e.virtual_number_id as number_key, e.employee_id,
       e.valid_from, e.valid_to, e.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(e.valid_to, k.known_until) - e.valid_from), 0) as duration_seconds,
       e.changed_after, e.closed_after, e.run_id, e.closed_run_id, e.began_by, e.ended_by, e.number_now,
       e.type, e.purpose, (select r.name from syncer.region r where r.region_id = e.region_id) as region,
       syncer.local_day(e.valid_from, z.zone) as began_day,
       (syncer.began_by_title(e.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(e.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(e.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(e.ended_by))[2] as ended_by_title_ru,
       (select t.title_en from syncer.number_type t where t.type = e.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = e.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = e.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = e.purpose) as purpose_title_ru,
       e.employee
  from (select h.account_id, h.virtual_number_id, h.employee_id, h.valid_to, h.closed_after, h.closed_run_id, h.ended_by,
               n.number as number_now, f.number, f.type, f.purpose, f.region_id, f.valid_from, f.changed_after, f.run_id,
               f.began_by, case when ex.account_id is null then c.name else ex.name end as employee
          from syncer.virtual_number_history h
          join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
          left join syncer.virtual_number_history x
            on x.account_id = h.account_id and x.virtual_number_id = h.virtual_number_id and x.valid_from = h.valid_to
          left join lateral (
               select max(b.valid_from) as valid_from
                 from syncer.virtual_number_history b
                where b.account_id = h.account_id and b.virtual_number_id = h.virtual_number_id
                  and b.valid_from < h.valid_from
                  and (b.ended_by = 'removed' or b.employee_id is distinct from h.employee_id)) other on true
          left join lateral (
               select v.number, v.type, v.purpose, v.region_id, v.valid_from, v.changed_after, v.run_id, v.began_by
                 from syncer.virtual_number_history v
                where v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id
                  and v.valid_from > coalesce(other.valid_from, '-infinity')
                order by v.valid_from limit 1) f on true
          left join syncer.former_name ex
            on ex.account_id = h.account_id and ex.list = 'employees' and ex.object_id = h.employee_id
           and ex.answers_after < h.valid_to and ex.answers_until >= h.valid_to
          left join syncer.name c
            on c.account_id = h.account_id and c.list = 'employees' and c.object_id = h.employee_id
         where h.employee_id is not null
           and (h.ended_by = 'removed'
                or case when n.changed_at = h.valid_to then n.employee_id else x.employee_id end
                   is distinct from h.employee_id)
         union all
        select n.account_id, n.virtual_number_id, n.employee_id, null, null, null, null, n.number,
               case when f.account_id is null then n.number else f.number end,
               case when f.account_id is null then n.type else f.type end,
               case when f.account_id is null then n.purpose else f.purpose end,
               case when f.account_id is null then n.region_id else f.region_id end,
               case when f.account_id is null then n.changed_at else f.valid_from end,
               case when f.account_id is null then n.changed_after else f.changed_after end,
               case when f.account_id is null then n.run_id else f.run_id end,
               case when f.account_id is not null then f.began_by when n.changed_at = n.first_seen_at then 'created'
                    when n.changed_at = n.listed_since then 'restored' else 'changed' end,
               c.name
          from syncer.virtual_number n
          left join lateral (
               select max(b.valid_from) as valid_from
                 from syncer.virtual_number_history b
                where b.account_id = n.account_id and b.virtual_number_id = n.virtual_number_id
                  and b.valid_from < n.changed_at
                  and (b.ended_by = 'removed' or b.employee_id is distinct from n.employee_id)) other on true
          left join lateral (
               select v.account_id, v.number, v.type, v.purpose, v.region_id, v.valid_from, v.changed_after, v.run_id,
                      v.began_by
                 from syncer.virtual_number_history v
                where v.account_id = n.account_id and v.virtual_number_id = n.virtual_number_id
                  and v.valid_from > coalesce(other.valid_from, '-infinity')
                order by v.valid_from limit 1) f on true
          left join syncer.name c
            on c.account_id = n.account_id and c.list = 'employees' and c.object_id = n.employee_id
         where n.removed_at is null and n.employee_id is not null) e
  join syncer.account_known k on k.account_id = e.account_id
  join syncer.account_zone z on z.account_id = e.account_id;
