-- The views of 0002 again, with the same columns: what is asked of them reaches the tables, and what is not asked is
-- not read. Titles, accounts and present numbers are joined from the left, so that the planner leaves out those that
-- nobody asks for; the foreign keys see to it that each finds its row.

-- Numbers -------------------------------------------------------------------------------------------------------------

create or replace view analytics.numbers_all as
select n.account_id, a.name as account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       -- The newest period is the open one, or the one that the removal closed.
       case when n.removed_at is null then h.valid_from
            else (select c.valid_from from syncer.state_history c
                   where c.account_id = n.account_id and c.virtual_number_id = n.virtual_number_id
                     and c.valid_to = n.removed_at) end as state_since,
       case when n.removed_at is null then h.changed_after
            else (select c.changed_after from syncer.state_history c
                   where c.account_id = n.account_id and c.virtual_number_id = n.virtual_number_id
                     and c.valid_to = n.removed_at) end as state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id
           and d.valid_to is null)::integer as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at
  from syncer.virtual_number n
  left join syncer.account a using (account_id)
  left join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id)
  left join syncer.state_history h
    on h.account_id = n.account_id and h.virtual_number_id = n.virtual_number_id and h.valid_to is null;

create or replace view analytics.numbers as
select account_id, account, virtual_number_id, number, number_key, e164, comment, type, type_title_en, type_title_ru,
       purpose, purpose_title_en, purpose_title_ru, state, state_title_en, state_title_ru, reason, state_since,
       state_since_earliest, scenario_id, group_scenario_id, group_id, is_scenario_active, is_group_scenario_active,
       employee_id, dgn_number, redirect_number, region_id, region, app_id, nc_type, sip_uri, extra, redirect_count,
       first_seen_at, changed_at, changed_after, last_read_at, missing_since
  from analytics.numbers_all where removed_at is null;

create or replace view analytics.number_history as
with versions as (
    select account_id, virtual_number_id, number, comment, type, purpose, state, reason, scenario_id, group_scenario_id,
           group_id, is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
           app_id, nc_type, sip_uri, valid_from, valid_to, changed_after, closed_after, run_id
      from syncer.virtual_number_history
     union all
    select account_id, virtual_number_id, number, comment, type, purpose, state, reason, scenario_id, group_scenario_id,
           group_id, is_scenario_active, is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id,
           app_id, nc_type, sip_uri, changed_at, removed_at, changed_after,
           case when removed_at is not null then last_read_at end, run_id
      from syncer.virtual_number
)
select v.account_id, a.name as account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id
  from versions v
  left join syncer.account a using (account_id)
  left join syncer.region r using (region_id);

-- Durations: now() is when the transaction began, and what it sees may be younger; that has lasted nothing then.

-- States and redirects ------------------------------------------------------------------------------------------------

create or replace view analytics.state_history as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, now()) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id
  from syncer.state_history h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  left join syncer.number_state s on s.state = h.state;

create or replace view analytics.redirect_history as
select d.account_id, a.name as account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, now()) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.virtual_number_redirect d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

-- Changes -------------------------------------------------------------------------------------------------------------

-- What is asked of number, kind, run or time reaches each part of the feed, because each part has them as columns of
-- its own, and its kind as a constant; a part that cannot have what is asked is not read at all.
create or replace view analytics.changes as
with versions as not materialized (
    select n.number as called, n.first_seen_at, v.account_id, v.virtual_number_id, v.run_id, v.valid_from,
           v.changed_after, v.number, v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id,
           v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
           v.dgn_number, v.redirect_number, v.region_id, v.app_id, v.nc_type, v.sip_uri
      from syncer.virtual_number_history v
      join syncer.virtual_number n using (account_id, virtual_number_id)
     union all
    select number, first_seen_at, account_id, virtual_number_id, run_id, changed_at, changed_after, number, comment,
           type, purpose, state, reason, scenario_id, group_scenario_id, group_id, is_scenario_active,
           is_group_scenario_active, employee_id, dgn_number, redirect_number, region_id, app_id, nc_type, sip_uri
      from syncer.virtual_number
), begun as (
    -- Each version with the moment at which the one before it ended: of a changed number at once, of a restored one
    -- when it was removed.
    select 'created' as kind, null::timestamptz as former_valid_to, v.*
      from versions v where v.valid_from = v.first_seen_at
     union all
    select 'changed', v.valid_from, v.* from versions v where v.valid_from > v.first_seen_at
     union all
    select 'state', v.valid_from, v.* from versions v where v.valid_from > v.first_seen_at
     union all
    select 'restored', (select max(p.valid_to) from syncer.virtual_number_history p
                         where p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id
                           and p.valid_from < v.valid_from), v.*
      from versions v
     where v.valid_from > v.first_seen_at
       and not exists (select from syncer.virtual_number_history p
                        where p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id
                          and p.valid_to = v.valid_from)
), happened as (
    select v.account_id, v.virtual_number_id, v.called, v.run_id, v.valid_from as changed_at, v.changed_after, v.kind,
           f.field, f.old_value, f.new_value, null::bigint as redirect_number_id
      from begun v
      left join syncer.virtual_number_history p
        on p.account_id = v.account_id and p.virtual_number_id = v.virtual_number_id and p.valid_to = v.former_valid_to
      left join syncer.region r on r.region_id = v.region_id
      left join syncer.region q on q.region_id = p.region_id
     -- Not a list of values: of these the planner leaves out the fields that nobody asks for.
     cross join lateral (
            select 'state' as field, p.state as old_value, v.state as new_value
             union all select 'reason', p.reason, v.reason
             union all select 'number', p.number, v.number
             union all select 'comment', p.comment, v.comment
             union all select 'type', p.type, v.type
             union all select 'purpose', p.purpose, v.purpose
             union all select 'scenario_id', p.scenario_id::text, v.scenario_id::text
             union all select 'group_scenario_id', p.group_scenario_id::text, v.group_scenario_id::text
             union all select 'group_id', p.group_id::text, v.group_id::text
             union all select 'is_scenario_active', p.is_scenario_active::text, v.is_scenario_active::text
             union all select 'is_group_scenario_active', p.is_group_scenario_active::text,
                              v.is_group_scenario_active::text
             union all select 'employee_id', p.employee_id::text, v.employee_id::text
             union all select 'dgn_number', p.dgn_number, v.dgn_number
             union all select 'redirect_number', p.redirect_number, v.redirect_number
             union all select 'region', q.name, r.name
             union all select 'app_id', p.app_id::text, v.app_id::text
             union all select 'nc_type', p.nc_type, v.nc_type
             union all select 'sip_uri', p.sip_uri, v.sip_uri) f
     where case v.kind when 'created' then f.new_value is not null
                       when 'restored' then f.old_value is not null or f.new_value is not null
                       else p.valid_to is not null and f.old_value is distinct from f.new_value
                            and (v.kind = 'state') = (f.field in ('state', 'reason')) end
     union all
    -- A number is gone with its last period of state: no other one begins where that ends.
    select h.account_id, h.virtual_number_id, n.number, h.closed_run_id, h.valid_to, h.closed_after, 'removed', null,
           null, null, null
      from syncer.state_history h
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where h.closed_run_id is not null
       and not exists (select from syncer.state_history f
                        where f.account_id = h.account_id and f.virtual_number_id = h.virtual_number_id
                          and f.valid_from = h.valid_to)
     union all
    select d.account_id, d.virtual_number_id, n.number, d.run_id, d.valid_from, d.changed_after, 'redirect_opened',
           'from_redirect_numbers', null, d.number, d.redirect_number_id
      from syncer.virtual_number_redirect d
      join syncer.virtual_number n using (account_id, virtual_number_id)
     union all
    select d.account_id, d.virtual_number_id, n.number, d.closed_run_id, d.valid_to, d.closed_after, 'redirect_closed',
           'from_redirect_numbers', d.number, null, d.redirect_number_id
      from syncer.virtual_number_redirect d
      join syncer.virtual_number n using (account_id, virtual_number_id)
     where d.closed_run_id is not null
)
select h.account_id, a.name as account, h.virtual_number_id, h.called as number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id, r.finished_at as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id
  from happened h
  left join syncer.sync_run r on r.account_id = h.account_id and r.run_id = h.run_id
  left join syncer.account a on a.account_id = h.account_id;

-- Days ----------------------------------------------------------------------------------------------------------------

create view syncer.account_day as
select a.account_id, d.day, d.begins, d.ends
  from syncer.account a
 cross join lateral (
       -- `offset 0`: a day's ends are computed once a day, not once for each row that is compared with them.
       select day::date as day, day at time zone a.time_zone as begins,
              (day + interval '1 day') at time zone a.time_zone as ends
         from generate_series(
                  (select (h.valid_from at time zone a.time_zone)::date::timestamp from syncer.state_history h
                    where h.account_id = a.account_id order by h.run_id limit 1),
                  (now() at time zone a.time_zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;
comment on view syncer.account_day is 'The days of each account, from the one of its first success until today';
comment on column syncer.account_day.account_id is 'The account';
comment on column syncer.account_day.day is 'Day in the account''s time zone';
comment on column syncer.account_day.begins is 'The moment the day begins, inclusive';
comment on column syncer.account_day.ends is 'The moment the day ends, exclusive; that of today is yet to come';

-- Of each group of like versions the moments at which they began, in order, and those at which they ended: how many of
-- each lie before a day's end is found by halving, so the versions are read once and a day more costs next to nothing.
create or replace view analytics.daily_states as
select g.account_id, a.name as account, d.day, r.name as region, g.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, g.state, w.title_en as state_title_en, w.title_ru as state_title_ru, c.numbers
  from (select v.account_id, v.region_id, v.type, v.state,
               (select array_agg(moment order by moment) from unnest(array_agg(v.valid_from)) as moment) as began,
               (select array_agg(moment order by moment)
                  from unnest(array_agg(v.valid_to) filter (where v.valid_to is not null)) as moment) as ended
          from (select account_id, region_id, type, state, valid_from, valid_to from syncer.virtual_number_history
                 union all
                select account_id, region_id, type, state, changed_at, removed_at from syncer.virtual_number) v
         group by v.account_id, v.region_id, v.type, v.state) g
  join syncer.account_day d using (account_id)
  join syncer.account a using (account_id)
  left join syncer.number_state w using (state)
  left join syncer.number_type t using (type)
  left join syncer.region r using (region_id)
 -- `offset 0`: counted here, so that no sort above has to carry the arrays.
 cross join lateral (select width_bucket(d.ends - interval '1 microsecond', g.began)
                            - coalesce(width_bucket(d.ends - interval '1 microsecond', g.ended), 0) as numbers
                     offset 0) c
 where c.numbers > 0;

-- A period that fills a day needs no look at others, and nearly all do. Of those that share a day and a state the first
-- stands for all.
create or replace view analytics.state_share as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key, d.day, h.state, s.title_en as state_title_en,
       s.title_ru as state_title_ru,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends) then 1::numeric
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                         filter (where o.state = h.state)
                         / sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_history o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as share,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
            then extract(epoch from least(d.ends, now()) - d.begins)
            else (select sum(extract(epoch from least(o.valid_to, d.ends, now()) - greatest(o.valid_from, d.begins)))
                    from syncer.state_history o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id and o.state = h.state
                     and o.valid_from < least(d.ends, now()) and (o.valid_to is null or o.valid_to > d.begins))
             end as duration_seconds
  from syncer.state_history h
  -- Not spelled as two comparisons: the planner would take the index on numbers for one on time.
  join syncer.account_day d
    on d.account_id = h.account_id
   and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
  left join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  left join syncer.account a on a.account_id = h.account_id
  left join syncer.number_state s on s.state = h.state
 where h.valid_from < now()
   and (h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
        or not exists (select from syncer.state_history o
                        where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                          and o.state = h.state and o.valid_from < h.valid_from and o.valid_to > d.begins));

-- The past ------------------------------------------------------------------------------------------------------------

-- Made of views that an analyst may read, so that it needs no other rights and the planner sees through it: a count by
-- state makes no name and counts no redirect.
create or replace function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe
begin atomic
select v.account_id, v.account, v.virtual_number_id, v.number, v.number_key, v.e164, v.comment,
       v.type, t.title_en, t.title_ru, v.purpose, p.title_en, p.title_ru, v.state, s.title_en, s.title_ru, v.reason,
       h.valid_from, h.changed_after,
       v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
       v.dgn_number, v.redirect_number, v.region_id, v.region, v.app_id, v.nc_type, v.sip_uri,
       case when v.is_current then n.extra end,
       (select count(*) from analytics.redirect_history d
         where d.account_id = v.account_id and d.virtual_number_id = v.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at, v.valid_from, v.changed_after,
       case when v.is_current and n.last_read_at <= moment then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since end
  from analytics.number_history v
  join analytics.numbers_all n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join analytics.state_history h
    on h.account_id = v.account_id and h.virtual_number_id = v.virtual_number_id
   and h.valid_from <= moment and (h.valid_to is null or h.valid_to > moment)
  left join analytics.states s on s.state = v.state
  left join analytics.types t on t.type = v.type
  left join analytics.purposes p on p.purpose = v.purpose
 where v.valid_from <= moment and (v.valid_to is null or v.valid_to > moment);
end;
