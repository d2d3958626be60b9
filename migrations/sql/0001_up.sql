-- What 0001_down.sql reverts.

create table syncer.account (
    account_id integer generated always as identity,
    name text not null,
    app_id bigint,
    time_zone text not null,
    created_at timestamp with time zone not null,
    success_run_id bigint,
    success_started_at timestamp with time zone,
    observed_at timestamp with time zone,
    applied_run_id bigint,
    standing_run_id bigint,
    body_digest bytea,
    decoder_version smallint,
    constraint account_pkey primary key (account_id),
    constraint account_name_key unique (name)
);
comment on table syncer.account
is 'One row per configured account, and what its newest successful poll left for the next one';
comment on column syncer.account.account_id is 'Identifier made here';
comment on column syncer.account.name is 'The name the configuration gives the account';
comment on column syncer.account.app_id is 'The Личный кабинет: what most records of the first success carried';
comment on column syncer.account.time_zone is 'Time zone of the account''s days, as in the IANA database';
comment on column syncer.account.created_at is 'When it was first polled';
comment on column syncer.account.success_run_id is 'The newest run that succeeded; an older one may change nothing';
comment on column syncer.account.success_started_at is 'When that run began: what it did not see happened after this';
comment on column syncer.account.observed_at
is 'The moment that the newest success was written under; it never goes back';
comment on column syncer.account.applied_run_id is 'The newest run that was applied; its rejected records stand';
comment on column syncer.account.standing_run_id is 'The run that last changed which digests stand';
comment on column syncer.account.body_digest is 'Of the response that stands as a whole; null while removals are held';
comment on column syncer.account.decoder_version is 'The decoder that read that response';

create table syncer.number_purpose (
    purpose text not null,
    title_en text,
    title_ru text,
    documented boolean not null,
    constraint number_purpose_pkey primary key (purpose)
);
comment on table syncer.number_purpose is 'The vendor''s words for the purpose of a number, and those seen beyond them';
comment on column syncer.number_purpose.purpose is 'The vendor''s word for the purpose';
comment on column syncer.number_purpose.title_en is 'English title; null for a word the vendor does not document';
comment on column syncer.number_purpose.title_ru is 'Russian title; null for a word the vendor does not document';
comment on column syncer.number_purpose.documented is 'False for a word that was seen but is not documented';

create table syncer.number_state (
    state text not null,
    title_en text,
    title_ru text,
    documented boolean not null,
    constraint number_state_pkey primary key (state)
);
comment on table syncer.number_state is 'The vendor''s words for the state of a number, and those seen beyond them';
comment on column syncer.number_state.state is 'The vendor''s word for the state';
comment on column syncer.number_state.title_en is 'English title; null for a word the vendor does not document';
comment on column syncer.number_state.title_ru is 'Russian title; null for a word the vendor does not document';
comment on column syncer.number_state.documented is 'False for a word that was seen but is not documented';

create table syncer.number_type (
    type text not null,
    title_en text,
    title_ru text,
    documented boolean not null,
    constraint number_type_pkey primary key (type)
);
comment on table syncer.number_type is 'The vendor''s words for the type of a number, and those seen beyond them';
comment on column syncer.number_type.type is 'The vendor''s word for the type';
comment on column syncer.number_type.title_en is 'English title; null for a word the vendor does not document';
comment on column syncer.number_type.title_ru is 'Russian title; null for a word the vendor does not document';
comment on column syncer.number_type.documented is 'False for a word that was seen but is not documented';

create table syncer.record_digest (
    account_id integer not null,
    virtual_number_id bigint not null,
    digest bytea not null,
    decoder_version smallint not null,
    constraint record_digest_pkey primary key (account_id, virtual_number_id)
);
comment on table syncer.record_digest
is 'A cache: bytes that need not be decoded again. Its rows may be deleted at any time';
comment on column syncer.record_digest.account_id is 'The account';
comment on column syncer.record_digest.virtual_number_id is 'The endpoint''s id';
comment on column syncer.record_digest.digest is 'XXH3 of the bytes that the current record was read from';
comment on column syncer.record_digest.decoder_version is 'The decoder that read them';

create table syncer.region (
    region_id integer generated always as identity,
    name text not null,
    constraint region_pkey primary key (region_id),
    constraint region_name_key unique (name)
);
comment on table syncer.region is 'The regions that numbers belong to, spelled as the vendor does';
comment on column syncer.region.region_id is 'Identifier made here';
comment on column syncer.region.name is 'The vendor''s region_name';

create table syncer.account_schedule (
    account_id integer not null,
    due_at timestamp with time zone not null,
    lease_holder text,
    lease_until timestamp with time zone,
    constraint account_schedule_pkey primary key (account_id),
    constraint account_schedule_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
comment on table syncer.account_schedule is 'When each account is polled next, and by whom it is being polled';
comment on column syncer.account_schedule.account_id is 'The account';
comment on column syncer.account_schedule.due_at is 'When the account is to be polled next';
comment on column syncer.account_schedule.lease_holder is 'The process that polls it now';
comment on column syncer.account_schedule.lease_until is 'When another process may take it over';

create table syncer.rejected_record (
    account_id integer not null,
    rejected_record_id uuid not null,
    virtual_number_id bigint,
    error text not null,
    payload bytea not null,
    first_run_id bigint not null,
    last_run_id bigint not null,
    occurrences integer not null,
    constraint rejected_record_pkey primary key (account_id, rejected_record_id),
    constraint rejected_record_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
comment on table syncer.rejected_record is 'Elements of responses that could not be taken, once per distinct content';
comment on column syncer.rejected_record.account_id is 'The account';
comment on column syncer.rejected_record.rejected_record_id is 'XXH3 of the bytes as received';
comment on column syncer.rejected_record.virtual_number_id is 'The element''s id, where it can be read';
comment on column syncer.rejected_record.error is 'Why it could not be taken';
comment on column syncer.rejected_record.payload is 'The bytes as received, the first 64 KiB';
comment on column syncer.rejected_record.first_run_id is 'The run that received it first';
comment on column syncer.rejected_record.last_run_id is 'The last applied run that received it';
comment on column syncer.rejected_record.occurrences is 'Applied runs that received it';

create index rejected_record_last_run_id_idx on syncer.rejected_record (account_id, last_run_id);

create table syncer.sync_day (
    account_id integer not null,
    day date not null,
    polls integer not null,
    failed integer not null,
    longest_gap_seconds numeric not null,
    constraint sync_day_pkey primary key (account_id, day),
    constraint sync_day_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
comment on table syncer.sync_day is 'What pruned runs add up to, so that it stays known whether anyone was looking';
comment on column syncer.sync_day.account_id is 'The account';
comment on column syncer.sync_day.day is 'Day in the account''s time zone';
comment on column syncer.sync_day.polls is 'Polls of that day whose runs were pruned';
comment on column syncer.sync_day.failed is 'Those of them that failed';
comment on column syncer.sync_day.longest_gap_seconds is 'Longest time without a successful poll, in seconds';

create table syncer.sync_run (
    account_id integer not null,
    run_id bigint generated always as identity,
    trigger text not null,
    started_at timestamp with time zone not null,
    finished_at timestamp with time zone,
    outcome text not null,
    error_kind text,
    error text,
    http_status integer,
    response_bytes bigint,
    received integer,
    created integer default 0 not null,
    changed integer default 0 not null,
    unchanged integer default 0 not null,
    removed integer default 0 not null,
    restored integer default 0 not null,
    held integer default 0 not null,
    rejected integer default 0 not null,
    state_changes integer default 0 not null,
    redirects_opened integer default 0 not null,
    redirects_closed integer default 0 not null,
    constraint sync_run_pkey primary key (account_id, run_id),
    constraint sync_run_account_id_fkey foreign key (account_id) references syncer.account (account_id)
);
comment on table syncer.sync_run is 'One row per poll, failed ones included';
comment on column syncer.sync_run.account_id is 'The account';
comment on column syncer.sync_run.run_id is 'Grows in the order runs began';
comment on column syncer.sync_run.trigger is 'schedule, command, or accept_removals: an operator''s word';
comment on column syncer.sync_run.started_at is 'Before the request was sent';
comment on column syncer.sync_run.finished_at is 'When the outcome was known; null while running';
comment on column syncer.sync_run.outcome is 'running, applied, unchanged, failed, superseded or abandoned';
comment on column syncer.sync_run.error_kind is 'What kind of failure; null unless failed';
comment on column syncer.sync_run.error is 'What went wrong and what to do, in one line; null unless failed';
comment on column syncer.sync_run.http_status is 'The endpoint''s last answer; null if it did not answer';
comment on column syncer.sync_run.response_bytes is 'Size of the decoded body, in bytes';
comment on column syncer.sync_run.received is 'Elements of the response';
comment on column syncer.sync_run.created is 'Numbers never seen before';
comment on column syncer.sync_run.changed is 'Numbers in which anything differed, redirects included';
comment on column syncer.sync_run.unchanged is 'Numbers that were as before';
comment on column syncer.sync_run.removed is 'Numbers whose removal was applied';
comment on column syncer.sync_run.restored is 'Removed numbers that were listed again';
comment on column syncer.sync_run.held is 'Numbers whose removal was held after this run';
comment on column syncer.sync_run.rejected is 'Elements that could not be taken';
comment on column syncer.sync_run.state_changes is 'Changes of state or reason, but for created and restored numbers';
comment on column syncer.sync_run.redirects_opened
is 'Redirects first listed, those of created and restored numbers included';
comment on column syncer.sync_run.redirects_closed is 'Redirects no longer listed, those of removed numbers included';

create index sync_run_running_idx on syncer.sync_run (account_id, run_id) where outcome = 'running';
create index sync_run_started_at_idx on syncer.sync_run (account_id, started_at);

create table syncer.virtual_number (
    account_id integer not null,
    virtual_number_id bigint not null,
    number text not null,
    comment text,
    type text,
    purpose text,
    state text not null,
    reason text,
    scenario_id bigint,
    group_scenario_id bigint,
    group_id bigint,
    is_scenario_active boolean,
    is_group_scenario_active boolean,
    employee_id bigint,
    dgn_number text,
    redirect_number text,
    region_id integer,
    app_id bigint,
    nc_type text,
    sip_uri text,
    extra jsonb default '{}' not null,
    first_seen_at timestamp with time zone not null,
    changed_at timestamp with time zone not null,
    changed_after timestamp with time zone,
    last_read_at timestamp with time zone,
    missing_since timestamp with time zone,
    removed_at timestamp with time zone,
    run_id bigint not null,
    constraint virtual_number_pkey primary key (account_id, virtual_number_id),
    constraint virtual_number_account_id_fkey foreign key (account_id) references syncer.account (account_id),
    constraint virtual_number_purpose_fkey foreign key (purpose) references syncer.number_purpose (purpose),
    constraint virtual_number_region_id_fkey foreign key (region_id) references syncer.region (region_id),
    constraint virtual_number_state_fkey foreign key (state) references syncer.number_state (state),
    constraint virtual_number_type_fkey foreign key (type) references syncer.number_type (type)
);
comment on table syncer.virtual_number is 'The latest known record of every number ever seen';
comment on column syncer.virtual_number.account_id is 'The account';
comment on column syncer.virtual_number.virtual_number_id is 'The endpoint''s id';
comment on column syncer.virtual_number.number is 'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number.comment is 'The account''s own note on the number';
comment on column syncer.virtual_number.type is 'Kind of number: def is mobile, abc is landline';
comment on column syncer.virtual_number.purpose is 'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number.state is 'State of the number, the vendor''s word';
comment on column syncer.virtual_number.reason is 'Reason of the last change of state, the vendor''s free text';
comment on column syncer.virtual_number.scenario_id is 'Incoming-call scenario tied to the number';
comment on column syncer.virtual_number.group_scenario_id is 'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number.is_scenario_active is 'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number.is_group_scenario_active
is 'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number.dgn_number is 'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number.redirect_number is 'The number that calls are redirected to';
comment on column syncer.virtual_number.region_id is 'Region the number belongs to';
comment on column syncer.virtual_number.app_id is 'Личный кабинет the record says it belongs to';
comment on column syncer.virtual_number.nc_type is 'Vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number.extra
is 'The latest fields that have no column; replaced as a whole, not versioned';
comment on column syncer.virtual_number.first_seen_at is 'When the number was first seen';
comment on column syncer.virtual_number.changed_at is 'When this version of the record was first seen';
comment on column syncer.virtual_number.changed_after
is 'The change came after this; null if the first successful poll found it so';
comment on column syncer.virtual_number.last_read_at
is 'Null while each successful poll reads the record; else the start of the last one that did';
comment on column syncer.virtual_number.missing_since
is 'The first of the unbroken row of successful polls that did not list it';
comment on column syncer.virtual_number.removed_at is 'Null until the removal is applied, then equal to missing_since';
comment on column syncer.virtual_number.run_id is 'The run that saw this version first';

create index virtual_number_number_idx on syncer.virtual_number (number);
create index virtual_number_removed_idx on syncer.virtual_number (account_id, removed_at) where removed_at is not null;
create index virtual_number_unread_idx
    on syncer.virtual_number (account_id) where last_read_at is not null and removed_at is null;

create table syncer.state_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    state text not null,
    reason text,
    valid_from timestamp with time zone not null,
    valid_to timestamp with time zone,
    changed_after timestamp with time zone,
    closed_after timestamp with time zone,
    run_id bigint not null,
    closed_run_id bigint,
    constraint state_history_pkey primary key (account_id, virtual_number_id, valid_from),
    constraint state_history_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)),
    constraint state_history_period_check check (valid_from < valid_to),
    constraint state_history_account_id_virtual_number_id_fkey
        foreign key (account_id, virtual_number_id)
        references syncer.virtual_number (account_id, virtual_number_id)
);
comment on table syncer.state_history is 'A row for each period in which a number had one state and one reason';
comment on column syncer.state_history.account_id is 'The account';
comment on column syncer.state_history.virtual_number_id is 'The endpoint''s id';
comment on column syncer.state_history.state is 'State of the number, the vendor''s word';
comment on column syncer.state_history.reason is 'Reason, the vendor''s free text';
comment on column syncer.state_history.valid_from is 'When it was first seen; start of the period, inclusive';
comment on column syncer.state_history.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.state_history.changed_after
is 'It began after this; null if the first successful poll found it so';
comment on column syncer.state_history.closed_after is 'It ended after this; null while it is open';
comment on column syncer.state_history.run_id is 'The run that opened the row';
comment on column syncer.state_history.closed_run_id is 'The run that closed the row; null while it is open';

create unique index state_history_open_idx
    on syncer.state_history (account_id, virtual_number_id) where valid_to is null;

create table syncer.virtual_number_history (
    account_id integer not null,
    virtual_number_id bigint not null,
    number text not null,
    comment text,
    type text,
    purpose text,
    state text not null,
    reason text,
    scenario_id bigint,
    group_scenario_id bigint,
    group_id bigint,
    is_scenario_active boolean,
    is_group_scenario_active boolean,
    employee_id bigint,
    dgn_number text,
    redirect_number text,
    region_id integer,
    app_id bigint,
    nc_type text,
    sip_uri text,
    valid_from timestamp with time zone not null,
    valid_to timestamp with time zone,
    changed_after timestamp with time zone,
    closed_after timestamp with time zone,
    run_id bigint not null,
    closed_run_id bigint,
    constraint virtual_number_history_pkey primary key (account_id, virtual_number_id, valid_from),
    constraint virtual_number_history_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)),
    constraint virtual_number_history_period_check check (valid_from < valid_to),
    constraint virtual_number_history_account_id_virtual_number_id_fkey
        foreign key (account_id, virtual_number_id)
        references syncer.virtual_number (account_id, virtual_number_id)
);
comment on table syncer.virtual_number_history
is 'Superseded versions of the record: a row each time a column changed, or a removed number returned';
comment on column syncer.virtual_number_history.account_id is 'The account';
comment on column syncer.virtual_number_history.virtual_number_id is 'The endpoint''s id';
comment on column syncer.virtual_number_history.number
is 'The phone number as the vendor writes it, digits without a plus';
comment on column syncer.virtual_number_history.comment is 'The account''s own note on the number';
comment on column syncer.virtual_number_history.type is 'Kind of number: def is mobile, abc is landline';
comment on column syncer.virtual_number_history.purpose is 'Whom the number serves: the company or an employee';
comment on column syncer.virtual_number_history.state is 'State of the number, the vendor''s word';
comment on column syncer.virtual_number_history.reason is 'Reason of the last change of state, the vendor''s free text';
comment on column syncer.virtual_number_history.scenario_id is 'Incoming-call scenario tied to the number';
comment on column syncer.virtual_number_history.group_scenario_id is 'Incoming-call scenario of the number''s group';
comment on column syncer.virtual_number_history.group_id is 'Group of numbers for incoming-call scenarios';
comment on column syncer.virtual_number_history.is_scenario_active is 'Whether the incoming-call scenario is active';
comment on column syncer.virtual_number_history.is_group_scenario_active
is 'Whether the group''s incoming-call scenario is active';
comment on column syncer.virtual_number_history.employee_id is 'Employee the number is assigned to';
comment on column syncer.virtual_number_history.dgn_number is 'ДГН: the landline number paired with a mobile one';
comment on column syncer.virtual_number_history.redirect_number is 'The number that calls are redirected to';
comment on column syncer.virtual_number_history.region_id is 'Region the number belongs to';
comment on column syncer.virtual_number_history.app_id is 'Личный кабинет the record says it belongs to';
comment on column syncer.virtual_number_history.nc_type is 'Vendor''s nc_type, undocumented; seen: custom, custom+fmc';
comment on column syncer.virtual_number_history.sip_uri is 'SIP URI of a number of type sip_redirection';
comment on column syncer.virtual_number_history.valid_from is 'When it was first seen; start of the period, inclusive';
comment on column syncer.virtual_number_history.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.virtual_number_history.changed_after
is 'It began after this; null if the first successful poll found it so';
comment on column syncer.virtual_number_history.closed_after is 'It ended after this; null while it is open';
comment on column syncer.virtual_number_history.run_id is 'The run that opened the row';
comment on column syncer.virtual_number_history.closed_run_id is 'The run that closed the row; null while it is open';

create table syncer.virtual_number_redirect (
    account_id integer not null,
    virtual_number_id bigint not null,
    redirect_number_id bigint not null,
    number text not null,
    valid_from timestamp with time zone not null,
    valid_to timestamp with time zone,
    changed_after timestamp with time zone,
    closed_after timestamp with time zone,
    run_id bigint not null,
    closed_run_id bigint,
    constraint virtual_number_redirect_pkey
        primary key (account_id, virtual_number_id, redirect_number_id, number, valid_from),
    constraint virtual_number_redirect_closing_check
        check ((valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)),
    constraint virtual_number_redirect_period_check check (valid_from < valid_to),
    constraint virtual_number_redirect_account_id_virtual_number_id_fkey
        foreign key (account_id, virtual_number_id)
        references syncer.virtual_number (account_id, virtual_number_id)
);
comment on table syncer.virtual_number_redirect
is 'A row for each period in which a number listed this id with this number in from_redirect_numbers';
comment on column syncer.virtual_number_redirect.account_id is 'The account';
comment on column syncer.virtual_number_redirect.virtual_number_id is 'The endpoint''s id';
comment on column syncer.virtual_number_redirect.redirect_number_id is 'id in from_redirect_numbers';
comment on column syncer.virtual_number_redirect.number is 'The number whose calls come here, as the vendor writes it';
comment on column syncer.virtual_number_redirect.valid_from is 'When it was first seen; start of the period, inclusive';
comment on column syncer.virtual_number_redirect.valid_to is 'End of the period, exclusive; null while it is open';
comment on column syncer.virtual_number_redirect.changed_after
is 'It began after this; null if the first successful poll found it so';
comment on column syncer.virtual_number_redirect.closed_after is 'It ended after this; null while it is open';
comment on column syncer.virtual_number_redirect.run_id is 'The run that opened the row';
comment on column syncer.virtual_number_redirect.closed_run_id is 'The run that closed the row; null while it is open';

create unique index virtual_number_redirect_open_idx
    on syncer.virtual_number_redirect (account_id, virtual_number_id, redirect_number_id, number) where valid_to is null;

-- The one place where the time is read. A function, so that a test can set it back and forth.
create function syncer.clock() returns timestamptz language sql volatile parallel safe
begin atomic
    select clock_timestamp();
end;
comment on function syncer.clock() is 'The time that everything is recorded by';
comment on table syncer.alembic_version is 'Which migration the schema is at';
comment on column syncer.alembic_version.version_num is 'Revision of the newest migration applied';
comment on schema syncer is 'History of MegaFon cloud PBX virtual numbers: tables';

-- The vendor's documented words, and the one that another of its pages has (inactive).
insert into syncer.number_type (type, title_en, title_ru, documented) values
    ('def', 'Mobile', 'мобильный', true),
    ('abc', 'Landline', 'городской', true),
    ('toll_free', 'Toll-free 8-800', '8-800', true),
    ('sip_registration', 'SIP registration', 'SIP-регистрация', true),
    ('sip_redirection', 'SIP redirection', 'SIP-переадресация', true);
insert into syncer.number_purpose (purpose, title_en, title_ru, documented) values
    ('company', 'Company', 'компания', true),
    ('employee', 'Employee', 'сотрудник', true),
    ('not_specified', 'Not specified', 'не указано', true);
insert into syncer.number_state (state, title_en, title_ru, documented) values
    ('active', 'Active', 'активен', true),
    ('activation', 'Being activated', 'активация', true),
    ('debt_lock', 'Locked for debt', 'блокировка за долг', true),
    ('unconfirmed', 'Unconfirmed', 'не подтверждён', true),
    ('freeze', 'Frozen', 'заморожен', true),
    ('inactive', 'Inactive', 'неактивен', true);
