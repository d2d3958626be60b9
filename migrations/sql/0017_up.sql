-- Closed rows stay as they are, but their owner may have to delete an account, and says so for one transaction. A right of
-- its own would not do: the owner has every right, and a trigger that is switched off is off for all who write meanwhile.
create or replace function syncer.refuse_rewrite() returns trigger language plpgsql as $$
begin
    if current_setting('syncer.erasing', true) = 'on'
       and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    raise exception 'a closed row of syncer.% cannot be changed', tg_table_name using errcode = 'restrict_violation';
end
$$;
