"""How the accounts are doing at a glance: those that need a person first, a page of them, and what all come to."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.ext.asyncio import AsyncEngine

ACCOUNTS_PER_PAGE: Final = 20
_LATE_AFTER: Final = timedelta(minutes=1)

Health = Literal["failing", "late", "new", "ok", "retired"]
"""Of an account: its last poll failed; it is due and nobody polls it; it never succeeded yet; all is well; it is not
configured any more."""


class AccountSummary(Struct, frozen=True):
    """An account.

    Attributes:
        numbers: How many are in each state, removed ones left out; the largest first.
        last_success_at: When the newest successful run was written.
        due_at: When it is polled next; None if no daemon ever planned it.
        last_error: Of the newest run, if it failed.
        held: How many numbers are missing and held, the first of them since `held_since`.
        rejected: How many rejected elements stand.
    """

    numbers: dict[str, int]
    account: str
    time_zone: str
    health: Health
    last_success_at: datetime | None
    due_at: datetime | None
    last_error: str | None
    held: int
    held_since: datetime | None
    rejected: int


class AccountTotals(Struct, frozen=True):
    """Over all accounts that were asked about, those that are not on the page included."""

    accounts: int = 0
    failing: int = 0
    late: int = 0
    new: int = 0
    retired: int = 0
    held: int = 0
    rejected: int = 0


class AccountPage(Struct, frozen=True):
    """A page of accounts, those that need a person first; `now` is the database's time."""

    now: datetime
    page: int
    totals: AccountTotals
    accounts: list[AccountSummary]


_HEALTH: Final = """
with asked as materialized (select syncer.clock() as now), watched as materialized (
    select a.account_id, a.name as account, a.time_zone, a.observed_at as last_success_at, s.due_at,
           last.error as last_error, coalesce(h.held, 0)::integer as held, h.held_since, j.rejected,
           case when configured.name is null then 'retired'
                when last.outcome = 'failed' then 'failing'
                when s.due_at + :late_after < asked.now and coalesce(s.lease_until <= asked.now, true) then 'late'
                when a.observed_at is null then 'new'
                else 'ok' end as health
      from syncer.account a
     cross join asked
      left join unnest(cast(:configured as text[])) as configured (name) on configured.name = a.name
      left join syncer.account_schedule s on s.account_id = a.account_id
      left join lateral (select outcome, error from syncer.sync_run r
                          where r.account_id = a.account_id and r.outcome not in ('running', 'abandoned')
                          order by r.run_id desc limit 1) last on true
      left join (select account_id, count(*) as held, min(missing_since) as held_since
                   from syncer.virtual_number
                  where last_read_at is not null and removed_at is null and missing_since is not null
                  group by account_id) h on h.account_id = a.account_id
     cross join lateral (select count(*)::integer as rejected from syncer.rejected_record r
                          where r.account_id = a.account_id and r.last_run_id = a.applied_run_id) j
     where cast(:account as text) is null or a.name = :account
), page as (
    select least(:page, (greatest(count(*), 1) - 1) / :at_most + 1) as page from watched
)
select w.account, w.time_zone, w.health, w.last_success_at, w.due_at,
       case when w.health = 'failing' then w.last_error end as last_error, w.held, w.held_since, w.rejected,
       w.account_id, asked.now, page.page, count(*) over ()::integer,
       (count(*) filter (where health = 'failing') over ())::integer,
       (count(*) filter (where health = 'late') over ())::integer,
       (count(*) filter (where health = 'new') over ())::integer,
       (count(*) filter (where health = 'retired') over ())::integer,
       (sum(held) over ())::integer, (sum(rejected) over ())::integer
  from watched w cross join asked cross join page
 order by array_position(array['failing', 'late'], health), held = 0 and rejected = 0,
          array_position(array['new', 'ok', 'retired'], health), account
 limit :at_most offset ((select page from page) - 1) * :at_most
"""
_STATES_NOW: Final = """
select account_id, state, count(*) as numbers from syncer.virtual_number
 where account_id = any(:account_ids) and removed_at is null group by 1, 2 order by 1, 3 desc, 2
"""


async def read_account_page(
    engine: AsyncEngine, configured: Collection[str], account: str | None, page: int, *, statement_seconds: int
) -> AccountPage:
    """A page of the accounts that were ever polled, those that need a person first.

    Args:
        engine: The database.
        configured: The names of those that are polled.
        account: This one alone.
        page: Which page, from 1 on; the last one if there are not so many.
        statement_seconds: Until it is given up.

    Raises:
        DatabaseError: The database cannot be asked, or takes too long.
    """
    wanted = {
        "configured": list(configured),
        "account": account,
        "page": page,
        "at_most": ACCOUNTS_PER_PAGE,
        "late_after": _LATE_AFTER,
    }
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        rows = (await connection.execute(text(_HEALTH), wanted)).all()
        if not rows:
            return AccountPage(
                now=await connection.scalar(text("select syncer.clock()")), page=1, totals=AccountTotals(), accounts=[]
            )
        states = await connection.execute(text(_STATES_NOW), {"account_ids": [row.account_id for row in rows]})
        numbers = {
            key: {row.state: row.numbers for row in of_one}
            for key, of_one in groupby(states, lambda row: row.account_id)
        }
    accounts = [AccountSummary(numbers.get(row.account_id, {}), *row[:9]) for row in rows]
    return AccountPage(now=rows[0].now, page=rows[0].page, totals=AccountTotals(*rows[0][12:]), accounts=accounts)


class Title(Struct, frozen=True):
    """How a word of the vendor is called; None for one that it does not document."""

    en: str | None
    ru: str | None


Titles = dict[tuple[str, str], Title]
"""By the field (state, type or purpose) and the vendor's word."""

_TITLES: Final = """
select 'state', state, title_en, title_ru from analytics.states where documented
 union all select 'type', type, title_en, title_ru from analytics.types where documented
 union all select 'purpose', purpose, title_en, title_ru from analytics.purposes where documented
"""


async def read_titles(engine: AsyncEngine, *, statement_seconds: int) -> Titles:
    """The titles of the words that the vendor documents.

    Raises:
        DatabaseError: The database cannot be asked.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        rows = await connection.execute(text(_TITLES))
        return {(field, word): Title(en, ru) for field, word, en, ru in rows}
