"""Notices: what has been said of the history, to whom, and what waits to be said."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from syncer.store.tables.schema import Time, metadata

account_condition = Table(
    "account_condition",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "condition_id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Identifier; those of one account that began later have larger ones",
    ),
    Column("kind", Text, nullable=False, comment="stale, refused, held or rejected"),
    Column(
        "began_at",
        Time,
        nullable=False,
        comment="Since when: the run that showed it; of stale, the start of the last successful run, or when the "
        "account was first polled",
    ),
    Column("ended_at", Time, comment="When it was seen to have ended; null while it lasts"),
    Column("run_id", BigInteger, comment="The run that showed it; null of stale"),
    Column(
        "affected",
        Integer,
        comment="Numbers whose removal was on hold, or records that were rejected, when it began",
    ),
    Index("account_condition_open_idx", "account_id", "kind", unique=True, postgresql_where=text("ended_at is null")),
    comment="A time in which an account needed a person: it was not polled, refused, had removals on hold or records "
    "rejected",
)

notice_cursor = Table(
    "notice_cursor",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("rule", Text, primary_key=True, comment="Name of the rule"),
    Column("channel", Text, primary_key=True, comment="Name of the channel"),
    Column(
        "run_id",
        BigInteger,
        comment="Changes up to this run are in a notice, or need none; null before the account's first applied run",
    ),
    Column(
        "condition_id",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="Conditions up to this one are in a notice, or need none",
    ),
    Column(
        "open_condition_ids",
        ARRAY(BigInteger),
        nullable=False,
        server_default=text("'{}'"),
        comment="Conditions whose beginning is in a notice, and whose end is in none yet",
    ),
    Column(
        "planned_at",
        Time,
        nullable=False,
        comment="When the last notice was made, or the last digest was due, or else when the cursor was made",
    ),
    Column("due_at", Time, comment="When the next notice may be made; null if at any time"),
    Column(
        "retired_at",
        Time,
        comment="Since when the notify file has not had the rule with the channel and the account; null while it has",
    ),
    postgresql_with={"fillfactor": 50},
    comment="Up to where a rule of the notify file has been followed, for each account and channel",
)

notice = Table(
    "notice",
    metadata,
    Column("account_id", Integer, primary_key=True, comment="The account"),
    Column("notice_id", BigInteger, Identity(always=True), primary_key=True, comment="Identifier of the notice"),
    Column("rule", Text, nullable=False, comment="Name of the rule"),
    Column("channel", Text, nullable=False, comment="Name of the channel"),
    Column("kind", Text, nullable=False, comment="changes, or conditions of accounts"),
    Column("after_run_id", BigInteger, comment="It is about the changes of runs after this one; null of conditions"),
    Column("through_run_id", BigInteger, comment="Up to this run; null of conditions"),
    Column("types", ARRAY(Text), comment="The types of numbers that it is about; null for all"),
    *(
        Column(name, ARRAY(BigInteger), nullable=False, server_default=text("'{}'"), comment=meaning)
        for name, meaning in {
            "begun_condition_ids": "Conditions that began",
            "ended_condition_ids": "Conditions that ended",
        }.items()
    ),
    Column("events", JSONB, nullable=False, comment="How many events of each kind it is about"),
    Column("polls_since", Time, comment="Of a digest: since when its failed polls are counted; null of others"),
    Column(
        "failed_polls",
        JSONB,
        comment="Of a digest: how many polls have failed since then with each error kind; null of others",
    ),
    Column(
        "message_id",
        Uuid,
        nullable=False,
        comment="Random identifier of the message, the same in each attempt to send it; notices of several accounts "
        "can share one",
    ),
    Column(
        "outcome",
        Text,
        nullable=False,
        server_default=text("'waiting'"),
        comment="waiting, sent, expired (not sent in time) or refused (by the receiver, for good)",
    ),
    Column("made_at", Time, nullable=False, comment="When the notice was made"),
    Column("due_at", Time, nullable=False, comment="When it is to be sent, or to be tried again"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="How often sending it was begun"),
    Column(
        "may_have_arrived",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether an attempt ended without an answer, so that the message may have arrived",
    ),
    Column("lease_holder", Text, comment="The process and the attempt that is sending it"),
    Column("lease_until", Time, comment="When that attempt counts as failed if nothing has been heard of it"),
    Column("finished_at", Time, comment="When it was sent, expired or was refused; null while it waits"),
    Column("http_status", Integer, comment="Status of the receiver's last answer, if it speaks HTTP"),
    Column("error", Text, comment="What went wrong in the last attempt, in one line; null if nothing did"),
    ForeignKeyConstraint(
        ["account_id", "rule", "channel"],
        ["syncer.notice_cursor.account_id", "syncer.notice_cursor.rule", "syncer.notice_cursor.channel"],
    ),
    Index(
        "notice_waiting_idx",
        "account_id",
        "rule",
        "channel",
        "kind",
        unique=True,
        postgresql_where=text("outcome = 'waiting'"),
    ),
    Index("notice_made_at_idx", "made_at", "message_id"),
    Index("notice_due_at_idx", "due_at", postgresql_where=text("outcome = 'waiting'")),
    Index("notice_message_id_idx", "message_id", postgresql_where=text("outcome = 'waiting'")),
    comment="A message about an account that was or is to be sent; its words are made when it is sent",
)
