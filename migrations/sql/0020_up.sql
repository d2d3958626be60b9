-- What 0020_down.sql reverts. Logins that see some accounts only: each has a schema of views of its own.
create table syncer.viewer (
    login text not null,
    account_ids integer[] not null,
    created_at timestamptz not null,
    primary key (login)
);
comment on table syncer.viewer is 'Logins that see some accounts only, in a schema of their own: analytics_LOGIN';
comment on column syncer.viewer.login is 'The login';
comment on column syncer.viewer.account_ids is 'The accounts that it sees';
comment on column syncer.viewer.created_at is 'When it was given its schema';

-- Not row security: that would keep the daemon from loading rows by COPY, and it does not hold for what a view's owner may
-- see. With a security barrier, no function of a reader is shown a row before the account has been compared. Dynamic, so
-- that views of later revisions are included; the migrations call it again after they have changed views.
create function syncer.make_viewer_schema(viewer text) returns void language plpgsql set search_path = pg_catalog as $$
declare
    home text := 'analytics_' || viewer;
    accounts integer[];
    one record;
    attribute record;
begin
    select v.account_ids into strict accounts from syncer.viewer v where v.login = viewer;
    execute format('create schema %I', home);
    for one in select c.oid, c.relname as name, obj_description(c.oid) as comment,
                      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id') as is_scoped
                 from pg_class c
                where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v' and c.relname <> 'changes_cursor'
                order by c.relname loop
        execute format('create view %I.%I with (security_barrier) as select * from analytics.%I%s', home, one.name, one.name,
                       case when one.is_scoped then format(' where account_id = any(%L::integer[])', accounts) else '' end);
        execute format('comment on view %I.%I is %L', home, one.name, one.comment);
        for attribute in select a.attname as name, col_description(a.attrelid, a.attnum) as comment
                           from pg_attribute a where a.attrelid = one.oid and a.attnum > 0 and not a.attisdropped loop
            execute format('comment on column %I.%I.%I is %L', home, one.name, attribute.name, attribute.comment);
        end loop;
    end loop;
    execute format('create function %I.numbers_as_of(moment timestamptz) returns setof analytics.numbers language sql stable '
                   'security definer set search_path = pg_catalog '
                   'as $function$ select * from analytics.numbers_as_of(moment) where account_id = any(%L::integer[]) $function$',
                   home, accounts);
    execute format('revoke all on all functions in schema %I from public', home);
    execute format('grant usage on schema %I to %I', home, viewer);
    execute format('grant select on all tables in schema %I to %I', home, viewer);
    execute format('grant execute on all functions in schema %I to %I', home, viewer);
end
$$;
revoke all on function syncer.make_viewer_schema(text) from public;
comment on function syncer.make_viewer_schema(text) is 'Makes the schema of views of a login that sees some accounts only';

do $$
begin
    if exists (select from pg_roles where rolname = 'syncer_daemon') then
        grant select on syncer.viewer to syncer_daemon;
    end if;
end
$$;
