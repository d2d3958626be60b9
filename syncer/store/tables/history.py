"""The history of numbers, one row per period (SCD type 2). A closed row is never changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text

from syncer.store.tables.numbers import record_columns
from syncer.store.tables.schema import Time, metadata


def _period_columns() -> list[Column[object] | CheckConstraint]:
    return [
        Column("valid_to", Time, comment="End of the period, exclusive; null while it is open"),
        Column(
            "changed_after",
            Time,
            comment="The period began after this time; null if the account's first non-empty response had it",
        ),
        Column("closed_after", Time, comment="The period ended after this time; null while it is open"),
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
        Column(
            "virtual_number_id",
            BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="The vendor's id of the number",
        ),
        ForeignKeyConstraint(
            ["account_id", "virtual_number_id"],
            ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
        ),
    ]


def _valid_from() -> Column[object]:
    return Column(
        "valid_from", Time, primary_key=True, comment="Start of the period, inclusive: when it was first seen"
    )


_OPEN: Final = text("valid_to is null")

virtual_number_history = Table(
    "virtual_number_history",
    metadata,
    *_number_key(),
    *record_columns({}),
    _valid_from(),
    *_period_columns(),
    Index("virtual_number_history_closed_run_id_idx", "account_id", "closed_run_id"),
    comment="Earlier versions of records: a row is added when a column changes or a removed number returns",
)

state_history = Table(
    "state_history",
    metadata,
    *_number_key(),
    Column("state", Text, nullable=False, comment="State of the number, as the vendor names it"),
    Column("reason", Text, comment="Reason for the state, free text from the vendor"),
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
    comment="A row for each period in which from_redirect_numbers of a number had an entry with this id and number",
)
