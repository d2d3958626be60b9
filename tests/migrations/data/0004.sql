-- The data of revision 0003, after the second account was removed from the configuration.
\ir 0003.sql
update syncer.account_schedule set retired_at = '2026-03-01 22:30:00Z' where account_id = 2;
