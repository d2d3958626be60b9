-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';
-- Days and time zones --------------------------------------------------------------------------------------------------

create function syncer.day_start(day timestamp, zone text) returns timestamptz language sql stable parallel safe
begin atomic
-- Where clocks go back over midnight, PostgreSQL reads `day` as the later of two midnights. The earlier one comes as
-- long after six hours before as it would if no clock were changed.
select case when ((day at time zone zone) - interval '6 hours'
                  + (day - (((day at time zone zone) - interval '6 hours') at time zone zone))) at time zone zone = day
            then least(day at time zone zone,
                       (day at time zone zone) - interval '6 hours'
                       + (day - (((day at time zone zone) - interval '6 hours') at time zone zone)))
            else day at time zone zone end;
end;
