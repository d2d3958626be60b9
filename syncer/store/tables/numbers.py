"""The current numbers, the lookup tables that they refer to, and the rejected records."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from syncer.store.record_columns import RECORD_COLUMN_TYPES
from syncer.store.tables.schema import Time, metadata


def _lookup_table(name: str, column: str) -> Table:
    return Table(
        name,
        metadata,
        Column(column, Text, primary_key=True, comment=f"The {column}, as the vendor names it"),
        Column("title_en", Text, comment="English title; null for a value that the vendor does not document"),
        Column("title_ru", Text, comment="Russian title; null for a value that the vendor does not document"),
        Column(
            "documented",
            Boolean,
            nullable=False,
            comment="False for a value that was received but that the vendor does not document",
        ),
        comment=f"The {column}s of numbers: those that the vendor documents, and others that were received",
    )


number_type = _lookup_table("number_type", "type")
number_purpose = _lookup_table("number_purpose", "purpose")
number_state = _lookup_table("number_state", "state")

region = Table(
    "region",
    metadata,
    Column("region_id", Integer, Identity(always=True), primary_key=True, comment="Identifier assigned by syncer"),
    Column("name", Text, nullable=False, unique=True, comment="The vendor's region_name"),
    comment="The regions of numbers, named as the vendor names them",
)

_TYPES: Final = {"text": Text, "bigint": BigInteger, "boolean": Boolean, "integer": Integer}
_COMMENTS: Final = {
    "number": "The phone number as the vendor writes it, digits without a plus",
    "comment": "The account's own comment on the number",
    "type": "Type of number: def is mobile, abc is landline",
    "purpose": "Whom the number serves: the company or an employee",
    "state": "State of the number, as the vendor names it",
    "reason": "Reason for the last change of state, free text from the vendor",
    "scenario_id": "Incoming-call scenario assigned to the number",
    "group_scenario_id": "Incoming-call scenario of the number's group",
    "group_id": "Group of numbers for incoming-call scenarios",
    "is_scenario_active": "Whether the incoming-call scenario is active",
    "is_group_scenario_active": "Whether the group's incoming-call scenario is active",
    "employee_id": "Employee the number is assigned to",
    "dgn_number": "ДГН: the landline number paired with a mobile one",
    "redirect_number": "The number that calls are redirected to",
    "region_id": "Region that the number belongs to",
    "app_id": "Identifier of the Личный кабинет that the number belongs to, according to its record",
    "nc_type": "The vendor's nc_type, undocumented; seen: custom, custom+fmc",
    "sip_uri": "SIP URI of a number of type sip_redirection",
}


def record_columns(references: dict[str, str]) -> list[Column[object]]:
    """The columns of the vendor's record.

    Args:
        references: The columns that refer to a lookup table, each with the column that it refers to.
    """
    return [
        Column(
            name,
            _TYPES[column_type],
            *([ForeignKey(references[name])] if name in references else []),
            nullable=name not in {"number", "state"},
            comment=_COMMENTS[name],
        )
        for name, column_type in RECORD_COLUMN_TYPES.items()
    ]


virtual_number = Table(
    "virtual_number",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The vendor's id of the number"
    ),
    *record_columns(
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
        comment="Fields of the latest record that have no column of their own; replaced as a whole, not versioned",
    ),
    Column("first_seen_at", Time, nullable=False, comment="When the number was first seen"),
    Column("changed_at", Time, nullable=False, comment="When the current version of the record was first seen"),
    Column(
        "changed_after",
        Time,
        comment="The current version began after this time; null if the account's first non-empty response had it",
    ),
    Column(
        "last_read_at",
        Time,
        comment="Null if the newest successful poll read the record; otherwise the start of the last one that did",
    ),
    Column(
        "missing_since",
        Time,
        comment="Time of the first successful poll that no longer listed the number; null while it is listed",
    ),
    Column("removed_at", Time, comment="Equal to missing_since once the removal is applied; null until then"),
    Column("run_id", BigInteger, nullable=False, comment="The run that first saw the current version"),
    Column("missing_run_id", BigInteger, comment="The run of missing_since; null before revision 0009"),
    Column("removed_run_id", BigInteger, comment="The run that applied the removal; null until then"),
    Column(
        "listed_since",
        Time,
        nullable=False,
        comment="When the number was first seen, or when it was seen again after its last removal",
    ),
    Column(
        "state_since",
        Time,
        nullable=False,
        comment="Since when the number has been in its state without a break, whatever its reasons",
    ),
    Column("state_since_earliest", Time, comment="It came into its state after this time; null as in changed_after"),
    Column(
        "from_state", Text, comment="The state before it; null if the number was created or restored with its state"
    ),
    Column("reason_since", Time, nullable=False, comment="Since when it has had its state and its reason"),
    Column("reason_since_earliest", Time, comment="It came to both after this time; null as in changed_after"),
    Column("reason_run_id", BigInteger, nullable=False, comment="The run that first saw both"),
    Column(
        "believable_missing_since",
        Time,
        comment="Time of the first believable response that no longer listed the number; the hold time counts from it",
    ),
    Column(
        "believable_missing_from",
        BigInteger,
        comment="Which of the account's believable_responses that was, counted from 1; each later one confirms it",
    ),
    CheckConstraint("(removed_at is null) = (removed_run_id is null)", name="removed"),
    CheckConstraint("listed_since <= state_since and state_since <= reason_since", name="since"),
    Index("virtual_number_number_idx", "number"),
    Index(
        "virtual_number_unread_idx",
        "account_id",
        postgresql_where=text("last_read_at is not null and removed_at is null"),
    ),
    # No index on what every change of a number touches, so that PostgreSQL updates it in its page alone (HOT).
    Index(
        "virtual_number_listed_since_idx",
        "listed_since",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32},
    ),
    postgresql_with={"fillfactor": 45},
    comment="The latest known record of every number ever seen",
)


def redirect_columns() -> list[Column[object]]:
    """The columns that identify a redirect of a number."""
    return [
        Column(
            "redirect_number_id",
            BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="The vendor's id of the number whose calls are redirected to this one: id in from_redirect_numbers",
        ),
        Column(
            "number",
            Text,
            primary_key=True,
            comment="The number whose calls are redirected to this one, as the vendor writes it",
        ),
    ]


virtual_number_redirect = Table(
    "virtual_number_redirect",
    metadata,
    Column("account_id", Integer, primary_key=True, comment="The account"),
    Column(
        "virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The vendor's id of the number"
    ),
    *redirect_columns(),
    Column("valid_from", Time, nullable=False, comment="Since when it has been listed: when it was first seen"),
    Column(
        "changed_after",
        Time,
        comment="It was listed after this time; null if the account's first non-empty response had it",
    ),
    Column("run_id", BigInteger, nullable=False, comment="The run that first saw it"),
    ForeignKeyConstraint(
        ["account_id", "virtual_number_id"],
        ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
    ),
    comment="The entries of from_redirect_numbers of each number that is not removed",
)

record_fingerprint = Table(
    "record_fingerprint",
    metadata,
    Column("account_id", Integer, primary_key=True, autoincrement=False, comment="The account"),
    Column(
        "virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The vendor's id of the number"
    ),
    Column(
        "fingerprint",
        LargeBinary,
        nullable=False,
        comment="Content hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the bytes that the current record was "
        "read from",
    ),
    Column("decoder_version", SmallInteger, nullable=False, comment="Version of the decoder that read the record"),
    postgresql_with={"fillfactor": 45},
    comment="Cache of the records whose bytes need not be decoded again; its rows may be deleted at any time",
)

rejected_record = Table(
    "rejected_record",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "rejected_record_id",
        Uuid,
        primary_key=True,
        comment="Content hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the bytes as received",
    ),
    Column("virtual_number_id", BigInteger, comment="The record's id, if it could be read"),
    Column("error", Text, nullable=False, comment="Why the record was rejected"),
    Column("payload", LargeBinary, nullable=False, comment="First 64 KiB of the bytes as received"),
    Column("first_run_id", BigInteger, nullable=False, comment="The first run that received the record"),
    Column("last_run_id", BigInteger, nullable=False, comment="The last applied run that received the record"),
    Column("occurrences", Integer, nullable=False, comment="How many applied runs received the record"),
    Index(
        "rejected_record_last_run_id_idx",
        "account_id",
        "last_run_id",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 4},
    ),
    postgresql_with={"fillfactor": 50},
    comment="Elements of responses that were rejected, one row for each distinct content",
)
