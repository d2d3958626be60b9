-- Roles and logins. An administrator runs this once, in the new database, before its first migration.
create role syncer_daemon nologin;
create role syncer_analyst nologin;
-- Owns the schema and migrates it: `syncer migrate`.
create role syncer_owner login;
alter database syncer owner to syncer_owner;
-- Polls: `syncer run`, `sync`, `check` and `status`.
create role syncer_poller login in role syncer_daemon;
-- Reads the views: dashboards, notebooks, people.
create role syncer_reader login in role syncer_analyst;
