-- What 0016_down.sql reverts. A title in English and in Russian beside each code of the views, and a cursor of the feed
-- that identifies its runs.

-- Titles --------------------------------------------------------------------------------------------------------------

-- Of the program's codes, in English and in Russian; those of the vendor's codes are in its lookup tables. Functions, so
-- that nothing is joined: the planner puts their text in their place.
create function syncer.kind_title(kind text) returns text[] language sql immutable parallel safe
return case kind
    when 'created' then array['Number added', 'Номер появился']
    when 'changed' then array['Other field', 'Другое поле']
    when 'state' then array['State or reason', 'Состояние или причина']
    when 'removed' then array['Number removed', 'Номер удалён']
    when 'restored' then array['Number returned', 'Номер вернулся']
    when 'redirect_opened' then array['Redirect added', 'Переадресация добавлена']
    when 'redirect_closed' then array['Redirect removed', 'Переадресация снята']
end;

create function syncer.field_title(field text) returns text[] language sql immutable parallel safe
return case field
    when 'number' then array['Number', 'Номер']
    when 'comment' then array['Comment', 'Комментарий']
    when 'type' then array['Type', 'Тип']
    when 'purpose' then array['Purpose', 'Назначение']
    when 'state' then array['State', 'Состояние']
    when 'reason' then array['Reason', 'Причина']
    when 'scenario_id' then array['Scenario', 'Сценарий']
    when 'group_scenario_id' then array['Group''s scenario', 'Сценарий группы']
    when 'group_id' then array['Group', 'Группа']
    when 'is_scenario_active' then array['Scenario is active', 'Сценарий включён']
    when 'is_group_scenario_active' then array['Group''s scenario is active', 'Сценарий группы включён']
    when 'employee_id' then array['Employee', 'Сотрудник']
    when 'dgn_number' then array['Paired landline (ДГН)', 'ДГН']
    when 'redirect_number' then array['Redirected to', 'Переадресация на']
    when 'region' then array['Region', 'Регион']
    when 'app_id' then array['app_id', 'app_id']
    when 'nc_type' then array['nc_type', 'nc_type']
    when 'sip_uri' then array['SIP URI', 'SIP URI']
    when 'from_redirect_numbers' then array['Redirect from', 'Переадресация с']
end;

create function syncer.began_by_title(began_by text) returns text[] language sql immutable parallel safe
return case began_by
    when 'created' then array['Number added', 'Номер появился']
    when 'restored' then array['Number returned', 'Номер вернулся']
    when 'changed' then array['Change', 'Изменение']
end;

create function syncer.ended_by_title(ended_by text) returns text[] language sql immutable parallel safe
return case ended_by
    when 'changed' then array['Change', 'Изменение']
    when 'removed' then array['Number removed', 'Номер удалён']
    when 'returned' then array['Number listed again', 'Номер снова в списке']
end;

create function syncer.trigger_title(trigger text) returns text[] language sql immutable parallel safe
return case trigger
    when 'schedule' then array['Schedule', 'Расписание']
    when 'command' then array['Command', 'Команда']
    when 'accept_removals' then array['Command that accepts removals', 'Команда, принимающая удаления']
end;

create function syncer.outcome_title(outcome text) returns text[] language sql immutable parallel safe
return case outcome
    when 'running' then array['Running', 'Выполняется']
    when 'applied' then array['Changes applied', 'Изменения записаны']
    when 'unchanged' then array['Unchanged', 'Без изменений']
    when 'failed' then array['Failed', 'Сбой']
    when 'superseded' then array['Superseded', 'Вытеснен более новым']
    when 'abandoned' then array['Abandoned', 'Прерван']
end;

create function syncer.error_kind_title(error_kind text) returns text[] language sql immutable parallel safe
return case error_kind
    when 'unauthorized' then array['The token is not valid', 'Неверный токен']
    when 'forbidden' then array['Access denied', 'Доступ запрещён']
    when 'rate_limited' then array['Too many requests', 'Слишком много запросов']
    when 'http_status' then array['Another HTTP status', 'Другой код HTTP']
    when 'timeout' then array['Timeout', 'Время ожидания истекло']
    when 'network' then array['No connection', 'Нет связи']
    when 'tls' then array['Certificate', 'Сертификат']
    when 'too_large' then array['Response too large', 'Слишком большой ответ']
    when 'not_json' then array['Response is not JSON', 'Ответ не JSON']
    when 'not_an_array' then array['Response is not a list of records', 'Ответ — не список записей']
    when 'wrong_account' then array['Token of another account', 'Токен другого Личного кабинета']
    when 'database' then array['Database', 'База данных']
    when 'internal' then array['Fault of the program', 'Ошибка программы']
end;

-- Views ---------------------------------------------------------------------------------------------------------------

-- The titles come last; the rest is as in 0008, 0011, 0012 and 0013, which say why. What a number was then is in one of two
-- versions: its titles are joined to each, as its region is, so that PostgreSQL 15 leaves out what nobody asks for.
create or replace view analytics.number_history as
select v.account_id, k.account, v.virtual_number_id, v.number,
       v.account_id || ':' || v.virtual_number_id as number_key, analytics.e164(v.number) as e164,
       v.comment, v.type, v.purpose, v.state, v.reason, v.scenario_id, v.group_scenario_id, v.group_id,
       v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number, v.region_id,
       r.name as region, v.app_id, v.nc_type, v.sip_uri,
       v.valid_from, v.valid_to, v.valid_to is null as is_current, v.changed_after, v.closed_after, v.run_id,
       v.closed_run_id, n.number as number_now, t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru,
       s.title_en as state_title_en, s.title_ru as state_title_ru,
       greatest(extract(epoch from coalesce(v.valid_to, k.known_until) - v.valid_from), 0) as duration_seconds,
       syncer.local_day(v.valid_from, z.zone) as began_day, v.began_by, v.ended_by,
       (syncer.began_by_title(v.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(v.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(v.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(v.ended_by))[2] as ended_by_title_ru
  from syncer.number_version v
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account_known k using (account_id)
  left join syncer.account_zone z on z.account_id = v.account_id::bigint
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  left join syncer.number_state s on s.state = v.state
  left join syncer.region r on r.region_id = v.region_id;

create or replace view analytics.state_history as
select h.account_id, k.account, h.virtual_number_id,
       case when n.changed_at = h.valid_from then n.number else v.number end as number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.state, s.title_en as state_title_en, s.title_ru as state_title_ru, h.reason,
       h.valid_from, h.valid_to, h.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(h.valid_to, k.known_until) - h.valid_from), 0) as duration_seconds,
       h.changed_after, h.closed_after, h.run_id, h.closed_run_id, h.state_since, h.state_since_earliest, h.to_state,
       h.ended_by, n.number as number_now,
       case when n.changed_at = h.valid_from then n.type else v.type end as type,
       case when n.changed_at = h.valid_from then n.purpose else v.purpose end as purpose,
       case when n.changed_at = h.valid_from then rn.name else rv.name end as region,
       case when n.changed_at = h.valid_from then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(h.valid_from, z.zone) as began_day,
       w.title_en as to_state_title_en, w.title_ru as to_state_title_ru,
       (syncer.ended_by_title(h.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(h.ended_by))[2] as ended_by_title_ru,
       case when n.changed_at = h.valid_from then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = h.valid_from then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = h.valid_from then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = h.valid_from then pn.title_ru else pv.title_ru end as purpose_title_ru
  from syncer.state_period h
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from = h.valid_from
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint
  left join syncer.number_state s on s.state = h.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
  left join syncer.number_state w on w.state = h.to_state
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose;

create or replace view analytics.state_spells as
with spells as (
    select *
      from (select account_id, virtual_number_id, state, reason, valid_to, closed_after, closed_run_id, state_since,
                   state_since_earliest, state_began_by, from_state, to_state, ended_by,
                   ended_by = 'removed' or to_state <> state as is_last
              from syncer.state_history
             union all
            select account_id, virtual_number_id, state, reason, null, null, null, state_since, state_since_earliest,
                   case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                        else 'restored' end, from_state, null, null, removed_at is null
              from syncer.virtual_number) periods
     where is_last
)
select s.account_id, k.account, s.virtual_number_id, n.number as number_now,
       s.account_id || ':' || s.virtual_number_id as number_key,
       s.state, t.title_en as state_title_en, t.title_ru as state_title_ru,
       case when n.changed_at = s.state_since then n.reason else v.reason end as first_reason,
       s.reason as last_reason, s.state_since as valid_from, s.valid_to, s.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(s.valid_to, k.known_until) - s.state_since), 0) as duration_seconds,
       s.state_began_by as began_by, s.from_state, s.ended_by, s.to_state,
       s.state_since_earliest as changed_after, s.closed_after, s.closed_run_id,
       case when n.changed_at = s.state_since then n.number else v.number end as number,
       case when n.changed_at = s.state_since then n.type else v.type end as type,
       case when n.changed_at = s.state_since then n.purpose else v.purpose end as purpose,
       case when n.changed_at = s.state_since then rn.name else rv.name end as region,
       case when n.changed_at = s.state_since then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(s.state_since, z.zone) as began_day,
       (syncer.began_by_title(s.state_began_by))[1] as began_by_title_en,
       (syncer.began_by_title(s.state_began_by))[2] as began_by_title_ru,
       f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       (syncer.ended_by_title(s.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(s.ended_by))[2] as ended_by_title_ru,
       w.title_en as to_state_title_en, w.title_ru as to_state_title_ru,
       case when n.changed_at = s.state_since then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = s.state_since then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = s.state_since then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = s.state_since then pn.title_ru else pv.title_ru end as purpose_title_ru
  from spells s
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = s.account_id and v.virtual_number_id = s.virtual_number_id and v.valid_from = s.state_since
  left join syncer.account_known k on k.account_id = s.account_id
  left join syncer.account_zone z on z.account_id = s.account_id::bigint
  left join syncer.number_state t on t.state = s.state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
  left join syncer.number_state f on f.state = s.from_state
  left join syncer.number_state w on w.state = s.to_state
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose;

create or replace view analytics.state_changes as
select b.account_id, k.account, b.virtual_number_id,
       case when n.changed_at = b.valid_to then n.number else v.number end as number,
       b.account_id || ':' || b.virtual_number_id as number_key,
       b.valid_to as changed_at, b.closed_after as changed_after,
       b.state as from_state, f.title_en as from_state_title_en, f.title_ru as from_state_title_ru,
       b.to_state, t.title_en as to_state_title_en, t.title_ru as to_state_title_ru,
       b.reason as from_reason, case when n.changed_at = b.valid_to then n.reason else v.reason end as to_reason,
       b.closed_run_id as run_id, n.number as number_now,
       case when n.changed_at = b.valid_to then n.type else v.type end as type,
       case when n.changed_at = b.valid_to then n.purpose else v.purpose end as purpose,
       case when n.changed_at = b.valid_to then rn.name else rv.name end as region,
       case when n.changed_at = b.valid_to then n.employee_id else v.employee_id end as employee_id,
       syncer.local_day(b.valid_to, z.zone) as changed_day,
       case when n.changed_at = b.valid_to then tn.title_en else tv.title_en end as type_title_en,
       case when n.changed_at = b.valid_to then tn.title_ru else tv.title_ru end as type_title_ru,
       case when n.changed_at = b.valid_to then pn.title_en else pv.title_en end as purpose_title_en,
       case when n.changed_at = b.valid_to then pn.title_ru else pv.title_ru end as purpose_title_ru
  from syncer.state_history b
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.virtual_number_history v
    on v.account_id = b.account_id and v.virtual_number_id = b.virtual_number_id and v.valid_from = b.valid_to
  left join syncer.account_known k on k.account_id = b.account_id
  left join syncer.account_zone z on z.account_id = b.account_id::bigint
  left join syncer.number_state f on f.state = b.state
  left join syncer.number_state t on t.state = b.to_state
  left join syncer.region rn on rn.region_id = n.region_id
  left join syncer.region rv on rv.region_id = v.region_id
  left join syncer.number_type tn on tn.type = n.type
  left join syncer.number_type tv on tv.type = v.type
  left join syncer.number_purpose pn on pn.purpose = n.purpose
  left join syncer.number_purpose pv on pv.purpose = v.purpose
 where b.ended_by = 'changed';

create or replace view analytics.redirect_history as
select d.account_id, k.account, d.virtual_number_id, v.number,
       d.account_id || ':' || d.virtual_number_id as number_key,
       d.redirect_number_id, d.number as redirect_from, o.account_id || ':' || o.virtual_number_id as redirect_from_key,
       d.valid_from, d.valid_to, d.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(d.valid_to, k.known_until) - d.valid_from), 0) as duration_seconds,
       d.changed_after, d.closed_after, d.run_id, d.closed_run_id, n.number as number_now, v.type, v.purpose,
       r.name as region, v.employee_id, syncer.local_day(d.valid_from, z.zone) as began_day,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru
  from syncer.redirect_period d
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join lateral (
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.employee_id
         from syncer.number_version v
        where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id and v.valid_from <= d.valid_from
        order by v.virtual_number_id, v.valid_from desc limit 1) v
    on v.virtual_number_id = d.virtual_number_id
  left join syncer.account_known k on k.account_id = d.account_id
  left join syncer.account_zone z on z.account_id = d.account_id::bigint
  left join syncer.region r on r.region_id = v.region_id
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose
  -- By id and number: that the ids are those of the account's own numbers is likely, and documented nowhere.
  left join syncer.virtual_number o
    on o.account_id = d.account_id and o.virtual_number_id = d.redirect_number_id and o.number = d.number;

create or replace view analytics.redirects as
select account_id, account, virtual_number_id, number, number_key, redirect_number_id, redirect_from, redirect_from_key,
       valid_from, valid_to, is_current, duration_seconds, changed_after, closed_after, run_id, number_now, type,
       purpose, region, employee_id, began_day, type_title_en, type_title_ru, purpose_title_en,
       purpose_title_ru
  from analytics.redirect_history where is_current;

create or replace view analytics.changes as
with listings as not materialized (
    select n.number as number_now, v.began_by, v.account_id, v.virtual_number_id, v.run_id, v.valid_from, v.changed_after,
           v.state, v.reason, v.number, v.comment, v.type, v.purpose, v.scenario_id, v.group_scenario_id, v.group_id,
           v.is_scenario_active, v.is_group_scenario_active, v.employee_id, v.dgn_number, v.redirect_number,
           v.region_id, v.app_id, v.nc_type, v.sip_uri
      from syncer.virtual_number_history v
      left join syncer.virtual_number n using (account_id, virtual_number_id)
     where v.began_by <> 'changed'
     union all
    select n.number, case when n.changed_at = n.first_seen_at then 'created' else 'restored' end, n.account_id,
           n.virtual_number_id, r.run_id, n.listed_since, n.changed_after,
           n.state, n.reason, n.number, n.comment, n.type, n.purpose, n.scenario_id, n.group_scenario_id, n.group_id,
           n.is_scenario_active, n.is_group_scenario_active, n.employee_id, n.dgn_number, n.redirect_number,
           n.region_id, n.app_id, n.nc_type, n.sip_uri
      from syncer.virtual_number n
      join syncer.sync_run r
        on r.account_id = n.account_id and r.run_id = n.run_id
       and n.listed_since >= r.started_at and n.listed_since <= r.finished_at
     where n.changed_at = n.listed_since and n.removed_at is null
), replacements as not materialized (
    select n.number as number_now, p.account_id, p.virtual_number_id, p.closed_run_id as run_id, p.valid_to,
           p.closed_after,
           case when n.changed_at = p.valid_to then n.state else v.state end as state,
           case when n.changed_at = p.valid_to then n.reason else v.reason end as reason,
           case when n.changed_at = p.valid_to then n.number else v.number end as number,
           case when n.changed_at = p.valid_to then n.comment else v.comment end as comment,
           case when n.changed_at = p.valid_to then n.type else v.type end as type,
           case when n.changed_at = p.valid_to then n.purpose else v.purpose end as purpose,
           case when n.changed_at = p.valid_to then n.scenario_id else v.scenario_id end as scenario_id,
           case when n.changed_at = p.valid_to then n.group_scenario_id else v.group_scenario_id end as group_scenario_id,
           case when n.changed_at = p.valid_to then n.group_id else v.group_id end as group_id,
           case when n.changed_at = p.valid_to then n.is_scenario_active else v.is_scenario_active end as is_scenario_active,
           case when n.changed_at = p.valid_to then n.is_group_scenario_active else v.is_group_scenario_active end as is_group_scenario_active,
           case when n.changed_at = p.valid_to then n.employee_id else v.employee_id end as employee_id,
           case when n.changed_at = p.valid_to then n.dgn_number else v.dgn_number end as dgn_number,
           case when n.changed_at = p.valid_to then n.redirect_number else v.redirect_number end as redirect_number,
           case when n.changed_at = p.valid_to then n.region_id else v.region_id end as region_id,
           case when n.changed_at = p.valid_to then n.app_id else v.app_id end as app_id,
           case when n.changed_at = p.valid_to then n.nc_type else v.nc_type end as nc_type,
           case when n.changed_at = p.valid_to then n.sip_uri else v.sip_uri end as sip_uri,
           p.state as former_state, p.reason as former_reason, p.number as former_number, p.comment as former_comment,
           p.type as former_type, p.purpose as former_purpose, p.scenario_id as former_scenario_id,
           p.group_scenario_id as former_group_scenario_id, p.group_id as former_group_id,
           p.is_scenario_active as former_is_scenario_active,
           p.is_group_scenario_active as former_is_group_scenario_active, p.employee_id as former_employee_id,
           p.dgn_number as former_dgn_number, p.redirect_number as former_redirect_number,
           p.region_id as former_region_id, p.app_id as former_app_id, p.nc_type as former_nc_type,
           p.sip_uri as former_sip_uri
      from syncer.virtual_number_history p
      join syncer.virtual_number n using (account_id, virtual_number_id)
      left join syncer.virtual_number_history v
        on v.account_id = p.account_id and v.virtual_number_id = p.virtual_number_id and v.valid_from = p.valid_to
     where p.ended_by = 'changed'
), begun as (
    select 'created' as kind, l.number_now, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
           l.state, l.reason, l.number, l.comment, l.type, l.purpose, l.scenario_id, l.group_scenario_id, l.group_id,
           l.is_scenario_active, l.is_group_scenario_active, l.employee_id, l.dgn_number, l.redirect_number,
           l.region_id, l.app_id, l.nc_type, l.sip_uri,
           null::text as former_state, null::text as former_reason, null::text as former_number,
           null::text as former_comment, null::text as former_type, null::text as former_purpose,
           null::bigint as former_scenario_id, null::bigint as former_group_scenario_id,
           null::bigint as former_group_id, null::boolean as former_is_scenario_active,
           null::boolean as former_is_group_scenario_active, null::bigint as former_employee_id,
           null::text as former_dgn_number, null::text as former_redirect_number, null::integer as former_region_id,
           null::bigint as former_app_id, null::text as former_nc_type, null::text as former_sip_uri
      from listings l
     where l.began_by = 'created'
     union all
    select 'restored', l.number_now, l.account_id, l.virtual_number_id, l.run_id, l.valid_from, l.changed_after,
           l.state, l.reason, l.number, l.comment, l.type, l.purpose, l.scenario_id, l.group_scenario_id, l.group_id,
           l.is_scenario_active, l.is_group_scenario_active, l.employee_id, l.dgn_number, l.redirect_number,
           l.region_id, l.app_id, l.nc_type, l.sip_uri,
           p.state, p.reason, p.number, p.comment, p.type, p.purpose, p.scenario_id, p.group_scenario_id, p.group_id,
           p.is_scenario_active, p.is_group_scenario_active, p.employee_id, p.dgn_number, p.redirect_number,
           p.region_id, p.app_id, p.nc_type, p.sip_uri
      from listings l
      -- The version that the removal ended.
     cross join lateral (select * from syncer.virtual_number_history h
                          where h.account_id = l.account_id and h.virtual_number_id = l.virtual_number_id
                            and h.valid_from < l.valid_from
                          order by h.valid_from desc limit 1) p
     where l.began_by = 'restored'
     union all
    select 'changed', * from replacements
     union all
    select 'state', * from replacements
), happened as (
    select b.account_id, b.virtual_number_id, b.number, b.number_now, b.type, b.purpose, r.name as region, b.employee_id,
           b.run_id, b.valid_from as changed_at, b.changed_after, 1 as step, b.kind, f.field, f.old_value, f.new_value,
           null::bigint as redirect_number_id
      from begun b
      left join syncer.region r on r.region_id = b.region_id
      left join syncer.region q on q.region_id = b.former_region_id
     -- Not a list of values: of these the planner leaves out the fields that nobody asks for.
     cross join lateral (
            select 'state' as field, b.former_state as old_value, b.state as new_value
             union all select 'reason', b.former_reason, b.reason
             union all select 'number', b.former_number, b.number
             union all select 'comment', b.former_comment, b.comment
             union all select 'type', b.former_type, b.type
             union all select 'purpose', b.former_purpose, b.purpose
             union all select 'scenario_id', b.former_scenario_id::text, b.scenario_id::text
             union all select 'group_scenario_id', b.former_group_scenario_id::text, b.group_scenario_id::text
             union all select 'group_id', b.former_group_id::text, b.group_id::text
             union all select 'is_scenario_active', b.former_is_scenario_active::text, b.is_scenario_active::text
             union all select 'is_group_scenario_active', b.former_is_group_scenario_active::text,
                              b.is_group_scenario_active::text
             union all select 'employee_id', b.former_employee_id::text, b.employee_id::text
             union all select 'dgn_number', b.former_dgn_number, b.dgn_number
             union all select 'redirect_number', b.former_redirect_number, b.redirect_number
             union all select 'region', q.name, r.name
             union all select 'app_id', b.former_app_id::text, b.app_id::text
             union all select 'nc_type', b.former_nc_type, b.nc_type
             union all select 'sip_uri', b.former_sip_uri, b.sip_uri) f
     where case b.kind when 'created' then f.new_value is not null
                       when 'restored' then f.old_value is not null or f.new_value is not null
                       else f.old_value is distinct from f.new_value
                            and (b.kind = 'state') = (f.field in ('state', 'reason')) end
     union all
    select h.account_id, h.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           h.closed_run_id, h.valid_to, h.closed_after, 4, 'removed', null, null, null, null
      from syncer.state_history h
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.virtual_number_history v
            where v.account_id = h.account_id and v.virtual_number_id = h.virtual_number_id and v.valid_from < h.valid_to
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = h.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     where h.ended_by = 'removed'
     union all
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id, d.run_id,
           d.valid_from, d.changed_after, 3, 'redirect_opened', 'from_redirect_numbers', null, d.number,
           d.redirect_number_id
      from syncer.redirect_period d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_from
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
     union all
    -- With the number, or with the version that began then, if the number stayed.
    select d.account_id, d.virtual_number_id, v.number, n.number, v.type, v.purpose, r.name, v.employee_id,
           d.closed_run_id, d.valid_to, d.closed_after, 2, 'redirect_closed', 'from_redirect_numbers', d.number, null,
           d.redirect_number_id
      from syncer.virtual_number_redirect_history d
      left join syncer.virtual_number n using (account_id, virtual_number_id)
      left join lateral (
           select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
                  v.purpose, v.region_id, v.employee_id
             from syncer.number_version v
            where v.account_id = d.account_id and v.virtual_number_id = d.virtual_number_id
              and v.valid_from <= d.valid_to
            order by v.virtual_number_id, v.valid_from desc limit 1) v
        on v.virtual_number_id = d.virtual_number_id
      left join syncer.region r on r.region_id = v.region_id
)
select h.account_id, k.account, h.virtual_number_id, h.number,
       h.account_id || ':' || h.virtual_number_id as number_key,
       h.run_id,
       -- Not joined: what a copy lacks are a few rows, and a join would read all runs of the account.
       (select s.finished_at from syncer.sync_run s where s.account_id = h.account_id and s.run_id = h.run_id)
           as recorded_at, h.changed_at, h.changed_after, h.kind, h.field, h.old_value, h.new_value,
       h.redirect_number_id,
       -- A number can list one redirect's id with several numbers.
       concat_ws(':', h.account_id, h.run_id, h.virtual_number_id, h.step, h.kind, h.field, h.redirect_number_id,
                 case when h.redirect_number_id is not null then coalesce(h.new_value, h.old_value) end)
           collate "C" as change_id,
       h.number_now, h.type, h.purpose, h.region, h.employee_id, syncer.local_day(h.changed_at, z.zone) as changed_day,
       (syncer.kind_title(h.kind))[1] as kind_title_en,
       (syncer.kind_title(h.kind))[2] as kind_title_ru,
       (syncer.field_title(h.field))[1] as field_title_en,
       (syncer.field_title(h.field))[2] as field_title_ru,
       -- Not joined: a part of the feed would look for what the number was then, also where nobody asks for it.
       (select t.title_en from syncer.number_type t where t.type = h.type) as type_title_en,
       (select t.title_ru from syncer.number_type t where t.type = h.type) as type_title_ru,
       (select p.title_en from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_en,
       (select p.title_ru from syncer.number_purpose p where p.purpose = h.purpose) as purpose_title_ru
  from happened h
  left join syncer.account_known k on k.account_id = h.account_id
  left join syncer.account_zone z on z.account_id = h.account_id::bigint;

create or replace view analytics.assignments as
with assignment as (
    select v.account_id, v.virtual_number_id, n.number as number_now, v.employee_id, v.valid_from as last_from, v.valid_to,
           v.closed_after, v.closed_run_id, v.ended_by
      from syncer.virtual_number_history v
      join syncer.virtual_number n using (account_id, virtual_number_id)
      left join syncer.virtual_number_history x
        on x.account_id = v.account_id and x.virtual_number_id = v.virtual_number_id and x.valid_from = v.valid_to
     where v.employee_id is not null
       and (v.ended_by = 'removed'
            or case when n.changed_at = v.valid_to then n.employee_id else x.employee_id end
               is distinct from v.employee_id)
     union all
    select account_id, virtual_number_id, number, employee_id, changed_at, null, null, null, null
      from syncer.virtual_number
     where removed_at is null and employee_id is not null
)
select e.account_id, k.account, e.virtual_number_id, f.number,
       e.account_id || ':' || e.virtual_number_id as number_key, e.employee_id,
       f.valid_from, e.valid_to, e.valid_to is null as is_current,
       greatest(extract(epoch from coalesce(e.valid_to, k.known_until) - f.valid_from), 0) as duration_seconds,
       f.changed_after, e.closed_after, f.run_id, e.closed_run_id, f.began_by, e.ended_by, e.number_now,
       f.type, f.purpose, r.name as region, syncer.local_day(f.valid_from, z.zone) as began_day,
       (syncer.began_by_title(f.began_by))[1] as began_by_title_en,
       (syncer.began_by_title(f.began_by))[2] as began_by_title_ru,
       (syncer.ended_by_title(e.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(e.ended_by))[2] as ended_by_title_ru,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru
  from assignment e
  left join lateral (
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.valid_from, v.changed_after, v.run_id, v.began_by
         from syncer.number_version v
        where v.account_id = e.account_id and v.virtual_number_id = e.virtual_number_id
          and v.valid_from > coalesce((
              select b.valid_from
                from syncer.virtual_number_history b
               where b.account_id = e.account_id and b.virtual_number_id = e.virtual_number_id
                 and b.valid_from < e.last_from
                 and (b.ended_by = 'removed' or b.employee_id is distinct from e.employee_id)
               order by b.valid_from desc limit 1), '-infinity')
        order by v.virtual_number_id, v.valid_from limit 1) f
    on f.virtual_number_id = e.virtual_number_id
  left join syncer.account_known k on k.account_id = e.account_id
  left join syncer.account_zone z on z.account_id = e.account_id::bigint
  left join syncer.region r on r.region_id = f.region_id
  left join syncer.number_type t on t.type = f.type
  left join syncer.number_purpose p on p.purpose = f.purpose;

create or replace view analytics.absences as
select m.account_id, k.account, m.virtual_number_id, v.number,
       m.account_id || ':' || m.virtual_number_id as number_key, m.missing_since, m.ended_at,
       m.ended_at is null as is_current, m.ended_by,
       greatest(extract(epoch from coalesce(m.ended_at, k.known_until) - m.missing_since), 0) as duration_seconds,
       m.run_id, m.closed_run_id, n.number as number_now, v.type, v.purpose, r.name as region, v.employee_id,
       syncer.local_day(m.missing_since, z.zone) as began_day,
       (syncer.ended_by_title(m.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(m.ended_by))[2] as ended_by_title_ru,
       t.title_en as type_title_en, t.title_ru as type_title_ru,
       p.title_en as purpose_title_en, p.title_ru as purpose_title_ru
  from (select account_id, virtual_number_id, missing_since, ended_at, ended_by, run_id, closed_run_id
          from syncer.absence_history
         union all
        select account_id, virtual_number_id, missing_since, null, null, missing_run_id, null
          from syncer.virtual_number
         where missing_since is not null and removed_at is null) m
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join lateral (
       select distinct on (v.virtual_number_id) v.virtual_number_id, v.number, v.type,
              v.purpose, v.region_id, v.employee_id
         from syncer.number_version v
        where v.account_id = m.account_id and v.virtual_number_id = m.virtual_number_id
          and v.valid_from < m.missing_since
        order by v.virtual_number_id, v.valid_from desc limit 1) v
    on v.virtual_number_id = m.virtual_number_id
  left join syncer.account_known k on k.account_id = m.account_id
  left join syncer.account_zone z on z.account_id = m.account_id::bigint
  left join syncer.region r on r.region_id = v.region_id
  left join syncer.number_type t on t.type = v.type
  left join syncer.number_purpose p on p.purpose = v.purpose;

create or replace view analytics.monthly_spells as
select s.account_id, s.account, date_trunc('month', s.valid_to at time zone z.zone)::date as month, s.state,
       s.state_title_en, s.state_title_ru, s.ended_by, count(*) as spells,
       round((percentile_cont(0.5) within group (order by s.duration_seconds))::numeric, 6) as median_seconds,
       round((percentile_cont(0.95) within group (order by s.duration_seconds))::numeric, 6) as p95_seconds,
       avg(s.duration_seconds) as mean_seconds,
       (syncer.ended_by_title(s.ended_by))[1] as ended_by_title_en,
       (syncer.ended_by_title(s.ended_by))[2] as ended_by_title_ru
  from analytics.state_spells s
  join syncer.account_known k using (account_id)
 cross join lateral (select syncer.known_zone(k.time_zone) as zone offset 0) z
 where s.valid_to is not null and s.changed_after is not null
 group by s.account_id, s.account, month, s.state, s.state_title_en, s.state_title_ru, s.ended_by;

create or replace view analytics.runs as
select r.account_id, a.name as account, r.run_id, r.trigger, r.started_at, r.finished_at,
       extract(epoch from r.finished_at - r.started_at) as duration_seconds, r.outcome, r.error_kind, r.error,
       r.http_status, r.response_bytes, r.received, r.created, r.changed, r.unchanged, r.removed, r.restored, r.held,
       r.rejected, r.state_changes, r.redirects_opened, r.redirects_closed, r.unconfirmed,
       (syncer.trigger_title(r.trigger))[1] as trigger_title_en,
       (syncer.trigger_title(r.trigger))[2] as trigger_title_ru,
       (syncer.outcome_title(r.outcome))[1] as outcome_title_en,
       (syncer.outcome_title(r.outcome))[2] as outcome_title_ru,
       (syncer.error_kind_title(r.error_kind))[1] as error_kind_title_en,
       (syncer.error_kind_title(r.error_kind))[2] as error_kind_title_ru
  from syncer.sync_run r
  join syncer.account a using (account_id);

create or replace view analytics.freshness as
select a.account_id, a.name as account, f.observed_at as last_success_at,
       case when k.succeeded_by is not null
            then greatest(extract(epoch from now() - k.succeeded_by), 0) end as lag_seconds,
       l.outcome as last_outcome, l.error_kind as last_error_kind, l.error as last_error,
       coalesce(newest.held, 0) as held,
       (select count(*) from syncer.rejected_record j
         where j.account_id = a.account_id and j.last_run_id = f.applied_run_id)::integer as rejected,
       s.retired_at, coalesce(newest.unconfirmed, 0) as unconfirmed,
       f.observed_at is distinct from k.succeeded_by as clock_ahead,
       (syncer.outcome_title(l.outcome))[1] as last_outcome_title_en,
       (syncer.outcome_title(l.outcome))[2] as last_outcome_title_ru,
       (syncer.error_kind_title(l.error_kind))[1] as last_error_kind_title_en,
       (syncer.error_kind_title(l.error_kind))[2] as last_error_kind_title_ru
  from syncer.account a
  left join syncer.account_fence f using (account_id)
  left join syncer.account_schedule s using (account_id)
  left join syncer.sync_run newest on newest.account_id = a.account_id and newest.run_id = f.success_run_id
  left join lateral (
            select r.outcome, r.error_kind, r.error
              from syncer.sync_run r
             where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
             order by r.run_id desc limit 1) l on true
 cross join lateral (select syncer.succeeded_by(a.account_id, f.success_run_id, f.success_started_at, f.observed_at, now())
                     offset 0) k (succeeded_by);

-- The cursor ----------------------------------------------------------------------------------------------------------

-- What a copy has once it has every change: for each account its newest run that changed something. Runs of an account
-- commit in the order of their ids, those of several accounts do not. A database that was restored gives the same ids to
-- other runs, which began at other times.
create or replace view analytics.changes_cursor as
select coalesce(jsonb_object_agg(f.account_id, jsonb_build_object('run_id', f.applied_run_id,
                                                                 'started_at', r.started_at at time zone 'UTC')),
                '{}') as cursor
  from syncer.account_fence f
  left join syncer.sync_run r on r.account_id = f.account_id and r.run_id = f.applied_run_id
 where f.applied_run_id is not null;

-- Each account is asked with its own values, so that the planner takes the indexes; a join would read the history. What
-- created and restored numbers began with is found by time: a run is recorded after the beginning of those before it.
create or replace function analytics.changes_since(cursor jsonb) returns setof analytics.changes
language plpgsql stable as $$
declare
    newest jsonb := (select c.cursor from analytics.changes_cursor c);
    one record;
begin
    if jsonb_typeof(changes_since.cursor) is distinct from 'object' then
        raise exception 'the cursor must be an object, as changes_cursor has it, or {} for all changes'
            using errcode = 'invalid_parameter_value';
    end if;
    -- Before revision 0016, a cursor had the id of each run alone.
    for one in select c.key as account, coalesce(c.value -> 'run_id', c.value)::text as copied,
                      c.value -> 'started_at' as started_at, (newest -> c.key -> 'run_id')::bigint as run_id
                 from jsonb_each(changes_since.cursor) c loop
        if one.copied !~ '^[0-9]{1,18}$' or one.copied::bigint > coalesce(one.run_id, 0)
           or one.started_at <> 'null'
              and (one.run_id is null
                   or not exists (select from analytics.runs r
                                   where r.account_id = one.account::integer and r.run_id = one.copied::bigint
                                     and to_jsonb(r.started_at at time zone 'UTC') = one.started_at)) then
            raise exception 'the cursor has % for account %, which is no run of this database',
                            changes_since.cursor -> one.account, one.account
                using errcode = 'invalid_parameter_value',
                      hint = 'It is of another database, or this one was restored from a backup: copy again from {}.';
        end if;
    end loop;
    for one in select n.key::integer as account_id, (n.value -> 'run_id')::bigint as run_id, c.copied, r.started_at
                 from jsonb_each(newest) n
                cross join lateral (select coalesce(changes_since.cursor -> n.key -> 'run_id', changes_since.cursor -> n.key,
                                                    '0')::bigint as copied) c
                 left join analytics.runs r on r.account_id = n.key::integer and r.run_id = c.copied
                order by 1 loop
        if one.run_id > one.copied then
            return query execute
                'select * from analytics.changes'
                ' where account_id = $1 and run_id > $2 and (kind not in (''created'', ''restored'') or changed_at > $3)'
                ' order by run_id, change_id'
                using one.account_id, one.copied, coalesce(one.started_at, '-infinity');
        end if;
    end loop;
end
$$;

-- Comments ------------------------------------------------------------------------------------------------------------

comment on function syncer.kind_title(text) is 'Title of a kind of changes, in English and in Russian; null if unknown';
comment on function syncer.field_title(text) is 'Title of a field of changes, in English and in Russian; null if unknown';
comment on function syncer.began_by_title(text) is 'Title of how a row began, in English and in Russian; null if unknown';
comment on function syncer.ended_by_title(text) is 'Title of how a row ended, in English and in Russian; null if unknown';
comment on function syncer.trigger_title(text) is 'Title of what started a poll, in English and in Russian; null if unknown';
comment on function syncer.outcome_title(text) is 'Title of an outcome, in English and in Russian; null if unknown';
comment on function syncer.error_kind_title(text) is
    'Title of a kind of error, in English and in Russian; null if unknown';
comment on view analytics.changes is
    E'A row for each changed field. Only number_now, changed_day, titles and the name of a renamed account can '
    'change; to copy the new rows, call changes_since; example: select changed_at, number, field, old_value, new_value from analytics.changes '
    'where changed_at > now() - interval ''1 day'' order by run_id, change_id\n'
    'Лента изменений: строка на каждое изменённое поле; меняться могут только number_now, changed_day, названия '
    'и имя переименованного кабинета; '
    'новые строки копирует changes_since; пример: select changed_at, number, field, old_value, new_value from '
    'analytics.changes where changed_at > now() - interval ''1 day'' order by run_id, change_id';
comment on column analytics.changes_cursor.cursor is
    E'For each account_id its newest run that changed something, and when that began, in UTC; '
    'example: {"1": {"run_id": 1834, "started_at": "2026-03-01T09:05:00.123456"}}\n'
    'Для каждого account_id — его последний опрос, который что-либо изменил, и когда тот начался, в UTC; '
    'пример: {"1": {"run_id": 1834, "started_at": "2026-03-01T09:05:00.123456"}}';
comment on function analytics.changes_since(jsonb) is
    E'The rows of changes that are newer than a cursor, in the order account_id, run_id, change_id; {} for all; read the next '
    'cursor from changes_cursor in the same transaction (repeatable read); example: '
    'select * from analytics.changes_since(''{"1": {"run_id": 1834, "started_at": "2026-03-01T09:05:00.123456"}}'')\n'
    'Строки changes новее курсора, в порядке account_id, run_id, change_id; {} — все; следующий курсор читайте из '
    'changes_cursor в той же транзакции (repeatable read); пример: '
    'select * from analytics.changes_since(''{"1": {"run_id": 1834, "started_at": "2026-03-01T09:05:00.123456"}}'')';
do $$
declare
    one record;
begin
    for one in
        -- The titles are those of the code that is the example of its own column.
        with texts (view, code, english, russian, title_en, title_ru) as (values
            (null, 'kind', 'Kind of the change', 'Вид изменения', 'State or reason', 'Состояние или причина'),
            (null, 'field', 'The changed field', 'Изменённое поле', 'State', 'Состояние'),
            (null, 'began_by', 'How it began', 'Как началось', 'Change', 'Изменение'),
            (null, 'ended_by', 'How it ended', 'Чем закончилось', 'Change', 'Изменение'),
            (null, 'trigger', 'What started the poll', 'Чем запущен опрос', 'Schedule', 'Расписание'),
            (null, 'outcome', 'Outcome of the poll', 'Итог опроса', 'Changes applied', 'Изменения записаны'),
            (null, 'error_kind', 'Kind of the failure', 'Вид сбоя', 'Another HTTP status', 'Другой код HTTP'),
            (null, 'last_outcome', 'last_outcome', 'last_outcome', 'Unchanged', 'Без изменений'),
            (null, 'last_error_kind', 'last_error_kind', 'last_error_kind', 'Another HTTP status',
             'Другой код HTTP'),
            (null, 'from_state', 'from_state', 'from_state', 'Active', 'активен'),
            (null, 'to_state', 'to_state', 'to_state', 'Active', 'активен'),
            (null, 'type', 'Type of number', 'Тип номера', 'Mobile', 'мобильный'),
            (null, 'purpose', 'Whom the number serves', 'Назначение номера', 'Company', 'компания'),
            ('absences', 'ended_by', 'How it ended', 'Чем закончилось', 'Number listed again', 'Номер снова в списке')
        )
        select c.oid::regclass as view, a.attname, l.comment
          from texts t
         cross join lateral (values
               ('_title_en', format(E'%s, in English; example: %s\n%s, по-английски; пример: %2$s', t.english, t.title_en, t.russian)),
               ('_title_ru', format(E'%s, in Russian; example: %s\n%s, по-русски; пример: %2$s', t.english, t.title_ru, t.russian))
               ) l (ending, comment)
          join pg_attribute a on a.attname = t.code || l.ending
          join pg_class c on c.oid = a.attrelid and c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
         where c.relname in ('number_history', 'state_history', 'state_spells', 'state_changes', 'redirect_history',
                             'redirects', 'changes', 'assignments', 'absences', 'monthly_spells', 'runs', 'freshness')
           and col_description(c.oid, a.attnum) is null and coalesce(t.view, c.relname) = c.relname
         order by t.view nulls first
    loop
        execute format('comment on column %s.%I is %L', one.view, one.attname, one.comment);
    end loop;
end
$$;
