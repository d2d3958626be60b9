"""Accounts, their schedule, and their polls."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from syncer.store.tables.schema import Time, metadata

account = Table(
    "account",
    metadata,
    Column("account_id", Integer, Identity(always=True), primary_key=True, comment="Identifier assigned by syncer"),
    Column("name", Text, nullable=False, unique=True, comment="Name of the account in the configuration"),
    Column(
        "app_id",
        BigInteger,
        comment="Identifier of the Личный кабинет: the most frequent app_id of the first successful response",
    ),
    Column("time_zone", Text, nullable=False, comment="IANA time zone of the account's days"),
    Column("created_at", Time, nullable=False, comment="When it was first polled"),
    Column(
        "retired_at",
        Time,
        comment="Since when the account has been in no configuration and is not polled; null while it is configured",
    ),
    comment="One row per account that was ever configured: what identifies it",
)

account_fence = Table(
    "account_fence",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "success_run_id",
        BigInteger,
        comment="The newest successful run; a run that began before it must not change anything",
    ),
    Column(
        "success_started_at",
        Time,
        comment="Start of the newest successful run; anything that it did not see happened later",
    ),
    Column("first_success_at", Time, comment="Start of the account's first successful run"),
    Column("observed_at", Time, comment="Time recorded for the newest successful run; it never decreases"),
    Column(
        "applied_run_id",
        BigInteger,
        comment="The newest applied run; its rejected records are the ones that count as rejected now",
    ),
    Column(
        "fingerprints_version",
        Uuid,
        comment="Random version of the stored fingerprints, replaced whenever they change; null before they first did",
    ),
    Column(
        "body_digest",
        LargeBinary,
        comment="Digest of the response body that the stored data corresponds to; null while numbers are missing",
    ),
    Column("decoder_version", SmallInteger, comment="Version of the decoder that read that response body"),
    Column(
        "believable_responses",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment=(
            "How many successful runs had a believable response: not empty, every id readable, not a part of the list"
        ),
    ),
    Column("believable_run_id", BigInteger, comment="The newest successful run whose response was believable"),
    Column(
        "believable_started_at",
        Time,
        comment="Start of that run; a number that it did not list, and that is listed later, appeared after it",
    ),
    Column("record_keys", ARRAY(Text), comment="Keys that the records of the last response with accepted records had"),
    Column(
        "attempted_at",
        Time,
        comment=(
            "When a poll last failed, written at most once an hour: an account that is polled counts until now also "
            "while its polls fail"
        ),
    ),
    postgresql_with={"fillfactor": 50},
    comment="What the newest successful poll of each account recorded for the next one; a poll locks the row to write",
)

account_schedule = Table(
    "account_schedule",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("due_at", Time, nullable=False, comment="When the account is due to be polled next"),
    Column("lease_holder", Text, comment="The process that is polling the account"),
    Column("lease_until", Time, comment="When the lease expires, so that another process may poll the account"),
    Column(
        "not_before",
        Time,
        comment="Until when the endpoint asked, by Retry-After in its last response, not to be polled; null if it did "
        "not",
    ),
    postgresql_with={"fillfactor": 50},
    comment="When each account is due to be polled, and which process is polling it",
)

sync_run = Table(
    "sync_run",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "run_id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Identifier of the run; runs that began later have larger ones",
    ),
    Column(
        "trigger",
        Text,
        nullable=False,
        comment="What started it: schedule, command (syncer sync) or accept_removals (syncer sync --accept-removals)",
    ),
    Column("started_at", Time, nullable=False, comment="When the run began, before the request was sent"),
    Column("finished_at", Time, comment="When the outcome was known; null while it is running"),
    Column("outcome", Text, nullable=False, comment="running, applied, unchanged, failed, superseded or abandoned"),
    Column("error_kind", Text, comment="Kind of failure; null unless the run failed"),
    Column("error", Text, comment="What went wrong and what to do, in one line; null unless the run failed"),
    Column("http_status", Integer, comment="Status of the endpoint's last response; null if it did not respond"),
    Column("response_bytes", BigInteger, comment="Size of the decoded response body, in bytes"),
    Column("received", Integer, comment="Elements in the response"),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"), comment=meaning)
        for name, meaning in {
            "created": "Numbers never seen before",
            "changed": "Numbers in which anything changed, including redirects",
            "unchanged": "Numbers in which nothing changed",
            "removed": "Numbers whose removal was applied",
            "restored": "Removed numbers that were listed again",
            "held": "Missing numbers whose removal was on hold after the run; a person should look",
            "rejected": "Elements of the response that were rejected",
            "state_changes": "Changes of state or reason, without those of created and restored numbers",
            "redirects_opened": "Redirects that were added, including those of created and restored numbers",
            "redirects_closed": "Redirects that were removed, including those of removed numbers",
            "unconfirmed": "Missing numbers whose removal only waited for another response to confirm it",
        }.items()
    ),
    Index("sync_run_started_at_idx", "account_id", "started_at"),
    # No index on the outcome, so that PostgreSQL updates it in its page alone (HOT).
    postgresql_with={"fillfactor": 70},
    comment="One row per poll, including failed ones",
)


sync_day = Table(
    "sync_day",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("day", Date, primary_key=True, comment="Day in the account's time zone"),
    Column("polls", Integer, nullable=False, comment="Polls on that day whose runs were deleted"),
    Column("failed", Integer, nullable=False, comment="How many of those polls failed"),
    Column(
        "longest_gap_seconds",
        Numeric,
        nullable=False,
        comment="Longest time on that day without a successful poll, in seconds",
    ),
    Column(
        "blind_seconds",
        Numeric,
        comment=(
            "Time on that day in gaps of more than an hour without a successful poll, each cut at midnight; null "
            "before revision 0015"
        ),
    ),
    comment="Daily totals of deleted runs, so that gaps between polls stay known",
)


hash_key = Table(
    "hash_key",
    metadata,
    Column(
        "is_only_row", Boolean, primary_key=True, server_default=text("true"), comment="Always true: there is one row"
    ),
    Column("key", LargeBinary, nullable=False, comment="The secret key of 32 bytes"),
    CheckConstraint("is_only_row", "is_only_row"),
    CheckConstraint("octet_length(key) = 32", "key"),
    comment="The key of all fingerprints and digests: one row, random, made by the migration, and not for analysts",
)

retention = Table(
    "retention",
    metadata,
    Column(
        "is_only_row", Boolean, primary_key=True, server_default=text("true"), comment="Always true: there is one row"
    ),
    Column(
        "rejected_records",
        Interval,
        nullable=False,
        comment="How long rejected records are kept at least; `syncer migrate` writes SYNCER_RUN_RETENTION here",
    ),
    CheckConstraint("is_only_row", "is_only_row"),
    comment="What the daemon's role may delete: one row, which only the owner changes",
)

viewer = Table(
    "viewer",
    metadata,
    Column("login", Text, primary_key=True, comment="The login"),
    Column("account_ids", ARRAY(Integer), nullable=False, comment="The accounts that it sees"),
    Column("created_at", Time, nullable=False, comment="When it was given its schema"),
    comment="Logins that see some accounts only, in a schema of their own: analytics_LOGIN",
)
