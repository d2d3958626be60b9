comment on column syncer.record_fingerprint.fingerprint is 'XXH3 of the bytes that the current record was read from';
comment on table syncer.record_fingerprint is
    'A cache: bytes that need not be decoded again. Its rows may be deleted at any time';
alter table syncer.record_fingerprint rename constraint record_fingerprint_pkey to record_digest_pkey;
alter table syncer.record_fingerprint rename column fingerprint to digest;
alter table syncer.record_fingerprint rename to record_digest;

comment on column syncer.account.fingerprints_run_id is 'The run that last changed which digests stand';
alter table syncer.account rename column fingerprints_run_id to standing_run_id;
