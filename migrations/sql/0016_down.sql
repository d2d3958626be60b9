-- Reverts 0016_up.sql. A view can lose a column only by being created again, with its comments and grants. A line
-- with the name of a file and the beginning of a statement is replaced by that statement.
create temporary table restored on commit drop as
select format('analytics.%I', name)::regclass as relation
  from unnest(array['number_history', 'state_history', 'state_spells', 'state_changes', 'redirect_history', 'redirects',
                    'changes', 'assignments', 'absences', 'monthly_spells', 'runs', 'freshness']) name;
create temporary table described on commit drop as
select relation::text, a.attname, d.description
  from restored
  join pg_description d on d.objoid = relation and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = relation and a.attnum = d.objsubid and a.attnum > 0;
create temporary table granted on commit drop as
select relation::text, g.grantee::regrole as role, g.privilege_type
  from restored
  join pg_class c on c.oid = relation
 cross join lateral aclexplode(c.relacl) g
 where g.grantee <> c.relowner;
create temporary table function_comment on commit drop as
select obj_description('analytics.numbers_as_of(timestamptz)'::regprocedure, 'pg_proc') as description;
drop table restored;

drop function analytics.changes_since(jsonb);
drop function analytics.numbers_as_of(timestamptz);
drop view analytics.monthly_spells, analytics.number_history, analytics.state_history, analytics.state_spells,
    analytics.state_changes, analytics.redirects, analytics.redirect_history, analytics.changes, analytics.assignments,
    analytics.absences, analytics.runs, analytics.freshness;
drop function syncer.kind_title(text), syncer.field_title(text), syncer.began_by_title(text), syncer.ended_by_title(text),
    syncer.trigger_title(text), syncer.outcome_title(text), syncer.error_kind_title(text);

:0008_up.sql view analytics.runs as
:0011_up.sql view analytics.freshness as
:0012_up.sql view analytics.number_history as
:0012_up.sql view analytics.state_history as
:0012_up.sql view analytics.state_spells as
:0012_up.sql view analytics.state_changes as
:0012_up.sql view analytics.redirect_history as
:0012_up.sql view analytics.redirects as
:0012_up.sql view analytics.changes as
:0012_up.sql view analytics.assignments as
:0012_up.sql view analytics.absences as
:0013_up.sql view analytics.monthly_spells as
:0012_up.sql function analytics.numbers_as_of(
create or replace view analytics.changes_cursor as
select coalesce(jsonb_object_agg(account_id, applied_run_id), '{}') as cursor
  from syncer.account_fence
 where applied_run_id is not null;
:0012_up.sql function analytics.changes_since(

do $$
declare
    one record;
begin
    for one in select described.*
                 from described
                 left join pg_attribute a on a.attrelid = to_regclass(relation) and a.attname = described.attname
                where described.attname is null or a.attnum is not null loop
        if one.attname is null then
            execute format('comment on view %s is %L', one.relation, one.description);
        else
            execute format('comment on column %s.%I is %L', one.relation, one.attname, one.description);
        end if;
    end loop;
    for one in select * from granted loop
        execute format('grant %s on %s to %s', one.privilege_type, one.relation, one.role);
    end loop;
    execute format('comment on function analytics.numbers_as_of(timestamptz) is %L',
                   (select description from function_comment));
end
$$;
drop table described, granted, function_comment;
comment on view analytics.changes is
    E'A row for each changed field, immutable but for number_now and changed_day; to copy the new rows, call changes_since; '
    'example: select changed_at, number, field, old_value, new_value from analytics.changes '
    'where changed_at > now() - interval ''1 day'' order by run_id, change_id\n'
    'Лента изменений: строка на каждое изменённое поле; неизменны все столбцы, кроме number_now и changed_day; новые строки '
    'копирует changes_since; пример: select changed_at, number, field, old_value, new_value from analytics.changes '
    'where changed_at > now() - interval ''1 day'' order by run_id, change_id';
comment on column analytics.changes_cursor.cursor is
    E'For each account_id its newest run that changed something; example: {"1": 1834, "2": 1836}\n'
    'Для каждого account_id — его последний опрос, который что-либо изменил; пример: {"1": 1834, "2": 1836}';
comment on function analytics.changes_since(jsonb) is
    E'The rows of changes that are newer than a cursor, in the order account_id, run_id, change_id; {} for all; read the next '
    'cursor from changes_cursor in the same transaction (repeatable read); example: '
    'select * from analytics.changes_since(''{"1": 1834}'')\n'
    'Строки changes новее курсора, в порядке account_id, run_id, change_id; {} — все; следующий курсор читайте из '
    'changes_cursor в той же транзакции (repeatable read); пример: select * from analytics.changes_since(''{"1": 1834}'')';
