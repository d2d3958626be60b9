-- The life that revision 0003 stores. The second account has left the configuration since.
\ir 0003.sql
update syncer.account_schedule set retired_at = '2026-03-01 22:30:00Z' where account_id = 2;
