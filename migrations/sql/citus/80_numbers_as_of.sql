-- A function in SQL that has parameters may not read distributed tables: this is PL/pgSQL. The version, the period of the
-- state and the names are those that held at the moment; they are joined, as Citus cannot look up the newest before it.
create or replace function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language plpgsql stable as $$
#variable_conflict use_column
begin
return query
select v.account_id, k.account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id, analytics.e164(v.number), v.comment, v.type,
       (select t.title_en from syncer.number_type t where t.type = v.type),
       (select t.title_ru from syncer.number_type t where t.type = v.type), v.purpose,
       (select p.title_en from syncer.number_purpose p where p.purpose = v.purpose),
       (select p.title_ru from syncer.number_purpose p where p.purpose = v.purpose), v.state,
       (select s.title_en from syncer.number_state s where s.state = v.state),
       (select s.title_ru from syncer.number_state s where s.state = v.state), v.reason, p.state_since,
       p.state_since_earliest, v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active,
       v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       (select r.name from syncer.region r where r.region_id = v.region_id), v.app_id, v.nc_type, v.sip_uri, v.extra,
       v.redirect_count::integer, v.first_seen_at, v.changed_at, v.changed_after, v.last_read_at, v.missing_since,
       p.valid_from, p.changed_after, v.employee, v.employee_position, v.group_name, v.scenario_type,
       (syncer.scenario_type_title(v.scenario_type))[1], (syncer.scenario_type_title(v.scenario_type))[2],
       v.scenario_target_id, v.scenario_target, v.group_scenario_type,
       (syncer.scenario_type_title(v.group_scenario_type))[1], (syncer.scenario_type_title(v.group_scenario_type))[2],
       v.group_scenario_target_id, v.group_scenario_target
  from (select h.account_id, h.virtual_number_id, h.number, h.comment, h.type, h.purpose, h.state, h.reason,
               h.scenario_id, h.group_scenario_id, h.group_id, h.is_scenario_active, h.is_group_scenario_active,
               h.employee_id, h.dgn_number, h.redirect_number, h.region_id, h.app_id, h.nc_type, h.sip_uri,
               null::jsonb as extra, n.first_seen_at, h.valid_from as changed_at, h.changed_after,
               null::timestamptz as last_read_at,
               case when n.removed_at is null and n.missing_since <= numbers_as_of.moment then n.missing_since
                    else m.missing_since end as missing_since,
               (select count(*) from syncer.virtual_number_redirect d
                 where d.account_id = h.account_id and d.virtual_number_id = h.virtual_number_id
                   and d.valid_from <= numbers_as_of.moment)
               + (select count(*) from syncer.virtual_number_redirect_history d
                   where d.account_id = h.account_id and d.virtual_number_id = h.virtual_number_id
                     and d.valid_from <= numbers_as_of.moment and d.valid_to > numbers_as_of.moment) as redirect_count,
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
          join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
          left join syncer.absence_history m
            on m.account_id = h.account_id and m.virtual_number_id = h.virtual_number_id
           and m.missing_since <= numbers_as_of.moment and m.ended_at > numbers_as_of.moment
          left join syncer.former_name ex
            on ex.account_id = h.account_id and ex.list = 'employees' and ex.object_id = h.employee_id
           and ex.answers_after <= numbers_as_of.moment and ex.answers_until > numbers_as_of.moment
          left join syncer.name e
            on e.account_id = h.account_id and e.list = 'employees' and e.object_id = h.employee_id
          left join syncer.former_name gx
            on gx.account_id = h.account_id and gx.list = 'groups' and gx.object_id = h.group_id
           and gx.answers_after <= numbers_as_of.moment and gx.answers_until > numbers_as_of.moment
          left join syncer.name g
            on g.account_id = h.account_id and g.list = 'groups' and g.object_id = h.group_id
          left join syncer.former_name cx
            on cx.account_id = h.account_id and cx.list = 'scenarios' and cx.object_id = h.scenario_id
           and cx.answers_after <= numbers_as_of.moment and cx.answers_until > numbers_as_of.moment
          left join syncer.name c
            on c.account_id = h.account_id and c.list = 'scenarios' and c.object_id = h.scenario_id
          left join syncer.former_name gcx
            on gcx.account_id = h.account_id and gcx.list = 'group_scenarios' and gcx.object_id = h.group_scenario_id
           and gcx.answers_after <= numbers_as_of.moment and gcx.answers_until > numbers_as_of.moment
          left join syncer.name gc
            on gc.account_id = h.account_id and gc.list = 'group_scenarios' and gc.object_id = h.group_scenario_id
          left join syncer.former_name ctx
            on ctx.account_id = h.account_id
           and ctx.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ctx.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
           and ctx.answers_after <= numbers_as_of.moment and ctx.answers_until > numbers_as_of.moment
          left join syncer.name ct
            on ct.account_id = h.account_id
           and ct.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ct.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
          left join syncer.former_name gctx
            on gctx.account_id = h.account_id
           and gctx.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gctx.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
           and gctx.answers_after <= numbers_as_of.moment and gctx.answers_until > numbers_as_of.moment
          left join syncer.name gct
            on gct.account_id = h.account_id
           and gct.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gct.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
         where h.valid_from <= numbers_as_of.moment and h.valid_to > numbers_as_of.moment
         union all
        select n.account_id, n.virtual_number_id, n.number, n.comment, n.type, n.purpose, n.state, n.reason,
               n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active,
               n.employee_id, n.dgn_number, n.redirect_number, n.region_id, n.app_id, n.nc_type, n.sip_uri,
               n.extra, n.first_seen_at, n.changed_at, n.changed_after,
               case when n.last_read_at <= numbers_as_of.moment then n.last_read_at end,
               case when n.removed_at is null and n.missing_since <= numbers_as_of.moment then n.missing_since
                    else m.missing_since end,
               (select count(*) from syncer.virtual_number_redirect d
                 where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id
                   and d.valid_from <= numbers_as_of.moment)
               + (select count(*) from syncer.virtual_number_redirect_history d
                   where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id
                     and d.valid_from <= numbers_as_of.moment and d.valid_to > numbers_as_of.moment),
               case when ex.account_id is null then e.name else ex.name end,
               case when ex.account_id is null then e.position else ex.position end,
               case when gx.account_id is null then g.name else gx.name end,
               case when cx.account_id is null then c.scenario_type else cx.scenario_type end,
               case when cx.account_id is null then c.target_id else cx.target_id end,
               case when ctx.account_id is null then ct.name else ctx.name end,
               case when gcx.account_id is null then gc.scenario_type else gcx.scenario_type end,
               case when gcx.account_id is null then gc.target_id else gcx.target_id end,
               case when gctx.account_id is null then gct.name else gctx.name end
          from syncer.virtual_number n
          left join syncer.absence_history m
            on m.account_id = n.account_id and m.virtual_number_id = n.virtual_number_id
           and m.missing_since <= numbers_as_of.moment and m.ended_at > numbers_as_of.moment
          left join syncer.former_name ex
            on ex.account_id = n.account_id and ex.list = 'employees' and ex.object_id = n.employee_id
           and ex.answers_after <= numbers_as_of.moment and ex.answers_until > numbers_as_of.moment
          left join syncer.name e
            on e.account_id = n.account_id and e.list = 'employees' and e.object_id = n.employee_id
          left join syncer.former_name gx
            on gx.account_id = n.account_id and gx.list = 'groups' and gx.object_id = n.group_id
           and gx.answers_after <= numbers_as_of.moment and gx.answers_until > numbers_as_of.moment
          left join syncer.name g
            on g.account_id = n.account_id and g.list = 'groups' and g.object_id = n.group_id
          left join syncer.former_name cx
            on cx.account_id = n.account_id and cx.list = 'scenarios' and cx.object_id = n.scenario_id
           and cx.answers_after <= numbers_as_of.moment and cx.answers_until > numbers_as_of.moment
          left join syncer.name c
            on c.account_id = n.account_id and c.list = 'scenarios' and c.object_id = n.scenario_id
          left join syncer.former_name gcx
            on gcx.account_id = n.account_id and gcx.list = 'group_scenarios' and gcx.object_id = n.group_scenario_id
           and gcx.answers_after <= numbers_as_of.moment and gcx.answers_until > numbers_as_of.moment
          left join syncer.name gc
            on gc.account_id = n.account_id and gc.list = 'group_scenarios' and gc.object_id = n.group_scenario_id
          left join syncer.former_name ctx
            on ctx.account_id = n.account_id
           and ctx.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ctx.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
           and ctx.answers_after <= numbers_as_of.moment and ctx.answers_until > numbers_as_of.moment
          left join syncer.name ct
            on ct.account_id = n.account_id
           and ct.list = case when cx.account_id is null then c.target_list else cx.target_list end
           and ct.object_id = case when cx.account_id is null then c.target_id else cx.target_id end
          left join syncer.former_name gctx
            on gctx.account_id = n.account_id
           and gctx.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gctx.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
           and gctx.answers_after <= numbers_as_of.moment and gctx.answers_until > numbers_as_of.moment
          left join syncer.name gct
            on gct.account_id = n.account_id
           and gct.list = case when gcx.account_id is null then gc.target_list else gcx.target_list end
           and gct.object_id = case when gcx.account_id is null then gc.target_id else gcx.target_id end
         where n.changed_at <= numbers_as_of.moment and n.removed_at is null) v
  join syncer.state_period p
    on p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id
   and p.valid_from <= numbers_as_of.moment and coalesce(p.valid_to, 'infinity') > numbers_as_of.moment
  join syncer.account_known k on k.account_id = v.account_id and k.known_until >= numbers_as_of.moment;
end
$$;
