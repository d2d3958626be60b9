-- What is closed stays as it was written, whoever writes: a period that has ended can be neither moved nor reworded.
create function syncer.refuse_rewrite() returns trigger language plpgsql as $$
begin
    raise exception 'a closed row of syncer.% cannot be changed', tg_table_name using errcode = 'restrict_violation';
end
$$;
comment on function syncer.refuse_rewrite() is 'Refuses to change closed history';

create trigger closed_stays_closed before update on syncer.state_history
    for each row when (old.valid_to is not null) execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.virtual_number_redirect
    for each row when (old.valid_to is not null) execute function syncer.refuse_rewrite();
create trigger closed_stays_closed before update on syncer.virtual_number_history
    for each row execute function syncer.refuse_rewrite();
-- Runs are deleted when they are old, but never one that history rows speak of.
create trigger closed_stays_closed before delete on syncer.sync_run
    for each row when (old.created + old.changed + old.removed + old.restored > 0)
    execute function syncer.refuse_rewrite();
