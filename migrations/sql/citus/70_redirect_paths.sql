-- Citus refuses a recursive query of several accounts. A function that is given the edges of one account, and reads no
-- table, runs where the account's rows are.
create or replace function syncer.follow_redirects(
    source_ids bigint[], sources text[], own boolean[], target_ids bigint[], targets text[], target_states text[])
returns table (source_id bigint, source text, is_own boolean, target_id bigint, target text, target_state text,
               hops integer, path text, is_loop boolean)
language sql immutable parallel safe as $$
with recursive edge as materialized (
    select * from unnest(source_ids, sources, own, target_ids, targets, target_states)
               as e (source_id, source, is_own, target_id, target, target_state)
), path as (
    select e.source_id, e.source, e.is_own, e.target_id, e.target, e.target_state, 1 as hops,
           case when e.is_own then array[e.source_id, e.target_id] else array[e.target_id] end as nodes,
           e.source || ' → ' || e.target as path, e.source_id = e.target_id and e.is_own as is_loop
      from edge e
     union all
    select p.source_id, p.source, p.is_own, e.target_id, e.target, e.target_state, p.hops + 1, p.nodes || e.target_id,
           p.path || ' → ' || e.target, e.target_id = any (p.nodes)
      from path p
      join edge e on e.source_id = p.target_id and e.is_own
     where not p.is_loop and p.hops < 16
)
select p.source_id, p.source, p.is_own, p.target_id, p.target, p.target_state, p.hops, p.path, p.is_loop
  from path p
 where p.is_loop or p.hops = 16 or not exists (select from edge e where e.source_id = p.target_id and e.is_own)
$$;
comment on function syncer.follow_redirects(bigint[], text[], boolean[], bigint[], text[], text[]) is
    'Where the redirects of an account lead, each followed until it ends, returns to itself or has 16 steps';

create or replace view analytics.redirect_paths as
select e.account_id, k.account, p.source_id as virtual_number_id, p.source as number,
       case when p.is_own then e.account_id || ':' || p.source_id end as number_key,
       p.target_id as target_number_id, p.target as target_number,
       e.account_id || ':' || p.target_id as target_key, p.target_state,
       w.title_en as target_state_title_en, w.title_ru as target_state_title_ru, p.hops, p.path,
       p.is_loop, not p.is_loop and p.target_state = 'active' as works
  from (select d.account_id, array_agg(d.redirect_number_id) as source_ids, array_agg(d.number) as sources,
               array_agg(s.virtual_number_id is not null) as own, array_agg(d.virtual_number_id) as target_ids,
               array_agg(t.number) as targets, array_agg(t.state) as target_states
          from syncer.virtual_number_redirect d
          join syncer.virtual_number t on t.account_id = d.account_id and t.virtual_number_id = d.virtual_number_id
          left join syncer.virtual_number s
            on s.account_id = d.account_id and s.virtual_number_id = d.redirect_number_id and s.number = d.number
           and s.removed_at is null
         group by d.account_id) e
 cross join lateral syncer.follow_redirects(e.source_ids, e.sources, e.own, e.target_ids, e.targets, e.target_states) p
  join syncer.account_known k on k.account_id = e.account_id and k.retired_at is null
  left join syncer.number_state w on w.state = p.target_state;
