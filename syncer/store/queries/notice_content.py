"""Reads what a notice is about.

History is only added to, and of names those count that were known before the notice was made: so a notice has the same
content whenever it is read, unless something of it was erased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from syncer.notice import AccountCondition, BlockedNumber, ChangesNotice, ConditionsNotice, Digest
from syncer.store.engine import autocommit_connection
from syncer.store.notice_cursors import HeldConditions, as_columns
from syncer.store.number_events import NAMES_KNOWN_BEFORE, find_span, name_at, read_events, structs_of_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import asyncpg

    from syncer.store.engine import Engine
    from syncer.store.notices import Claim

MAX_BLOCKED: Final = 20
"""Locked and frozen numbers that a digest lists, at most."""

_ACCOUNT: Final = "select name, time_zone from syncer.account where account_id = $1"
# As of the run: what a later one changed, or removed, was still so.
_BLOCKED: Final = f"""
with period as (
    select virtual_number_id, state, state_since from syncer.virtual_number
     where account_id = $1 and state in ('debt_lock', 'freeze') and reason_run_id <= $2 and removed_at is null
     union all
    select virtual_number_id, state, state_since from syncer.state_history
     where account_id = $1 and state in ('debt_lock', 'freeze') and run_id <= $2 and closed_run_id > $2
), longest as (
    select p.virtual_number_id, n.number, n.employee_id, p.state, p.state_since,
           count(*) filter (where p.state = 'debt_lock') over () as locked,
           count(*) filter (where p.state = 'freeze') over () as frozen
      from period p
      join syncer.virtual_number n on n.account_id = $1 and n.virtual_number_id = p.virtual_number_id
     where $3::text[] is null or n.type = any($3::text[])
     order by p.state_since, p.virtual_number_id
     limit $4
)
select b.virtual_number_id, b.number, b.employee_id, {name_at("employees", "b.employee_id", "$5", "$5")} as employee,
       b.state, b.state_since as since, b.locked, b.frozen
  from (select l.virtual_number_id, coalesce(v.number, l.number) as number, l.state, l.state_since, l.locked, l.frozen,
               case when v.virtual_number_id is null then l.employee_id else v.employee_id end as employee_id
          from longest l
          left join lateral (select v.virtual_number_id, v.number, v.employee_id from syncer.virtual_number_history v
                              where v.account_id = $1 and v.virtual_number_id = l.virtual_number_id
                                and v.run_id <= $2 and v.closed_run_id > $2 limit 1) v on true) b
 order by b.state_since, b.virtual_number_id
"""  # noqa: S608 - constants
_CONDITIONS_OF_DIGEST: Final = """
select k.account_id, a.name as account, a.time_zone, k.kind, k.began_at,
       case when k.condition_id = any($3::bigint[]) then k.ended_at end as ended_at, k.began_at <= $4 as began_before,
       k.affected as count
  from syncer.account_condition k join syncer.account a using (account_id)
 where k.account_id = $1 and k.condition_id = any($2::bigint[])
 order by k.began_at, k.condition_id
"""
_CONDITIONS: Final = """
select k.account_id, a.name as account, a.time_zone, k.kind, k.began_at,
       case when about.has_ended then k.ended_at end as ended_at, not about.has_begun as began_before,
       k.affected as count
  from unnest($1::integer[], $2::bigint[], $3::boolean[], $4::boolean[])
       about (account_id, condition_id, has_begun, has_ended)
  join syncer.account_condition k using (account_id, condition_id)
  join syncer.account a using (account_id)
 order by a.name, k.condition_id
"""


class Wanted(NamedTuple):
    """Which events of numbers a notice is about.

    Attributes:
        events: Events of numbers, the most important first.
        types: Types of numbers; None for all.
    """

    events: Sequence[str]
    types: Collection[str] | None


async def read_notice(engine: Engine, claim: Claim, wanted: Wanted) -> ChangesNotice | ConditionsNotice:
    """Reads the content of a message that is to be sent.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction(isolation="repeatable_read"):
        if claim.notices[0].kind == "conditions":
            return await _read_conditions(connection, claim)
        (notice,) = claim.notices
        return await read_changes(
            connection,
            wanted,
            ChangesNotice(
                message_id=claim.message_id,
                created_at=claim.made_at,
                account_id=notice.account_id,
                account="",
                time_zone="",
                rule=notice.rule,
                # A digest of an account that was never polled successfully has no runs.
                after_run_id=notice.after_run_id or 0,
                through_run_id=notice.through_run_id or 0,
                counts=notice.events,
                events=(),
                window=None,
                digest=None
                if notice.polls_since is None
                else Digest(
                    blocked_counts={},
                    blocked=(),
                    polls_since=notice.polls_since,
                    failed_polls=notice.failed_polls or {},
                ),
            ),
            HeldConditions(notice.begun_condition_ids, notice.ended_condition_ids),
        )


async def read_changes(
    connection: asyncpg.Connection[Any], wanted: Wanted, notice: ChangesNotice, held: HeldConditions
) -> ChangesNotice:
    """Returns a notice of which only the account's id, the runs and the counts are known, with all the rest.

    If its digest has the polls that failed, it gets the rest of it, too, with these conditions.
    """
    account = await connection.fetchrow(_ACCOUNT, notice.account_id)
    assert account is not None  # noqa: S101 - a notice refers to its account
    runs = notice.after_run_id, notice.through_run_id
    events, window = await read_events(
        connection,
        await find_span(connection, notice.account_id, runs, wanted.types, wanted.events),
        notice.created_at,
    )
    digest = None if notice.digest is None else await _read_digest(connection, wanted, notice, notice.digest, held)
    return replace(
        notice, account=account["name"], time_zone=account["time_zone"], events=events, window=window, digest=digest
    )


async def _read_digest(
    connection: asyncpg.Connection[Any], wanted: Wanted, notice: ChangesNotice, digest: Digest, held: HeldConditions
) -> Digest:
    known_at = notice.created_at - NAMES_KNOWN_BEFORE
    runs = notice.account_id, notice.through_run_id
    rows = await connection.fetch(_BLOCKED, *runs, wanted.types, MAX_BLOCKED, known_at)
    conditions = await connection.fetch(_CONDITIONS_OF_DIGEST, notice.account_id, *held, digest.polls_since)
    counts = {"debt_lock": rows[0]["locked"], "freeze": rows[0]["frozen"]} if rows else {}
    return replace(
        digest,
        blocked_counts={state: count for state, count in counts.items() if count},
        blocked=structs_of_rows(BlockedNumber, rows),
        conditions=structs_of_rows(AccountCondition, conditions),
    )


async def _read_conditions(connection: asyncpg.Connection[Any], claim: Claim) -> ConditionsNotice:
    about = [
        (notice.account_id, id_, id_ in notice.begun_condition_ids, id_ in notice.ended_condition_ids)
        for notice in claim.notices
        for id_ in sorted({*notice.begun_condition_ids, *notice.ended_condition_ids})
    ]
    rows = await connection.fetch(_CONDITIONS, *as_columns(about, 4))
    return ConditionsNotice(
        message_id=claim.message_id,
        created_at=claim.made_at,
        rule=claim.rule,
        conditions=structs_of_rows(AccountCondition, rows),
    )
