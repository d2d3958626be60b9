-- The comments of revision 0013: the first line of each, and the English that revision 0014 changed.
comment on schema analytics is 'History of MegaFon cloud PBX virtual numbers: the views for analysts and dashboards';
comment on function analytics.e164(text) is
    'A phone number in E.164 format, such as +79208547433; null unless the text consists of 10 to 15 digits';
comment on function analytics.readable(bytea) is 'Bytes as text; escaped if they are not valid UTF-8';
do $$
declare
    one record;
begin
    for one in select 'view ' || c.oid::regclass as object, obj_description(c.oid, 'pg_class') as comment
                 from pg_class c where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
                union all
               select format('column %s.%I', c.oid::regclass, a.attname), col_description(c.oid, a.attnum)
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
                union all
               select 'function ' || p.oid::regprocedure, obj_description(p.oid, 'pg_proc')
                 from pg_proc p where p.pronamespace = 'analytics'::regnamespace loop
        if one.comment like E'%; example: %\n%; пример: %' then
            execute format('comment on %s is %L', one.object, split_part(one.comment, E'\n', 1));
        end if;
    end loop;

    for one in select c.oid::regclass as view, a.attname, col_description(c.oid, a.attnum) as comment
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
                where c.relnamespace = 'analytics'::regnamespace
                  and a.attname = 'type' and col_description(c.oid, a.attnum) like '%; example: def' loop
        execute format('comment on column %s.%I is %L', one.view, one.attname, one.comment || ' (mobile)');
    end loop;
    for one in select c.oid::regclass as view, a.attname, col_description(c.oid, a.attnum) as comment
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
                where c.relnamespace = 'analytics'::regnamespace
                  and a.attname = 'duration_seconds' and col_description(c.oid, a.attnum) like '%; example: 259200' loop
        execute format('comment on column %s.%I is %L', one.view, one.attname, one.comment || ' (three days)');
    end loop;
end
$$;
comment on function analytics.numbers_as_of(timestamptz) is
    'The view numbers as it was at the given time; '
    'example: select state, count(*) from analytics.numbers_as_of(''2026-03-01 00:00 Europe/Moscow'') group by 1';
comment on column analytics.accounts.app_id is
    'Identifier of the account''s Личный кабинет: the most frequent app_id of its first successful response; '
    'example: 1200054';
comment on column analytics.numbers_all.state is 'State of the number, as the vendor names it; example: debt_lock';
comment on column analytics.types.title_en is
    'Title in English; null for a value that the vendor does not document; example: Locked for debt';
comment on column analytics.types.title_ru is
    'Title in Russian; null for a value that the vendor does not document; example: блокировка за долг';
comment on column analytics.purposes.title_en is
    'Title in English; null for a value that the vendor does not document; example: Locked for debt';
comment on column analytics.purposes.title_ru is
    'Title in Russian; null for a value that the vendor does not document; example: блокировка за долг';
comment on column analytics.runs.error is
    'What went wrong and what to do, in one line; null unless the poll failed; '
    'example: the endpoint answered 502 Bad Gateway';
comment on column analytics.freshness.last_error is
    'Error of the newest poll that has finished; null unless it failed; example: the endpoint answered 502 Bad Gateway';
comment on column analytics.rejected_records.error is
    'Why the record was rejected; example: the endpoint answered 502 Bad Gateway';
comment on column analytics.rejected_records.virtual_number_id is
    'The vendor''s id of the number, unique only within its account; example: 250';
comment on column analytics.rejected_records.number is
    'The current phone number, as the vendor writes it; example: 79208547433';
comment on column analytics.rejected_records.number_key is
    'account_id and virtual_number_id in one text; joins all views about numbers; example: 1:250';
comment on column analytics.rejected_records.payload is
    'First 64 KiB of the record as received; example: {"id": 250, "number": null}';
comment on column analytics.runs.duration_seconds is
    'How long the poll took, in seconds; null while it is running; example: 259200 (three days)';
comment on column analytics.state_share.duration_seconds is
    'Time that the number spent in the state on that day, in seconds; example: 259200 (three days)';
comment on column analytics.state_share.share is
    'Time in the state divided by the time that the number was listed that day, 0 to 1; '
    'example: 0.25 (six hours of a whole day)';
