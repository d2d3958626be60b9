drop view analytics.notifications;
drop table syncer.notice, syncer.notice_cursor, syncer.account_condition;
