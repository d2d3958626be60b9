-- What revision 0013 stores in addition to 0011: summaries of the days that have ended, here of a day in a time zone that
-- the account had before.
\ir 0011.sql

insert into syncer.day_summary
select c.*
  from syncer.account a
  join syncer.account_fence f using (account_id)
 cross join lateral syncer.count_days(a.account_id, 'Asia/Vladivostok', null, f.observed_at) c
 where a.account_id = 1 and c.ends <= f.observed_at;
