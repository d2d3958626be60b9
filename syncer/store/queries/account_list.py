"""Reads one page of the account list, with totals over all accounts, for the status page."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot
from syncer.store.queries.known_success import LATER_RUNS, READ_CLOCK, SUCCEEDED_BY

if TYPE_CHECKING:
    from collections.abc import Collection

    from syncer.store.engine import Engine

ACCOUNTS_PER_PAGE: Final = 20
_LATE_AFTER: Final = timedelta(minutes=1)
"""How long after its due time an account that nobody polls is `late`."""

Health = Literal["failing", "late", "new", "ok", "retired"]
"""An account's health: its last poll failed; it is due, but nobody polls it; no poll has succeeded yet; all is well; it
was removed from the configuration."""


class AccountSummary(Struct, frozen=True):
    """One account in the list.

    Attributes:
        numbers: The number of phone numbers in each state, largest first, without removed ones.
        last_success_at: When the newest successful run was recorded; if the database's clock was ahead, when it had
            certainly been recorded.
        due_at: When the account is polled next; None if no daemon has scheduled it.
        last_error: The error of the newest run, if that failed.
        last_error_kind: Its kind.
        held: How many removals are held.
        held_since: When the first of these numbers went missing.
        rejected: How many elements the newest applied run rejected.
    """

    numbers: dict[str, int]
    account: str
    time_zone: str
    health: Health
    last_success_at: datetime | None
    due_at: datetime | None
    last_error: str | None
    last_error_kind: str | None
    held: int
    held_since: datetime | None
    rejected: int


class AccountTotals(Struct, frozen=True):
    """Totals over all pages."""

    accounts: int = 0
    failing: int = 0
    late: int = 0
    new: int = 0
    retired: int = 0
    held: int = 0
    rejected: int = 0


class AccountPage(Struct, frozen=True):
    """A page of accounts, those that need attention first; `now` is the database's time."""

    now: datetime
    page: int
    totals: AccountTotals
    accounts: list[AccountSummary]


# The schedule is not distributed, and is joined to what was read of the others.
_ACCOUNTS: Final = f"""
with known as materialized (
    select f.account_id, a.name as account, a.time_zone, f.observed_at, {SUCCEEDED_BY} as succeeded_by,
           last.outcome, last.error, last.error_kind, coalesce(newest.held, 0)::integer as held,
           missing.since as held_since, coalesce(j.rejected, 0)::integer as rejected
      from syncer.account_fence f
      join syncer.account a on a.account_id = f.account_id
      left join lateral (select r.outcome, r.error, r.error_kind from syncer.sync_run r
                          where r.account_id = f.account_id and r.outcome not in ('running', 'abandoned')
                          order by r.run_id desc limit 1) last on true
      left join syncer.sync_run newest on newest.account_id = f.account_id and newest.run_id = f.success_run_id
      left join lateral (select min(n.missing_since) as since from syncer.virtual_number n
                          where n.account_id = f.account_id and n.last_read_at is not null and n.removed_at is null
                            and newest.held > 0) missing on true
      left join lateral (select count(*) as rejected from syncer.rejected_record r
                          where r.account_id = f.account_id and r.last_run_id = f.applied_run_id) j on true
      {LATER_RUNS}
     where cast(:account as text) is null or a.name = :account
), summaries as materialized (
    select k.account_id, k.account, k.time_zone,
           case when k.observed_at is not null then coalesce(k.succeeded_by, :now) end as last_success_at, s.due_at,
           k.error as last_error, k.error_kind as last_error_kind, k.held, k.held_since, k.rejected,
           case when configured.name is null then 'retired'
                when k.outcome = 'failed' then 'failing'
                when s.due_at + :late_after < :now and coalesce(s.lease_until <= :now, true) then 'late'
                when k.observed_at is null then 'new'
                else 'ok' end as health
      from known k
      left join unnest(cast(:configured as text[])) as configured (name) on configured.name = k.account
      left join syncer.account_schedule s on s.account_id = k.account_id
), page as (
    select least(:page, (greatest(count(*), 1) - 1) / :page_size + 1) as page from summaries
)
select s.account, s.time_zone, s.health, s.last_success_at, s.due_at,
       case when s.health = 'failing' then s.last_error end as last_error,
       case when s.health = 'failing' then s.last_error_kind end as last_error_kind, s.held, s.held_since, s.rejected,
       s.account_id, page.page, count(*) over ()::integer,
       (count(*) filter (where health = 'failing') over ())::integer,
       (count(*) filter (where health = 'late') over ())::integer,
       (count(*) filter (where health = 'new') over ())::integer,
       (count(*) filter (where health = 'retired') over ())::integer,
       (sum(held) over ())::integer, (sum(rejected) over ())::integer
  from summaries s cross join page
 order by array_position(array['failing', 'late'], health), held = 0 and rejected = 0,
          array_position(array['new', 'ok', 'retired'], health), account
 limit :page_size offset ((select page from page) - 1) * :page_size
"""  # noqa: S608 - constants
_STATES_NOW: Final = """
select account_id, state, count(*) as numbers from syncer.virtual_number
 where account_id = any(:account_ids) and removed_at is null group by 1, 2 order by 1, 3 desc, 2
"""


async def read_account_page(
    engine: Engine, configured: Collection[str], account: str | None, page: int, *, statement_seconds: int
) -> AccountPage:
    """Reads a page of the accounts that were ever polled, those that need attention first.

    Args:
        engine: The database.
        configured: The names of the accounts in the configuration.
        account: The only account to list; None lists all.
        page: The page, from 1 on; the last page if there are fewer.
        statement_seconds: The statement timeout.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    parameters = {
        "configured": list(configured),
        "account": account,
        "page": page,
        "page_size": ACCOUNTS_PER_PAGE,
        "late_after": _LATE_AFTER,
    }
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        now = (await connection.execute(text(READ_CLOCK))).scalar_one()
        rows = (await connection.execute(text(_ACCOUNTS), parameters | {"now": now})).all()
        if not rows:
            return AccountPage(now=now, page=1, totals=AccountTotals(), accounts=[])
        states = await connection.execute(text(_STATES_NOW), {"account_ids": [row.account_id for row in rows]})
        numbers = {
            account_id: {row.state: row.numbers for row in account_rows}
            for account_id, account_rows in groupby(states, lambda row: row.account_id)
        }
    accounts = [AccountSummary(numbers.get(row.account_id, {}), *row[:10]) for row in rows]
    return AccountPage(now=now, page=rows[0].page, totals=AccountTotals(*rows[0][12:]), accounts=accounts)


async def read_account_names(engine: Engine, *, statement_seconds: int) -> set[str]:
    """Reads the names of all accounts, retired ones included.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        return set(await connection.scalars(text("select name from syncer.account")))


class Title(Struct, frozen=True):
    """The titles of one of the vendor's values, such as a state; None if there is none in a language."""

    en: str | None
    ru: str | None


Titles = dict[tuple[str, str], Title]
"""Titles by field (`state`, `type` or `purpose`) and value."""

_TITLES: Final = """
select 'state', state, title_en, title_ru from analytics.states where documented
 union all select 'type', type, title_en, title_ru from analytics.types where documented
 union all select 'purpose', purpose, title_en, title_ru from analytics.purposes where documented
"""


async def read_titles(engine: Engine, *, statement_seconds: int) -> Titles:
    """Reads the titles of the states, types and purposes that the vendor documents.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        rows = await connection.execute(text(_TITLES))
        return {(field, value): Title(en, ru) for field, value, en, ru in rows}
