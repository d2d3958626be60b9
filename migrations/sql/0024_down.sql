alter table syncer.virtual_number_redirect_history
    reset (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor);
alter table syncer.state_history
    reset (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor);
alter table syncer.virtual_number_history
    reset (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor);
alter index syncer.virtual_number_redirect_history_order_idx set (autosummarize = on);
alter index syncer.state_history_order_idx set (autosummarize = on);
alter index syncer.virtual_number_history_order_idx set (autosummarize = on);
alter index syncer.virtual_number_listed_since_idx set (autosummarize = on);

create index absence_history_order_idx on syncer.absence_history using brin (ended_at, closed_run_id)
    with (pages_per_range = 32, autosummarize = on);
create index virtual_number_removed_idx on syncer.virtual_number (account_id, removed_at) where removed_at is not null;

drop index syncer.rejected_record_last_run_id_idx;
create index rejected_record_last_run_id_idx on syncer.rejected_record (account_id, last_run_id);
alter table syncer.rejected_record reset (fillfactor);

create index sync_run_running_idx on syncer.sync_run (account_id, run_id) where outcome = 'running';
alter table syncer.sync_run reset (fillfactor);

alter table syncer.name_list reset (fillfactor);
alter table syncer.notice_cursor reset (fillfactor);
alter table syncer.account_schedule reset (fillfactor);
alter table syncer.account_fence reset (fillfactor);

alter table syncer.record_fingerprint reset (fillfactor);
alter table syncer.virtual_number set (fillfactor = 80);
