-- What 0010_down.sql reverts.

-- Until when the rows of an account count: until now while it is polled, and else until its last success. An outage of
-- the vendor does not end it, because its polls stay due.
create view syncer.account_known as
select a.account_id, a.name as account, a.time_zone, s.retired_at,
       case when s.retired_at is null and greatest(a.observed_at, s.due_at) > now() - interval '1 day' then now()
            else a.observed_at end as known_until
  from syncer.account a
  left join syncer.account_schedule s using (account_id);

create or replace view analytics.accounts as
select a.account_id, a.name as account, a.app_id, a.time_zone, a.created_at, k.retired_at,
       k.known_until as observed_until
  from syncer.account a
  join syncer.account_known k using (account_id);

create or replace view analytics.numbers_all as
select n.account_id, k.account, n.virtual_number_id, n.number,
       n.account_id || ':' || n.virtual_number_id as number_key, analytics.e164(n.number) as e164,
       n.comment, n.type, t.title_en as type_title_en, t.title_ru as type_title_ru,
       n.purpose, p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       n.state, s.title_en as state_title_en, s.title_ru as state_title_ru, n.reason,
       n.state_since, n.state_since_earliest,
       n.scenario_id, n.group_scenario_id, n.group_id, n.is_scenario_active, n.is_group_scenario_active, n.employee_id,
       n.dgn_number, n.redirect_number, n.region_id, r.name as region, n.app_id, n.nc_type, n.sip_uri, n.extra,
       (select count(*) from syncer.virtual_number_redirect d
         where d.account_id = n.account_id and d.virtual_number_id = n.virtual_number_id)::integer as redirect_count,
       n.first_seen_at, n.changed_at, n.changed_after, n.last_read_at, n.missing_since, n.removed_at,
       n.reason_since, n.reason_since_earliest, k.retired_at
  from syncer.virtual_number n
  left join syncer.account_known k using (account_id)
  left join syncer.number_state s using (state)
  left join syncer.number_type t using (type)
  left join syncer.number_purpose p using (purpose)
  left join syncer.region r using (region_id);

create or replace view analytics.numbers as
select account_id, account, virtual_number_id, number, number_key, e164, comment, type, type_title_en, type_title_ru,
       purpose, purpose_title_en, purpose_title_ru, state, state_title_en, state_title_ru, reason, state_since,
       state_since_earliest, scenario_id, group_scenario_id, group_id, is_scenario_active, is_group_scenario_active,
       employee_id, dgn_number, redirect_number, region_id, region, app_id, nc_type, sip_uri, extra, redirect_count,
       first_seen_at, changed_at, changed_after, last_read_at, missing_since, reason_since,
       reason_since_earliest
  from analytics.numbers_all where removed_at is null and retired_at is null;

create or replace view analytics.state_history as
select h.account_id, k.account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, k.known_until) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state,
       h.ended_by
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.number_state s on s.state = h.state;

create view analytics.state_spells as
with spells as (
    select account_id, virtual_number_id, state, reason, valid_to, closed_after, closed_run_id, state_since,
           state_since_earliest, state_began_by, from_state, to_state, ended_by
      from syncer.state_history
     where ended_by = 'removed' or to_state <> state
     union all
    select account_id, virtual_number_id, state, reason, null, null, null, state_since, state_since_earliest,
           case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                else 'restored' end, from_state, null, null
      from syncer.virtual_number
     where removed_at is null
)
select s.account_id, k.account, s.virtual_number_id, n.number as number_now,
       s.account_id || ':' || s.virtual_number_id as number_key,
       s.state, t.title_en as state_title_en, t.title_ru as state_title_ru,
       (select p.reason from syncer.state_period p
         where p.account_id = s.account_id and p.virtual_number_id = s.virtual_number_id
           and p.valid_from = s.state_since) as first_reason,
       s.reason as last_reason, s.state_since as valid_from, s.valid_to, s.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(s.valid_to, k.known_until) - s.state_since), 0) as duration_seconds,
       s.state_began_by as began_by, s.from_state, s.ended_by, s.to_state,
       s.state_since_earliest as changed_after, s.closed_after, s.closed_run_id
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.number_state t on t.state = s.state;

create or replace view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, n.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id
  from syncer.redirect_period d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

-- Days ----------------------------------------------------------------------------------------------------------------

create or replace view syncer.account_day as
select k.account_id, d.day, d.begins, d.ends, least(d.ends, k.known_until) as known_until
  from syncer.account_known k
 -- `offset 0`: computed once per account and once per day, not for each row that is compared with them.
 cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
 cross join lateral (
       select day::date as day, syncer.day_start(day, z.zone) as begins,
              syncer.day_start(day + interval '1 day', z.zone) as ends
         from generate_series(
                  (select (min(n.first_seen_at) at time zone z.zone)::date::timestamp from syncer.virtual_number n
                    where n.account_id = k.account_id),
                  (k.known_until at time zone z.zone)::date::timestamp, interval '1 day') as each (day)
       offset 0) d;

create or replace view analytics.state_share as
select h.account_id, a.name as account, h.virtual_number_id, n.number,
       h.account_id || ':' || h.virtual_number_id as number_key, d.day, h.state, s.title_en as state_title_en,
       s.title_ru as state_title_ru,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends) then 1::numeric
            else (select sum(extract(epoch from least(o.valid_to, d.known_until) - greatest(o.valid_from, d.begins)))
                         filter (where o.state = h.state)
                         / sum(extract(epoch from least(o.valid_to, d.known_until) - greatest(o.valid_from, d.begins)))
                    from syncer.state_period o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                     and o.valid_from < d.known_until and (o.valid_to is null or o.valid_to > d.begins))
             end as share,
       case when h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
            then extract(epoch from d.known_until - d.begins)
            else (select sum(extract(epoch from least(o.valid_to, d.known_until) - greatest(o.valid_from, d.begins)))
                    from syncer.state_period o
                   where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id and o.state = h.state
                     and o.valid_from < d.known_until and (o.valid_to is null or o.valid_to > d.begins))
             end as duration_seconds
  from syncer.state_period h
  -- Not spelled as two comparisons: the planner would take the index on numbers for one on time.
  join syncer.account_day d
    on d.account_id = h.account_id
   and (h.valid_from, coalesce(h.valid_to, 'infinity')) overlaps (d.begins, d.ends)
  left join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
  left join syncer.account a on a.account_id = h.account_id
  left join syncer.number_state s on s.state = h.state
 where h.valid_from < d.known_until
   and (h.valid_from <= d.begins and (h.valid_to is null or h.valid_to >= d.ends)
        or not exists (select from syncer.state_period o
                        where o.account_id = h.account_id and o.virtual_number_id = h.virtual_number_id
                          and o.state = h.state and o.valid_from < h.valid_from and o.valid_to > d.begins));

create or replace view analytics.coverage as
with zones as (
    select a.account_id, a.name, a.created_at, k.known_until, z.zone
      from syncer.account a
      join syncer.account_known k using (account_id)
     cross join lateral (select syncer.known_zone(a.time_zone) as zone offset 0) z
), days as (
    select a.account_id, a.name as account, each.day::date as day, syncer.day_start(each.day, a.zone) as begins,
           least(syncer.day_start(each.day + interval '1 day', a.zone), coalesce(a.known_until, now())) as ends
      from zones a
     cross join lateral generate_series(
               (least(a.created_at, (select min(started_at) from syncer.sync_run r where r.account_id = a.account_id))
                    at time zone a.zone)::date::timestamp,
               (coalesce(a.known_until, now()) at time zone a.zone)::date::timestamp, interval '1 day') as each (day)
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

-- Of a moment that is yet to come, or at which an account was polled no more, nothing is known.
create or replace function analytics.numbers_as_of(moment timestamptz) returns setof analytics.numbers
language sql stable parallel safe
begin atomic
select v.account_id, v.account, v.virtual_number_id, v.number, v.number_key, v.e164, v.comment,
       v.type, t.title_en, t.title_ru, v.purpose, p.title_en, p.title_ru, v.state, s.title_en, s.title_ru, v.reason,
       h.state_since, h.state_since_earliest,
       v.scenario_id, v.group_scenario_id, v.group_id, v.is_scenario_active, v.is_group_scenario_active, v.employee_id,
       v.dgn_number, v.redirect_number, v.region_id, v.region, v.app_id, v.nc_type, v.sip_uri,
       case when v.is_current then n.extra end,
       (select count(*) from analytics.redirect_history d
         where d.account_id = v.account_id and d.virtual_number_id = v.virtual_number_id
           and d.valid_from <= moment and (d.valid_to is null or d.valid_to > moment))::integer,
       n.first_seen_at, v.valid_from, v.changed_after,
       case when v.is_current and n.last_read_at <= moment then n.last_read_at end,
       case when n.removed_at is null and n.missing_since <= moment then n.missing_since end,
       h.valid_from, h.changed_after
  from analytics.number_history v
  join analytics.accounts a on a.account_id = v.account_id and a.observed_until >= moment
  join analytics.numbers_all n on n.account_id = v.account_id and n.virtual_number_id = v.virtual_number_id
  join analytics.state_history h
    on h.account_id = v.account_id and h.virtual_number_id = v.virtual_number_id
   and h.valid_from <= moment and (h.valid_to is null or h.valid_to > moment)
  left join analytics.states s on s.state = v.state
  left join analytics.types t on t.type = v.type
  left join analytics.purposes p on p.purpose = v.purpose
 where v.valid_from <= moment and (v.valid_to is null or v.valid_to > moment);
end;

-- Comments -------------------------------------------------------------------------------------------------------------

comment on view syncer.account_known is
    'Until when the rows of each account count: until now while it is polled, and else until its last success';
comment on column syncer.account_known.account_id is 'The account';
comment on column syncer.account_known.account is 'Name of the account in the configuration';
comment on column syncer.account_known.time_zone is 'IANA time zone of the account''s days';
comment on column syncer.account_known.retired_at is
    'Since when the account has been in no configuration and is not polled; null while it is configured';
comment on column syncer.account_known.known_until is
    'Now while polls are due or succeed; the last success once it is retired, or once no poll has been due for a day';
comment on column syncer.account_day.known_until is
    'Until when the day counts: its end, or until when the account is known';
comment on column analytics.accounts.retired_at is
    'Since when the account has been in no configuration and is not polled; null while it is configured; '
    'example: 2026-07-01 10:00:00+03';
comment on column analytics.accounts.observed_until is
    'Until when open durations, days and coverage of the account count: until now while it is polled, and else until its '
    'last successful poll; example: 2026-07-01 09:55:00+03';
comment on view analytics.numbers is
    'The numbers that are listed now, one row each, with titles and region names; accounts that are polled no more are '
    'in numbers_all; example: select number, state_title_en, state_since from analytics.numbers '
    'where state = ''debt_lock''';
comment on view analytics.numbers_all is
    'Like numbers, but with removed numbers and those of retired accounts too: these have removed_at or retired_at, and '
    'their last known values; example: select number, removed_at from analytics.numbers_all where removed_at is not null';
do $$
declare
    one record;
begin
    for one in select v.view, c.name, c.comment
                 from unnest(array['numbers', 'numbers_all']) v (view)
                cross join (values
                    ('state_since',
                     'Since when the number has been in its state, whatever its reasons; example: 2026-03-01 12:05:00+03'),
                    ('state_since_earliest',
                     'The number came into its state after this time and no later than state_since; null if the '
                     'account''s first non-empty response had it so; example: 2026-03-01 12:00:00+03'),
                    ('reason_since',
                     'Since when it has had its state for its present reason; not before state_since; '
                     'example: 2026-03-08 09:00:00+03'),
                    ('reason_since_earliest',
                     'That began after this time and no later than reason_since; null if the account''s first non-empty '
                     'response had it so; example: 2026-03-08 08:55:00+03')) c (name, comment) loop
        execute format('comment on column analytics.%I.%I is %L', one.view, one.name, one.comment);
    end loop;
end
$$;
comment on column analytics.numbers_all.retired_at is
    'Since when its account has been in no configuration and is not polled; null while it is configured; '
    'example: 2026-07-01 10:00:00+03';
comment on column analytics.state_history.state_since is
    'Since when the number was in this state without a break, whatever its reasons; not after valid_from; '
    'example: 2026-03-01 12:05:00+03';
comment on column analytics.state_history.state_since_earliest is
    'It came into the state after this time; null if the account''s first non-empty response had it so; '
    'example: 2026-03-01 12:00:00+03';
comment on column analytics.state_history.to_state is
    'The state after the period, also if it is the same and only the reason changed; null while the period is open or if '
    'the number was removed; example: active';
comment on column analytics.state_history.ended_by is
    'How the period ended: changed, or removed, with its number; null while it is open; example: changed';
comment on view analytics.state_spells is
    'A row for each unbroken stay of a number in one state, whatever its reasons: to count locks and to measure how long '
    'they last; example: select number_now, valid_from, duration_seconds from analytics.state_spells '
    'where state = ''debt_lock'' order by duration_seconds desc';
do $$
declare
    one record;
begin
    -- As in state_history, where a column means the same.
    for one in select a.attname, col_description('analytics.state_history'::regclass, h.attnum) as comment
                 from pg_attribute a
                 join pg_attribute h on h.attrelid = 'analytics.state_history'::regclass and h.attname = a.attname
                where a.attrelid = 'analytics.state_spells'::regclass and a.attnum > 0 loop
        execute format('comment on column analytics.state_spells.%I is %L', one.attname, one.comment);
    end loop;
end
$$;
comment on column analytics.state_spells.number_now is
    'The phone number as it is now, whatever it was then; example: 79208547433';
comment on column analytics.state_spells.first_reason is
    'The reason when the number came into the state; example: долг';
comment on column analytics.state_spells.last_reason is
    'The reason when it left the state, or now; example: долг';
comment on column analytics.state_spells.valid_from is
    'When the number came into the state: when that was first seen; example: 2026-03-01 12:05:00+03';
comment on column analytics.state_spells.valid_to is
    'When it left the state or was removed; null if it is still in it; example: 2026-03-08 09:00:00+03';
comment on column analytics.state_spells.is_current is 'Whether the number is in this state now; example: false';
comment on column analytics.state_spells.duration_seconds is
    'Time in the state, until observed_until of the account if it has not ended, in seconds; example: 86400';
comment on column analytics.state_spells.began_by is
    'How the number came into the state: created or restored, with the number itself, or changed, from another state; '
    'example: changed';
comment on column analytics.state_spells.from_state is
    'The state before it; null unless began_by is changed; example: active';
comment on column analytics.state_spells.ended_by is
    'How it left the state: changed, to another one, or removed, with its number; null if it has not; example: changed';
comment on column analytics.state_spells.to_state is
    'The state after it; null if it has not ended or the number was removed; example: active';
comment on column analytics.state_spells.changed_after is
    'The number came into the state after this time and no later than valid_from; null if the account''s first non-empty '
    'response had it so; example: 2026-03-01 12:00:00+03';
comment on column analytics.state_spells.closed_after is
    'It left the state after this time and no later than valid_to; null if it has not; example: 2026-03-08 08:55:00+03';
comment on column analytics.state_spells.closed_run_id is
    'The run that saw that it had left the state; null if it has not; example: 812';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.state_spells to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.state_spells, syncer.account_known to syncer_daemon;
    end if;
end
$$;
