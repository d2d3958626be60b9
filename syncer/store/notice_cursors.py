"""Up to where each rule has been followed: cursors of an account, a rule and a channel, and how notices are made.

The history is the list of what is to be said: runs of one account commit in the order of their ids, so a cursor only
has to remember up to which run everything is in a notice. A notice is a span of runs. Making one and moving the
cursor is one transaction, so that a process can die at any moment: no change is left out, and none is in two notices.
At most one notice of each kind waits for a cursor; what happens while a receiver is down is in the next one.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from syncer.store.engine import autocommit_connection, limited_transaction
from syncer.store.number_events import count_events, find_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from syncer.store.engine import Engine

MAX_CURSORS_PER_LOOK: Final = 1_000
"""Cursors that are returned at a time; the others are found in the next look."""


class CursorKey(NamedTuple):
    """What a cursor is of."""

    account_id: int
    rule: str
    channel: str


class Route(NamedTuple):
    """A rule with one of its channels; whether it sends digests."""

    rule: str
    channel: str
    is_digest: bool


def as_columns(rows: Collection[Sequence[Any]], width: int) -> list[list[Any]]:
    """Returns rows as columns, for `unnest`."""
    return [[row[index] for row in rows] for index in range(width)]


_RETIRE: Final = """
update syncer.notice_cursor c set retired_at = syncer.clock()
 where retired_at is null
   and not exists (select from unnest($1::integer[], $2::text[], $3::text[]) wanted (account_id, rule, channel)
                    where wanted.account_id = c.account_id and wanted.rule = c.rule and wanted.channel = c.channel)
"""
_EXPIRE_RETIRED: Final = """
update syncer.notice n
   set outcome = 'expired', finished_at = syncer.clock(), lease_holder = null, lease_until = null,
       error = 'the notify file has this rule with this channel and this account no more'
  from syncer.notice_cursor c
 where n.outcome = 'waiting' and c.retired_at is not null
   and c.account_id = n.account_id and c.rule = n.rule and c.channel = n.channel
"""
# A rule's `when` may be another one now: when it is due is computed again.
_FORGET_DUE_TIMES: Final = "update syncer.notice_cursor set due_at = null where due_at is not null"
_EXISTING: Final = "select account_id, rule, channel from syncer.notice_cursor where retired_at is null"
# A cursor begins where its account is: what happened before the rule was there is not sent.
_STARTS: Final = """
select f.account_id, f.applied_run_id, coalesce(k.condition_id, 0)
  from syncer.account_fence f
  left join (select account_id, max(condition_id) as condition_id from syncer.account_condition
              where account_id = any($1::integer[]) group by account_id) k on k.account_id = f.account_id
 where f.account_id = any($1::integer[])
"""
# A cursor that another process has made since may have moved: it stays where it is.
_INSERT: Final = """
insert into syncer.notice_cursor as existing (account_id, rule, channel, run_id, condition_id, planned_at)
select each.*, syncer.clock() from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) each
on conflict (account_id, rule, channel)
do update set run_id = excluded.run_id, condition_id = excluded.condition_id, open_condition_ids = '{}',
              planned_at = excluded.planned_at, due_at = null, retired_at = null
        where existing.retired_at is not null
"""


async def add_cursors(engine: Engine, keys: Collection[CursorKey], *, retire_others: bool) -> None:
    """Inserts the cursors that do not exist; they begin where their accounts are now.

    Args:
        engine: The database.
        keys: All that the notify file and the accounts ask for.
        retire_others: Whether the notify file was read again: other cursors are retired, and begin again if they are
            asked for once more.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    columns = as_columns(sorted(keys), 3)
    async with autocommit_connection(engine) as connection, connection.transaction():
        if retire_others:
            await connection.execute(_RETIRE, *columns)
            await connection.execute(_EXPIRE_RETIRED)
            await connection.execute(_FORGET_DUE_TIMES)
        existing = {CursorKey(*row) for row in await connection.fetch(_EXISTING)}
        new = sorted(set(keys) - existing)
        rows = await connection.fetch(_STARTS, [key.account_id for key in new]) if new else []
        starts = {account_id: start for account_id, *start in rows}
        if starts:
            inserted = [(*key, *starts[key.account_id]) for key in new if key.account_id in starts]
            await connection.execute(_INSERT, *as_columns(inserted, 5))


_FIND: Final = """
select c.account_id, c.rule, c.channel
  from syncer.notice_cursor c
  join unnest($1::text[], $2::text[], $3::boolean[]) route (rule, channel, is_digest) using (rule, channel)
  join syncer.account_fence f using (account_id)
 where c.retired_at is null and (c.due_at is null or c.due_at <= syncer.clock())
   and (route.is_digest or f.applied_run_id is distinct from c.run_id)
   and not exists (select from syncer.notice n
                    where n.account_id = c.account_id and n.rule = c.rule and n.channel = c.channel
                      and n.kind = 'changes' and n.outcome = 'waiting')
 order by c.due_at nulls first, c.account_id
 limit $4
"""


async def find_cursors_to_plan(engine: Engine, routes: Collection[Route]) -> list[CursorKey]:
    """Returns cursors for which a notice can be made: of digests that are due, and of accounts with new runs.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_FIND, *as_columns(list(routes), 3), MAX_CURSORS_PER_LOOK)
    return [CursorKey(*row) for row in rows]


# PostgreSQL ends the transaction of a process that is suspended in it: others would wait for its locks.
_LIMITS: Final = {"idle_in_transaction_session_timeout": "60s"}
_LOCK: Final = """
select run_id, planned_at, open_condition_ids, syncer.clock() as now
  from syncer.notice_cursor
 where account_id = $1 and rule = $2 and channel = $3 and retired_at is null
   for no key update skip locked
"""
_IS_WAITING: Final = """
select exists (select from syncer.notice
                where account_id = $1 and rule = $2 and channel = $3 and kind = 'changes' and outcome = 'waiting')
"""
# Read after the cursor is locked. The one before was read when the cursor was looked for: another process may have made
# a notice of everything up to a newer run since, and the cursor would move back.
_NEWEST_RUN: Final = "select applied_run_id from syncer.account_fence where account_id = $1"
_FIRST_RUN: Final = "select min(run_id) from syncer.sync_run where account_id = $1 and outcome = 'applied'"
_NEWEST_EXPIRED_RUN: Final = """
select max(run_id) from syncer.sync_run
 where account_id = $1 and run_id > $2 and run_id <= $3 and outcome = 'applied' and finished_at < $4
"""
# By their ends: one that began before a digest and fails after it is in the next one.
_FAILED_RUNS: Final = """
select coalesce(error_kind, outcome), count(*) from syncer.sync_run
 where account_id = $1 and finished_at > $2 and finished_at <= $3 and outcome in ('failed', 'abandoned')
 group by 1 order by 1
"""
# As far as they are stored: one that is seen later to have begun or ended before is in the next digest. The end of one
# that a digest has said to hold ($5) is in the next one, also if it came before that digest.
_HELD_CONDITIONS: Final = """
select coalesce(array_agg(condition_id), '{}'),
       coalesce(array_agg(condition_id) filter (where ended_at <= $4), '{}')
  from syncer.account_condition
 where account_id = $1 and kind = any($2::text[]) and began_at <= $4
   and (ended_at is null or ended_at > $3 or condition_id = any($5::bigint[]))
"""
_POSTPONE: Final = """
update syncer.notice_cursor set due_at = $4 where account_id = $1 and rule = $2 and channel = $3
"""
_MOVE: Final = """
update syncer.notice_cursor
   set run_id = $4, planned_at = $5, open_condition_ids = coalesce($6::bigint[], open_condition_ids), due_at = null
 where account_id = $1 and rule = $2 and channel = $3
"""
_INSERT_NOTICE: Final = """
insert into syncer.notice
       (account_id, rule, channel, kind, after_run_id, through_run_id, types, events, polls_since, failed_polls,
        begun_condition_ids, ended_condition_ids, message_id, made_at, due_at)
values ($1, $2, $3, 'changes', $4, $5, $6, $7::jsonb, $8, $9::jsonb, $10, $11, $12, $13, $13)
"""


@dataclass(frozen=True, slots=True)
class LockedCursor:
    """A cursor that no other process can move until the transaction ends.

    Attributes:
        run_id: Changes up to this run are in a notice, or need none; None before the account's first applied run.
        planned_at: When the last notice was made or the last digest was due.
        open_condition_ids: Conditions that a notice has said to hold, and none to have ended.
        now: The database's time.
        newest_run_id: The newest applied run of the account.
    """

    connection: asyncpg.Connection[Any]
    key: CursorKey
    run_id: int | None
    planned_at: datetime
    open_condition_ids: Collection[int]
    now: datetime
    newest_run_id: int | None

    async def postpone(self, due_at: datetime) -> None:
        """Makes the cursor due at a later time."""
        await postpone(self.connection, self.key, due_at)

    async def make_notice(
        self,
        events: Sequence[str],
        types: Collection[str] | None,
        max_age: timedelta | None,
        digest_of: Collection[str] | None = None,
        *,
        even_if_nothing: bool = False,
    ) -> bool:
        """Makes a notice of what happened since the cursor, if anything did, and moves the cursor.

        Args:
            events: The events of numbers that the rule is about.
            types: The types of numbers that it is about; None for all.
            max_age: Changes of runs that ended longer ago are left out.
            digest_of: The conditions that a digest is about; None if the rule sends no digests.
            even_if_nothing: Whether to make a digest if nothing happened.

        Returns:
            Whether a notice was made.
        """
        account_id = self.key.account_id
        after, through = self.run_id, self.newest_run_id
        if after is None and through is not None:
            # The first applied run lists all numbers for the first time: none of them is news.
            after = await self.connection.fetchval(_FIRST_RUN, account_id)
        if after is not None and through is not None and max_age is not None:
            limit = self.now - max_age
            after = await self.connection.fetchval(_NEWEST_EXPIRED_RUN, account_id, after, through, limit) or after
        counts: dict[str, int] = {}
        if after is not None and through is not None:
            span = await find_span(self.connection, account_id, (after, through), types, events)
            counts = await count_events(self.connection, span)
        since, failed_polls, held, has_happened = None, None, HeldConditions((), ()), bool(counts)
        open_condition_ids = None
        if digest_of is not None:
            since = self.planned_at
            failed_polls = await count_failed_polls(self.connection, account_id, since, self.now)
            held = await find_held_conditions(
                self.connection, account_id, digest_of, since, self.now, self.open_condition_ids
            )
            open_condition_ids = sorted(set(held.ids) - set(held.ended_ids))
            has_happened = has_happened or bool(failed_polls) or bool(held.ids) or even_if_nothing
        if has_happened:
            await self.connection.execute(
                _INSERT_NOTICE,
                *self.key,
                after,
                through,
                None if types is None else sorted(types),
                json.dumps(counts),
                since,
                None if failed_polls is None else json.dumps(failed_polls),
                *held,
                uuid4(),
                self.now,
            )
        moved_at = self.now if has_happened or digest_of is not None else self.planned_at
        await self.connection.execute(_MOVE, *self.key, through, moved_at, open_condition_ids)
        return has_happened


@asynccontextmanager
async def lock_cursor(engine: Engine, key: CursorKey) -> AsyncIterator[LockedCursor | None]:
    """Locks a cursor until the end of the block, which is one transaction.

    Yields None if another process has locked it or has made a notice of it, or if it is retired.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        row = await connection.fetchrow(_LOCK, *key)
        if row is None or await connection.fetchval(_IS_WAITING, *key):
            yield None
            return
        newest = await connection.fetchval(_NEWEST_RUN, key.account_id)
        yield LockedCursor(
            connection, key, row["run_id"], row["planned_at"], row["open_condition_ids"], row["now"], newest
        )


async def postpone(connection: asyncpg.Connection[Any], key: CursorKey, due_at: datetime) -> None:
    """Makes a cursor due at a later time."""
    await connection.execute(_POSTPONE, *key, due_at)


class HeldConditions(NamedTuple):
    """Conditions of an account that have held in a time, and those of them that have ended in it, by id."""

    ids: Sequence[int]
    ended_ids: Sequence[int]


async def find_held_conditions(
    connection: asyncpg.Connection[Any],
    account_id: int,
    kinds: Collection[str],
    since: datetime,
    until: datetime,
    said_to_hold: Collection[int] = (),
) -> HeldConditions:
    """Returns the conditions of some kinds that have held in a time, and those that were said to hold before it."""
    row = await connection.fetchrow(_HELD_CONDITIONS, account_id, kinds, since, until, said_to_hold)
    assert row is not None  # noqa: S101 - an aggregate has a row
    return HeldConditions(*row)


async def count_failed_polls(
    connection: asyncpg.Connection[Any], account_id: int, since: datetime, until: datetime
) -> dict[str, int]:
    """Returns how many polls of an account failed in a time, by error kind; `abandoned` is one."""
    return dict(map(tuple, await connection.fetch(_FAILED_RUNS, account_id, since, until)))


class AppliedRuns(NamedTuple):
    """The applied runs of an account in a time that is over.

    Attributes:
        since: When the time begins.
        now: When it ends.
        first: The last applied run before it, or the account's first run, which lists all numbers for the first time.
        finished: When each run after that was recorded, by its id.
    """

    since: datetime
    now: datetime
    first: int
    finished: dict[int, datetime]


_APPLIED: Final = """
select run_id, finished_at, finished_at >= syncer.clock() - $2::interval as is_in_time
  from syncer.sync_run where account_id = $1 and outcome = 'applied' order by run_id
"""


async def read_applied_runs(connection: asyncpg.Connection[Any], account_id: int, age: timedelta) -> AppliedRuns:
    """Reads the applied runs of an account that were recorded in the last `age`."""
    now = await connection.fetchval("select syncer.clock()")
    rows = await connection.fetch(_APPLIED, account_id, age)
    before = [row["run_id"] for row in rows if not row["is_in_time"]]
    first = before[-1] if before else rows[0]["run_id"] if rows else 0
    return AppliedRuns(
        now - age, now, first, {row["run_id"]: row["finished_at"] for row in rows if row["run_id"] > first}
    )
