-- What 0018_down.sql reverts. Notices of changes: the history itself is the list of what is to be said, and a cursor
-- remembers up to which run it has been said. No phone number and no text is stored here.
create table syncer.account_condition (
    account_id integer not null references syncer.account,
    condition_id bigint generated always as identity,
    kind text not null,
    began_at timestamptz not null,
    ended_at timestamptz,
    run_id bigint,
    affected integer,
    primary key (account_id, condition_id)
);
create unique index account_condition_open_idx on syncer.account_condition (account_id, kind) where ended_at is null;

create table syncer.notice_cursor (
    account_id integer not null references syncer.account,
    rule text not null,
    channel text not null,
    run_id bigint,
    condition_id bigint not null default 0,
    open_condition_ids bigint[] not null default '{}',
    planned_at timestamptz not null,
    due_at timestamptz,
    retired_at timestamptz,
    primary key (account_id, rule, channel)
);

create table syncer.notice (
    account_id integer not null,
    notice_id bigint generated always as identity,
    rule text not null,
    channel text not null,
    kind text not null,
    after_run_id bigint,
    through_run_id bigint,
    types text[],
    begun_condition_ids bigint[] not null default '{}',
    ended_condition_ids bigint[] not null default '{}',
    events jsonb not null,
    polls_since timestamptz,
    failed_polls jsonb,
    message_id uuid not null,
    outcome text not null default 'waiting',
    made_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    may_have_arrived boolean not null default false,
    lease_holder text,
    lease_until timestamptz,
    finished_at timestamptz,
    http_status integer,
    error text,
    primary key (account_id, notice_id),
    foreign key (account_id, rule, channel) references syncer.notice_cursor
);
-- One at a time of each kind: they are sent in order, and what happens meanwhile is in the next.
create unique index notice_waiting_idx on syncer.notice (account_id, rule, channel, kind) where outcome = 'waiting';
-- Which were made last, for the page, and first, to delete them; those of one message were made at one moment.
create index notice_made_at_idx on syncer.notice (made_at, message_id);
create index notice_due_at_idx on syncer.notice (due_at) where outcome = 'waiting';
create index notice_message_id_idx on syncer.notice (message_id) where outcome = 'waiting';

comment on table syncer.account_condition is
    'A time in which an account needed a person: it was not polled, refused, had removals on hold or records rejected';
comment on column syncer.account_condition.account_id is 'The account';
comment on column syncer.account_condition.condition_id is 'Identifier; those of one account that began later have larger ones';
comment on column syncer.account_condition.kind is 'stale, refused, held or rejected';
comment on column syncer.account_condition.began_at is
    'Since when: the run that showed it; of stale, the start of the last successful run, or when the account was first polled';
comment on column syncer.account_condition.ended_at is 'When it was seen to have ended; null while it lasts';
comment on column syncer.account_condition.run_id is 'The run that showed it; null of stale';
comment on column syncer.account_condition.affected is 'Numbers whose removal was on hold, or records that were rejected, when it began';

comment on table syncer.notice_cursor is
    'Up to where a rule of the notify file has been followed, for each account and channel';
comment on column syncer.notice_cursor.account_id is 'The account';
comment on column syncer.notice_cursor.rule is 'Name of the rule';
comment on column syncer.notice_cursor.channel is 'Name of the channel';
comment on column syncer.notice_cursor.run_id is
    'Changes up to this run are in a notice, or need none; null before the account''s first applied run';
comment on column syncer.notice_cursor.condition_id is 'Conditions up to this one are in a notice, or need none';
comment on column syncer.notice_cursor.open_condition_ids is
    'Conditions whose beginning is in a notice, and whose end is in none yet';
comment on column syncer.notice_cursor.planned_at is
    'When the last notice was made, or the last digest was due, or else when the cursor was made';
comment on column syncer.notice_cursor.due_at is 'When the next notice may be made; null if at any time';
comment on column syncer.notice_cursor.retired_at is
    'Since when the notify file has not had the rule with the channel and the account; null while it has';

comment on table syncer.notice is 'A message about an account that was or is to be sent; its words are made when it is sent';
comment on column syncer.notice.account_id is 'The account';
comment on column syncer.notice.notice_id is 'Identifier of the notice';
comment on column syncer.notice.rule is 'Name of the rule';
comment on column syncer.notice.channel is 'Name of the channel';
comment on column syncer.notice.kind is 'changes, or conditions of accounts';
comment on column syncer.notice.after_run_id is 'It is about the changes of runs after this one; null of conditions';
comment on column syncer.notice.through_run_id is 'Up to this run; null of conditions';
comment on column syncer.notice.types is 'The types of numbers that it is about; null for all';
comment on column syncer.notice.begun_condition_ids is 'Conditions that began';
comment on column syncer.notice.ended_condition_ids is 'Conditions that ended';
comment on column syncer.notice.events is 'How many events of each kind it is about';
comment on column syncer.notice.polls_since is 'Of a digest: since when its failed polls are counted; null of others';
comment on column syncer.notice.failed_polls is
    'Of a digest: how many polls have failed since then with each error kind; null of others';
comment on column syncer.notice.message_id is
    'Random identifier of the message, the same in each attempt to send it; notices of several accounts can share one';
comment on column syncer.notice.outcome is 'waiting, sent, expired (not sent in time) or refused (by the receiver, for good)';
comment on column syncer.notice.made_at is 'When the notice was made';
comment on column syncer.notice.due_at is 'When it is to be sent, or to be tried again';
comment on column syncer.notice.attempts is 'How often sending it was begun';
comment on column syncer.notice.may_have_arrived is 'Whether an attempt ended without an answer, so that the message may have arrived';
comment on column syncer.notice.lease_holder is 'The process and the attempt that is sending it';
comment on column syncer.notice.lease_until is 'When that attempt counts as failed if nothing has been heard of it';
comment on column syncer.notice.finished_at is 'When it was sent, expired or was refused; null while it waits';
comment on column syncer.notice.http_status is 'Status of the receiver''s last answer, if it speaks HTTP';
comment on column syncer.notice.error is 'What went wrong in the last attempt, in one line; null if nothing did';

create function syncer.notice_kind_title(kind text) returns text[] language sql immutable parallel safe
return case kind
    when 'changes' then array['Changes of numbers', 'Изменения номеров']
    when 'conditions' then array['Conditions of accounts', 'Состояние личных кабинетов']
end;

create function syncer.notice_outcome_title(outcome text) returns text[] language sql immutable parallel safe
return case outcome
    when 'waiting' then array['Waiting', 'Ожидает отправки']
    when 'sent' then array['Sent', 'Отправлено']
    when 'expired' then array['Not sent in time', 'Не отправлено в срок']
    when 'refused' then array['Refused by the receiver', 'Получатель отказался']
end;

create view analytics.notifications as
select n.account_id, a.name as account, n.notice_id, n.rule, n.channel, n.kind, n.events, n.outcome, n.made_at,
       case when n.outcome = 'sent' then n.finished_at end as sent_at,
       case when n.outcome = 'sent'
            then greatest(extract(epoch from n.finished_at - coalesce(r.finished_at, n.made_at)), 0) end as delay_seconds,
       n.attempts, n.http_status, n.error, n.after_run_id, n.through_run_id,
       (syncer.notice_kind_title(n.kind))[1] as kind_title_en, (syncer.notice_kind_title(n.kind))[2] as kind_title_ru,
       (syncer.notice_outcome_title(n.outcome))[1] as outcome_title_en,
       (syncer.notice_outcome_title(n.outcome))[2] as outcome_title_ru
  from syncer.notice n
  join syncer.account a using (account_id)
  left join syncer.sync_run r on r.account_id = n.account_id and r.run_id = n.through_run_id;

comment on view analytics.notifications is
    E'A row is a notice about an account that was or is to be sent through a channel; example: select account, rule, '
    'channel, outcome, delay_seconds from analytics.notifications order by made_at desc\nСтрока — уведомление о личном '
    'кабинете, отправленное или ожидающее отправки по каналу; пример: select account, rule, channel, outcome, '
    'delay_seconds from analytics.notifications order by made_at desc';
comment on column analytics.notifications.account_id is
    E'The account; example: 1\nЛичный кабинет; пример: 1';
comment on column analytics.notifications.account is
    E'Name of the account; example: head office\nНазвание личного кабинета; пример: head office';
comment on column analytics.notifications.notice_id is
    E'Identifier of the notice; example: 17\nИдентификатор уведомления; пример: 17';
comment on column analytics.notifications.rule is
    E'The rule of the notify file that it follows; example: locks\nПравило файла уведомлений; пример: locks';
comment on column analytics.notifications.channel is
    E'The channel of the notify file; example: duty\nКанал из файла уведомлений; пример: duty';
comment on column analytics.notifications.kind is
    E'changes (of numbers) or conditions (of accounts); example: changes\nchanges (изменения номеров) или conditions '
    '(состояния личных кабинетов); пример: changes';
comment on column analytics.notifications.events is
    E'How many events of each kind it is about; example: {"locked": 500}\nСколько в нём событий каждого вида; пример: '
    '{"locked": 500}';
comment on column analytics.notifications.outcome is
    E'waiting, sent, expired (not sent in time) or refused (by the receiver, for good); example: sent\nwaiting (ждёт), sent '
    '(отправлено), expired (не отправлено в срок) или refused (получатель отказался насовсем); пример: sent';
comment on column analytics.notifications.made_at is
    E'When the notice was made; example: 2026-03-02 10:00:07+03\nКогда создано уведомление; пример: 2026-03-02 10:00:07+03';
comment on column analytics.notifications.sent_at is
    E'When the receiver accepted it; null if it has not; example: 2026-03-02 10:00:08+03\nКогда получатель его принял; null, '
    'если ещё нет; пример: 2026-03-02 10:00:08+03';
comment on column analytics.notifications.delay_seconds is
    E'Time from the end of the last poll that it is about until it was sent, in seconds; of conditions, from when it was '
    'made; example: 1.4\nВремя от конца последнего опроса, о котором оно сообщает, до отправки, в секундах; для conditions '
    '— от создания; пример: 1.4';
comment on column analytics.notifications.attempts is
    E'How often sending it was begun; example: 1\nСколько раз начиналась отправка; пример: 1';
comment on column analytics.notifications.http_status is
    E'Status of the receiver''s last answer; null if it does not speak HTTP; example: 200\nКод последнего ответа получателя; '
    'null, если это не HTTP; пример: 200';
comment on column analytics.notifications.error is
    E'What went wrong in the last attempt; null if nothing did; example: the receiver answered 500\nЧто пошло не так в '
    'последней попытке; null, если всё в порядке; пример: the receiver answered 500';
comment on column analytics.notifications.after_run_id is
    E'It is about the changes of polls after this one; null of conditions; example: 4711\nСообщает об изменениях опросов после '
    'этого; null для conditions; пример: 4711';
comment on column analytics.notifications.through_run_id is
    E'Up to this poll; null of conditions; example: 4712\nПо этот опрос включительно; null для conditions; пример: 4712';

comment on column analytics.notifications.kind_title_en is
    E'Title of the kind, in English; example: Changes of numbers\nНазвание вида по-английски; пример: Changes of numbers';
comment on column analytics.notifications.kind_title_ru is
    E'Title of the kind, in Russian; example: Изменения номеров\nНазвание вида по-русски; пример: Изменения номеров';
comment on column analytics.notifications.outcome_title_en is
    E'Title of the outcome, in English; example: Sent\nНазвание итога по-английски; пример: Sent';
comment on column analytics.notifications.outcome_title_ru is
    E'Title of the outcome, in Russian; example: Отправлено\nНазвание итога по-русски; пример: Отправлено';
comment on function syncer.notice_kind_title(text) is 'Title of a kind of notice in English and in Russian';
comment on function syncer.notice_outcome_title(text) is 'Title of a notice''s outcome in English and in Russian';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_analyst') then
        grant select on analytics.notifications to syncer_analyst;
    end if;
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on analytics.notifications, syncer.account_condition, syncer.notice_cursor, syncer.notice
            to syncer_daemon;
        grant insert, update on syncer.account_condition, syncer.notice_cursor, syncer.notice to syncer_daemon;
        grant delete on syncer.account_condition, syncer.notice to syncer_daemon;
        grant select, update on sequence syncer.account_condition_condition_id_seq, syncer.notice_notice_id_seq
            to syncer_daemon;
    end if;
end
$$;
