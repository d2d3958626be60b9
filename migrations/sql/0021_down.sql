-- Reverts 0021_up.sql. A view can lose a column only by being created again, with its comments and grants. A line
-- with the name of a file and the beginning of a statement is replaced by that statement.
create temporary table restored on commit drop as
select format('analytics.%I', name)::regclass as relation
  from unnest(array['numbers', 'numbers_all', 'number_history', 'state_history', 'state_spells', 'state_changes',
                    'redirect_history', 'redirects', 'changes', 'assignments', 'absences', 'register',
                    'monthly_spells']) name;
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
select name, obj_description(name::regprocedure, 'pg_proc') as description
  from unnest(array['analytics.numbers_as_of(timestamptz)', 'analytics.changes_since(jsonb)']) name;
drop table restored;

drop function analytics.changes_since(jsonb);
drop function analytics.numbers_as_of(timestamptz);
drop view analytics.employees, analytics.groups, analytics.name_history, analytics.name_lists, analytics.register,
    analytics.numbers, analytics.numbers_all, analytics.monthly_spells, analytics.number_history, analytics.state_history,
    analytics.state_spells, analytics.state_changes, analytics.redirects, analytics.redirect_history, analytics.changes,
    analytics.assignments, analytics.absences;
drop view syncer.name_version;
drop function syncer.scenario_type_title(text), syncer.name_list_title(text), syncer.name_outcome_title(text);
drop table syncer.name, syncer.name_history, syncer.name_list;
delete from syncer.erasure where employee_id is not null;
alter table syncer.erasure
    drop constraint erasure_subject_check,
    add constraint erasure_subject_check check (virtual_number_id is not null or number_hash is not null),
    drop employee_id,
    drop comment_hashes;
comment on table syncer.erasure is
    'Personal data that were erased: each row keeps one number of an account from being stored again';
comment on column syncer.erasure.kind is 'number: on request; age: removed long ago';
comment on column syncer.erasure.virtual_number_id is
    'The vendor''s id of the erased number; null if only other numbers mentioned it';
comment on column syncer.erasure.lifted_at is 'Since when the number is stored again; null while it is not';

:0010_up.sql view analytics.numbers_all as
:0010_up.sql view analytics.numbers as
:0016_up.sql view analytics.number_history as
:0016_up.sql view analytics.state_history as
:0016_up.sql view analytics.state_spells as
:0016_up.sql view analytics.state_changes as
:0016_up.sql view analytics.redirect_history as
:0016_up.sql view analytics.redirects as
:0016_up.sql view analytics.changes as
:0016_up.sql view analytics.assignments as
:0016_up.sql view analytics.absences as
:0016_up.sql view analytics.monthly_spells as
:0012_up.sql view analytics.register as
:0012_up.sql function analytics.numbers_as_of(
:0016_up.sql function analytics.changes_since(

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
    for one in select * from function_comment loop
        execute format('comment on function %s is %L', one.name, one.description);
    end loop;
end
$$;
drop table described, granted, function_comment;
