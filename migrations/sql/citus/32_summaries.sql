-- A server counts the days of its accounts only with a function that reads no table, since the tables are on it in parts.
-- This is syncer.count_days, whose rows are given to it as arrays.
do $$
declare
    path text := current_setting('search_path');
    definition text;
    one record;
begin
    perform set_config('search_path', '', true);  -- so that all names are qualified
    -- With the columns spelled out: Citus cannot replace a function that returns a type while a view calls it.
    definition := pg_get_functiondef(
        'syncer.count_days(integer, text, syncer.counted_day, timestamptz, date)'::regprocedure);
    for one in select * from (values
        ('FUNCTION syncer.count_days(', 'FUNCTION syncer.count_given_days('),
        ('last_day date DEFAULT ''infinity''::date)',
         'last_day date, first_seen_at timestamp with time zone, version_numbers bigint[], version_regions integer[], '
         'version_types text[], version_states text[], version_begins timestamp with time zone[], '
         'version_ends timestamp with time zone[], version_began_by text[], version_ended_by text[])'),
        ('RETURNS SETOF syncer.counted_day',
         (select format('RETURNS TABLE (%s)', string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', '
                                                         order by attnum))
            from pg_attribute where attrelid = 'syncer.counted_day'::regclass)),
        (E'\n STABLE\n', E'\n IMMUTABLE\n'),
        ('select min(n.first_seen_at) into first_seen from syncer.virtual_number n where n.account_id = of_account;',
         'first_seen := first_seen_at;'),
        ($text$
            select virtual_number_id, region_id, type, state, valid_from, valid_to, began_by, ended_by
              from syncer.virtual_number_history
             where account_id = of_account and valid_to >= since and valid_from < before
             union all
            select virtual_number_id, region_id, type, state, changed_at, null,
                   case when changed_at = first_seen_at then 'created' when changed_at = listed_since then 'restored'
                        else 'changed' end, null
              from syncer.virtual_number
             where account_id = of_account and removed_at is null and changed_at >= since and changed_at < before
$text$, $text$
            select *
              from unnest(version_numbers, version_regions, version_types, version_states, version_begins, version_ends,
                          version_began_by, version_ended_by)
                       as v (virtual_number_id, region_id, type, state, valid_from, valid_to, began_by, ended_by)
             where coalesce(v.valid_to, v.valid_from) >= since and v.valid_from < before
$text$)) as replaced (text_of_one_server, text_here) loop
        if strpos(definition, one.text_of_one_server) = 0 then
            raise exception 'syncer.count_days has changed, and this file has not: it has no text %', one.text_of_one_server;
        end if;
        definition := replace(definition, one.text_of_one_server, one.text_here);
    end loop;
    execute definition;
    perform set_config('search_path', path, true);
end
$$;
comment on function syncer.count_given_days(
    integer, text, syncer.counted_day, timestamptz, date, timestamptz, bigint[], integer[], text[], text[], timestamptz[],
    timestamptz[], text[], text[]) is
    'Counts the days of an account from versions of its numbers, after the day of a summary, or all';

create or replace function syncer.states_without(states text[], others text[]) returns text[]
language sql immutable parallel safe
return array(select unnest(states) except select unnest(others));
comment on function syncer.states_without(text[], text[]) is 'Those of the states that are not among others';

-- What syncer.last_day_summary returns for each account, nulls included: Citus refuses left joins beside a union.
create or replace view syncer.last_summary as
select distinct on (account_id)
       account_id, day, time_zone, ends, states, region_id, type, state, numbers, entered, exited, arrived, returned,
       removed, microseconds, pair_region_id, pair_type, month_opening, month_closing, month_arrived, month_returned,
       month_removed, month_locks, month_unlocks, month_active_microseconds, month_listed_microseconds
  from (select s.*
          from syncer.day_summary s
          join syncer.account_known k on k.account_id = s.account_id
          join syncer.account_zone z on z.account_id = s.account_id
         where s.time_zone = z.zone and s.ends <= k.known_until
           and s.ends = syncer.day_start(s.day + interval '1 day', z.zone)
         union all
        select account_id, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
               null, null, null, null, null, null, null, null, null
          from syncer.account_fence) s
 order by account_id, day desc nulls last;
comment on view syncer.last_summary is 'The newest summary of each account''s days in its time zone, or nulls';

-- The versions of each account that hold, or ended after the last summary: from two days before its end, as a server that
-- counts for itself reads them from the next day on. An account without any has nulls.
create or replace view syncer.uncounted_versions as
select account_id,
       array_agg(virtual_number_id) filter (where virtual_number_id is not null) as numbers,
       array_agg(region_id) filter (where virtual_number_id is not null) as regions,
       array_agg(type) filter (where virtual_number_id is not null) as types,
       array_agg(state) filter (where virtual_number_id is not null) as states,
       array_agg(valid_from) filter (where virtual_number_id is not null) as begins,
       array_agg(valid_to) filter (where virtual_number_id is not null) as ends,
       array_agg(began_by) filter (where virtual_number_id is not null) as began_by,
       array_agg(ended_by) filter (where virtual_number_id is not null) as ended_by
  from (select h.account_id, h.virtual_number_id, h.region_id, h.type, h.state, h.valid_from, h.valid_to, h.began_by,
               h.ended_by
          from syncer.virtual_number_history h
          join syncer.last_summary b on b.account_id = h.account_id
         where b.ends is null or h.valid_to >= b.ends - interval '2 days'
         union all
        select n.account_id, n.virtual_number_id, n.region_id, n.type, n.state, n.changed_at, null,
               case when n.changed_at = n.first_seen_at then 'created' when n.changed_at = n.listed_since then 'restored'
                    else 'changed' end, null
          from syncer.virtual_number n
         where n.removed_at is null
         union all
        select account_id, null, null, null, null, null, null, null, null from syncer.account_fence) v
 group by account_id;
comment on view syncer.uncounted_versions is
    'The versions of each account from which the days after its last summary are counted, as arrays';

create or replace view syncer.summarised_day as
select d.account, d.account_id, d.day, d.time_zone, d.ends, d.states, d.region_id, d.type, d.state, d.numbers, d.entered,
       d.exited, d.arrived, d.returned, d.removed, d.microseconds, d.pair_region_id, d.pair_type, d.month_opening,
       d.month_closing, d.month_arrived, d.month_returned, d.month_removed, d.month_locks, d.month_unlocks,
       d.month_active_microseconds, d.month_listed_microseconds, d.all_states,
       case when d.states = d.all_states then '{}' else syncer.states_without(d.all_states, d.states) end as later_states
  from (select c.*, last_value(c.states) over (partition by c.account_id, c.account order by c.day
                                               rows between unbounded preceding and unbounded following) as all_states
          from (select k.account, s.*
                  from syncer.day_summary s
                  join syncer.last_summary b on b.account_id = s.account_id
                  join syncer.account_known k on k.account_id = s.account_id
                 where s.time_zone = b.time_zone and s.day <= b.day
                 union all
                select k.account, k.account_id, c.day, c.time_zone, c.ends, c.states, c.region_id, c.type, c.state,
                       c.numbers, c.entered, c.exited, c.arrived, c.returned, c.removed, c.microseconds, c.pair_region_id,
                       c.pair_type, c.month_opening, c.month_closing, c.month_arrived, c.month_returned, c.month_removed,
                       c.month_locks, c.month_unlocks, c.month_active_microseconds, c.month_listed_microseconds
                  from syncer.account_known k
                  join syncer.account_zone z on z.account_id = k.account_id
                  join (select account_id, min(first_seen_at) as first_seen_at from syncer.virtual_number
                         group by account_id) n on n.account_id = k.account_id
                  join syncer.last_summary b on b.account_id = k.account_id
                  join syncer.uncounted_versions v on v.account_id = k.account_id
                 cross join lateral syncer.count_given_days(
                       k.account_id, z.zone,
                       row(b.account_id, b.day, b.time_zone, b.ends, b.states, b.region_id, b.type, b.state, b.numbers,
                           b.entered, b.exited, b.arrived, b.returned, b.removed, b.microseconds, b.pair_region_id,
                           b.pair_type, b.month_opening, b.month_closing, b.month_arrived, b.month_returned,
                           b.month_removed, b.month_locks, b.month_unlocks, b.month_active_microseconds,
                           b.month_listed_microseconds)::syncer.counted_day,
                       k.known_until, 'infinity', n.first_seen_at, v.numbers, v.regions, v.types, v.states, v.begins,
                       v.ends, v.began_by, v.ended_by) c) c) d;

create or replace view analytics.daily_states as
select d.account_id, d.account, d.day, (select r.name from syncer.region r where r.region_id = d.region_id) as region,
       d.type, (select t.title_en from syncer.number_type t where t.type = d.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = d.type) as type_title_ru, d.state,
       (select w.title_en from syncer.number_state w where w.state = d.state) as state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = d.state) as state_title_ru, d.numbers
  from (select s.account_id, s.account, s.day, g.region_id, g.type, g.state, g.numbers
          from syncer.summarised_day s
         cross join lateral unnest(s.region_id, s.type, s.state, s.numbers) as g (region_id, type, state, numbers)
         union all
        select s.account_id, s.account, s.day, p.region_id, p.type, l.state, 0
          from syncer.summarised_day s
         cross join lateral unnest(s.later_states) as l (state)
         cross join lateral unnest(s.pair_region_id, s.pair_type) as p (region_id, type)) d;

create or replace view analytics.daily_flows as
select d.account_id, d.account, d.day, (select r.name from syncer.region r where r.region_id = d.region_id) as region,
       d.type, (select t.title_en from syncer.number_type t where t.type = d.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = d.type) as type_title_ru, d.state,
       (select w.title_en from syncer.number_state w where w.state = d.state) as state_title_en,
       (select w.title_ru from syncer.number_state w where w.state = d.state) as state_title_ru,
       d.entered, d.exited, d.arrived, d.returned, d.removed, d.microseconds / 1000000.0 as duration_seconds
  from (select s.account_id, s.account, s.day, g.region_id, g.type, g.state, g.entered, g.exited, g.arrived, g.returned,
               g.removed, g.microseconds
          from syncer.summarised_day s
         cross join lateral unnest(s.region_id, s.type, s.state, s.entered, s.exited, s.arrived, s.returned, s.removed,
                                   s.microseconds)
                    as g (region_id, type, state, entered, exited, arrived, returned, removed, microseconds)
         union all
        select s.account_id, s.account, s.day, p.region_id, p.type, l.state, 0, 0, 0, 0, 0, 0
          from syncer.summarised_day s
         cross join lateral unnest(s.later_states) as l (state)
         cross join lateral unnest(s.pair_region_id, s.pair_type) as p (region_id, type)) d;
