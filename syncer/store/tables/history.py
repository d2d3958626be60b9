"""The history of numbers, one row per period (SCD type 2). Rows are added when a period has ended, and never changed.

What is in force now is in `virtual_number` and `virtual_number_redirect`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text

from syncer.store.tables.numbers import record_columns, redirect_columns
from syncer.store.tables.schema import Time, metadata

BEGINNINGS: Final = ("created", "restored", "changed")
ENDINGS: Final = ("changed", "removed")
_VACUUMED: Final = {"autovacuum_vacuum_insert_threshold": 50_000, "autovacuum_vacuum_insert_scale_factor": 0}
"""A vacuum after so many new rows, which brings the BRIN index up to date, also where the table has many more."""


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


def _period_columns() -> list[Column[object] | CheckConstraint]:
    return [
        Column("valid_to", Time, nullable=False, comment="End of the period, exclusive"),
        Column(
            "changed_after",
            Time,
            comment="The period began after this time; null if the account's first non-empty response had it",
        ),
        Column("closed_after", Time, nullable=False, comment="The period ended after this time"),
        Column("run_id", BigInteger, nullable=False, comment="The run that first saw the period"),
        Column("closed_run_id", BigInteger, nullable=False, comment="The run that saw its end, and added the row"),
        Column(
            "ended_by",
            Text,
            nullable=False,
            comment="How the period ended: changed, if another one followed at once, or removed, with its number",
        ),
        CheckConstraint("valid_from < valid_to", name="period"),
        _one_of("ended_by", ENDINGS),
    ]


def _number_key(foreign_key: str | None = None) -> list[Column[object] | ForeignKeyConstraint]:
    """The key of the number that a row is about.

    Args:
        foreign_key: The name of the foreign key, where the usual one would be longer than PostgreSQL allows.
    """
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
            name=foreign_key,
        ),
    ]


def _valid_from() -> Column[object]:
    return Column(
        "valid_from", Time, primary_key=True, comment="Start of the period, inclusive: when it was first seen"
    )


def _order_index(table: str, *columns: str) -> Index:
    """Rows are added in the order in which periods end: a small BRIN index finds those of a time or of a run."""
    return Index(
        f"{table}_order_idx",
        "valid_to",
        "closed_run_id",
        *columns,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32},
    )


virtual_number_history = Table(
    "virtual_number_history",
    metadata,
    *_number_key(),
    *record_columns({}),
    _valid_from(),
    *_period_columns(),
    Column(
        "began_by",
        Text,
        nullable=False,
        comment="How the version began: created or restored, with its number, or changed, if it followed another one",
    ),
    _one_of("began_by", BEGINNINGS),
    _order_index("virtual_number_history", "valid_from", "run_id"),
    Index(
        "virtual_number_history_employee_idx",
        "employee_id",
        postgresql_where=text("employee_id is not null"),
    ),
    postgresql_with=_VACUUMED,
    comment="Earlier versions of records: a row is added when a column changes or the number is removed",
)

state_history = Table(
    "state_history",
    metadata,
    *_number_key(),
    Column("state", Text, nullable=False, comment="State of the number, as the vendor names it"),
    Column("reason", Text, comment="Reason for the state, free text from the vendor"),
    _valid_from(),
    *_period_columns(),
    Column(
        "state_since",
        Time,
        nullable=False,
        comment="Since when the number was in this state without a break, whatever its reasons; not after valid_from",
    ),
    Column("state_since_earliest", Time, comment="It came into the state after this time; null as in changed_after"),
    Column(
        "state_began_by",
        Text,
        nullable=False,
        comment="How it came into the state: created or restored, with its number, or changed, from another state",
    ),
    Column("from_state", Text, comment="The state before it; null unless state_began_by is changed"),
    Column("to_state", Text, comment="The state after the period, also if it is the same; null if it was removed"),
    _one_of("state_began_by", BEGINNINGS),
    CheckConstraint("(from_state is not null) = (state_began_by = 'changed')", name="from_state"),
    CheckConstraint("(to_state is not null) = (ended_by = 'changed')", name="to_state"),
    CheckConstraint("state_since <= valid_from", name="state_since"),
    _order_index("state_history", "valid_from", "run_id"),
    Index("state_history_removed_idx", "account_id", "valid_to", postgresql_where=text("ended_by = 'removed'")),
    postgresql_with=_VACUUMED,
    comment="Earlier periods in which a number had one state and one reason: a row is added when one of them changes "
    "or the number is removed",
)

virtual_number_redirect_history = Table(
    "virtual_number_redirect_history",
    metadata,
    *_number_key("virtual_number_redirect_history_number_fkey"),
    *redirect_columns(),
    _valid_from(),
    *_period_columns(),
    _order_index("virtual_number_redirect_history", "valid_from", "run_id"),
    postgresql_with=_VACUUMED,
    comment="Earlier periods in which from_redirect_numbers of a number had an entry with this id and number",
)

absence_history = Table(
    "absence_history",
    metadata,
    *_number_key(),
    Column(
        "missing_since",
        Time,
        primary_key=True,
        comment="Time of the first successful poll that no longer listed the number",
    ),
    Column(
        "run_id",
        BigInteger,
        comment="That poll's run, which may have been deleted since; null if it was before revision 0009",
    ),
    Column("ended_at", Time, nullable=False, comment="When it was listed again, or when its removal was applied"),
    Column(
        "closed_run_id",
        BigInteger,
        nullable=False,
        comment="The run that saw it again, which may have been deleted since, or that applied the removal",
    ),
    Column("ended_by", Text, nullable=False, comment="How the absence ended: returned or removed"),
    CheckConstraint("missing_since <= ended_at", name="period"),
    _one_of("ended_by", ("returned", "removed")),
    comment="Absences that have ended, since revision 0009: a row is added when a missing number is listed again or "
    "its removal is applied; those that have not are in virtual_number",
)
