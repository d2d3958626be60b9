"""The tables of schema `syncer`, as the newest migration leaves them.

Every key of account-owned data starts with `account_id`. Rows are facts, so there are no entities here: the statements
that read and write them stand in the modules that mean something by it. The comments are what analysts read.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "syncer"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

_Time = DateTime(timezone=True)


def _vocabulary(name: str, word: str, what: str) -> Table:
    return Table(
        name,
        metadata,
        Column(word, Text, primary_key=True, comment=f"The vendor's word for the {what}"),
        Column("title_en", Text, comment="English title; null for a word the vendor does not document"),
        Column("title_ru", Text, comment="Russian title; null for a word the vendor does not document"),
        Column("documented", Boolean, nullable=False, comment="False for a word that was seen but is not documented"),
        comment=f"The vendor's words for the {what} of a number, and those seen beyond them",
    )


number_type = _vocabulary("number_type", "type", "type")
number_purpose = _vocabulary("number_purpose", "purpose", "purpose")
number_state = _vocabulary("number_state", "state", "state")

region = Table(
    "region",
    metadata,
    Column("region_id", Integer, Identity(always=True), primary_key=True, comment="Identifier made here"),
    Column("name", Text, nullable=False, unique=True, comment="The vendor's region_name"),
    comment="The regions that numbers belong to, spelled as the vendor does",
)

account = Table(
    "account",
    metadata,
    Column("account_id", Integer, Identity(always=True), primary_key=True, comment="Identifier made here"),
    Column("name", Text, nullable=False, unique=True, comment="The name the configuration gives the account"),
    Column("app_id", BigInteger, comment="The Личный кабинет: what most records of the first success carried"),
    Column("time_zone", Text, nullable=False, comment="Time zone of the account's days, as in the IANA database"),
    Column("created_at", _Time, nullable=False, comment="When it was first polled"),
    Column("success_run_id", BigInteger, comment="The newest run that succeeded; an older one may change nothing"),
    Column("success_started_at", _Time, comment="When that run began: what it did not see happened after this"),
    Column("observed_at", _Time, comment="The moment that the newest success was written under; it never goes back"),
    Column("applied_run_id", BigInteger, comment="The newest run that was applied; its rejected records stand"),
    Column("standing_run_id", BigInteger, comment="The run that last changed which digests stand"),
    Column("body_digest", LargeBinary, comment="Of the response that stands as a whole; null while removals are held"),
    Column("decoder_version", SmallInteger, comment="The decoder that read that response"),
    comment="One row per configured account, and what its newest successful poll left for the next one",
)

account_schedule = Table(
    "account_schedule",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("due_at", _Time, nullable=False, comment="When the account is to be polled next"),
    Column("lease_holder", Text, comment="The process that polls it now"),
    Column("lease_until", _Time, comment="When another process may take it over"),
    Column(
        "retired_at",
        _Time,
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
    Column("started_at", _Time, nullable=False, comment="Before the request was sent"),
    Column("finished_at", _Time, comment="When the outcome was known; null while running"),
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

_RECORD: Final[dict[str, tuple[type[Boolean | BigInteger | Integer | Text], str]]] = {
    "number": (Text, "The phone number as the vendor writes it, digits without a plus"),
    "comment": (Text, "The account's own note on the number"),
    "type": (Text, "Kind of number: def is mobile, abc is landline"),
    "purpose": (Text, "Whom the number serves: the company or an employee"),
    "state": (Text, "State of the number, the vendor's word"),
    "reason": (Text, "Reason of the last change of state, the vendor's free text"),
    "scenario_id": (BigInteger, "Incoming-call scenario tied to the number"),
    "group_scenario_id": (BigInteger, "Incoming-call scenario of the number's group"),
    "group_id": (BigInteger, "Group of numbers for incoming-call scenarios"),
    "is_scenario_active": (Boolean, "Whether the incoming-call scenario is active"),
    "is_group_scenario_active": (Boolean, "Whether the group's incoming-call scenario is active"),
    "employee_id": (BigInteger, "Employee the number is assigned to"),
    "dgn_number": (Text, "ДГН: the landline number paired with a mobile one"),
    "redirect_number": (Text, "The number that calls are redirected to"),
    "region_id": (Integer, "Region the number belongs to"),
    "app_id": (BigInteger, "Личный кабинет the record says it belongs to"),
    "nc_type": (Text, "Vendor's nc_type, undocumented; seen: custom, custom+fmc"),
    "sip_uri": (Text, "SIP URI of a number of type sip_redirection"),
}
RECORD_COLUMNS: Final = tuple(_RECORD)
"""The record's columns, in the order of `syncer.wire.COLUMNS`, `region_id` where that has `region_name`."""


def _record_columns(references: dict[str, str]) -> list[Column[object]]:
    """The columns of the vendor's record; `references` says which of them point to a lookup table."""
    return [
        Column(
            name,
            kind,
            *([ForeignKey(references[name])] if name in references else []),
            nullable=name not in {"number", "state"},
            comment=comment,
        )
        for name, (kind, comment) in _RECORD.items()
    ]


virtual_number = Table(
    "virtual_number",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The endpoint's id"),
    *_record_columns(
        {
            "type": "syncer.number_type.type",
            "purpose": "syncer.number_purpose.purpose",
            "state": "syncer.number_state.state",
            "region_id": "syncer.region.region_id",
        }
    ),
    Column(
        "extra",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="The latest fields that have no column; replaced as a whole, not versioned",
    ),
    Column("first_seen_at", _Time, nullable=False, comment="When the number was first seen"),
    Column("changed_at", _Time, nullable=False, comment="When this version of the record was first seen"),
    Column("changed_after", _Time, comment="The change came after this; null if the first successful poll found it so"),
    Column(
        "last_read_at",
        _Time,
        comment="Null while each successful poll reads the record; else the start of the last one that did",
    ),
    Column("missing_since", _Time, comment="The first of the unbroken row of successful polls that did not list it"),
    Column("removed_at", _Time, comment="Null until the removal is applied, then equal to missing_since"),
    Column("run_id", BigInteger, nullable=False, comment="The run that saw this version first"),
    Index("virtual_number_number_idx", "number"),
    Index("virtual_number_run_id_idx", "account_id", "run_id"),
    Index(
        "virtual_number_unread_idx",
        "account_id",
        postgresql_where=text("last_read_at is not null and removed_at is null"),
    ),
    Index("virtual_number_removed_idx", "account_id", "removed_at", postgresql_where=text("removed_at is not null")),
    comment="The latest known record of every number ever seen",
)


def _period_columns() -> list[Column[object] | CheckConstraint]:
    return [
        Column("valid_to", _Time, comment="End of the period, exclusive; null while it is open"),
        Column("changed_after", _Time, comment="It began after this; null if the first successful poll found it so"),
        Column("closed_after", _Time, comment="It ended after this; null while it is open"),
        Column("run_id", BigInteger, nullable=False, comment="The run that opened the row"),
        Column("closed_run_id", BigInteger, comment="The run that closed the row; null while it is open"),
        CheckConstraint("valid_from < valid_to", name="period"),
        CheckConstraint(
            "(valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)",
            name="closing",
        ),
    ]


def _number_key() -> list[Column[object] | ForeignKeyConstraint]:
    return [
        Column("account_id", Integer, primary_key=True, comment="The account"),
        Column("virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The endpoint's id"),
        ForeignKeyConstraint(
            ["account_id", "virtual_number_id"],
            ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
        ),
    ]


def _valid_from() -> Column[object]:
    return Column(
        "valid_from", _Time, primary_key=True, comment="When it was first seen; start of the period, inclusive"
    )


_OPEN: Final = text("valid_to is null")

virtual_number_history = Table(
    "virtual_number_history",
    metadata,
    *_number_key(),
    *_record_columns({}),
    _valid_from(),
    *_period_columns(),
    Index("virtual_number_history_closed_run_id_idx", "account_id", "closed_run_id"),
    comment="Superseded versions of the record: a row each time a column changed, or a removed number returned",
)

state_history = Table(
    "state_history",
    metadata,
    *_number_key(),
    Column("state", Text, nullable=False, comment="State of the number, the vendor's word"),
    Column("reason", Text, comment="Reason, the vendor's free text"),
    _valid_from(),
    *_period_columns(),
    Index("state_history_run_id_idx", "account_id", "run_id"),
    Index("state_history_closed_run_id_idx", "account_id", "closed_run_id"),
    Index("state_history_open_idx", "account_id", "virtual_number_id", unique=True, postgresql_where=_OPEN),
    comment="A row for each period in which a number had one state and one reason",
)

virtual_number_redirect = Table(
    "virtual_number_redirect",
    metadata,
    *_number_key(),
    Column(
        "redirect_number_id", BigInteger, primary_key=True, autoincrement=False, comment="id in from_redirect_numbers"
    ),
    Column("number", Text, primary_key=True, comment="The number whose calls come here, as the vendor writes it"),
    _valid_from(),
    *_period_columns(),
    Index("virtual_number_redirect_run_id_idx", "account_id", "run_id"),
    Index("virtual_number_redirect_closed_run_id_idx", "account_id", "closed_run_id"),
    Index(
        "virtual_number_redirect_open_idx",
        "account_id",
        "virtual_number_id",
        "redirect_number_id",
        "number",
        unique=True,
        postgresql_where=_OPEN,
    ),
    comment="A row for each period in which a number listed this id with this number in from_redirect_numbers",
)

record_digest = Table(
    "record_digest",
    metadata,
    Column("account_id", Integer, primary_key=True, autoincrement=False, comment="The account"),
    Column("virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The endpoint's id"),
    Column("digest", LargeBinary, nullable=False, comment="XXH3 of the bytes that the current record was read from"),
    Column("decoder_version", SmallInteger, nullable=False, comment="The decoder that read them"),
    comment="A cache: bytes that need not be decoded again. Its rows may be deleted at any time",
)

rejected_record = Table(
    "rejected_record",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("rejected_record_id", Uuid, primary_key=True, comment="XXH3 of the bytes as received"),
    Column("virtual_number_id", BigInteger, comment="The element's id, where it can be read"),
    Column("error", Text, nullable=False, comment="Why it could not be taken"),
    Column("payload", LargeBinary, nullable=False, comment="The bytes as received, the first 64 KiB"),
    Column("first_run_id", BigInteger, nullable=False, comment="The run that received it first"),
    Column("last_run_id", BigInteger, nullable=False, comment="The last applied run that received it"),
    Column("occurrences", Integer, nullable=False, comment="Applied runs that received it"),
    Index("rejected_record_last_run_id_idx", "account_id", "last_run_id"),
    comment="Elements of responses that could not be taken, once per distinct content",
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
