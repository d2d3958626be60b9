-- What 0013_down.sql reverts.

-- Days that have ended, counted once: a cache that can be rebuilt from the history. The arrays have an element for each
-- group of region, type and state that the account had until then, those with no numbers included; those that begin
-- with `pair_` or `month_` have one for each pair of region and type, and count from the first of the month.
create table syncer.day_summary (
    account_id integer not null,
    day date not null,
    time_zone text not null,
    ends timestamptz not null,
    states text[] not null,
    region_id integer[] not null,
    type text[] not null,
    state text[] not null,
    numbers integer[] not null,
    entered integer[] not null,
    exited integer[] not null,
    arrived integer[] not null,
    returned integer[] not null,
    removed integer[] not null,
    microseconds bigint[] not null,
    pair_region_id integer[] not null,
    pair_type text[] not null,
    month_opening integer[] not null,
    month_closing integer[] not null,
    month_arrived integer[] not null,
    month_returned integer[] not null,
    month_removed integer[] not null,
    month_locks integer[] not null,
    month_unlocks integer[] not null,
    month_active_microseconds bigint[] not null,
    month_listed_microseconds bigint[] not null
);
alter table syncer.day_summary add constraint day_summary_pkey primary key (account_id, day);
alter table syncer.day_summary add constraint day_summary_account_id_fkey
    foreign key (account_id) references syncer.account (account_id);

-- Counts the days of an account that come after `base`, the summary of the day before them, or all its days if that is
-- null: until `last_day` and until the moment `until`, at which the last day is cut off. Reads the history that ended or
-- began since then, and the current rows that began since then; all else is in `base`.
create function syncer.count_days(of_account integer, zone text, base syncer.day_summary, until timestamptz,
                                  last_day date default 'infinity')
returns setof syncer.day_summary language plpgsql stable set jit = off set work_mem = '64MB' as $$
#variable_conflict use_column
declare
    first_seen timestamptz;
    days date[];
    begins timestamptz[];
    ends timestamptz[];
    since timestamptz;
    before timestamptz;
    place integer := 1;
    item record;
    length bigint;
    -- What is known of the groups and pairs until the day; the arrays grow when a group or a pair is new.
    states text[] := coalesce(base.states, '{}');
    region_ids integer[] := coalesce(base.region_id, '{}');
    types text[] := coalesce(base.type, '{}');
    group_states text[] := coalesce(base.state, '{}');
    group_pairs integer[] := '{}';
    pair_region_ids integer[] := coalesce(base.pair_region_id, '{}');
    pair_types text[] := coalesce(base.pair_type, '{}');
    numbers integer[] := coalesce(base.numbers, '{}');
    closing integer[] := coalesce(base.month_closing, '{}');
    -- Of the day, by group.
    at_beginning integer[];
    entered integer[];
    exited integer[];
    arrived integer[];
    returned integer[];
    removed integer[];
    spent bigint[];
    -- From the first of the month, by pair.
    opening integer[] := base.month_opening;
    month_arrived integer[] := base.month_arrived;
    month_returned integer[] := base.month_returned;
    month_removed integer[] := base.month_removed;
    month_locks integer[] := base.month_locks;
    month_unlocks integer[] := base.month_unlocks;
    month_active bigint[] := base.month_active_microseconds;
    month_listed bigint[] := base.month_listed_microseconds;
begin
    if base.day is null then
        select min(n.first_seen_at) into first_seen from syncer.virtual_number n where n.account_id = of_account;
    end if;
    -- A day before and after: where clocks go back over midnight, a moment can have the date of the day before its day.
    -- A day that a zone has skipped ends when it begins.
    select array_agg(d.day order by d.day), array_agg(d.begins order by d.day), array_agg(d.ends order by d.day)
      into days, begins, ends
      from (select each::date as day, syncer.day_start(each, zone) as begins,
                   syncer.day_start(each + interval '1 day', zone) as ends
              from generate_series(coalesce(base.day + 1, (first_seen at time zone zone)::date - 1)::timestamp,
                                   least((until at time zone zone)::date + 1, last_day)::timestamp,
                                   interval '1 day') as each) d
     where d.begins < d.ends and d.begins <= until and (first_seen is null or d.ends > first_seen);
    if days is null then
        return;
    end if;
    since := begins[1];
    before := ends[cardinality(ends)];
    -- Keys are compared as arrays, in which null equals null.
    select coalesce(array_agg(p.number order by g.number), '{}') into group_pairs
      from unnest(region_ids, types) with ordinality as g (region_id, type, number)
      join unnest(pair_region_ids, pair_types) with ordinality as p (region_id, type, number)
        on array[p.region_id::text, p.type] = array[g.region_id::text, g.type];

    -- First the groups that are new on a day, then what changed on it, by group; the last item ends the last day.
    for item in
        with bound as materialized (
            select array_agg(d.begins order by d.begins) as begins,
                   array_agg(least(d.ends, until) order by d.begins) as counted_until
              from unnest(begins, ends) as d (begins, ends)
        ), version as (
            select virtual_number_id, region_id, type, state, valid_from, valid_to, began_by, ended_by
              from syncer.virtual_number_history
             where account_id = of_account and valid_to >= since and valid_from < before
             union all
            select virtual_number_id, region_id, type, state, changed_at, null,
                   case when changed_at = first_seen_at then 'created' when changed_at = listed_since then 'restored'
                        else 'changed' end, null
              from syncer.virtual_number
             where account_id = of_account and removed_at is null and changed_at >= since and changed_at < before
        ), linked as (
            -- What a change began or ended has the version before or after it in this set.
            select region_id, type, state, valid_from, valid_to, began_by, ended_by,
                   lag(state) over life as previous_state, lead(state) over life as next_state
              from version window life as (partition by virtual_number_id order by valid_from)
        ), change as materialized (
            select width_bucket(e.moment, b.begins) as place, v.region_id, v.type, v.state, sum(e.step)::integer as step,
                   count(*) filter (where e.kind = 'entered')::integer as entered,
                   count(*) filter (where e.kind = 'exited')::integer as exited,
                   count(*) filter (where e.kind = 'created')::integer as arrived,
                   count(*) filter (where e.kind = 'restored')::integer as returned,
                   count(*) filter (where e.kind = 'removed')::integer as removed,
                   -- How much longer or shorter than the day the numbers that came or went were in the group.
                   (extract(epoch from coalesce(sum(e.rest) filter (where e.step = 1), '0')
                                       - coalesce(sum(e.rest) filter (where e.step = -1), '0')) * 1000000)::bigint
                       as spent
              from linked v
             cross join bound b
             cross join lateral (
                   select moment, step, kind,
                          greatest(b.counted_until[width_bucket(moment, b.begins)] - moment, interval '0') as rest
                     from (values (v.valid_from, 1, case when v.began_by <> 'changed' then v.began_by
                                                         when v.previous_state <> v.state then 'entered' end),
                                  (v.valid_to, -1, case when v.ended_by = 'removed' then 'removed'
                                                        when v.next_state <> v.state then 'exited' end)
                          ) as edge (moment, step, kind)
                    where moment >= since and moment < before) e
             group by 1, 2, 3, 4
        ), pair as (
            select region_id, type, min(place) as since, min(number) as number
              from (select place, region_id, type, null::bigint as number from change
                     union all
                    select 0, b.*
                      from unnest(base.pair_region_id, base.pair_type) with ordinality as b (region_id, type, number)) p
             group by 1, 2
        ), numbered_pair as (
            select region_id, type, since,
                   coalesce(number, cardinality(pair_types)
                                    + row_number() over (partition by number is null
                                                             order by since, region_id, type collate "C")) as number
              from pair
        ), known_state as (
            select state, min(place) as since
              from (select place, state from change
                     union all
                    select 0, b.state from unnest(base.states) as b (state)) s
             group by 1
        ), numbered_group as (
            select p.region_id, p.type, s.state, greatest(p.since, s.since) as since, p.number as pair,
                   coalesce(b.number,
                            cardinality(types)
                            + row_number() over (partition by b.number is null
                                                     order by greatest(p.since, s.since), p.region_id,
                                                              p.type collate "C", s.state collate "C")) as number
              from numbered_pair p
             cross join known_state s
              left join unnest(base.region_id, base.type, base.state) with ordinality as b (region_id, type, state, number)
                on array[b.region_id::text, b.type, b.state] = array[p.region_id::text, p.type, s.state]
        )
        select since as place, 1 as kind, number, pair, region_id, type, state, 0 as step, 0 as entered, 0 as exited,
               0 as arrived, 0 as returned, 0 as removed, 0::bigint as spent
          from numbered_group where since > 0
         union all
        select c.place, 2, g.number, g.pair, c.region_id, c.type, c.state, c.step, c.entered, c.exited, c.arrived,
               c.returned, c.removed, c.spent
          from change c
          join numbered_group g
            on array[g.region_id::text, g.type, g.state] = array[c.region_id::text, c.type, c.state]
         union all
        select cardinality(days) + 1, 3, null, null, null, null, null, 0, 0, 0, 0, 0, 0, 0
         order by place, kind, number
    loop
        loop
            if at_beginning is null then
                at_beginning := numbers;
                entered := array_fill(0, array[cardinality(numbers)]);
                exited := entered;
                arrived := entered;
                returned := entered;
                removed := entered;
                spent := array_fill(0::bigint, array[cardinality(numbers)]);
                if opening is null or extract(day from days[place]) = 1 then
                    opening := closing;
                    month_arrived := array_fill(0, array[cardinality(closing)]);
                    month_returned := month_arrived;
                    month_removed := month_arrived;
                    month_locks := month_arrived;
                    month_unlocks := month_arrived;
                    month_active := array_fill(0::bigint, array[cardinality(closing)]);
                    month_listed := month_active;
                end if;
            end if;
            exit when place = item.place;

            -- The day is complete.
            length := (extract(epoch from least(ends[place], until) - begins[place]) * 1000000)::bigint;
            spent := array(select length * g.numbers + g.spent from unnest(at_beginning, spent) as g (numbers, spent));
            select array_agg(p.closing order by p.pair), array_agg(p.active order by p.pair),
                   array_agg(p.listed order by p.pair)
              into closing, month_active, month_listed
              from (select g.pair, sum(g.numbers)::integer as closing,
                           (month_active[g.pair] + coalesce(sum(g.spent) filter (where g.state = 'active'), 0))::bigint
                               as active,
                           (month_listed[g.pair] + sum(g.spent))::bigint as listed
                      from unnest(group_pairs, numbers, group_states, spent) as g (pair, numbers, state, spent)
                     group by g.pair) p;
            return query
            select of_account, days[place], zone, ends[place], states, region_ids, types, group_states, numbers, entered,
                   exited, arrived, returned, removed, spent, pair_region_ids, pair_types, opening, closing,
                   month_arrived, month_returned, month_removed, month_locks, month_unlocks, month_active, month_listed;
            at_beginning := null;
            place := place + 1;
            exit when place > cardinality(days);
        end loop;

        if item.kind = 1 then
            if item.pair > cardinality(pair_types) then
                pair_region_ids := pair_region_ids || item.region_id;
                pair_types := pair_types || item.type;
                opening := opening || 0;
                month_arrived := month_arrived || 0;
                month_returned := month_returned || 0;
                month_removed := month_removed || 0;
                month_locks := month_locks || 0;
                month_unlocks := month_unlocks || 0;
                month_active := month_active || 0::bigint;
                month_listed := month_listed || 0::bigint;
            end if;
            if item.state <> all (states) then
                states := states || item.state;
            end if;
            region_ids := region_ids || item.region_id;
            types := types || item.type;
            group_states := group_states || item.state;
            group_pairs := group_pairs || item.pair::integer;
            numbers := numbers || 0;
            at_beginning := at_beginning || 0;
            entered := entered || 0;
            exited := exited || 0;
            arrived := arrived || 0;
            returned := returned || 0;
            removed := removed || 0;
            spent := spent || 0::bigint;
        elsif item.kind = 2 then
            numbers[item.number] := numbers[item.number] + item.step;
            spent[item.number] := item.spent;
            if item.entered + item.exited > 0 then
                entered[item.number] := item.entered;
                exited[item.number] := item.exited;
            end if;
            if item.arrived + item.returned + item.removed > 0 then
                arrived[item.number] := item.arrived;
                returned[item.number] := item.returned;
                removed[item.number] := item.removed;
                month_arrived[item.pair] := month_arrived[item.pair] + item.arrived;
                month_returned[item.pair] := month_returned[item.pair] + item.returned;
                month_removed[item.pair] := month_removed[item.pair] + item.removed;
            end if;
            if item.state = 'debt_lock' then
                month_locks[item.pair] := month_locks[item.pair] + item.entered;
                month_unlocks[item.pair] := month_unlocks[item.pair] + item.exited;
            end if;
        end if;
    end loop;
end
$$;

-- The last summary from which the days of an account can be counted on: not one of days of another time zone, nor of days
-- that have yet to come, as when the clock was ahead, nor of a day that ends at another time since the server has newer
-- rules of time zones: what happened between the two times would be in no day, or in two.
create function syncer.last_day_summary(of_account integer, zone text, until timestamptz) returns syncer.day_summary
language sql stable as $$
select s from syncer.day_summary s
 where s.account_id = of_account and s.time_zone = zone and s.ends <= until
   and s.ends = syncer.day_start(s.day + interval '1 day', zone)
 order by s.day desc limit 1
$$;

-- All days of an account: from the summaries, and those after them counted from the history. With the rights of the
-- owner, because analysts ask it through views.
create function syncer.summarised_days(of_account integer, time_zone text, until timestamptz)
returns setof syncer.day_summary
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    zone text := syncer.known_zone(time_zone);
    last syncer.day_summary := syncer.last_day_summary(of_account, zone, until);
begin
    return query
    select s.* from syncer.day_summary s
     where s.account_id = of_account and s.time_zone = zone and s.day <= last.day;
    return query select c.* from syncer.count_days(of_account, zone, last, until) c;
end
$$;

-- `later_states` are those that the account had only after the day.
create view syncer.summarised_day as
select k.account, d.*,
       case when d.states = d.all_states then '{}'
            else array(select unnest(d.all_states) except select unnest(d.states)) end as later_states
  from syncer.account_known k
 cross join lateral (
       select *, last_value(states) over (order by day rows between unbounded preceding and unbounded following)
                     as all_states
         from syncer.summarised_days(k.account_id, k.time_zone, k.known_until)) d;

-- Days ----------------------------------------------------------------------------------------------------------------

create or replace view syncer.account_day as
select k.account_id, d.day, d.begins, d.ends, least(d.ends, z.known_until) as known_until
  from syncer.account_known k
 -- `offset 0`: computed once per account and once per day, not for each row that is compared with them.
 cross join lateral (select syncer.known_zone(k.time_zone) as zone, k.known_until,
                            min(n.first_seen_at) as first_seen_at
                       from syncer.virtual_number n where n.account_id = k.account_id offset 0) z
 cross join lateral (
       select day::date as day, b.begins, b.ends
         -- A day before and after: where clocks go back over midnight, a moment can have the date of the day before.
         from generate_series((z.first_seen_at at time zone z.zone)::date::timestamp - interval '1 day',
                              (z.known_until at time zone z.zone)::date::timestamp + interval '1 day',
                              interval '1 day') as each (day)
        cross join lateral (select syncer.day_start(day, z.zone) as begins,
                                   syncer.day_start(day + interval '1 day', z.zone) as ends offset 0) b
        where b.begins < b.ends and b.ends > z.first_seen_at and b.begins <= z.known_until
       offset 0) d;

create or replace view analytics.daily_states as
select d.account_id, d.account, d.day, r.name as region, g.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, g.state, w.title_en as state_title_en, w.title_ru as state_title_ru, g.numbers
  from syncer.summarised_day d
 cross join lateral (
       select * from unnest(d.region_id, d.type, d.state, d.numbers) as g (region_id, type, state, numbers)
        union all
       select p.region_id, p.type, l.state, 0
         from unnest(d.later_states) as l (state)
        cross join unnest(d.pair_region_id, d.pair_type) as p (region_id, type)) g
  left join syncer.number_state w on w.state = g.state
  left join syncer.number_type t on t.type = g.type
  left join syncer.region r on r.region_id = g.region_id;

create view analytics.daily_totals as
select account_id, account, day, state, state_title_en, state_title_ru, sum(numbers)::integer as numbers
  from analytics.daily_states
 group by account_id, account, day, state, state_title_en, state_title_ru;

create view analytics.daily_flows as
select d.account_id, d.account, d.day, r.name as region, g.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, g.state, w.title_en as state_title_en, w.title_ru as state_title_ru,
       g.entered, g.exited, g.arrived, g.returned, g.removed, g.microseconds / 1000000.0 as duration_seconds
  from syncer.summarised_day d
 cross join lateral (
       select * from unnest(d.region_id, d.type, d.state, d.entered, d.exited, d.arrived, d.returned, d.removed,
                            d.microseconds)
           as g (region_id, type, state, entered, exited, arrived, returned, removed, microseconds)
        union all
       select p.region_id, p.type, l.state, 0, 0, 0, 0, 0, 0
         from unnest(d.later_states) as l (state)
        cross join unnest(d.pair_region_id, d.pair_type) as p (region_id, type)) g
  left join syncer.number_state w on w.state = g.state
  left join syncer.number_type t on t.type = g.type
  left join syncer.region r on r.region_id = g.region_id;

create or replace view analytics.coverage as
with zones as (
    select k.account_id, k.account, k.known_until, z.zone, f.first_success_at
      from syncer.account_known k
      join syncer.account_fence f using (account_id)
     cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
), days as (
    select a.account_id, a.account, each.day::date as day,
           greatest(syncer.day_start(each.day, a.zone), a.first_success_at) as begins,
           least(syncer.day_start(each.day + interval '1 day', a.zone), a.known_until) as ends
      from zones a
     cross join lateral generate_series((a.first_success_at at time zone a.zone)::date::timestamp,
                                        (a.known_until at time zone a.zone)::date::timestamp,
                                        interval '1 day') as each (day)
     where syncer.day_start(each.day, a.zone) < syncer.day_start(each.day + interval '1 day', a.zone)
), successes as (
    select r.account_id, (r.started_at at time zone a.zone)::date as day, r.started_at,
           lag(r.started_at) over (partition by r.account_id, (r.started_at at time zone a.zone)::date
                                       order by r.started_at) as before
      from syncer.sync_run r
      join zones a using (account_id)
     where r.outcome in ('applied', 'unchanged')
), gaps as (
    select account_id, day, min(started_at) as first, max(started_at) as last, max(started_at - before) as between_polls
      from successes group by 1, 2
), counts as (
    select r.account_id, (r.started_at at time zone a.zone)::date as day, count(*) as polls,
           count(*) filter (where r.outcome in ('failed', 'abandoned')) as failed
      from syncer.sync_run r
      join zones a using (account_id)
     where r.outcome <> 'running'
     group by 1, 2
)
select d.account_id, d.account, d.day, (coalesce(c.polls, 0) + coalesce(p.polls, 0))::integer as polls,
       (coalesce(c.failed, 0) + coalesce(p.failed, 0))::integer as failed,
       -- Of a day whose runs were pruned, only the sum is complete: the runs that remain are not the whole day.
       coalesce(p.longest_gap_seconds,
                extract(epoch from case when g.first is null then d.ends - d.begins
                                        else greatest(g.first - d.begins, g.between_polls, d.ends - g.last) end))
           as longest_gap_seconds
  from days d
  left join gaps g using (account_id, day)
  left join counts c using (account_id, day)
  left join syncer.sync_day p using (account_id, day);

create view analytics.number_days as
select s.account_id, k.account, s.virtual_number_id, n.number as number_now,
       s.account_id || ':' || s.virtual_number_id as number_key, s.day, s.listed_seconds, s.active_seconds,
       s.debt_lock_seconds, s.freeze_seconds, s.other_seconds, s.active_seconds / s.listed_seconds as active_share
  from (select h.account_id, h.virtual_number_id, d.day, sum(p.seconds) as listed_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'active'), 0) as active_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'debt_lock'), 0) as debt_lock_seconds,
               coalesce(sum(p.seconds) filter (where h.state = 'freeze'), 0) as freeze_seconds,
               coalesce(sum(p.seconds) filter (where h.state not in ('active', 'debt_lock', 'freeze')), 0)
                   as other_seconds
          from syncer.state_period h
          -- Not spelled as two comparisons: the planner would take the index on numbers for one on time.
          join syncer.account_day d
            on d.account_id = h.account_id
           and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
         cross join lateral (
               select extract(epoch from least(h.valid_to, d.known_until) - greatest(h.valid_from, d.begins))
                          as seconds) p
         -- Nor a day that begins when the last success ends what is known: it has no seconds yet.
         where greatest(h.valid_from, d.begins) < d.known_until
         group by h.account_id, h.virtual_number_id, d.day) s
  join syncer.account_known k using (account_id)
  left join syncer.virtual_number n using (account_id, virtual_number_id);

-- Months --------------------------------------------------------------------------------------------------------------

create view analytics.monthly_kpi as
select d.account_id, d.account, d.month, r.name as region, p.type, t.title_en as type_title_en,
       t.title_ru as type_title_ru, p.opening, p.arrived, p.returned, p.removed,
       p.closing - p.opening - p.arrived - p.returned + p.removed as moved_in, p.closing, p.locks, p.unlocks,
       p.active / 1000000.0 as active_seconds, p.listed / 1000000.0 as listed_seconds
  from (select distinct on (account_id, date_trunc('month', day::timestamp))
               date_trunc('month', day::timestamp)::date as month, *
          from syncer.summarised_day
         order by account_id, date_trunc('month', day::timestamp), day desc) d
 cross join lateral unnest(d.pair_region_id, d.pair_type, d.month_opening, d.month_closing, d.month_arrived,
                           d.month_returned, d.month_removed, d.month_locks, d.month_unlocks,
                           d.month_active_microseconds, d.month_listed_microseconds)
       as p (region_id, type, opening, closing, arrived, returned, removed, locks, unlocks, active, listed)
  left join syncer.number_type t on t.type = p.type
  left join syncer.region r on r.region_id = p.region_id;

create view analytics.monthly_spells as
select s.account_id, s.account, date_trunc('month', s.valid_to at time zone z.zone)::date as month, s.state,
       s.state_title_en, s.state_title_ru, s.ended_by, count(*) as spells,
       round((percentile_cont(0.5) within group (order by s.duration_seconds))::numeric, 6) as median_seconds,
       round((percentile_cont(0.95) within group (order by s.duration_seconds))::numeric, 6) as p95_seconds,
       avg(s.duration_seconds) as mean_seconds
  from analytics.state_spells s
  join syncer.account_known k using (account_id)
 cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
 where s.valid_to is not null and s.changed_after is not null
 group by s.account_id, s.account, month, s.state, s.state_title_en, s.state_title_ru, s.ended_by;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on table syncer.day_summary is
    'The days of each account that have ended, counted once: a cache, which may be deleted from any day on';
comment on column syncer.day_summary.account_id is 'The account';
comment on column syncer.day_summary.day is 'The day, in the time zone';
comment on column syncer.day_summary.time_zone is
    'Whose day it is; days of another zone than the account''s are not read';
comment on column syncer.day_summary.ends is 'When the day ended; not after the account''s newest success';
comment on column syncer.day_summary.states is 'Every state that a number of the account has had until then';
comment on column syncer.day_summary.region_id is
    'Regions of the groups: each pair of region and type that the account has had until then, with each state';
comment on column syncer.day_summary.type is 'Types of the groups';
comment on column syncer.day_summary.state is 'States of the groups';
comment on column syncer.day_summary.numbers is 'How many numbers each group had when the day ended';
comment on column syncer.day_summary.entered is 'How many came into its state from another state';
comment on column syncer.day_summary.exited is 'How many left its state for another state';
comment on column syncer.day_summary.arrived is 'How many were created in it';
comment on column syncer.day_summary.returned is 'How many were restored in it';
comment on column syncer.day_summary.removed is 'How many were removed from it';
comment on column syncer.day_summary.microseconds is 'Time that all its numbers together spent in it';
comment on column syncer.day_summary.pair_region_id is 'Regions of the pairs of region and type';
comment on column syncer.day_summary.pair_type is 'Types of the pairs';
comment on column syncer.day_summary.month_opening is 'How many numbers each pair had when the month began';
comment on column syncer.day_summary.month_closing is 'How many numbers each pair had when the day ended';
comment on column syncer.day_summary.month_arrived is 'How many were created, from the beginning of the month';
comment on column syncer.day_summary.month_returned is 'How many were restored, from the beginning of the month';
comment on column syncer.day_summary.month_removed is 'How many were removed, from the beginning of the month';
comment on column syncer.day_summary.month_locks is
    'How often debt_lock followed another state, from the beginning of the month';
comment on column syncer.day_summary.month_unlocks is
    'How often another state followed debt_lock, from the beginning of the month';
comment on column syncer.day_summary.month_active_microseconds is
    'Time that numbers spent in the state active, from the beginning of the month';
comment on column syncer.day_summary.month_listed_microseconds is
    'Time that numbers were listed, from the beginning of the month';
comment on function syncer.count_days(integer, text, syncer.day_summary, timestamptz, date) is
    'Counts the days of an account from its history, after the day of a summary, or all';
comment on function syncer.last_day_summary(integer, text, timestamptz) is
    'The newest summary of an account''s days in a time zone';
comment on function syncer.summarised_days(integer, text, timestamptz) is
    'All days of an account: those that are summarised, and those after them counted from the history';
comment on view syncer.summarised_day is 'All days of all accounts, summarised or counted';
do $$
declare
    one record;
begin
    -- As in day_summary, where a column means the same.
    for one in select a.attname, col_description('syncer.day_summary'::regclass, d.attnum) as comment
                 from pg_attribute a
                 join pg_attribute d on d.attrelid = 'syncer.day_summary'::regclass and d.attname = a.attname
                where a.attrelid = 'syncer.summarised_day'::regclass and a.attnum > 0 loop
        execute format('comment on column syncer.summarised_day.%I is %L', one.attname, one.comment);
    end loop;
end
$$;
comment on column syncer.summarised_day.account is 'Name of the account in the configuration';
comment on column syncer.summarised_day.all_states is 'Every state that a number of the account has ever had';
comment on column syncer.summarised_day.later_states is 'Those of them that none had until the day ended';

comment on view analytics.daily_states is
    'How many numbers were in each state when a day ended, by region and type; the last day as it is now. Zeros are rows '
    'too: for each region and type from its first day, and every state that the account has ever had. To be summed; '
    'for averages use daily_totals; example: select day, sum(numbers) from analytics.daily_states '
    'where state = ''debt_lock'' group by day';
comment on column analytics.daily_states.numbers is
    'How many numbers were in the state when the day ended, or are now; 0 if none; example: 12';
comment on view analytics.daily_totals is
    'How many numbers of an account were in each state when a day ended; the last day as it is now. A row for each day '
    'and each state that the account has ever had, so that avg(numbers) of a state is right; example: '
    'select avg(numbers) from analytics.daily_totals where state = ''debt_lock'' and day >= date ''2026-06-01''';
comment on column analytics.daily_totals.numbers is
    'How many numbers were in the state when the day ended, or are now; 0 if none; example: 12';
comment on view analytics.daily_flows is
    'What came into and out of each state on a day, and how long numbers were in it, by region and type; zeros are rows '
    'too. All columns add up; example: select day, sum(entered) from analytics.daily_flows '
    'where state = ''debt_lock'' group by day';
comment on column analytics.daily_flows.entered is
    'How often a number came into the state from another state; example: 3';
comment on column analytics.daily_flows.exited is 'How often a number left the state for another state; example: 2';
comment on column analytics.daily_flows.arrived is
    'How many numbers were listed for the first time, in this state; example: 5';
comment on column analytics.daily_flows.returned is
    'How many numbers were listed again after their removal, in this state; example: 1';
comment on column analytics.daily_flows.removed is 'How many numbers were removed while in this state; example: 1';
comment on column analytics.daily_flows.duration_seconds is
    'How long all numbers together were in the state on the day; divide by 86400 for number-days; example: 1036800';
comment on view analytics.number_days is
    'A day of a number: how long it was listed and in which states. A row only for days on which it was listed, with all '
    'states in columns, so that averages need no other rows; example: select avg(active_share) '
    'from analytics.number_days where number_key = ''1:250''';
comment on column analytics.number_days.number_now is
    'The phone number as it is now, whatever it was then; example: 79208547433';
comment on column analytics.number_days.listed_seconds is
    'How long the number was listed on the day; example: 86400';
comment on column analytics.number_days.active_seconds is 'How long it was in the state active; example: 64800';
comment on column analytics.number_days.debt_lock_seconds is 'How long it was in the state debt_lock; example: 21600';
comment on column analytics.number_days.freeze_seconds is 'How long it was in the state freeze; example: 0';
comment on column analytics.number_days.other_seconds is 'How long it was in any other state; example: 0';
comment on column analytics.number_days.active_share is
    'active_seconds as a share of listed_seconds, from 0 to 1; example: 0.75';
comment on view analytics.monthly_kpi is
    'A month of an account, by region and type, in columns that add up; the last month until now. Divide sums, as '
    'active_seconds by listed_seconds for availability; example: select month, '
    'sum(active_seconds) / sum(listed_seconds) from analytics.monthly_kpi group by month';
comment on column analytics.monthly_kpi.month is
    'First day of the month, in the account''s time zone; example: 2026-06-01';
comment on column analytics.monthly_kpi.opening is 'How many numbers were listed when the month began; example: 210';
comment on column analytics.monthly_kpi.arrived is 'How many were listed for the first time; example: 12';
comment on column analytics.monthly_kpi.returned is 'How many were listed again after their removal; example: 1';
comment on column analytics.monthly_kpi.removed is 'How many were removed; example: 3';
comment on column analytics.monthly_kpi.moved_in is
    'How many came from another region or type, less those that went to one; 0 for the account as a whole; example: -1';
comment on column analytics.monthly_kpi.closing is
    'How many were listed when the month ended, or are now: opening + arrived + returned - removed + moved_in; '
    'example: 219';
comment on column analytics.monthly_kpi.locks is
    'How often a number came into the state debt_lock from another state; example: 24';
comment on column analytics.monthly_kpi.unlocks is
    'How often a number left the state debt_lock for another state, not by its removal; example: 22';
comment on column analytics.monthly_kpi.active_seconds is
    'How long all numbers together were in the state active; example: 540000000';
comment on column analytics.monthly_kpi.listed_seconds is
    'How long all numbers together were listed; example: 560000000';
comment on view analytics.monthly_spells is
    'How long the stays in a state lasted that ended in a month. A row for each way in which they ended, because medians '
    'cannot be added up. Stays that the account''s first non-empty response found are left out: when they began is not '
    'known; example: select month, median_seconds / 86400 from analytics.monthly_spells where state = ''debt_lock'' '
    'and ended_by = ''changed''';
comment on column analytics.monthly_spells.month is
    'First day of the month in which they ended, in the account''s time zone; example: 2026-06-01';
comment on column analytics.monthly_spells.ended_by is
    'How they ended: changed, to another state, or removed, with the number; example: changed';
comment on column analytics.monthly_spells.spells is 'How many ended so; example: 24';
comment on column analytics.monthly_spells.median_seconds is 'Half of them lasted no longer; example: 324000';
comment on column analytics.monthly_spells.p95_seconds is '95 % of them lasted no longer; example: 1451520';
comment on column analytics.monthly_spells.mean_seconds is 'How long they lasted on average; example: 423000';
do $$
declare
    one record;
begin
    -- What all views of days have means the same in each.
    for one in select a.attrelid::regclass as relation, a.attname,
                      coalesce(col_description('analytics.daily_states'::regclass, d.attnum),
                               col_description('analytics.state_share'::regclass, n.attnum)) as comment
                 from pg_attribute a
                 left join pg_attribute d
                   on d.attrelid = 'analytics.daily_states'::regclass and d.attname = a.attname
                 left join pg_attribute n
                   on n.attrelid = 'analytics.state_share'::regclass and n.attname = a.attname
                where a.attrelid in ('analytics.daily_totals'::regclass, 'analytics.daily_flows'::regclass,
                                     'analytics.number_days'::regclass, 'analytics.monthly_kpi'::regclass,
                                     'analytics.monthly_spells'::regclass)
                  and a.attnum > 0 and col_description(a.attrelid, a.attnum) is null loop
        execute format('comment on column %s.%I is %L', one.relation, one.attname, one.comment);
    end loop;
end
$$;
comment on view analytics.state_share is
    'What share of each day each number spent in each state. To be summed, not averaged: a state in which it was not has no '
    'row; for averages use number_days; example: select day, share from analytics.state_share '
    'where number_key = ''1:250'' and state = ''debt_lock''';
comment on column analytics.coverage.longest_gap_seconds is
    'Longest time on that day without a successful poll, in seconds; the first day begins with the account''s first '
    'success, and the last ends at observed_until; example: 300';

-- Who may read and write what -----------------------------------------------------------------------------------------

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.daily_totals, analytics.daily_flows, analytics.number_days, analytics.monthly_kpi,
            analytics.monthly_spells to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.daily_totals, analytics.daily_flows, analytics.number_days, analytics.monthly_kpi,
            analytics.monthly_spells, syncer.summarised_day to syncer_daemon;
        grant select, insert, delete on syncer.day_summary to syncer_daemon;
    end if;
end
$$;
