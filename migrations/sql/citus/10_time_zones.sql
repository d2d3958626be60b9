-- Citus sends a view to the other servers only if the functions in it are immutable. These depend on their arguments and
-- on the servers' time zones alone. They are not declared so on one server, where the planner would no longer expand them.
-- Times are subtracted without a time zone: a function that PostgreSQL expands may contain immutable operators only.
create or replace function syncer.day_start(day timestamp, zone text) returns timestamptz
language sql immutable parallel safe
begin atomic
select case when ((day at time zone zone at time zone 'UTC') - interval '6 hours'
                  + (day - (((day at time zone zone at time zone 'UTC') - interval '6 hours')
                            at time zone 'UTC' at time zone zone))) at time zone 'UTC' at time zone zone = day
            then least(day at time zone zone,
                       ((day at time zone zone at time zone 'UTC') - interval '6 hours'
                        + (day - (((day at time zone zone at time zone 'UTC') - interval '6 hours')
                                  at time zone 'UTC' at time zone zone))) at time zone 'UTC')
            else day at time zone zone end;
end;

create or replace function syncer.local_day(moment timestamptz, zone text) returns date
language sql immutable parallel safe
begin atomic
select case when (moment at time zone zone)::time >= '21:00'
             and moment >= syncer.day_start((moment at time zone zone)::date + interval '1 day', zone)
            then (moment at time zone zone)::date + 1
            else (moment at time zone zone)::date end;
end;

create or replace function syncer.known_zone(zone text) returns text language plpgsql immutable as $$
begin
    perform timestamptz 'epoch' at time zone zone;
    return zone;
exception when invalid_parameter_value then
    return 'UTC';
end
$$;
do $$
begin
    -- Before PostgreSQL 17, a block with an exception clause fails in a query that runs in parallel.
    if current_setting('server_version_num')::integer >= 170000 then
        alter function syncer.known_zone(text) parallel safe;
    end if;
end
$$;
