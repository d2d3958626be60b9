-- Reverts 0008_up.sql, in reverse order.

-- How long the endpoint asked not to be polled (Retry-After).
alter table syncer.account_schedule drop column not_before;
