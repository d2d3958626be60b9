-- What 0008_down.sql reverts, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule add column not_before timestamptz;
comment on column syncer.account_schedule.not_before is
    'Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did not';
