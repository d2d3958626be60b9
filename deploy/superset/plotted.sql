-- What each chart of the English dashboard should plot, from the rows of the history and not from the views of days, months,
-- spells and changes that the datasets use. In the order of the chart's columns; zeros are expected where a chart has them.
-- Numbers that count until now grow while the charts are drawn.
create temp view account as
select account_id, account, time_zone, observed_until, retired_at,
       (observed_until at time zone time_zone)::date as last_day from analytics.accounts;

create temp view version as
select h.account_id, h.account, h.number_key, n.number as number_now, h.number, coalesce(h.region, 'no region') as region,
       coalesce(t.title_en, h.type, 'no type') as type, h.state, coalesce(s.title_en, 'undocumented: ' || h.state) as title,
       coalesce(h.reason, '') as reason, h.valid_from, h.valid_to, h.changed_after, h.closed_after, a.time_zone,
       h.valid_from at time zone a.time_zone as local_from, h.valid_to at time zone a.time_zone as local_to,
       a.observed_until, n.removed_at, to_jsonb(h) as record,
       lag(h.valid_to) over life = h.valid_from as continues, lag(h.state) over life as state_before,
       lag(to_jsonb(h)) over life as record_before, row_number() over life = 1 as is_first,
       lead(h.valid_from) over life = h.valid_to as is_continued
  from analytics.number_history h
  join account a using (account_id)
  join analytics.numbers_all n using (number_key)
  left join analytics.types t on t.type = h.type
  left join analytics.states s on s.state = h.state
window life as (partition by h.number_key order by h.valid_from);

-- A stay in a state: versions that follow each other at once in the same state.
create temp view stay as
with grouped as (
    select *, count(*) filter (where not coalesce(continues and state = state_before, false))
                  over (partition by number_key order by valid_from) as stay
      from version
)
select number_key, number_now as number, account, state, title, min(valid_from) as valid_from, min(local_from) as since,
       case when bool_and(valid_to is not null) then max(local_to) end as until,
       case when bool_and(valid_to is not null) then max(valid_to) end as valid_to,
       extract(epoch from coalesce(case when bool_and(valid_to is not null) then max(valid_to) end,
                                   max(observed_until)) - min(valid_from)) / 86400 as days,
       (array_agg(reason order by valid_from desc))[1] as reason, (array_agg(region order by valid_from))[1] as region,
       (array_agg(type order by valid_from))[1] as type,
       (array_agg(coalesce(continues, false) order by valid_from))[1] as follows,
       (array_agg(is_first order by valid_from))[1] as is_first,
       (array_agg(changed_after is null order by valid_from))[1] as from_first_poll,
       (array_agg(coalesce(is_continued, false) order by valid_from desc))[1] as is_followed
  from grouped
 group by number_key, number_now, account, state, title, stay;

create temp view lock as
select * from stay where state = 'debt_lock' and follows and since >= current_date - 180;

create temp view period_day as
select a.account_id, each::date as day, least((each + interval '1 day') at time zone a.time_zone, a.observed_until) as ends
  from account a
 cross join lateral generate_series((select min(local_from)::date::timestamp from version v
                                      where v.account_id = a.account_id),
                                    a.last_day::timestamp, interval '1 day') each;

create temp view level as
select d.account_id, d.day, v.state, v.title, v.region, v.type, count(*)::integer as numbers
  from period_day d
  join version v on v.account_id = d.account_id and v.valid_from < d.ends and (v.valid_to is null or v.valid_to >= d.ends)
 where current_setting('syncer.region') in (v.region, '')
 group by 1, 2, 3, 4, 5, 6;

create temp view listed as
select n.*, coalesce(n.region, 'no region') as area, coalesce(n.type_title_en, n.type, 'no type') as kind,
       coalesce(s.title_en, 'undocumented: ' || n.state) as title, a.time_zone, a.observed_until
  from analytics.numbers_all n
  join account a using (account_id)
  left join analytics.states s on s.state = n.state
 where n.removed_at is null and a.retired_at is null;

create temp view flow as
select v.account_id, v.number_key, v.number_now, v.region, v.type, v.local_from, v.state, v.state_before,
       v.title, coalesce(b.title_en, 'undocumented: ' || v.state_before) as title_before
  from version v
  left join analytics.states b on b.state = v.state_before
 where v.continues and v.state <> v.state_before and current_setting('syncer.region') in (v.region, '');

create temp view coming as
select number_key, number_now, local_from as at, case when is_first then 'Number added' else 'Number returned' end as kind, 1 as step
  from version where not coalesce(continues, false) and changed_after is not null
 union all
select number_key, number_now, local_to, 'Number removed', -1
  from version where valid_to is not null and not coalesce(is_continued, false);

create temp view redirect_move as
select r.number_key, n.number, r.valid_from at time zone a.time_zone as at, 'Redirect added' as kind, 1 as step, r.redirect_from
  from analytics.redirect_history r
  join account a using (account_id)
  join analytics.numbers_all n using (number_key)
 where r.changed_after is not null
 union all
select r.number_key, n.number, r.valid_to at time zone a.time_zone, 'Redirect removed', -1, r.redirect_from
  from analytics.redirect_history r
  join account a using (account_id)
  join analytics.numbers_all n using (number_key)
 where r.valid_to is not null;

-- Where the calls of a number end up: at the last number of the chain.
create temp view chain as
with recursive link as (
    select r.account_id, r.redirect_from, r.redirect_from_key, r.number_key, l.number, l.state, l.title, l.area
      from analytics.redirect_history r
      join listed l using (number_key)
     where r.valid_to is null
), way as (
    select number_key as last_key, state, title, area as region, redirect_from || ' → ' || number as path from link
     union all
    select k.number_key, k.state, k.title, k.area, w.path || ' → ' || k.number
      from way w
      join link k on k.redirect_from_key = w.last_key and position(k.number in w.path) = 0
)
select * from way where not exists (select from link where redirect_from_key = way.last_key);

-- What an employee or a group was called, as the charts show it: by the version that ends first after a time.
create function pg_temp.named(of_account integer, of_list text, id text, moment timestamptz) returns text
language sql stable as $$
    select case when id is null then '' else coalesce(min(name) || ' (', '') || id || case when min(name) is null then '' else ')' end end
      from (select h.name from analytics.name_history h
             where h.account_id = of_account and h.list = of_list and h.object_id = id::bigint
               and (h.valid_to > moment or h.valid_to is null)
             order by h.valid_to limit 1) first
$$;

-- Versions that follow each other at once with the same employee, who has the name of the last one's end.
create temp view assignment as
with marked as (
    select *, record ->> 'employee_id' as employee_id,
           count(*) filter (where not (coalesce(continues, false)
                                       and record -> 'employee_id' is not distinct from record_before -> 'employee_id'))
               over (partition by number_key order by valid_from) as part
      from version
)
select number_key, number_now as number, min(local_from) as since,
       case when bool_and(valid_to is not null) then pg_temp.named(account_id, 'employees', employee_id, max(valid_to) - interval '1 us')
            else pg_temp.named(account_id, 'employees', employee_id, 'infinity') end as employee,
       case when bool_and(valid_to is not null) then max(local_to) end as until,
       extract(epoch from coalesce(case when bool_and(valid_to is not null) then max(valid_to) end, max(observed_until))
                          - min(valid_from)) / 86400 as days,
       (array_agg(region order by valid_from))[1] as region, (array_agg(type order by valid_from))[1] as type
  from marked
 where employee_id is not null
 group by account_id, number_key, number_now, employee_id, part;

create temp view field (name, title) as
values ('number', 'Number'), ('comment', 'Comment'), ('type', 'Type'), ('purpose', 'Purpose'), ('state', 'State'), ('reason', 'Reason'),
       ('scenario_id', 'Scenario'), ('group_scenario_id', 'Group''s scenario'), ('group_id', 'Group'),
       ('is_scenario_active', 'Scenario is active'), ('is_group_scenario_active', 'Group''s scenario is active'),
       ('employee_id', 'Employee'), ('dgn_number', 'Paired landline (ДГН)'), ('redirect_number', 'Redirected to'),
       ('region', 'Region'), ('app_id', 'app_id'), ('nc_type', 'nc_type'), ('sip_uri', 'SIP URI');

create temp view word (field, value, title) as
select 'state', state, title_en from analytics.states
 union all
select 'type', type, title_en from analytics.types
 union all
select 'purpose', purpose, title_en from analytics.purposes;

create temp view edit as
select v.number_key, v.number_now as number, v.local_from as at,
       case when f.name in ('state', 'reason') then 'State or reason' else 'Other field' end as kind, f.title as field,
       case when l.list is not null then pg_temp.named(v.account_id, l.list, v.record_before ->> f.name, v.valid_from)
            else coalesce(o.title, v.record_before ->> f.name, '') end as old_value,
       case when l.list is not null then pg_temp.named(v.account_id, l.list, v.record ->> f.name, v.valid_from)
            else coalesce(w.title, v.record ->> f.name, '') end as new_value
  from version v
 cross join field f
  left join (values ('employee_id', 'employees'), ('group_id', 'groups')) as l (field, list) on l.field = f.name
  left join word o on o.field = f.name and o.value = v.record_before ->> f.name
  left join word w on w.field = f.name and w.value = v.record ->> f.name
 where v.continues and v.record -> f.name is distinct from v.record_before -> f.name
 union all
select v.number_key, v.number_now, v.local_from, case when v.is_first then 'Number added' else 'Number returned' end, 'State',
       coalesce(o.title, v.state_before, ''), coalesce(w.title, v.state)
  from version v
  left join word o on o.field = 'state' and o.value = v.state_before
  left join word w on w.field = 'state' and w.value = v.state
 where not coalesce(v.continues, false) and v.changed_after is not null
 union all
select number_key, number_now, at, kind, null, '', '' from coming where kind = 'Number removed'
 union all
select number_key, number, at, kind, 'Redirect from', case step when -1 then redirect_from else '' end,
       case step when 1 then redirect_from else '' end
  from redirect_move;

create temp view change as
select e.*, v.region, v.type
  from edit e
 cross join lateral (select * from version v where v.number_key = e.number_key and v.local_from <= e.at
                      order by v.local_from desc limit 1) v
 where e.at >= current_date - 180;

create temp view poll as
select r.*, r.started_at at time zone a.time_zone as at from analytics.runs r join account a using (account_id)
 where r.started_at at time zone a.time_zone >= current_date - 180;

create temp view month as
select account_id, month::date as month, month at time zone time_zone as begins,
       least((month + interval '1 month') at time zone time_zone, observed_until) as ends
  from account
 cross join lateral generate_series((select date_trunc('month', min(local_from)) from version v
                                      where v.account_id = account.account_id),
                                    date_trunc('month', last_day::timestamp), interval '1 month') month
 where month >= current_date - 180;

-- chart numbers_now
select count(*) from listed
-- chart active_share
select count(*) filter (where state = 'active')::numeric / nullif(count(*), 0) from listed
-- chart locked_now
select count(*) from listed where state = 'debt_lock'
-- chart frozen_now
select count(*) from listed where state = 'freeze'
-- chart numbers_trend
select sum(numbers) filter (where day = last_day) - sum(numbers) filter (where day = last_day - 30) from level join account using (account_id)
-- chart active_trend
select sum(numbers) filter (where day = last_day) - sum(numbers) filter (where day = last_day - 30)
  from level join account using (account_id) where state = 'active'
-- chart locked_trend
select sum(numbers) filter (where day = last_day) - sum(numbers) filter (where day = last_day - 30)
  from level join account using (account_id) where state = 'debt_lock'
-- chart frozen_trend
select sum(numbers) filter (where day = last_day) - sum(numbers) filter (where day = last_day - 30)
  from level join account using (account_id) where state = 'freeze'
-- chart not_active_by_day
select d.day, s.title, coalesce(sum(l.numbers), 0)
  from period_day d
 cross join (select distinct state, title from version where state <> 'active') s
  left join level l on l.account_id = d.account_id and l.day = d.day and l.state = s.state
 where d.day >= current_date - 180
 group by 1, 2
-- chart states_now
select title, count(*) from listed group by 1
-- chart types
select kind, title, count(*) from listed group by 1, 2
-- chart regions
select area, title, count(*) from listed group by 1, 2
-- chart age, grows by 1 a minute
select max(extract(epoch from now() - r.started_at)) / 60 from analytics.runs r
 where r.run_id = (select max(run_id) from analytics.runs where outcome in ('applied', 'unchanged'))
-- chart accounts, grows by 1 a minute
select a.account, case when a.retired_at is null then 'is polled' else 'polled no more' end, s.started_at at time zone a.time_zone,
       extract(epoch from now() - s.started_at) / 60,
       case l.outcome when 'unchanged' then 'Unchanged' when 'applied' then 'Changes applied' when 'failed' then 'Failed' end,
       (select count(*) from analytics.numbers_all n
         where n.account_id = a.account_id and n.missing_since is not null and n.removed_at is null),
       (select count(*) from analytics.rejected_records r where r.account_id = a.account_id), coalesce(l.error, '')
  from account a
 cross join lateral (select * from analytics.runs r where r.account_id = a.account_id and outcome in ('applied', 'unchanged')
                      order by run_id desc limit 1) s
 cross join lateral (select * from analytics.runs r where r.account_id = a.account_id order by run_id desc limit 1) l
-- chart months, grows by 0.0001 a minute
select to_char(m.month, 'YYYY-MM'),
       (select count(*) from version v where v.account_id = m.account_id and v.valid_from < m.begins
                                         and (v.valid_to is null or v.valid_to >= m.begins))
           + (select count(*) from version v where v.account_id = m.account_id and v.is_first and v.changed_after is null
                                               and v.valid_from >= m.begins and v.valid_from < m.ends),
       (select count(*) from coming c where c.kind = 'Number added' and date_trunc('month', c.at) = m.month),
       (select count(*) from coming c where c.kind = 'Number returned' and date_trunc('month', c.at) = m.month),
       -(select count(*) from coming c where c.kind = 'Number removed' and date_trunc('month', c.at) = m.month),
       (select coalesce(sum(step), 0) from coming c where date_trunc('month', c.at) = m.month),
       (select count(*) from version v where v.account_id = m.account_id and v.valid_from < m.ends
                                         and (v.valid_to is null or v.valid_to >= m.ends)),
       (select count(*) from flow f where f.state = 'debt_lock' and date_trunc('month', f.local_from) = m.month),
       (select count(*) from flow f where f.state_before = 'debt_lock' and date_trunc('month', f.local_from) = m.month),
       (select sum(extract(epoch from least(v.valid_to, m.ends) - greatest(v.valid_from, m.begins))) filter (where v.state = 'active')
               / sum(extract(epoch from least(v.valid_to, m.ends) - greatest(v.valid_from, m.begins)))
          from version v where v.account_id = m.account_id and v.valid_from < m.ends and (v.valid_to is null or v.valid_to > m.begins))
  from month m
-- chart net_growth
select to_char(m.month, 'YYYY-MM'), s.series,
       (select coalesce(sum(c.step), 0) from coming c where c.kind = s.kind and date_trunc('month', c.at) = m.month)
  from month m
 cross join (values ('arrived_numbers', 'Number added'), ('returned_numbers', 'Number returned'), ('removed_numbers', 'Number removed'))
            as s (series, kind)
-- chart availability, grows by 0.0001 a minute
select to_char(m.month, 'YYYY-MM'),
       sum(extract(epoch from least(v.valid_to, m.ends) - greatest(v.valid_from, m.begins))) filter (where v.state = 'active')
       / sum(extract(epoch from least(v.valid_to, m.ends) - greatest(v.valid_from, m.begins)))
  from month m
  join version v on v.account_id = m.account_id and v.valid_from < m.ends and (v.valid_to is null or v.valid_to > m.begins)
 group by 1
-- chart locks_by_month
select to_char(m.month, 'YYYY-MM'), 'locks_begun', (select count(*) from flow where state = 'debt_lock' and date_trunc('month', local_from) = m.month)
  from month m
 union all
select to_char(m.month, 'YYYY-MM'), 'locks_ended', (select count(*) from flow where state_before = 'debt_lock' and date_trunc('month', local_from) = m.month)
  from month m
-- chart durations
select to_char(date_trunc('month', until), 'YYYY-MM'), count(*), percentile_cont(0.5) within group (order by days),
       percentile_cont(0.95) within group (order by days)
  from stay
 where state = 'debt_lock' and is_followed and not from_first_poll and date_trunc('month', until) >= current_date - 180
 group by 1
-- chart states_by_month
select to_char(d.day, 'YYYY-MM'), s.title, coalesce(sum(l.numbers), 0)
  from period_day d
  join account a using (account_id)
 cross join (select distinct state, title from version) s
  left join level l on l.account_id = d.account_id and l.day = d.day and l.state = s.state
 where d.day >= current_date - 180 and (date_part('day', d.day + 1) = 1 or d.day = a.last_day)
 group by 1, 2
-- chart days
select day, sum(numbers), coalesce(sum(numbers) filter (where state = 'active'), 0),
       coalesce(sum(numbers) filter (where state = 'debt_lock'), 0), coalesce(sum(numbers) filter (where state = 'freeze'), 0),
       coalesce(sum(numbers) filter (where state not in ('active', 'debt_lock', 'freeze')), 0)
  from level where day >= current_date - 180 group by 1
-- chart longest_now, grows by 0.0007 a minute
select max(days) from stay where state = 'debt_lock' and valid_to is null
-- chart blocked_now, grows by 0.0007 a minute
select number, account, region, type, title, reason, since, days from stay where state in ('debt_lock', 'freeze') and valid_to is null
-- chart locks
select count(*) from lock
-- chart numbers_locked
select count(distinct number_key) from lock
-- chart mean_lock
select avg(days) from lock where is_followed
-- chart blocked_by_day
select d.day, s.title, coalesce(sum(l.numbers), 0)
  from period_day d
 cross join (select distinct state, title from version where state in ('debt_lock', 'freeze')) s
  left join level l on l.account_id = d.account_id and l.day = d.day and l.state = s.state
 where d.day >= current_date - 180
 group by 1, 2
-- chart lengths
select (array['30+', '14–30', ' 7–14', '  3–7', '  1–3', '  0–1'])[width_bucket(-days, array[-30, -14, -7, -3, -1]::numeric[]) + 1],
       title, count(*)
  from stay where state in ('debt_lock', 'freeze') and follows and since >= current_date - 180 group by 1, 2
-- chart again_and_again, grows by 0.0007 a minute
select number, count(*), sum(days), max(days) from lock group by 1
-- chart days_of_month
select n, (select count(*) from flow where state = 'debt_lock' and extract(day from local_from) = n and local_from >= current_date - 180)
  from generate_series(1, 31) n
-- chart transitions
select title, title_before, count(*) from flow where local_from >= current_date - 180 group by 1, 2
-- chart blocks_by_region
select region, title, count(*) from stay where state in ('debt_lock', 'freeze') and follows and since >= current_date - 180 group by 1, 2
-- chart arrived
select count(*) from coming where kind = 'Number added' and at >= current_date - 180
-- chart returned
select count(*) from coming where kind = 'Number returned' and at >= current_date - 180
-- chart removed
select count(*) from coming where kind = 'Number removed' and at >= current_date - 180
-- chart state_changes
select count(*) from flow where local_from >= current_date - 180
-- chart redirects_added
select count(*) from redirect_move where step = 1 and at >= current_date - 180
-- chart redirects_removed
select count(*) from redirect_move where step = -1 and at >= current_date - 180
-- chart arrivals_and_removals
select w.week, s.series, coalesce(sum(c.step), 0)
  from (select distinct date_trunc('week', at) as week from coming where at >= current_date - 180) w
 cross join (values ('arrived_numbers', 'Number added'), ('returned_numbers', 'Number returned'),
                    ('removed_numbers', 'Number removed')) as s (series, kind)
  left join coming c on c.kind = s.kind and date_trunc('week', c.at) = w.week and c.at >= current_date - 180
 group by 1, 2
-- chart redirects_by_week
select w.week, s.series, coalesce(sum(m.step), 0)
  from (select distinct date_trunc('week', at) as week from redirect_move where at >= current_date - 180) w
 cross join (values ('redirects_added', 1), ('redirects_removed', -1)) as s (series, step)
  left join redirect_move m on m.step = s.step and date_trunc('week', m.at) = w.week and m.at >= current_date - 180
 group by 1, 2
-- chart feed
select at, number, region, type, kind, field, old_value, new_value from change where at >= current_date - 1
-- chart fields
select field, kind, count(*) from change where kind in ('State or reason', 'Other field') and at >= current_date - 7
 group by 1, 2
-- chart busiest
select number_now, region, type, count(*) from version where changed_after is not null and local_from >= current_date - 30
 group by 1, 2, 3
-- chart register
select l.number, l.account, l.area, l.kind, coalesce(l.purpose_title_en, l.purpose, ''), l.title, coalesce(l.reason, ''),
       s.since, pg_temp.named(l.account_id, 'employees', l.employee_id::text, 'infinity'), coalesce(l.redirect_number, ''),
       case when l.redirect_number is null then '' when o.number is null then 'not one of these numbers' else o.title end,
       (select count(*) from analytics.redirect_history r where r.number_key = l.number_key and r.valid_to is null),
       coalesce(l.comment, '')
  from listed l
  join stay s on s.number_key = l.number_key and s.valid_to is null
  left join listed o on o.account_id = l.account_id and o.number = l.redirect_number
-- chart no_redirect
select count(*) from listed l
 where l.redirect_number is null
   and not exists (select from analytics.redirect_history r
                    where r.account_id = l.account_id and r.redirect_from_key = l.number_key and r.valid_to is null)
-- chart dead_redirect
select count(*) from chain where state <> 'active'
-- chart dead_redirects
select c.path, c.title, s.since, c.region from chain c join stay s on s.number_key = c.last_key and s.valid_to is null
 where c.state <> 'active'
-- chart assignments
select at, number, region, type, old_value, new_value from change
 where kind = 'Other field' and field = 'Employee' and at >= current_date - 7
-- chart employees
select pg_temp.named(account_id, 'employees', employee_id::text, 'infinity'), count(*), count(*) filter (where state <> 'active'), count(*) filter (where state = 'debt_lock')
  from listed where employee_id is not null group by 1
-- chart life, grows by 0.0007 a minute
select number, title, reason, since, until, days,
       case when from_first_poll then 'Already so at the first poll' when follows then 'Change'
            when is_first then 'Number added' else 'Number returned' end,
       case when valid_to is null then 'Still lasts' when not is_followed then 'Number removed'
            else '→ ' || (select f.title from flow f where f.number_key = stay.number_key and f.local_from = stay.until) end
  from stay where since >= current_date - 180
-- chart life_changes
select at, number, kind, field, old_value, new_value from change
-- chart life_employees, grows by 0.0007 a minute
select number, employee, since, until, days from assignment
-- chart life_redirects, grows by 0.0007 a minute
select n.number, r.redirect_from, r.valid_from at time zone a.time_zone, r.valid_to at time zone a.time_zone,
       extract(epoch from coalesce(r.valid_to, a.observed_until) - r.valid_from) / 86400
  from analytics.redirect_history r
  join account a using (account_id)
  join analytics.numbers_all n using (number_key)
-- chart successful_polls
select count(*) filter (where outcome in ('applied', 'unchanged'))::numeric / nullif(count(*), 0) from poll where outcome <> 'running'
-- chart days_seen
select count(distinct p.at::date) filter (where p.outcome in ('applied', 'unchanged'))::numeric / nullif(count(distinct d.day), 0)
  from period_day d
  left join poll p on p.account_id = d.account_id and p.at::date = d.day
 where d.day >= current_date - 180
-- chart held_now
select count(*) from analytics.numbers_all where missing_since is not null and removed_at is null
-- chart rejected_now
select count(*) from analytics.rejected_records
-- chart polls_by_day
select d.day, s.series, count(*) filter (where (p.outcome = 'failed') = s.failed)
  from period_day d
 cross join (values ('successful_polls', false), ('failed_polls', true)) as s (series, failed)
  left join poll p on p.account_id = d.account_id and p.at::date = d.day
 where d.day >= current_date - 180
 group by 1, 2
-- chart gaps, grows by 0.017 a minute
select d.day, a.account, (select count(*) from poll p where p.account_id = d.account_id and p.at::date = d.day),
       (select count(*) from poll p where p.account_id = d.account_id and p.at::date = d.day and p.outcome = 'failed'),
       (select max(extract(epoch from later - earlier)) / 3600
          from (select moment as earlier, lead(moment) over (order by moment) as later
                  from (select p.started_at as moment from poll p
                         where p.account_id = d.account_id and p.at::date = d.day and p.outcome in ('applied', 'unchanged')
                         union all
                        select greatest(d.day::timestamp at time zone a.time_zone, (select min(started_at) from poll))
                         union all
                        select d.ends) moments) gaps)
  from period_day d
  join account a using (account_id)
 where d.day >= current_date - 180
-- chart held_by_day
select at::date, account, max(held) from poll where held > 0 group by 1, 2
-- chart failures
select case error_kind when 'http_status' then 'Another HTTP status' when 'not_json' then 'Response is not JSON' end, http_status,
       count(*), max(at)
  from poll where outcome = 'failed' group by 1, 2
-- chart absences, grows by 0.017 a minute
select n.number, a.account, v.region, v.type, h.missing_since at time zone a.time_zone, h.ended_at at time zone a.time_zone,
       extract(epoch from h.ended_at - h.missing_since) / 3600,
       case h.ended_by when 'removed' then 'Number removed' else 'Number listed again' end
  from syncer.absence_history h
  join account a using (account_id)
  join analytics.numbers_all n using (account_id, virtual_number_id)
 cross join lateral (select * from version v where v.number_key = n.number_key and v.valid_from < h.missing_since
                      order by v.valid_from desc limit 1) v
 where h.missing_since at time zone a.time_zone >= current_date - 180
 union all
select l.number, l.account, l.area, l.kind, l.missing_since at time zone l.time_zone, null,
       extract(epoch from l.observed_until - l.missing_since) / 3600, 'Still missing'
  from listed l
 where l.missing_since at time zone l.time_zone >= current_date - 180
-- chart rejected_records
select r.number, r.error, r.first_seen_at at time zone a.time_zone, r.last_seen_at at time zone a.time_zone, r.occurrences,
       replace(left(r.payload, 300), ',"', ', "')
  from analytics.rejected_records r
  join account a using (account_id)
