-- What 0019_down.sql reverts. What was erased, so that it is not stored again though the vendor goes on listing it. No phone
-- number is stored here, only a keyed hash of it.
create table syncer.erasure (
    account_id integer not null references syncer.account,
    erasure_id bigint generated always as identity,
    kind text not null,
    virtual_number_id bigint,
    number_hash bytea,
    erased_at timestamptz not null,
    erased_by text not null,
    reason text,
    rows jsonb not null,
    lifted_at timestamptz,
    primary key (account_id, erasure_id),
    constraint erasure_subject_check check (virtual_number_id is not null or number_hash is not null)
);

comment on table syncer.erasure is
    'Personal data that were erased: each row keeps one number of an account from being stored again';
comment on column syncer.erasure.account_id is 'The account';
comment on column syncer.erasure.erasure_id is 'Identifier; the phone number is stored as erased-ERASURE_ID';
comment on column syncer.erasure.kind is 'number: on request; age: removed long ago';
comment on column syncer.erasure.virtual_number_id is
    'The vendor''s id of the erased number; null if only other numbers mentioned it';
comment on column syncer.erasure.number_hash is
    'Hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the erased phone number; null if it is not looked for';
comment on column syncer.erasure.erased_at is 'When it was erased';
comment on column syncer.erasure.erased_by is 'The login that erased it';
comment on column syncer.erasure.reason is 'Why, as the one who erased it said; null if nothing was said';
comment on column syncer.erasure.rows is 'How many rows of each table were masked';
comment on column syncer.erasure.lifted_at is 'Since when the number is stored again; null while it is not';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.erasure to syncer_daemon;
    end if;
end
$$;

-- As for what has ended, so for the record of a number: the owner may have to erase what is in it.
create or replace function syncer.refuse_change_without_run() returns trigger language plpgsql as $$
begin
    if current_setting('syncer.erasing', true) = 'on'
       and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
        return new;
    end if;
    raise exception 'the record of number % cannot change without a later run', old.virtual_number_id
        using errcode = 'restrict_violation';
end
$$;
