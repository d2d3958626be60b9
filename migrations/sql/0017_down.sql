create or replace function syncer.refuse_rewrite() returns trigger language plpgsql as $$
begin
    raise exception 'a closed row of syncer.% cannot be changed', tg_table_name using errcode = 'restrict_violation';
end
$$;
