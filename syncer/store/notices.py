"""Up to where each rule has been followed, and the notices that wait to be sent.

The history is the list of what is to be said: runs of one account commit in the order of their ids, so a cursor of an
account, a rule and a channel only has to remember up to which run everything is in a notice. A notice is a span of
runs. Making one and moving the cursor is one transaction, so that a process can die at any moment: no change is left
out, and none is in two notices. At most one notice of each kind waits for a cursor; what happens while a receiver is
down is in the next one.

A notice is sent under a lease, without a transaction. If the process dies or is suspended meanwhile, another sends it
again with the same id, and the late one records nothing.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from uuid import uuid4

from syncer.store.engine import autocommit_connection
from syncer.store.number_events import count_events, find_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

LEASE: Final = timedelta(seconds=60)
"""How long a process may take to send a message before another one sends it, too."""
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


def _columns(rows: Collection[Sequence[Any]], width: int) -> list[list[Any]]:
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
# A cursor begins where its account is: what happened before the rule was there is not sent. One that another process
# has made since this statement began may have moved: it stays where it is.
_INSERT: Final = """
insert into syncer.notice_cursor as existing (account_id, rule, channel, run_id, condition_id, planned_at)
select wanted.account_id, wanted.rule, wanted.channel, f.applied_run_id,
       coalesce((select max(k.condition_id) from syncer.account_condition k where k.account_id = wanted.account_id), 0),
       syncer.clock()
  from unnest($1::integer[], $2::text[], $3::text[]) wanted (account_id, rule, channel)
  join syncer.account_fence f using (account_id)
 where not exists (select from syncer.notice_cursor c
                    where c.account_id = wanted.account_id and c.rule = wanted.rule and c.channel = wanted.channel
                      and c.retired_at is null)
on conflict (account_id, rule, channel)
do update set run_id = excluded.run_id, condition_id = excluded.condition_id, open_condition_ids = '{}',
              planned_at = excluded.planned_at, due_at = null, retired_at = null
        where existing.retired_at is not null
"""


async def add_cursors(engine: AsyncEngine, keys: Collection[CursorKey], *, retire_others: bool) -> None:
    """Inserts the cursors that do not exist; they begin where their accounts are now.

    Args:
        engine: The database.
        keys: All that the notify file and the accounts ask for.
        retire_others: Whether the notify file was read again: other cursors are retired, and begin again if they are
            asked for once more.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    columns = _columns(sorted(keys), 3)
    async with autocommit_connection(engine) as connection, connection.transaction():
        if retire_others:
            await connection.execute(_RETIRE, *columns)
            await connection.execute(_EXPIRE_RETIRED)
            await connection.execute(_FORGET_DUE_TIMES)
        await connection.execute(_INSERT, *columns)


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


async def find_cursors_to_plan(engine: AsyncEngine, routes: Collection[Route]) -> list[CursorKey]:
    """Returns cursors for which a notice can be made: of digests that are due, and of accounts with new runs.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_FIND, *_columns(list(routes), 3), MAX_CURSORS_PER_LOOK)
    return [CursorKey(*row) for row in rows]


# PostgreSQL ends the transaction of a process that is suspended in it: others would wait for its locks.
_LOCK: Final = """
select run_id, planned_at, syncer.clock() as now, set_config('idle_in_transaction_session_timeout', '60s', true)
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
_FAILED_RUNS: Final = """
select coalesce(error_kind, outcome), count(*) from syncer.sync_run
 where account_id = $1 and started_at > $2 and started_at <= $3 and outcome in ('failed', 'abandoned')
 group by 1 order by 1
"""
# As far as they are stored: one that is seen later to have begun or ended before is in the next digest.
_HELD_CONDITIONS: Final = """
select coalesce(array_agg(condition_id), '{}'),
       coalesce(array_agg(condition_id) filter (where ended_at <= $4), '{}')
  from syncer.account_condition
 where account_id = $1 and kind = any($2::text[]) and began_at <= $4 and (ended_at is null or ended_at > $3)
"""
_POSTPONE: Final = """
update syncer.notice_cursor set due_at = $4 where account_id = $1 and rule = $2 and channel = $3
"""
_MOVE: Final = """
update syncer.notice_cursor set run_id = $4, planned_at = $5, due_at = null
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
        now: The database's time.
        newest_run_id: The newest applied run of the account.
    """

    connection: asyncpg.Connection[Any]
    key: CursorKey
    run_id: int | None
    planned_at: datetime
    now: datetime
    newest_run_id: int | None

    async def postpone(self, due_at: datetime) -> None:
        """Makes the cursor due at a later time."""
        await self.connection.execute(_POSTPONE, *self.key, due_at)

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
        if digest_of is not None:
            since = self.planned_at
            failed_polls = await count_failed_polls(self.connection, account_id, since, self.now)
            held = await find_held_conditions(self.connection, account_id, digest_of, since, self.now)
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
        await self.connection.execute(_MOVE, *self.key, through, moved_at)
        return has_happened


@asynccontextmanager
async def lock_cursor(engine: AsyncEngine, key: CursorKey) -> AsyncIterator[LockedCursor | None]:
    """Locks a cursor until the end of the block, which is one transaction.

    Yields None if another process has locked it or has made a notice of it, or if it is retired.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, *key)
        if row is None or await connection.fetchval(_IS_WAITING, *key):
            yield None
            return
        newest = await connection.fetchval(_NEWEST_RUN, key.account_id)
        yield LockedCursor(connection, key, row["run_id"], row["planned_at"], row["now"], newest)


class HeldConditions(NamedTuple):
    """Conditions of an account that have held in a time, and those of them that have ended in it, by id."""

    ids: Sequence[int]
    ended_ids: Sequence[int]


async def find_held_conditions(
    connection: asyncpg.Connection[Any], account_id: int, kinds: Collection[str], since: datetime, until: datetime
) -> HeldConditions:
    """Returns the conditions of some kinds that have held in a time."""
    row = await connection.fetchrow(_HELD_CONDITIONS, account_id, kinds, since, until)
    assert row is not None  # noqa: S101 - an aggregate has a row
    return HeldConditions(*row)


async def count_failed_polls(
    connection: asyncpg.Connection[Any], account_id: int, since: datetime, until: datetime
) -> dict[str, int]:
    """Returns how many polls of an account that began in a time failed, by error kind; `abandoned` is one."""
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


class Waiting(NamedTuple):
    """The messages that wait for a channel.

    Attributes:
        messages: How many there are.
        oldest_seconds: How long ago the first of them was made.
        is_due: Whether one of them can be sent now.
    """

    channel: str
    messages: int
    oldest_seconds: float
    is_due: bool


_WAITING: Final = """
select channel, count(distinct message_id), extract(epoch from syncer.clock() - min(made_at))::float8,
       bool_or(due_at <= syncer.clock() and (lease_until is null or lease_until < syncer.clock()))
  from syncer.notice where outcome = 'waiting' and channel = any($1::text[]) group by channel
"""


async def read_waiting(engine: AsyncEngine, channels: Collection[str]) -> list[Waiting]:
    """Returns what waits for each of these channels; those for which nothing waits are left out.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        return [Waiting(*row) for row in await connection.fetch(_WAITING, channels)]


class ClaimedNotice(NamedTuple):
    """A notice that this process is sending; several of one message differ in their account alone.

    Attributes:
        begun_condition_ids: Conditions that have begun; of a digest, those that have held.
    """

    account_id: int
    notice_id: int
    rule: str
    kind: Literal["changes", "conditions"]
    after_run_id: int | None
    through_run_id: int | None
    begun_condition_ids: list[int]
    ended_condition_ids: list[int]
    polls_since: datetime | None
    types: list[str] | None
    events: dict[str, int]
    failed_polls: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this process is sending, until the lease ends.

    Attributes:
        made_at: When its notices were made.
        attempts: How often sending it has been begun, this time included.
        may_repeat: Whether an earlier attempt ended without an answer, or was never heard of again.
        error: What went wrong in the last attempt.
        recorded_at: When the newest run that it is about was recorded; None of conditions.
        notices: Its notices; more than one if they are conditions of several accounts.
    """

    message_id: UUID
    holder: str
    channel: str
    made_at: datetime
    now: datetime
    attempts: int
    may_repeat: bool
    error: str | None
    recorded_at: datetime | None
    notices: Sequence[ClaimedNotice]

    @property
    def rule(self) -> str:
        """The rule that all its notices follow."""
        return self.notices[0].rule

    @property
    def runs(self) -> str | None:
        """The span of runs that it is about, for logs."""
        first = self.notices[0]
        return None if first.through_run_id is None else f"{first.after_run_id}-{first.through_run_id}"

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each kind it is about."""
        counts: dict[str, int] = {}
        for notice in self.notices:
            for event, count in notice.events.items():
                counts[event] = counts.get(event, 0) + count
        return counts


_PICK: Final = """
select message_id from syncer.notice
 where outcome = 'waiting' and channel = $1 and rule = any($2::text[]) and due_at <= syncer.clock()
   and (lease_until is null or lease_until < syncer.clock())
 order by made_at, notice_id limit 1
"""
# All rows of a message are locked in one order, so that two processes that have picked the same one do not deadlock.
_LOCK_MESSAGE: Final = """
select n.account_id, n.notice_id, n.rule, n.kind, n.after_run_id, n.through_run_id, n.begun_condition_ids,
       n.ended_condition_ids, n.polls_since, n.types, n.events::text, n.failed_polls::text, n.made_at, n.attempts,
       n.may_have_arrived, n.lease_holder, n.due_at, n.lease_until, n.error, r.finished_at as recorded_at,
       syncer.clock() as now, set_config('idle_in_transaction_session_timeout', '60s', true)
  from syncer.notice n
  left join syncer.sync_run r on r.account_id = n.account_id and r.run_id = n.through_run_id
 where n.message_id = $1 and n.outcome = 'waiting'
 order by n.account_id
   for no key update of n
"""
_LEASE: Final = """
update syncer.notice
   set lease_holder = $2, lease_until = syncer.clock() + $3::interval, attempts = attempts + 1
 where message_id = $1 and outcome = 'waiting'
"""


async def claim_message(engine: AsyncEngine, channel: str, rules: Collection[str], process: str) -> Claim | None:
    """Claims the oldest message that waits for a channel, for the time of a lease; None if there is none.

    Args:
        engine: The database.
        channel: The channel.
        rules: The rules of the notify file; messages of others are left.
        process: Which process sends it.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction():
        message_id = await connection.fetchval(_PICK, channel, rules)
        rows = [] if message_id is None else await connection.fetch(_LOCK_MESSAGE, message_id)
        if not rows:
            return None
        first = rows[0]
        now = first["now"]
        if first["due_at"] > now or (first["lease_until"] is not None and first["lease_until"] >= now):
            return None  # another process has claimed it since it was picked
        holder = f"{process}:{uuid4().hex[:12]}"
        await connection.execute(_LEASE, message_id, holder, LEASE)
    notices = [
        ClaimedNotice(*tuple(row)[:10], *(json.loads(row[name] or "null") for name in ("events", "failed_polls")))
        for row in rows
    ]
    return Claim(
        message_id,
        holder,
        channel,
        first["made_at"],
        now,
        first["attempts"] + 1,
        # A lease that nobody has ended is of an attempt of which nothing is known.
        first["may_have_arrived"] or first["lease_holder"] is not None,
        first["error"],
        first["recorded_at"],
        notices,
    )


_SETTLE: Final = """
update syncer.notice
   set outcome = $3, http_status = $4, error = $5, may_have_arrived = $6, lease_holder = null, lease_until = null,
       finished_at = case when $3 <> 'waiting' then syncer.clock() end,
       due_at = case when $3 = 'waiting' then syncer.clock() + $7::interval else due_at end
 where message_id = $1 and lease_holder = $2 and outcome = 'waiting'
"""


async def settle(
    engine: AsyncEngine,
    claim: Claim,
    outcome: Literal["sent", "waiting", "expired", "refused"],
    *,
    http_status: int | None,
    error: str | None,
    may_have_arrived: bool,
    retry_after: timedelta,
) -> bool:
    """Records how an attempt ended; `waiting` tries again after `retry_after`.

    Returns:
        False if the lease was over and another process has claimed the message: nothing was recorded.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        status = await connection.execute(
            _SETTLE, claim.message_id, claim.holder, outcome, http_status, error, may_have_arrived, retry_after
        )
    return not status.endswith(" 0")


_SEND_NOW: Final = """
update syncer.notice set due_at = syncer.clock()
 where outcome = 'waiting' and channel = $1 and lease_holder is null and due_at > syncer.clock()
"""


async def send_now(engine: AsyncEngine, channel: str) -> None:
    """Makes the messages of a channel that wait for another attempt due, once its receiver has accepted one again.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_SEND_NOW, channel)


_PRUNE: Final = """
with old as (
    select account_id, notice_id from syncer.notice
     where outcome <> 'waiting' and finished_at < syncer.clock() - $1::interval
       and made_at < syncer.clock() - $1::interval
     order by made_at limit $2
)
delete from syncer.notice n using old where n.account_id = old.account_id and n.notice_id = old.notice_id
"""
# Kept besides those that hold: conditions that a message names which waits, and those whose end is in no notice yet.
_PRUNE_CONDITIONS: Final = """
delete from syncer.account_condition k
 where k.ended_at < syncer.clock() - $1::interval
   and not exists (select from syncer.notice n
                    where n.account_id = k.account_id and n.outcome = 'waiting'
                      and k.condition_id = any(n.begun_condition_ids || n.ended_condition_ids))
   and not exists (select from syncer.notice_cursor c
                    where c.account_id = k.account_id and c.retired_at is null
                      and k.condition_id = any(c.open_condition_ids))
"""


async def prune_notices(engine: AsyncEngine, retention: timedelta, *, batch: int) -> bool:
    """Deletes one batch of notices that are finished, and the conditions that ended, longer ago than `retention`.

    Returns:
        Whether there may be more notices to delete.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        deleted = await connection.execute(_PRUNE, retention, batch)
        await connection.execute(_PRUNE_CONDITIONS, retention)
    return deleted == f"DELETE {batch}"
