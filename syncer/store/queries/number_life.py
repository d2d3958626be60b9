"""Reads the life of one number: its states, redirects, absences, and everything else that changed.

Each query finds the rows of the number by key, so that it takes the same time however many other numbers there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from syncer.store.engine import Engine
    from syncer.store.queries.number_search import NumberKey

MAX_ROWS: Final = 1000
"""How many states, redirects, absences and changes of a number are read at most, the newest ones."""


class PhoneNumberPeriod(Struct, frozen=True):
    """A time in which the number had one phone number, whatever else changed."""

    number: str
    valid_from: datetime
    valid_to: datetime | None


class StatePeriod(Struct, frozen=True):
    """A time in which the number had one state and one reason; the fields are columns of `analytics.state_history`."""

    state: str
    reason: str | None
    valid_from: datetime
    valid_to: datetime | None
    changed_after: datetime | None
    closed_after: datetime | None
    ended_by: str | None
    duration_seconds: float


class RedirectPeriod(Struct, frozen=True):
    """A time in which calls of another number were redirected to this one."""

    redirect_from: str
    valid_from: datetime
    valid_to: datetime | None
    changed_after: datetime | None
    closed_after: datetime | None


class Absence(Struct, frozen=True):
    """A time in which the number was not listed, though it was not removed then."""

    missing_since: datetime
    ended_at: datetime | None
    ended_by: str | None


class NumberChange(Struct, frozen=True):
    """A change, as `analytics.changes` has it; of what a new or returned number began with, only its state.

    Attributes:
        old_name: What the employee or group whose id is `old_value` was called then; None of others, and if unknown.
        new_name: The same of `new_value`.
    """

    changed_at: datetime
    changed_after: datetime | None
    kind: str
    field: str | None
    old_value: str | None
    new_value: str | None
    run_id: int
    old_name: str | None
    new_name: str | None


class NumberLife(Struct, frozen=True):
    """A number as it is now, or was when it was removed, with the names of now, and its history, oldest first.

    Attributes:
        numbers: The phone numbers that it had.
        is_complete: Whether the lists are complete; otherwise they have the newest rows.
    """

    account_id: int
    account: str
    time_zone: str
    retired_at: datetime | None
    virtual_number_id: int
    number_key: str
    number: str
    comment: str | None
    type: str | None
    purpose: str | None
    region: str | None
    employee_id: int | None
    employee: str | None
    employee_position: str | None
    group_id: int | None
    group_name: str | None
    scenario_id: int | None
    scenario_type: str | None
    scenario_type_title_en: str | None
    scenario_type_title_ru: str | None
    scenario_target_id: int | None
    scenario_target: str | None
    redirect_number: str | None
    state: str
    reason: str | None
    state_since: datetime
    first_seen_at: datetime
    missing_since: datetime | None
    removed_at: datetime | None
    numbers: list[PhoneNumberPeriod]
    states: list[StatePeriod]
    redirects: list[RedirectPeriod]
    absences: list[Absence]
    changes: list[NumberChange]
    is_complete: bool


_NUMBER: Final = """
select n.account_id, n.account, a.time_zone, n.retired_at, n.virtual_number_id, n.number_key, n.number, n.comment,
       n.type, n.purpose, n.region, n.employee_id, n.employee, n.employee_position, n.group_id, n.group_name,
       n.scenario_id, n.scenario_type, n.scenario_type_title_en, n.scenario_type_title_ru, n.scenario_target_id,
       n.scenario_target, n.redirect_number, n.state, n.reason, n.state_since, n.first_seen_at, n.missing_since,
       n.removed_at
  from analytics.numbers_all n join analytics.accounts a using (account_id)
 where n.account_id = :account_id and n.virtual_number_id = :virtual_number_id
"""
_NUMBERS: Final = """
select number, min(valid_from) as since, case when bool_and(valid_to is not null) then max(valid_to) end
  from (select number, valid_from, valid_to, sum(is_other) over (order by valid_from) as turn
          from (select number, valid_from, valid_to,
                       (number is distinct from lag(number) over (order by valid_from))::integer as is_other
                  from analytics.number_history
                 where account_id = :account_id and virtual_number_id = :virtual_number_id) versions) turns
 group by turn, number order by since desc limit :limit
"""
_STATES: Final = """
select state, reason, valid_from, valid_to, changed_after, closed_after, ended_by, duration_seconds::float8
  from analytics.state_history
 where account_id = :account_id and virtual_number_id = :virtual_number_id order by valid_from desc limit :limit
"""
_REDIRECTS: Final = """
select redirect_from, valid_from, valid_to, changed_after, closed_after
  from analytics.redirect_history
 where account_id = :account_id and virtual_number_id = :virtual_number_id
 order by valid_from desc, redirect_from desc limit :limit
"""
_ABSENCES: Final = """
select missing_since, ended_at, ended_by from analytics.absences
 where account_id = :account_id and virtual_number_id = :virtual_number_id order by missing_since desc limit :limit
"""
_CHANGES: Final = """
select changed_at, changed_after, kind, field, old_value, new_value, run_id, old_name, new_name
  from analytics.changes
 where account_id = :account_id and virtual_number_id = :virtual_number_id
   and (kind not in ('created', 'restored') or field = 'state')
 order by changed_at desc, run_id desc, change_id desc limit :limit
"""


async def read_number_life(
    engine: Engine, key: NumberKey, *, statement_seconds: float, max_rows: int = MAX_ROWS
) -> NumberLife | None:
    """Reads the life of a number; returns None if there is no such number. The rights of an analyst are enough.

    Args:
        engine: The database.
        key: The number.
        statement_seconds: The statement timeout.
        max_rows: How many rows each list has at most, the newest ones.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    parameters = key._asdict()
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        number = (await connection.execute(text(_NUMBER), parameters)).one_or_none()
        if number is None:
            return None
        rows = [
            await _oldest_first(connection, query, parameters | {"limit": max_rows + 1})
            for query in (_NUMBERS, _STATES, _REDIRECTS, _ABSENCES, _CHANGES)
        ]
    structs = (PhoneNumberPeriod, StatePeriod, RedirectPeriod, Absence, NumberChange)
    lists = [[struct(*row) for row in found[-max_rows:]] for struct, found in zip(structs, rows, strict=True)]
    fields: tuple[Any, ...] = (*number, *lists, all(len(found) <= max_rows for found in rows))
    return NumberLife(*fields)


async def _oldest_first(connection: AsyncConnection, query: str, parameters: dict[str, int]) -> list[tuple[Any, ...]]:
    rows = await connection.execute(text(query), parameters)
    return [tuple(row) for row in reversed(rows.all())]
