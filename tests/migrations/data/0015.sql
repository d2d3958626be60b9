-- What revision 0015 stores in addition to 0014: how long nobody watched on a day whose runs were deleted.
\ir 0014.sql

update syncer.sync_day set blind_seconds = 7200;
