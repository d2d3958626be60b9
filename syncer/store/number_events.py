"""Events of numbers, as rules of the notify file name them: what the rows of `analytics.changes` mean to a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from syncer.notice import NumberEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import asyncpg

T = TypeVar("T", bound=Struct)

MAX_EVENTS: Final = 100
"""Events that are read for one notice, at most."""
MAX_EVENTS_OF_A_KIND: Final = 20
"""The same, of each kind, if there are more than MAX_EVENTS in all."""

NAMES_KNOWN_BEFORE: Final = timedelta(minutes=5)
"""A message has the names that were known so long before it was made: a list of names that was being read then would
otherwise change its bytes from one attempt to the next."""

# The kinds of rows of `analytics.changes` that an event can be in, or that say that it is none.
_KINDS: Final = {
    "locked": {"state", "created", "restored"},
    "frozen": {"state", "created", "restored"},
    "unlocked": {"state", "restored"},
    "removed": {"removed"},
    "returned": {"restored"},
    "new": {"created"},
    "state": {"state"},
    "redirect": {"changed", "redirect_opened", "redirect_closed", "created", "restored", "removed"},
    "employee": {"changed"},
    "record": {"changed"},
}
# Of the kinds that a span has, which its runs have counted, the feed is read and of no others: it looks for each in
# another table.
_SPAN: Final = """
select array_agg(run_id order by run_id),
       array_remove(array[case when sum(created) > 0 then 'created' end,
                          case when sum(restored) > 0 then 'restored' end,
                          case when sum(removed) > 0 then 'removed' end,
                          case when sum(changed) > 0 then 'changed' end,
                          case when sum(state_changes) > 0 then 'state' end,
                          case when sum(redirects_opened) > 0 then 'redirect_opened' end,
                          case when sum(redirects_closed) > 0 then 'redirect_closed' end], null)
  from syncer.sync_run
 where account_id = $1 and run_id > $2 and run_id <= $3 and outcome = 'applied'
   and created + changed + removed + restored + state_changes + redirects_opened + redirects_closed > 0
"""

# A row of the feed is at most two events: a number can appear and be locked in one poll. A change of state is one event
# with its reason; a change of reason alone is an event, too. Redirects that came or went with their number are no event
# of their own, since the number is one.
_EVENTS: Final = """
with feed as (
    select c.*,
           bool_or(field = 'state') over same_number as has_state,
           bool_or(kind in ('created', 'restored', 'removed')) over same_number as comes_or_goes,
           max(new_value) filter (where field = 'reason') over same_number as reason
      from analytics.changes c
     where account_id = $1 and run_id = any($2::bigint[]) and kind = any($5::text[])
       and ($3::text[] is null or type = any($3::text[]))
    window same_number as (partition by run_id, virtual_number_id)
), event as (
    select f.*, e.event
      from feed f
     cross join lateral unnest(array[
           case when kind not in ('state', 'created', 'restored') or field <> 'state' then null
                when new_value = 'debt_lock' then 'locked'
                when new_value = 'freeze' then 'frozen'
                when new_value = 'active' and old_value in ('debt_lock', 'freeze') then 'unlocked'
                when kind = 'state' then 'state' end,
           case when kind = 'created' and field = 'state' then 'new'
                when kind = 'restored' and field = 'state' then 'returned'
                when kind = 'removed' then 'removed'
                when kind = 'state' and field = 'reason' and not has_state then 'state'
                when kind = 'changed' and field in ('redirect_number', 'dgn_number') then 'redirect'
                when kind in ('redirect_opened', 'redirect_closed') and not comes_or_goes then 'redirect'
                when kind = 'changed' and field = 'employee_id' then 'employee'
                when kind = 'changed' then 'record' end]) as e (event)
     where e.event = any($4::text[])
)
"""
_COUNTS: Final = f"{_EVENTS} select event, count(*) from event group by event"  # noqa: S608 - a constant


def name_at(list_: str, object_id: str, moment: str, known_at: str) -> str:
    """Returns SQL for what an id was called at a moment, by the names that were known at another one.

    It is the rule of the views: the first version that ends after the moment. A name that was erased is null.
    """
    return f"""(select v.name from analytics.name_history v
                 where v.account_id = $1 and v.list = '{list_}' and v.object_id = {object_id}
                   and v.valid_from <= {known_at} and coalesce(v.valid_to, 'infinity') > least({moment}, {known_at})
                 order by v.valid_to limit 1)"""  # noqa: S608 - constants


_NAMES: Final = ", ".join(
    f"case field when 'employee_id' then {name_at('employees', f'{value}_value::bigint', 'changed_at', '$6')}"
    f" when 'group_id' then {name_at('groups', f'{value}_value::bigint', 'changed_at', '$6')} end as {value}_name"
    for value in ("old", "new")
)
# Of a removed number, the removal is known since it was believed; to one that returned, nothing happened before it did.
_FIRST: Final = f"""{_EVENTS}, placed as (
    select e.*, count(*) over () as total, bool_or(changed_after is null) over () as has_open_window,
           min(case when event = 'returned' then changed_at else changed_after end) over () as earliest,
           max(case when event = 'removed' then recorded_at else changed_at end) over () as latest,
           array_position($4::text[], event) as place,
           row_number() over (partition by event order by changed_at, run_id, virtual_number_id, change_id) as of_a_kind
      from event e
)
select event, virtual_number_id, number, field, old_value as old, new_value as new,
       case when field = 'state' then reason end as reason, {_NAMES},
       employee_id, {name_at("employees", "placed.employee_id", "changed_at", "$6")} as employee,
       changed_after, changed_at, recorded_at, run_id,
       case when not has_open_window then earliest end as window_start, latest as window_end
  from placed
 where total <= {MAX_EVENTS} or of_a_kind <= {MAX_EVENTS_OF_A_KIND}
 order by place, of_a_kind
 limit {MAX_EVENTS}
"""  # noqa: S608 - constants


class Span(NamedTuple):
    """Runs of an account, of which a rule wants to know some events; it has all parameters of the queries.

    Attributes:
        run_ids: Those that changed a number.
        types: The types of numbers that the rule is about; None for all.
        events: The events of numbers that it is about, the most important first.
        kinds: The kinds of changes that the runs have and the events can be in.
    """

    account_id: int
    run_ids: Sequence[int]
    types: Sequence[str] | None
    events: Sequence[str]
    kinds: Sequence[str]


async def find_span(
    connection: asyncpg.Connection[Any],
    account_id: int,
    runs: tuple[int, int],
    types: Collection[str] | None,
    events: Sequence[str],
) -> Span:
    """Finds the runs after one run, and up to another, that changed a number."""
    row = await connection.fetchrow(_SPAN, account_id, *runs)
    assert row is not None  # noqa: S101 - an aggregate has a row
    run_ids, kinds = row
    wanted = {kind for event in events for kind in _KINDS[event]}
    return Span(
        account_id, run_ids or [], None if types is None else sorted(types), events, sorted(wanted.intersection(kinds))
    )


async def count_events(connection: asyncpg.Connection[Any], span: Span) -> dict[str, int]:
    """Counts the events of a span, by kind; kinds without any are left out."""
    rows = await connection.fetch(_COUNTS, *span) if span.kinds else []
    return dict(map(tuple, rows))


async def read_events(
    connection: asyncpg.Connection[Any], span: Span, made_at: datetime
) -> tuple[list[NumberEvent], tuple[datetime | None, datetime] | None]:
    """Reads the first events of a span, and from when to when all of them happened.

    The events are ordered by kind, as in the span, and then by time. The same span always has the same events, since
    history is only added to; and for a message made at the same time they have the same names, unless one was erased.
    """
    parameters = *span, made_at - NAMES_KNOWN_BEFORE
    rows = await connection.fetch(_FIRST, *parameters) if span.kinds else []
    window = (rows[0]["window_start"], rows[0]["window_end"]) if rows else None
    return structs_of_rows(NumberEvent, rows), window


def structs_of_rows(kind: type[T], rows: Sequence[asyncpg.Record]) -> list[T]:
    """Returns a struct of each row, with the columns that are named like its fields."""
    return [kind(**{name: row[name] for name in kind.__struct_fields__}) for row in rows]
