"""Accounts, when they are polled, and what their polls came to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)

from syncer.store.tables.schema import Time, metadata

account = Table(
    "account",
    metadata,
    Column("account_id", Integer, Identity(always=True), primary_key=True, comment="Identifier made here"),
    Column("name", Text, nullable=False, unique=True, comment="The name the configuration gives the account"),
    Column("app_id", BigInteger, comment="The Личный кабинет: what most records of the first success carried"),
    Column("time_zone", Text, nullable=False, comment="Time zone of the account's days, as in the IANA database"),
    Column("created_at", Time, nullable=False, comment="When it was first polled"),
    Column("success_run_id", BigInteger, comment="The newest run that succeeded; an older one may change nothing"),
    Column("success_started_at", Time, comment="When that run began: what it did not see happened after this"),
    Column("observed_at", Time, comment="The moment that the newest success was written under; it never goes back"),
    Column("applied_run_id", BigInteger, comment="The newest run that was applied; its rejected records stand"),
    Column("fingerprints_run_id", BigInteger, comment="The run that last changed the stored fingerprints"),
    Column("body_digest", LargeBinary, comment="Of the response that stands as a whole; null while removals are held"),
    Column("decoder_version", SmallInteger, comment="The decoder that read that response"),
    comment="One row per configured account, and what its newest successful poll left for the next one",
)

account_schedule = Table(
    "account_schedule",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("due_at", Time, nullable=False, comment="When the account is to be polled next"),
    Column("lease_holder", Text, comment="The process that polls it now"),
    Column("lease_until", Time, comment="When another process may take it over"),
    Column(
        "retired_at",
        Time,
        comment="Since when no configuration has the account: it is polled no more; null while one does",
    ),
    comment="When each account is polled next, and by whom it is being polled",
)

sync_run = Table(
    "sync_run",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("run_id", BigInteger, Identity(always=True), primary_key=True, comment="Grows in the order runs began"),
    Column("trigger", Text, nullable=False, comment="schedule, command, or accept_removals: an operator's word"),
    Column("started_at", Time, nullable=False, comment="Before the request was sent"),
    Column("finished_at", Time, comment="When the outcome was known; null while running"),
    Column("outcome", Text, nullable=False, comment="running, applied, unchanged, failed, superseded or abandoned"),
    Column("error_kind", Text, comment="What kind of failure; null unless failed"),
    Column("error", Text, comment="What went wrong and what to do, in one line; null unless failed"),
    Column("http_status", Integer, comment="The endpoint's last answer; null if it did not answer"),
    Column("response_bytes", BigInteger, comment="Size of the decoded body, in bytes"),
    Column("received", Integer, comment="Elements of the response"),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"), comment=meaning)
        for name, meaning in {
            "created": "Numbers never seen before",
            "changed": "Numbers in which anything differed, redirects included",
            "unchanged": "Numbers that were as before",
            "removed": "Numbers whose removal was applied",
            "restored": "Removed numbers that were listed again",
            "held": "Numbers whose removal was held after this run",
            "rejected": "Elements that could not be taken",
            "state_changes": "Changes of state or reason, but for created and restored numbers",
            "redirects_opened": "Redirects first listed, those of created and restored numbers included",
            "redirects_closed": "Redirects no longer listed, those of removed numbers included",
        }.items()
    ),
    Index("sync_run_running_idx", "account_id", "run_id", postgresql_where=text("outcome = 'running'")),
    Index("sync_run_started_at_idx", "account_id", "started_at"),
    comment="One row per poll, failed ones included",
)


sync_day = Table(
    "sync_day",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("day", Date, primary_key=True, comment="Day in the account's time zone"),
    Column("polls", Integer, nullable=False, comment="Polls of that day whose runs were pruned"),
    Column("failed", Integer, nullable=False, comment="Those of them that failed"),
    Column(
        "longest_gap_seconds", Numeric, nullable=False, comment="Longest time without a successful poll, in seconds"
    ),
    comment="What pruned runs add up to, so that it stays known whether anyone was looking",
)
