-- What revision 0023 stores in addition to 0022: when a poll last failed. Since when an account is retired is in another
-- table: the column of the older one, which the other scripts fill, is made and dropped again.
alter table syncer.account_schedule add column retired_at timestamptz;
\ir 0022.sql
update syncer.account a set retired_at = s.retired_at from syncer.account_schedule s where s.account_id = a.account_id;
alter table syncer.account_schedule drop column retired_at;

update syncer.account_fence set attempted_at = observed_at + interval '1 hour' where account_id = 1;
