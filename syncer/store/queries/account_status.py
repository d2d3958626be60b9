"""Reads the status of every account, for `syncer status`, `syncer check` and `syncer demo`."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.local_time import format_moment
from syncer.store.engine import read_snapshot
from syncer.store.queries.known_success import LATER_RUNS, READ_CLOCK, SUCCEEDED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row

    from syncer.store.engine import Engine


class RejectedElement(Struct, frozen=True):
    """An element that the newest applied run rejected."""

    virtual_number_id: int | None
    error: str
    first_seen_at: datetime | None
    occurrences: int


class UnreadList(Struct, frozen=True):
    """A list of names that was never read, or that the last attempt could not read."""

    list: str
    last_success_at: datetime | None
    error_kind: str | None
    error: str | None


class AccountStatus(Struct, frozen=True):
    """The status of one account.

    Attributes:
        last_run_id: The newest run that has an outcome.
        last_success_at: When the newest successful run was recorded.
        lag_seconds: How long ago that was; if `clock_ahead`, how long ago it was at least, None if nothing is known.
        last_outcome: The outcome of run `last_run_id`.
        last_error_kind: The kind of its error, if it failed.
        last_error: Its error, if it failed.
        numbers: The number of phone numbers in each state, without removed ones.
        held: How many removals are held.
        held_since: When the first of these numbers went missing.
        unconfirmed: How many removals only wait for their confirmation.
        rejected: The elements that the newest applied run rejected.
        retired_at: When the account was removed from the configuration; it is no longer polled.
        clock_ahead: Whether the database's clock was ahead when the newest successful run was recorded.
        time_zone: The account's time zone.
        unread_names: The lists of names that are to be read and were never read, or could not be read last.
    """

    account_id: int
    account: str
    app_id: int | None
    last_run_id: int | None
    last_success_at: datetime | None
    lag_seconds: float | None
    last_outcome: str | None
    last_error_kind: str | None
    last_error: str | None
    numbers: dict[str, int]
    held: int
    held_since: datetime | None
    unconfirmed: int
    rejected: list[RejectedElement]
    retired_at: datetime | None
    clock_ahead: bool
    time_zone: str
    unread_names: list[UnreadList]


def describe_clock(status: AccountStatus) -> str:
    """Returns a sentence about an account whose newest success was recorded by a clock that was ahead."""
    moment = "?" if status.last_success_at is None else format_moment(status.last_success_at, status.time_zone)
    age = "its age is not known" if status.lag_seconds is None else f"it is at least {format_age(status)} old"
    return (
        "the database's clock was ahead when the last successful poll was recorded, at "
        f"{moment}: {age}; check that the server synchronizes its clock"
    )


def format_age(status: AccountStatus) -> str:
    """Formats how long ago the newest successful run was recorded, to the second."""
    return str(timedelta(seconds=round(max(status.lag_seconds or 0, 0))))


_ACCOUNTS: Final = f"""
with known as materialized (
    select f.account_id, a.name as account, a.app_id, last.run_id as last_run_id, f.observed_at as last_success_at,
           last.outcome as last_outcome, last.error_kind as last_error_kind, last.error as last_error, a.time_zone,
           a.retired_at,
           {SUCCEEDED_BY} as succeeded_by
      from syncer.account_fence f
      join syncer.account a on a.account_id = f.account_id
      left join lateral (select * from syncer.sync_run r
                          where r.account_id = f.account_id and r.outcome not in ('running', 'abandoned')
                          order by r.run_id desc limit 1) last on true
      {LATER_RUNS}
)
select k.account_id, k.account, k.app_id, k.last_run_id, k.last_success_at,
       extract(epoch from :now - k.succeeded_by)::float8 as lag_seconds, k.last_outcome, k.last_error_kind,
       k.last_error, k.retired_at, k.last_success_at is distinct from k.succeeded_by as clock_ahead, k.time_zone
  from known k
 order by k.account
"""  # noqa: S608 - constants
_STATES: Final = """
select account_id, state, count(*) as numbers from syncer.virtual_number where removed_at is null
 group by 1, 2 order by 1, 3 desc, 2
"""
# The newest success counted which of the missing numbers are held and which only wait for their confirmation.
_MISSING: Final = """
select f.account_id, r.held, r.unconfirmed,
       case when r.held > 0 then (
           select min(missing_since) from syncer.virtual_number n
            where n.account_id = f.account_id and n.last_read_at is not null and n.removed_at is null
       ) end as held_since
  from syncer.account_fence f
  join syncer.sync_run r on r.account_id = f.account_id and r.run_id = f.success_run_id
"""
_REJECTED: Final = """
select j.account_id, j.virtual_number_id, j.error, r.started_at as first_seen_at, j.occurrences
  from syncer.account_fence f
  join syncer.rejected_record j on j.account_id = f.account_id and j.last_run_id = f.applied_run_id
  left join syncer.sync_run r on r.account_id = j.account_id and r.run_id = j.first_run_id
 order by j.account_id, j.virtual_number_id, j.rejected_record_id
"""

_UNREAD_NAMES: Final = """
select account_id, list, success_at, error_kind, error from syncer.name_list
 where due_at is not null and (success_at is null or outcome = 'failed')
 order by account_id, list
"""


async def read_account_statuses(engine: Engine) -> list[AccountStatus]:
    """Reads the status of every account that was ever polled, sorted by name.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        now = (await connection.execute(text(READ_CLOCK))).scalar_one()
        accounts = (await connection.execute(text(_ACCOUNTS), {"now": now})).mappings().all()
        numbers = _by_account(await connection.execute(text(_STATES)))
        missing = {row.account_id: row for row in await connection.execute(text(_MISSING))}
        rejected = _by_account(await connection.execute(text(_REJECTED)))
        unread_names = _by_account(await connection.execute(text(_UNREAD_NAMES)))
    statuses = []
    for account in accounts:
        account_id = account["account_id"]
        missing_now = missing.get(account_id)
        statuses.append(
            AccountStatus(
                **account,
                numbers={row.state: row.numbers for row in numbers.get(account_id, ())},
                held=0 if missing_now is None else missing_now.held,
                held_since=None if missing_now is None else missing_now.held_since,
                unconfirmed=0 if missing_now is None else missing_now.unconfirmed,
                rejected=[RejectedElement(*row[1:]) for row in rejected.get(account_id, ())],
                unread_names=[UnreadList(*row[1:]) for row in unread_names.get(account_id, ())],
            )
        )
    return statuses


def _by_account(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[int, list[Row[*tuple[Any, ...]]]]:
    """Groups rows by `account_id`; they must be sorted by it."""
    return {account_id: list(account_rows) for account_id, account_rows in groupby(rows, lambda row: row.account_id)}
