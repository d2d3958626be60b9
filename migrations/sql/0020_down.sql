do $$
declare
    one record;
begin
    for one in select login from syncer.viewer loop
        execute format('drop schema if exists %I cascade', 'analytics_' || one.login);
    end loop;
end
$$;
drop function syncer.make_viewer_schema(text);
drop table syncer.viewer;
