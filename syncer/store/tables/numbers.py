"""The numbers as they are now, the vocabularies of their words, and what could not be taken for a number."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
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

from syncer.store.tables.schema import Time, metadata


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
"""The record's columns, in the order of `syncer.diff.record.COLUMNS`, `region_id` where that has `region_name`."""
RECORD_KINDS: Final = {name: str(kind()).lower() for name, (kind, _) in _RECORD.items()}
"""The type of each of them, as PostgreSQL spells it."""


def record_columns(references: dict[str, str]) -> list[Column[object]]:
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
        comment="The latest fields that have no column; replaced as a whole, not versioned",
    ),
    Column("first_seen_at", Time, nullable=False, comment="When the number was first seen"),
    Column("changed_at", Time, nullable=False, comment="When this version of the record was first seen"),
    Column("changed_after", Time, comment="The change came after this; null if the first successful poll found it so"),
    Column(
        "last_read_at",
        Time,
        comment="Null while each successful poll reads the record; else the start of the last one that did",
    ),
    Column("missing_since", Time, comment="The first of the unbroken row of successful polls that did not list it"),
    Column("removed_at", Time, comment="Null until the removal is applied, then equal to missing_since"),
    Column("run_id", BigInteger, nullable=False, comment="The run that saw this version first"),
    Index("virtual_number_number_idx", "number"),
    # Not by the account first: foreign keys are checked by whatever index a small table suggests, and plans are kept.
    Index("virtual_number_run_id_idx", "run_id", "account_id"),
    Index(
        "virtual_number_unread_idx",
        "account_id",
        postgresql_where=text("last_read_at is not null and removed_at is null"),
    ),
    Index("virtual_number_removed_idx", "account_id", "removed_at", postgresql_where=text("removed_at is not null")),
    comment="The latest known record of every number ever seen",
)

record_fingerprint = Table(
    "record_fingerprint",
    metadata,
    Column("account_id", Integer, primary_key=True, autoincrement=False, comment="The account"),
    Column("virtual_number_id", BigInteger, primary_key=True, autoincrement=False, comment="The endpoint's id"),
    Column(
        "fingerprint",
        LargeBinary,
        nullable=False,
        comment="Content hash (XXH3, 128 bits) of the bytes that the current record was read from",
    ),
    Column("decoder_version", SmallInteger, nullable=False, comment="The decoder that read them"),
    comment="A cache: records whose bytes need not be decoded again. Its rows may be deleted at any time",
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
