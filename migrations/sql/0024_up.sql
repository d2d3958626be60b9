-- What 0024_down.sql reverts. A poll updates rows within their pages (HOT), so that no index gets an entry: the pages have
-- room for it, and no index covers what an update changes, except where that is rare. Existing pages keep what they have:
-- room for more appears as rows move, or at once by VACUUM FULL.

-- More than half of a page is room for a new and somewhat longer version of each of its rows: all may change at once.
alter table syncer.virtual_number set (fillfactor = 45);
alter table syncer.record_fingerprint set (fillfactor = 45);

-- One row per account, and each poll updates it.
alter table syncer.account_fence set (fillfactor = 50);
alter table syncer.account_schedule set (fillfactor = 50);
alter table syncer.notice_cursor set (fillfactor = 50);
alter table syncer.name_list set (fillfactor = 50);

-- Each row is updated once, soon after it was inserted, so the room is used again for the next ones.
alter table syncer.sync_run set (fillfactor = 70);
-- That update ends `running`. The next success looks for such runs among those since the one before it.
drop index syncer.sync_run_running_idx;

-- Each applied run updates the rejected records that it received again; what it reads are those of the newest one.
alter table syncer.rejected_record set (fillfactor = 50);
drop index syncer.rejected_record_last_run_id_idx;
create index rejected_record_last_run_id_idx on syncer.rejected_record using brin (account_id, last_run_id)
    with (pages_per_range = 4);

-- No query reads numbers, or their absences, in the order of their ends.
drop index syncer.virtual_number_removed_idx;
drop index syncer.absence_history_order_idx;

-- PostgreSQL queues 256 requests to summarize ranges of pages for the whole server. A poll that changes 100,000 numbers
-- makes more of them, and logs each one that is lost. A vacuum summarizes all ranges that are not yet: the history gets one
-- after so many new rows, whatever its size, and until then queries read their pages.
alter index syncer.virtual_number_listed_since_idx reset (autosummarize);
alter index syncer.virtual_number_history_order_idx reset (autosummarize);
alter index syncer.state_history_order_idx reset (autosummarize);
alter index syncer.virtual_number_redirect_history_order_idx reset (autosummarize);
alter table syncer.virtual_number_history
    set (autovacuum_vacuum_insert_threshold = 50000, autovacuum_vacuum_insert_scale_factor = 0);
alter table syncer.state_history
    set (autovacuum_vacuum_insert_threshold = 50000, autovacuum_vacuum_insert_scale_factor = 0);
alter table syncer.virtual_number_redirect_history
    set (autovacuum_vacuum_insert_threshold = 50000, autovacuum_vacuum_insert_scale_factor = 0);
