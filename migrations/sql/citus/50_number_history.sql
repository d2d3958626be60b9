-- The view of all versions is a union, beside which Citus refuses left joins and lookups by moment. Names are joined to
-- its two parts, to versions that have ended as they were called then, to current ones as they are called now; the titles
-- of values are subqueries.
create or replace view analytics.number_history as
select v.account_id, k.account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       (select r.name from syncer.region r where r.region_id = v.region_id) as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id,
       v.closed_run_id, n.number as number_now,
       (select t.title_en from syncer.number_type t where t.type = v.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = v.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = v.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = v.purpose) as purpose_title_ru,
       (select s.title_en from syncer.number_state s where s.state = v.state) as state_title_en,
       (select s.title_ru from syncer.number_state s where s.state = v.state) as state_title_ru,
       greatest(extract(epoch from coalesce(v.valid_to, k.known_until) - v.valid_from), 0) as duration_seconds,
       syncer.local_day(v.valid_from, z.zone) as began_day, v.began_by, v.ended_by,
       (syncer.began_by_title(v.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(v.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(v.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(v.ended_by))[2] as ended_by_title_ru,
       v.employee, v.employee_position, v.group_name, v.scenario_type,
       (syncer.scenario_type_title(v.scenario_type))[1] as scenario_type_title_en,
       (syncer.scenario_type_title(v.scenario_type))[2] as scenario_type_title_ru, v.scenario_target_id,
       v.scenario_target, v.group_scenario_type,
       (syncer.scenario_type_title(v.group_scenario_type))[1] as group_scenario_type_title_en,
       (syncer.scenario_type_title(v.group_scenario_type))[2] as group_scenario_type_title_ru,
       v.group_scenario_target_id, v.group_scenario_target
  from (select h.account_id, h.virtual_number_id, h.number, h.comment, h.type, h.purpose, h.state, h.reason,
               h.scenario_id, h.group_scenario_id, h.group_id, h.is_scenario_active, h.is_group_scenario_active,
               h.employee_id, h.dgn_number, h.redirect_number, h.region_id, h.app_id, h.nc_type, h.sip_uri,
               h.valid_from, h.valid_to, h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.began_by,
               h.ended_by,
               case when ex.account_id is null then e.name else ex.name end as employee,
               case when ex.account_id is null then e.position else ex.position end as employee_position,
               case when gx.account_id is null then g.name else gx.name end as group_name,
               case when cx.account_id is null then c.scenario_type else cx.scenario_type end as scenario_type,
               case when cx.account_id is null then c.target_id else cx.target_id end as scenario_target_id,
               case when ctx.account_id is null then ct.name else ctx.name end as scenario_target,
               case when gcx.account_id is null then gc.scenario_type else gcx.scenario_type end as group_scenario_type,
               case when gcx.account_id is null then gc.target_id else gcx.target_id end as group_scenario_target_id,
               case when gctx.account_id is null then gct.name else gctx.name end as group_scenario_target
          from syncer.virtual_number_history h
          left join syncer.former_name ex
            on ex.account_id = h.account_id and ex.list = 'employees' and ex.object_id = h.employee_id
           and ex.answers_after < h.valid_to and ex.answers_until >= h.valid_to
          left join syncer.name e
            on e.account_id = h.account_id and e.list = 'employees' and e.object_id = h.employee_id
          left join syncer.former_name gx
            on gx.account_id = h.account_id and gx.list = 'groups' and gx.object_id = h.group_id
           and gx.answers_after < h.valid_to and gx.answers_until >= h.valid_to
          left join syncer.name g
            on g.account_id = h.account_id and g.list = 'groups' and g.object_id = h.group_id
          left join syncer.former_name cx
            on cx.account_id = h.account_id and cx.list = 'scenarios' and cx.object_id = h.scenario_id
           and cx.answers_after < h.valid_to and cx.answers_until >= h.valid_to
          left join syncer.name c
            on c.account_id = h.account_id and c.list = 'scenarios' and c.object_id = h.scenario_id
          left join syncer.former_name gcx
            on gcx.account_id = h.account_id and gcx.list = 'group_scenarios' and gcx.object_id = h.group_scenario_id
           and gcx.answers_after < h.valid_to and gcx.answers_until >= h.valid_to
          left join syncer.name gc
            on gc.account_id = h.account_id and gc.list = 'group_scenarios' and gc.object_id = h.group_scenario_id
          left join syncer.former_name ctx
            on ctx.account_id = h.account_id
           and ctx.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ctx.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
           and ctx.answers_after < h.valid_to and ctx.answers_until >= h.valid_to
          left join syncer.name ct
            on ct.account_id = h.account_id
           and ct.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ct.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
          left join syncer.former_name gctx
            on gctx.account_id = h.account_id
           and gctx.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gctx.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
           and gctx.answers_after < h.valid_to and gctx.answers_until >= h.valid_to
          left join syncer.name gct
            on gct.account_id = h.account_id
           and gct.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gct.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
         union all
        select h.account_id, h.virtual_number_id, h.number, h.comment, h.type, h.purpose, h.state, h.reason,
               h.scenario_id, h.group_scenario_id, h.group_id, h.is_scenario_active, h.is_group_scenario_active,
               h.employee_id, h.dgn_number, h.redirect_number, h.region_id, h.app_id, h.nc_type, h.sip_uri,
               h.changed_at, null, h.changed_after, null, h.run_id, null,
               case when h.changed_at = h.first_seen_at then 'created' when h.changed_at = h.listed_since then 'restored'
                    else 'changed' end,
               null, e.name, e.position, g.name, c.scenario_type, c.target_id, ct.name, gc.scenario_type, gc.target_id,
               gct.name
          from syncer.virtual_number h
          left join syncer.name e
            on e.account_id = h.account_id and e.list = 'employees' and e.object_id = h.employee_id
          left join syncer.name g on g.account_id = h.account_id and g.list = 'groups' and g.object_id = h.group_id
          left join syncer.name c
            on c.account_id = h.account_id and c.list = 'scenarios' and c.object_id = h.scenario_id
          left join syncer.name ct
            on ct.account_id = h.account_id and ct.list = c.target_list and ct.object_id = c.target_id
          left join syncer.name gc
            on gc.account_id = h.account_id and gc.list = 'group_scenarios' and gc.object_id = h.group_scenario_id
          left join syncer.name gct
            on gct.account_id = h.account_id and gct.list = gc.target_list and gct.object_id = gc.target_id
         where h.removed_at is null) v
  join syncer.virtual_number n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join syncer.account_known k on k.account_id = v.account_id
  join syncer.account_zone z on z.account_id = v.account_id;
