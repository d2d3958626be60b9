-- What revision 0019 stores in addition to 0018: an erasure of a number that was never there.
\ir 0018.sql

insert into syncer.erasure (account_id, kind, virtual_number_id, number_hash, erased_at, erased_by, reason, rows)
values (1, 'number', 4711, '\x00', syncer.clock(), 'owner', 'a request', '{}');
