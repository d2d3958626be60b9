"""How the accounts are doing, in a few queries: for `syncer status`, and for whoever watches."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import told_as_database_errors
from syncer.store.tables import RECORD_COLUMNS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Rejected(Struct, frozen=True):
    """A rejected element that stands: it was in the newest applied response."""

    virtual_number_id: int | None
    error: str
    first_seen_at: datetime | None
    occurrences: int


class AccountOverview(Struct, frozen=True):
    """How one account is doing.

    Attributes:
        last_success_at: When the newest successful run was written.
        lag_seconds: How long ago that was.
        last_outcome: Of the newest run that has one.
        last_error: Of that run, if it failed.
        numbers: How many are in each state; removed ones do not count.
        held: How many numbers are missing and held.
        held_since: When the first of them was first missed.
        rejected: The rejected elements that stand.
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
    rejected: list[Rejected]


_ACCOUNTS: Final = """
select a.account_id, a.name as account, a.app_id, last.run_id as last_run_id, a.observed_at as last_success_at,
       extract(epoch from syncer.clock() - a.observed_at)::float8 as lag_seconds,
       last.outcome as last_outcome, last.error_kind as last_error_kind, last.error as last_error
  from syncer.account a
  left join lateral (select * from syncer.sync_run r
                      where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                      order by run_id desc limit 1) last on true
 order by a.name
"""
_STATES: Final = """
select account_id, state, count(*) as numbers from syncer.virtual_number where removed_at is null
 group by 1, 2 order by 1, 3 desc, 2
"""
_HELD: Final = """
select account_id, count(*) as numbers, min(missing_since) as since
  from syncer.virtual_number where last_read_at is not null and removed_at is null and missing_since is not null
 group by 1
"""
_REJECTED: Final = """
select j.account_id, j.virtual_number_id, j.error, r.started_at as first_seen_at, j.occurrences
  from syncer.account a
  join syncer.rejected_record j on j.account_id = a.account_id and j.last_run_id = a.applied_run_id
  left join syncer.sync_run r on r.account_id = j.account_id and r.run_id = j.first_run_id
 order by j.account_id, j.virtual_number_id, j.rejected_record_id
"""


async def overview(engine: AsyncEngine) -> list[AccountOverview]:
    """How every account is doing that was ever polled, by name.

    Raises:
        DatabaseError: The database cannot be asked.
    """
    with told_as_database_errors():
        async with engine.connect() as connection:
            await connection.execute(text("set transaction isolation level repeatable read, read only"))
            accounts = (await connection.execute(text(_ACCOUNTS))).mappings().all()
            states = (await connection.execute(text(_STATES))).all()
            held = {row.account_id: row for row in await connection.execute(text(_HELD))}
            rejected = (await connection.execute(text(_REJECTED))).all()
    return [
        AccountOverview(
            **account,
            numbers={row.state: row.numbers for row in states if row.account_id == account["account_id"]},
            held=held[account["account_id"]].numbers if account["account_id"] in held else 0,
            held_since=held[account["account_id"]].since if account["account_id"] in held else None,
            rejected=[Rejected(*row[1:]) for row in rejected if row.account_id == account["account_id"]],
        )
        for account in accounts
    ]


class Change(Struct, frozen=True):
    """Something that a run recorded of a number; `what` names it, the values are text."""

    run_id: int
    recorded_at: datetime
    account: str
    number: str
    what: str
    old_value: str | None
    new_value: str | None


_CHANGES: Final = """
with happened as (
    select h.account_id, h.run_id, h.virtual_number_id,
           case when p.state is not null then 'state'
                when e.valid_from is null then 'created'
                else 'restored' end as what,
           concat_ws(', ', p.state, p.reason) as old_value, concat_ws(', ', h.state, h.reason) as new_value
      from syncer.state_history h
      left join syncer.state_history p
        on (p.account_id, p.virtual_number_id, p.valid_to) = (h.account_id, h.virtual_number_id, h.valid_from)
      left join lateral (select valid_from from syncer.state_history e
                          where e.account_id = h.account_id and e.virtual_number_id = h.virtual_number_id
                            and e.valid_from < h.valid_from limit 1) e on true
     where h.run_id > :after
     union all
    select account_id, closed_run_id, virtual_number_id, 'removed', concat_ws(', ', state, reason), null
      from syncer.state_history h
     where closed_run_id > :after
       and not exists (select from syncer.state_history n
                        where (n.account_id, n.virtual_number_id, n.valid_from)
                            = (h.account_id, h.virtual_number_id, h.valid_to))
     union all
    select account_id, run_id, virtual_number_id, 'redirect opened', null, number
      from syncer.virtual_number_redirect where run_id > :after
     union all
    select account_id, closed_run_id, virtual_number_id, 'redirect closed', number, null
      from syncer.virtual_number_redirect where closed_run_id > :after
     union all
    select h.account_id, h.closed_run_id, h.virtual_number_id, was.key, was.value, now.value
      from syncer.virtual_number_history h
      join syncer.virtual_number n using (account_id, virtual_number_id)
     cross join lateral jsonb_each_text(to_jsonb(h)) was
      join lateral jsonb_each_text(to_jsonb(n)) now using (key)
     where h.closed_run_id > :after and n.run_id = h.closed_run_id and was.value is distinct from now.value
       and was.key = any(:columns)
)
select h.run_id, r.finished_at as recorded_at, a.name as account, n.number, h.what,
       nullif(h.old_value, '') as old_value, nullif(h.new_value, '') as new_value
  from happened h
  join syncer.sync_run r using (account_id, run_id)
  join syncer.account a using (account_id)
  join syncer.virtual_number n using (account_id, virtual_number_id)
 order by h.run_id, n.number, h.what
"""


async def changes_after(engine: AsyncEngine, run_id: int) -> list[Change]:
    """What was recorded by runs after one, in the order of runs.

    Raises:
        DatabaseError: The database cannot be asked.
    """
    columns = [name for name in RECORD_COLUMNS if name not in {"state", "reason"}]
    with told_as_database_errors():
        async with engine.connect() as connection:
            rows = await connection.execute(text(_CHANGES), {"after": run_id, "columns": columns})
            return [Change(*row) for row in rows]
