alter table syncer.account rename column standing_run_id to fingerprints_run_id;
comment on column syncer.account.fingerprints_run_id is 'The run that last changed the stored fingerprints';

alter table syncer.record_digest rename to record_fingerprint;
alter table syncer.record_fingerprint rename column digest to fingerprint;
alter table syncer.record_fingerprint rename constraint record_digest_pkey to record_fingerprint_pkey;
comment on table syncer.record_fingerprint is
    'Cache of the records whose bytes need not be decoded again; its rows may be deleted at any time';
comment on column syncer.record_fingerprint.fingerprint is
    'Content hash (XXH3, 128 bits) of the bytes that the current record was read from';
