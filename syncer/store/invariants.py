"""What must be true of the stored data, proved by the database itself: each query returns who breaks its rule.

The numbers of the rules are the contract's. Every query is set-based and reads each table a fixed number of times, so
the time is linear in the rows, but for the sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.store.engine import told_as_database_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Violation:
    """Who breaks a rule, and how."""

    rule: int
    account_id: int
    virtual_number_id: int | None
    run_id: int | None
    what: str

    def __str__(self) -> str:
        who = f"number {self.virtual_number_id}" if self.virtual_number_id is not None else f"run {self.run_id}"
        return f"invariant {self.rule}: account {self.account_id}, {who}: {self.what}"


_PRESENT_WITHOUT_STATE: Final = """
select 1 as rule, n.account_id, n.virtual_number_id, null::bigint as run_id,
       case when n.removed_at is null then 'no open state period, though the number is not removed'
            else 'an open state period, though the number is removed' end as what
  from syncer.virtual_number n
  left join (select account_id, virtual_number_id, count(*) as periods
               from syncer.state_history where valid_to is null group by 1, 2) open
    on open.account_id = n.account_id and open.virtual_number_id = n.virtual_number_id
 where coalesce(open.periods, 0) <> case when n.removed_at is null then 1 else 0 end
"""

_VERSIONS: Final = """
select account_id, virtual_number_id, valid_from, valid_to, run_id, closed_run_id from syncer.virtual_number_history
 union all
select account_id, virtual_number_id, changed_at, removed_at, run_id, null from syncer.virtual_number
"""

_BROKEN_VERSIONS: Final = f"""
select 2 as rule, account_id, virtual_number_id, run_id,
       'a version begins at ' || valid_from || ', before the one before it ends at ' || ended as what
  from (select *, lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from) as ended
          from ({_VERSIONS}) versions) chained
 where ended > valid_from
 union all
select 2, account_id, virtual_number_id, run_id, 'a version that is not the last has no end'
  from (select *, lead(valid_from) over (partition by account_id, virtual_number_id order by valid_from) as next
          from ({_VERSIONS}) versions) chained
 where valid_to is null and next is not null
"""  # noqa: S608 - a constant

# The only gap is a removal, and a removal is a gap in the versions and in the states alike.
_BROKEN_STATES: Final = f"""
with states as (
    select account_id, virtual_number_id, valid_from, run_id,
           lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from) as ended,
           lag(valid_from) over (partition by account_id, virtual_number_id order by valid_from) as began
      from syncer.state_history
), versions as (
    select account_id, virtual_number_id, valid_from,
           lag(valid_to) over (partition by account_id, virtual_number_id order by valid_from) as ended
      from ({_VERSIONS}) versions
), gaps as (select * from versions where ended < valid_from)
select 2 as rule, s.account_id, s.virtual_number_id, s.run_id,
       case when s.ended > s.valid_from
            then 'a state period begins at ' || s.valid_from || ', before the one before it ends'
            when s.ended is null then 'a state period that is not the last has no end'
            else 'between ' || s.ended || ' and ' || s.valid_from || ' there is no state, and no removal' end as what
  from states s
  left join gaps g using (account_id, virtual_number_id, valid_from)
 where s.began is not null
   and (s.ended is null or s.ended > s.valid_from or (s.ended < s.valid_from and g.ended is distinct from s.ended))
 union all
select 2, g.account_id, g.virtual_number_id, null, 'a removal at ' || g.ended || ' that its states do not know'
  from gaps g
  left join states s using (account_id, virtual_number_id, valid_from)
 where s.ended is distinct from g.ended
"""  # noqa: S608 - a constant

_STATE_DIFFERS: Final = """
select 3 as rule, n.account_id, n.virtual_number_id, h.run_id,
       'its newest state period says ' || h.state || ', its record ' || n.state as what
  from syncer.virtual_number n
  join (select distinct on (account_id, virtual_number_id) *
          from syncer.state_history order by account_id, virtual_number_id, valid_from desc) h
    using (account_id, virtual_number_id)
 where (h.state, h.reason) is distinct from (n.state, n.reason) or h.valid_to is distinct from n.removed_at
 union all
select 3, account_id, virtual_number_id, run_id, 'a period ends at ' || valid_to || ', before it begins'
  from (select account_id, virtual_number_id, run_id, valid_from, valid_to from syncer.state_history
         union all
        select account_id, virtual_number_id, run_id, valid_from, valid_to from syncer.virtual_number_redirect
         union all
        select account_id, virtual_number_id, run_id, valid_from, valid_to from syncer.virtual_number_history
         union all
        select account_id, virtual_number_id, run_id, changed_at, removed_at from syncer.virtual_number) periods
 where valid_to <= valid_from
 union all
select 3, account_id, virtual_number_id, run_id, 'removed_at differs from missing_since'
  from syncer.virtual_number where removed_at is not null and removed_at is distinct from missing_since
"""

_BROKEN_REDIRECTS: Final = """
select 4 as rule, account_id, virtual_number_id, run_id,
       'redirect ' || redirect_number_id || ' begins at ' || valid_from || ', before it has ended' as what
  from (select *, lag(valid_to, 1, valid_from) over redirect as ended, lag(valid_from) over redirect as began
          from syncer.virtual_number_redirect
        window redirect as (
            partition by account_id, virtual_number_id, redirect_number_id, number order by valid_from)) chained
 where began is not null and (ended is null or ended > valid_from)
 union all
select 4, r.account_id, r.virtual_number_id, r.run_id,
       'redirect ' || r.redirect_number_id || ' is open, though the number is removed'
  from syncer.virtual_number_redirect r
  join syncer.virtual_number n using (account_id, virtual_number_id)
 where r.valid_to is null and n.removed_at is not null
"""

# Counted from the rows: which runs created, restored, removed and changed what.
_COUNTERS_DIFFER: Final = f"""
with states as (
    select account_id, virtual_number_id, run_id, closed_run_id, valid_from, valid_to,
           lag(valid_to) over number as ended, lead(valid_from) over number as next
      from syncer.state_history
    window number as (partition by account_id, virtual_number_id order by valid_from)
), events as (
    select account_id, run_id, virtual_number_id,
           case when ended is null then 'created' when ended < valid_from then 'restored' else 'state' end as kind
      from states
     union all
    select account_id, closed_run_id, virtual_number_id, 'removed'
      from states where valid_to is not null and next is distinct from valid_to
     union all
    select account_id, run_id, virtual_number_id, 'version'
      from ({_VERSIONS}) versions
     union all
    select account_id, run_id, virtual_number_id, 'opened' from syncer.virtual_number_redirect
     union all
    select account_id, closed_run_id, virtual_number_id, 'closed'
      from syncer.virtual_number_redirect where closed_run_id is not null
), numbers as (
    select account_id, run_id, virtual_number_id,
           bool_or(kind = 'created') as created, bool_or(kind = 'restored') as restored,
           bool_or(kind = 'removed') as removed, count(*) filter (where kind = 'state') as state_changes,
           count(*) filter (where kind = 'opened') as opened, count(*) filter (where kind = 'closed') as closed
      from events group by 1, 2, 3
), counted as (
    select account_id, run_id,
           count(*) filter (where created) as created, count(*) filter (where restored) as restored,
           count(*) filter (where removed) as removed,
           count(*) filter (where not (created or restored or removed)) as changed,
           sum(state_changes) as state_changes, sum(opened) as redirects_opened, sum(closed) as redirects_closed
      from numbers group by 1, 2
)
select 5 as rule, account_id, null::bigint as virtual_number_id, run_id,
       case when r.run_id is null then 'rows carry it, but there is no such run'
            else 'it says ' || said || ', the rows say ' || found end as what
  from counted c
  full join (select * from syncer.sync_run where outcome = 'applied') r using (account_id, run_id)
 cross join lateral (
    select concat_ws(' ', 'created', r.created, 'changed', r.changed, 'removed', r.removed, 'restored', r.restored,
                     'state_changes', r.state_changes, 'redirects_opened', r.redirects_opened,
                     'redirects_closed', r.redirects_closed) as said,
           concat_ws(' ', 'created', coalesce(c.created, 0), 'changed', coalesce(c.changed, 0),
                     'removed', coalesce(c.removed, 0), 'restored', coalesce(c.restored, 0),
                     'state_changes', coalesce(c.state_changes, 0), 'redirects_opened', coalesce(c.redirects_opened, 0),
                     'redirects_closed', coalesce(c.redirects_closed, 0)) as found
 ) compared
 where said is distinct from found
"""  # noqa: S608 - a constant

_NEWEST_RUN_DIFFERS: Final = """
select 5 as rule, a.account_id, null::bigint as virtual_number_id, r.run_id,
       'it says held ' || r.held || ' and rejected ' || r.rejected || ', the rows say ' || held.numbers || ' and '
       || rejected.records as what
  from syncer.account a
  join syncer.sync_run r on r.account_id = a.account_id and r.run_id = a.success_run_id
 cross join lateral (select count(*) as numbers from syncer.virtual_number n
                      where n.account_id = a.account_id and n.missing_since is not null and n.removed_at is null) held
 cross join lateral (select count(*) as records from syncer.rejected_record j
                      where j.account_id = a.account_id and j.last_run_id = a.applied_run_id) rejected
 where (r.held, r.rejected) <> (held.numbers, rejected.records)
 union all
select 5, account_id, null, run_id, 'it received fewer than it accounts for'
  from syncer.sync_run
 where outcome in ('applied', 'unchanged') and created + changed + unchanged + restored + rejected > received
"""

_QUERIES: Final = (
    _PRESENT_WITHOUT_STATE,
    _BROKEN_VERSIONS,
    _BROKEN_STATES,
    _STATE_DIFFERS,
    _BROKEN_REDIRECTS,
    _COUNTERS_DIFFER,
    _NEWEST_RUN_DIFFERS,
)


async def violations(engine: AsyncEngine) -> AsyncIterator[Violation]:
    """Every breach of an invariant in the stored data, all seen at one moment.

    Raises:
        DatabaseError: The database cannot be asked.
    """
    with told_as_database_errors():
        async with engine.connect() as connection:
            await connection.execute(text("set transaction isolation level repeatable read, read only"))
            for query in _QUERIES:
                for row in await connection.execute(text(query)):
                    yield Violation(row.rule, row.account_id, row.virtual_number_id, row.run_id, row.what)
