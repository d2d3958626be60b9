-- What revision 0013 stores in addition to 0012: summaries of the days that have ended, here of a day in a time zone that
-- the account had before.
\ir 0012.sql

insert into syncer.day_summary
select c.*
  from syncer.account_fence a
 cross join lateral syncer.count_days(a.account_id, 'Asia/Vladivostok', null, a.observed_at) c
 where a.account_id = 1 and c.ends <= a.observed_at;
