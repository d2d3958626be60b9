"""Personal data that were erased, so that they are not stored again."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, ForeignKey, Identity, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from syncer.store.tables.schema import Time, metadata

erasure = Table(
    "erasure",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column(
        "erasure_id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Identifier; the phone number is stored as erased-ERASURE_ID",
    ),
    Column(
        "kind", Text, nullable=False, comment="number or employee: on request; age: a number that was removed long ago"
    ),
    Column(
        "virtual_number_id",
        BigInteger,
        comment="The vendor's id of the erased number; null if only other numbers mentioned it, and of an employee",
    ),
    Column(
        "number_hash",
        LargeBinary,
        comment="Hash (BLAKE2b, 128 bits, keyed with syncer.hash_key) of the erased phone number; null if it is not "
        "looked for",
    ),
    Column("erased_at", Time, nullable=False, comment="When it was erased"),
    Column("erased_by", Text, nullable=False, comment="The login that erased it"),
    Column("reason", Text, comment="Why, as the one who erased it said; null if nothing was said"),
    Column("rows", JSONB, nullable=False, comment="How many rows of each table were masked"),
    Column("lifted_at", Time, comment="Since when it is stored again; null while it is not"),
    Column("employee_id", BigInteger, comment="The vendor's id of the employee whose name was erased; null of numbers"),
    Column(
        "comment_hashes",
        ARRAY(LargeBinary),
        comment="Keyed hashes of the comments that were erased with an employee; null if comments were kept",
    ),
    CheckConstraint(
        "virtual_number_id is not null or number_hash is not null or employee_id is not null", name="subject"
    ),
    comment="Personal data that were erased: each row keeps a number or a name from being stored again",
)
