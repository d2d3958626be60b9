-- The tables of revision 0008 are those of 0007.
\ir 0007.sql

-- How long the endpoint asked not to be polled (Retry-After).
update syncer.account_schedule set not_before = '2026-03-02 01:00:00Z' where account_id = 1;
