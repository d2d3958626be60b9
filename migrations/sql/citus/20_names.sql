-- Names that have been replaced, with the time in which each answers what an id is called: from the end of the one before
-- it, or ever since, to its own. A join with this and with `syncer.name` finds the name of a moment on the server of the
-- account; the first that ends later, as one server looks it up, Citus finds for one account only, or not at all.
create or replace view syncer.former_name as
select h.account_id, h.list, h.object_id, h.name, h.position, h.scenario_type, h.target_list, h.target_id,
       case when h.valid_from = n.first_seen_at then '-infinity' else h.valid_from end as answers_after,
       h.valid_to as answers_until
  from syncer.name_history h
  join syncer.name n on n.account_id = h.account_id and n.list = h.list and n.object_id = h.object_id;

comment on view syncer.former_name is
    'Names that were replaced, with the time in which each answers what an id is called';
comment on column syncer.former_name.account_id is 'The account';
comment on column syncer.former_name.list is
    'The vendor''s list that has it: employees, groups, employee_groups, scenarios or group_scenarios';
comment on column syncer.former_name.object_id is 'The vendor''s id in that list';
comment on column syncer.former_name.name is 'Name; null of scenarios, which have none, and if it was erased';
comment on column syncer.former_name.position is
    'An employee''s position; null if none is given, of others, and if it was erased';
comment on column syncer.former_name.scenario_type is
    'What a scenario does with a call, as the vendor names it; varies if its working shifts differ; null of others';
comment on column syncer.former_name.target_list is
    'Whom a scenario leads a call to: employees or employee_groups; null if to neither, or if its working shifts differ';
comment on column syncer.former_name.target_id is 'The vendor''s id of that employee or group of employees';
comment on column syncer.former_name.answers_after is 'When the name before it was replaced; -infinity of the first';
comment on column syncer.former_name.answers_until is 'When it was replaced';
