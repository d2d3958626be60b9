"""Reads the numbers of an account, or of all accounts, that match some filters, a page at a time, for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.store.engine import Engine

NUMBERS_PER_PAGE: Final = 50
MAX_GROUPS: Final = 2000
"""How many combinations of region, type and state are counted, the most frequent ones."""

Order = Literal["number", "since"]
"""By phone number, or those first that have been in their state for the longest time."""


class NumberFilter(NamedTuple):
    """Which numbers are listed; None or nothing for all.

    Attributes:
        account: The account; None for all accounts that are configured.
    """

    account: str | None = None
    states: tuple[str, ...] = ()
    region: str | None = None
    type: str | None = None


class ListedNumber(Struct, frozen=True):
    """A number that is listed now; the fields are columns of `analytics.numbers`."""

    account: str
    time_zone: str
    virtual_number_id: int
    number: str
    state: str
    reason: str | None
    state_since: datetime
    missing_since: datetime | None
    region: str | None
    type: str | None
    employee_id: int | None
    employee: str | None
    comment: str | None


class NumberGroup(Struct, frozen=True):
    """How many numbers of a region and type are in a state."""

    region: str | None
    type: str | None
    state: str
    numbers: int


class NumberPage(Struct, frozen=True):
    """A page of numbers; `now` is the database's time.

    Attributes:
        page: Which page it is: the last one if there are fewer than were asked for.
        count: How many numbers match the filters.
        numbers: Those on the page.
        groups: How many numbers there are by region, type and state; of the filters, only the account counts.
    """

    now: datetime
    page: int
    count: int
    numbers: list[ListedNumber]
    groups: list[NumberGroup]


_GROUPS: Final = """
with counted as (
    select n.account_id, n.region_id, n.type, n.state, count(*) as numbers
      from syncer.virtual_number n
     where n.removed_at is null
       and (cast(:account as text) is null
            or n.account_id = (select account_id from syncer.account where name = :account))
     group by 1, 2, 3, 4
)
select r.name, n.type, n.state, sum(n.numbers)::integer as numbers
  from counted n
  join syncer.account a using (account_id)
  left join syncer.region r using (region_id)
 where cast(:account as text) is not null or a.retired_at is null
 group by 1, 2, 3 order by numbers desc, 1, 2, 3 limit :groups
"""
# The numbers of the page are chosen by their keys before the texts are read. Both orders end with the key.
_NUMBERS: Final = """
with matching as materialized (
    select n.account_id, n.virtual_number_id, n.number, n.state_since
      from syncer.virtual_number n
      join syncer.account a using (account_id)
     where n.removed_at is null
       and case when cast(:account as text) is null then a.retired_at is null
                else n.account_id = (select account_id from syncer.account where name = :account) end
       and (cast(:states as text[]) = '{}' or n.state = any(:states))
       and (cast(:type as text) is null or n.type = :type)
       and (cast(:region as text) is null
            or n.region_id = (select region_id from syncer.region where name = :region))
), page as (
    select count(*)::integer as numbers, least(:page, (greatest(count(*), 1) - 1) / :page_size + 1)::integer as page
      from matching
), shown as (
    select account_id, virtual_number_id from matching
     order by case when :order = 'since' then state_since end, number, account_id, virtual_number_id
     limit :page_size offset ((select page from page) - 1) * :page_size
)
select a.name, a.time_zone, n.virtual_number_id, n.number, n.state, n.reason, n.state_since, n.missing_since,
       r.name as region, n.type, n.employee_id, e.name as employee, n.comment,
       page.page, page.numbers, syncer.clock() as now
  from page
  left join shown on true
  left join syncer.virtual_number n using (account_id, virtual_number_id)
  left join syncer.account a using (account_id)
  left join syncer.region r using (region_id)
  left join syncer.name e on e.account_id = n.account_id and e.list = 'employees' and e.object_id = n.employee_id
 order by case when :order = 'since' then n.state_since end, n.number, n.account_id, n.virtual_number_id
"""


async def read_number_page(
    engine: Engine, wanted: NumberFilter, page: int, order: Order, *, statement_seconds: float
) -> NumberPage:
    """Reads a page of numbers, and how many there are by region, type and state.

    Args:
        engine: The database.
        wanted: Which numbers.
        page: Which page, from 1 on; the last page if there are fewer.
        order: In which order.
        statement_seconds: The statement timeout.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    filters = {
        "account": wanted.account,
        "states": list(wanted.states),
        "type": wanted.type,
        "region": wanted.region,
        "page": page,
        "page_size": NUMBERS_PER_PAGE,
        "order": order,
    }
    counted = {"account": wanted.account, "groups": MAX_GROUPS}
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        rows = (await connection.execute(text(_NUMBERS), filters)).all()
        groups = (await connection.execute(text(_GROUPS), counted)).all()
    fields = len(ListedNumber.__struct_fields__)
    return NumberPage(
        now=rows[0].now,
        page=rows[0].page,
        count=rows[0].numbers,
        numbers=[ListedNumber(*row[:fields]) for row in rows if row.virtual_number_id is not None],
        groups=[NumberGroup(*row) for row in groups],
    )
