-- What revision 0020 stores in addition to 0019: a login that sees one account, whose role this server does not have.
\ir 0019.sql

insert into syncer.viewer (login, account_ids, created_at) values ('clerk_of_another_server', '{1}', syncer.clock());
