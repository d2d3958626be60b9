-- What each view and column means, in which unit, with an example: this is what analysts read.

comment on view analytics.accounts is
    'The accounts that are polled, one row each';
comment on view analytics.states is
    'The words for the state of a number, with titles';
comment on view analytics.types is
    'The words for the type of a number, with titles';
comment on view analytics.purposes is
    'The words for the purpose of a number, with titles';
comment on view analytics.regions is
    'The regions that numbers belong to';
comment on view analytics.numbers is
    'The numbers listed now, one row each, every name resolved; example: select number, state_title_en, state_since from analytics.numbers where state = ''debt_lock''';
comment on view analytics.numbers_all is
    'As numbers, with those that are gone: removed_at says since when';
comment on view analytics.number_history is
    'A row for each version of a number''s record, the current one included';
comment on view analytics.state_history is
    'A row for each period in which a number had one state and one reason; example: select number, valid_from, duration_seconds from analytics.state_history where state = ''debt_lock'' order by duration_seconds desc';
comment on view analytics.state_changes is
    'A row for each change of state or reason of a number that stayed listed';
comment on view analytics.redirects is
    'The redirects that are listed now';
comment on view analytics.redirect_history is
    'A row for each period in which a number listed a redirect';
comment on view analytics.changes is
    'One feed of all that happened, a row for each field; to copy incrementally, take the rows with a run_id above the last one taken, account by account';
comment on view analytics.daily_states is
    'How many numbers of each region and type were in each state when each day ended, today: now';
comment on view analytics.state_share is
    'What share of each day each number spent in each state';
comment on view analytics.runs is
    'The polls, failed ones included';
comment on view analytics.coverage is
    'How well each account''s day was watched';
comment on view analytics.freshness is
    'How the polling of each account is doing now';
comment on view analytics.rejected_records is
    'The records of the newest response that could not be taken, each of which needs a person';

-- One name means one thing in every view; the statement fails if a column is left without a meaning.
do $$
declare
    found record;
begin
    for found in
        select c.table_name, c.column_name, m.meaning
          from information_schema.columns c
          left join (values
            ('account_id', 'Account, as a number made here; example: 1'),
            ('account', 'Account, as the configuration names it; example: default'),
            ('virtual_number_id', 'The endpoint''s id of the number, unique inside its account only; example: 250'),
            ('number', 'The phone number as the vendor writes it now; example: 79208547433'),
            ('number_key', 'Account and id of the number in one text, which joins all views about numbers; example: 1:250'),
            ('e164', 'The phone number as E.164 writes it; null unless it has 10 to 15 digits; example: +79208547433'),
            ('comment', 'The account''s own note on the number'),
            ('type', 'Kind of number, the vendor''s word; example: def (mobile)'),
            ('type_title_en', 'Kind of number in English; example: Mobile'),
            ('type_title_ru', 'Kind of number in Russian; example: мобильный'),
            ('purpose', 'Whom the number serves, the vendor''s word; example: company'),
            ('purpose_title_en', 'Whom the number serves, in English; example: Company'),
            ('purpose_title_ru', 'Whom the number serves, in Russian; example: компания'),
            ('state', 'State of the number, the vendor''s word; example: debt_lock'),
            ('state_title_en', 'State in English; example: Locked for debt'),
            ('state_title_ru', 'State in Russian; example: блокировка за долг'),
            ('title_en', 'Title in English; null for a word that the vendor does not document'),
            ('title_ru', 'Title in Russian; null for a word that the vendor does not document'),
            ('documented', 'False for a word that was seen but that the vendor does not document'),
            ('reason', 'Reason of the state, the vendor''s free text'),
            ('state_since', 'When the present period of state and reason was first seen'),
            ('state_since_earliest', 'It may have begun as early as this, but not before; null if the account''s first successful poll found it so'),
            ('scenario_id', 'Incoming-call scenario tied to the number'),
            ('group_scenario_id', 'Incoming-call scenario of the number''s group'),
            ('group_id', 'Group of numbers for incoming-call scenarios'),
            ('is_scenario_active', 'Whether the incoming-call scenario is active'),
            ('is_group_scenario_active', 'Whether the group''s incoming-call scenario is active'),
            ('employee_id', 'Employee the number is assigned to; example: 125'),
            ('dgn_number', 'ДГН: the landline number paired with a mobile one; example: 74954789551'),
            ('redirect_number', 'The number that calls are redirected to; example: 74994088157'),
            ('region_id', 'Region, as a number made here'),
            ('region', 'Region, as the vendor names it; example: Брянская область'),
            ('app_id', 'Личный кабинет that the record says it belongs to; example: 1200054'),
            ('nc_type', 'The vendor''s nc_type, undocumented; example: custom'),
            ('sip_uri', 'SIP URI of a number of type sip_redirection'),
            ('extra', 'The latest fields that have no column, as a JSON object; not versioned'),
            ('redirect_count', 'How many numbers redirect their calls to this one'),
            ('first_seen_at', 'When it was first seen'),
            ('last_seen_at', 'When the newest successful poll began, which received it still'),
            ('changed_at', 'When the change was first seen; of a number: when its present version was'),
            ('changed_after', 'The change came after this; null if the account''s first successful poll found it so'),
            ('last_read_at', 'Null while each successful poll reads the record; else the start of the last one that did'),
            ('missing_since', 'The first of the unbroken row of successful polls that did not list the number; null while it is listed'),
            ('removed_at', 'When the number was first missed, once its removal is believed; null while it is listed'),
            ('valid_from', 'Start of the period, inclusive: when it was first seen'),
            ('valid_to', 'End of the period, exclusive; null while it lasts'),
            ('is_current', 'Whether the period lasts'),
            ('closed_after', 'It ended after this; null while it lasts'),
            ('duration_seconds', 'How long, in seconds; of a period that lasts: until now'),
            ('run_id', 'The poll that recorded it; grows with time'),
            ('closed_run_id', 'The poll that recorded its end; null while it lasts'),
            ('from_state', 'State before'),
            ('from_state_title_en', 'State before, in English'),
            ('from_state_title_ru', 'State before, in Russian'),
            ('to_state', 'State after'),
            ('to_state_title_en', 'State after, in English'),
            ('to_state_title_ru', 'State after, in Russian'),
            ('from_reason', 'Reason before'),
            ('to_reason', 'Reason after'),
            ('redirect_number_id', 'id in from_redirect_numbers; example: 249'),
            ('redirect_from', 'The number whose calls come here; example: 74994088157'),
            ('redirect_from_key', 'number_key of that number''s own row in numbers_all, where there is one'),
            ('recorded_at', 'When the poll recorded it'),
            ('kind', 'created, changed, state, removed, restored, redirect_opened or redirect_closed'),
            ('field', 'The field that changed; null for a removal'),
            ('old_value', 'Value before, as text; null for none'),
            ('new_value', 'Value after, as text; null for none'),
            ('day', 'Day in the account''s time zone; example: 2026-03-01'),
            ('numbers', 'How many numbers'),
            ('share', 'Share of that part of the day in which the number was listed, 0 to 1'),
            ('trigger', 'What began the poll: schedule, command, or accept_removals, an operator''s word'),
            ('started_at', 'When it began, before the request was sent'),
            ('finished_at', 'When its outcome was known; null while it runs'),
            ('outcome', 'running, applied, unchanged, failed, superseded or abandoned'),
            ('error_kind', 'What kind of failure; null unless it failed'),
            ('error', 'What is wrong and what to do, in one line'),
            ('http_status', 'The endpoint''s last answer; null if it did not answer'),
            ('response_bytes', 'Size of the decoded body, in bytes'),
            ('received', 'Elements of the response'),
            ('created', 'Numbers never seen before'),
            ('changed', 'Numbers in which anything differed, redirects included'),
            ('unchanged', 'Numbers that were as before'),
            ('removed', 'Numbers whose removal was applied'),
            ('restored', 'Removed numbers that were listed again'),
            ('held', 'Numbers that are missing, and whose removal is not believed yet'),
            ('rejected', 'Elements of the response that could not be taken'),
            ('state_changes', 'Changes of state or reason, but for created and restored numbers'),
            ('redirects_opened', 'Redirects first listed'),
            ('redirects_closed', 'Redirects no longer listed'),
            ('polls', 'Polls of that day'),
            ('failed', 'Those of them that failed'),
            ('longest_gap_seconds', 'Longest time of that day without a successful poll, in seconds'),
            ('last_success_at', 'When the newest successful poll was recorded'),
            ('lag_seconds', 'How long ago that was, in seconds'),
            ('last_error_kind', 'What kind of failure that was, if it failed'),
            ('last_outcome', 'What the newest poll came to'),
            ('last_error', 'What it failed with, if it did'),
            ('payload', 'The record as received, the first 64 KiB'),
            ('occurrences', 'Applied polls that received it'),
            ('time_zone', 'Time zone of the account''s days; example: Europe/Moscow'),
            ('created_at', 'When the account was first known')
          ) as m (name, meaning) on m.name = c.column_name
         where c.table_schema = 'analytics'
    loop
        if found.meaning is null then
            raise exception 'analytics.%.% has no meaning', found.table_name, found.column_name;
        end if;
        execute format('comment on column analytics.%I.%I is %L', found.table_name, found.column_name, found.meaning);
    end loop;
end
$$;

comment on column analytics.number_history.number is 'The phone number as the vendor wrote it then; example: 79208547433';
