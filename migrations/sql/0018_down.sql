drop view analytics.notifications;
drop function syncer.notice_kind_title(text), syncer.notice_outcome_title(text);
drop table syncer.notice, syncer.notice_cursor, syncer.account_condition;
