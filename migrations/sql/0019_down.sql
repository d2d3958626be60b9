create or replace function syncer.refuse_change_without_run() returns trigger language plpgsql as $$
begin
    raise exception 'the record of number % cannot change without a later run', old.virtual_number_id
        using errcode = 'restrict_violation';
end
$$;
drop table syncer.erasure;
