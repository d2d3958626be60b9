"""Conditions of accounts that need a person: stored when they begin and when they end, and put into notices.

One process at a time looks at the accounts, so that a condition begins once, and those of one account have ids in the
order in which they began.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from syncer.store.engine import limited_transaction
from syncer.store.notice_cursors import CursorKey, as_columns, postpone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from syncer.store.engine import Engine
    from syncer.store.notice_cursors import Route


class AccountState(NamedTuple):
    """What an account's conditions follow from.

    Attributes:
        created_at: When the account was first polled.
        success_started_at: When its newest successful run started; None before the first.
        success_finished_at: When that run ended.
        held: How many removals that run held.
        rejected: How many records it rejected.
        newest_run_id: The newest run that has ended since; None if there is none.
        newest_finished_at: When it ended.
        newest_error_kind: The kind of its error, if it failed.
    """

    account_id: int
    created_at: datetime
    success_run_id: int | None
    success_started_at: datetime | None
    success_finished_at: datetime | None
    held: int
    rejected: int
    newest_run_id: int | None
    newest_finished_at: datetime | None
    newest_error_kind: str | None


class Condition(NamedTuple):
    """A condition of an account.

    Attributes:
        began_at: Since when it has held.
        run_id: The run that showed it; None of one that no run shows.
        affected: Numbers whose removal is held, or rejected records; None of others.
    """

    account_id: int
    kind: str
    began_at: datetime
    run_id: int | None
    affected: int | None


class Pending(NamedTuple):
    """A cursor with conditions that began or ended and are in no notice yet; the kinds of each, by id."""

    key: CursorKey
    planned_at: datetime
    begun: dict[int, str]
    ended: dict[int, str]


# If the process is suspended, PostgreSQL ends the transaction: nobody else could look meanwhile.
_LIMITS: Final = {"idle_in_transaction_session_timeout": "60s"}
_LOCK: Final = """
select pg_try_advisory_xact_lock(hashtextextended('syncer.account_condition', 0)), syncer.clock()
"""
_STATES: Final = """
select a.account_id, a.created_at, f.success_run_id,
       case when f.success_started_at is not null then least(f.success_started_at, syncer.clock()) end, r.finished_at,
       coalesce(r.held, 0), coalesce(r.rejected, 0), newest.run_id, newest.finished_at, newest.error_kind
  from syncer.account_fence f
  join syncer.account a on a.account_id = f.account_id
  left join syncer.sync_run r on r.account_id = f.account_id and r.run_id = f.success_run_id
  left join lateral (select n.run_id, n.finished_at, n.error_kind from syncer.sync_run n
                      where n.account_id = f.account_id and n.run_id > coalesce(f.success_run_id, 0)
                        and n.outcome not in ('running', 'abandoned')
                      order by n.run_id desc limit 1) newest on true
  left join (select distinct account_id from syncer.account_condition where ended_at is null) k
    on k.account_id = f.account_id
 where f.account_id = any($1::integer[])
   and (r.held > 0 or r.rejected > 0 or newest.error_kind in ('unauthorized', 'forbidden') or k.account_id is not null
        or coalesce(f.success_started_at, a.created_at) <= syncer.clock() - $2::interval)
"""
_OPEN: Final = """
select account_id, kind, began_at, run_id, affected
  from syncer.account_condition where ended_at is null and account_id = any($1::integer[])
"""
_BEGIN: Final = """
insert into syncer.account_condition (account_id, kind, began_at, run_id, affected)
select * from unnest($1::integer[], $2::text[], $3::timestamptz[], $4::bigint[], $5::integer[])
on conflict do nothing
"""
_END: Final = """
update syncer.account_condition c set ended_at = greatest(ended.at, c.began_at)
  from unnest($1::integer[], $2::text[], $3::timestamptz[]) ended (account_id, kind, at)
 where c.account_id = ended.account_id and c.kind = ended.kind and c.ended_at is null
"""
_PENDING: Final = """
select c.account_id, c.rule, c.channel, c.planned_at,
       array_agg(k.condition_id) filter (where k.condition_id > c.condition_id) as begun,
       array_agg(k.kind) filter (where k.condition_id > c.condition_id) as begun_kinds,
       array_agg(k.condition_id) filter (where k.ended_at is not null) as ended,
       array_agg(k.kind) filter (where k.ended_at is not null) as ended_kinds
  from syncer.notice_cursor c
  join unnest($1::text[], $2::text[]) route (rule, channel) using (rule, channel)
  join syncer.account_condition k
    on k.account_id = c.account_id
   and (k.condition_id > c.condition_id or (k.ended_at is not null and k.condition_id = any(c.open_condition_ids)))
 where c.retired_at is null and (c.due_at is null or c.due_at <= syncer.clock())
   and not exists (select from syncer.notice n
                    where n.account_id = c.account_id and n.rule = c.rule and n.channel = c.channel
                      and n.kind = 'conditions' and n.outcome = 'waiting')
 group by c.account_id, c.rule, c.channel
 order by c.account_id
"""
_MOVE: Final = """
update syncer.notice_cursor c
   set condition_id = greatest(c.condition_id, (select max(id) from unnest($4::bigint[]) id)),
       open_condition_ids = array(select id from unnest(c.open_condition_ids || $5::bigint[]) id
                                   where id <> all($6::bigint[]) order by id),
       planned_at = $7
 where account_id = $1 and rule = $2 and channel = $3
"""
_SKIP: Final = """
update syncer.notice_cursor c
   set condition_id = greatest(c.condition_id, newest.condition_id),
       open_condition_ids = case when route.is_digest then c.open_condition_ids else '{}' end
  from (select account_id, max(condition_id) as condition_id from syncer.account_condition group by account_id) newest,
       unnest($1::text[], $2::text[], $3::boolean[]) route (rule, channel, is_digest)
 where newest.account_id = c.account_id and route.rule = c.rule and route.channel = c.channel and c.retired_at is null
   and (c.condition_id < newest.condition_id or (not route.is_digest and c.open_condition_ids <> '{}'))
"""
_INSERT_NOTICE: Final = """
insert into syncer.notice
       (account_id, rule, channel, kind, begun_condition_ids, ended_condition_ids, events, message_id, made_at, due_at)
values ($1, $2, $3, 'conditions', $4, $5, $6::jsonb, $7, $8, $8)
"""


class Look:
    """A look at the accounts, in one transaction; no other process looks meanwhile."""

    def __init__(self, connection: asyncpg.Connection[Any], now: datetime) -> None:
        self._connection = connection
        self.now = now

    async def read_states(self, account_ids: Collection[int], silent_for: timedelta) -> list[AccountState]:
        """Reads what the accounts' conditions follow from.

        Args:
            account_ids: The accounts. Those of which no condition holds, and none has held, are left out.
            silent_for: How long ago the last success has to be for an account to be stale, at least.
        """
        return [AccountState(*row) for row in await self._connection.fetch(_STATES, account_ids, silent_for)]

    async def read_open(self, account_ids: Collection[int]) -> list[Condition]:
        """Reads the conditions that hold, as far as they are stored."""
        return [Condition(*row) for row in await self._connection.fetch(_OPEN, account_ids)]

    async def store(self, begun: Sequence[Condition], ended: Sequence[tuple[Condition, datetime]]) -> None:
        """Stores conditions that have begun, and that have ended at a time."""
        if begun:
            await self._connection.execute(_BEGIN, *as_columns(begun, 5))
        if ended:
            await self._connection.execute(
                _END,
                [condition.account_id for condition, _ in ended],
                [condition.kind for condition, _ in ended],
                [at for _, at in ended],
            )

    async def find_pending(self, routes: Collection[Route]) -> list[Pending]:
        """Returns the cursors of these routes with conditions that are in no notice yet, if they are due."""
        rows = await self._connection.fetch(
            _PENDING, [route.rule for route in routes], [route.channel for route in routes]
        )
        return [
            Pending(
                CursorKey(row["account_id"], row["rule"], row["channel"]),
                row["planned_at"],
                dict(zip(row["begun"] or (), row["begun_kinds"] or (), strict=True)),
                dict(zip(row["ended"] or (), row["ended_kinds"] or (), strict=True)),
            )
            for row in rows
        ]

    async def postpone(self, key: CursorKey, due_at: datetime) -> None:
        """Makes a cursor due at a later time."""
        await postpone(self._connection, key, due_at)

    async def skip_conditions(self, routes: Collection[Route]) -> None:
        """Moves cursors of which no notices of conditions are made: those of digests, and of rules without conditions.

        If their rule is about conditions later, these are of its past.
        """
        if routes:
            await self._connection.execute(_SKIP, *as_columns(routes, 3))

    async def make_notices(self, pending: Sequence[Pending], kinds: Collection[str]) -> bool:
        """Makes notices of one rule and channel that are one message, and moves the cursors.

        Args:
            pending: The cursors.
            kinds: The kinds of conditions that the rule is about; the others are passed over.

        Returns:
            Whether any was made.
        """
        message_id = uuid4()
        has_made = False
        for one in pending:
            begun = sorted(id_ for id_, kind in one.begun.items() if kind in kinds)
            ended = sorted(id_ for id_, kind in one.ended.items() if kind in kinds)
            events: dict[str, int] = {}
            for kind in [one.begun[id_] for id_ in begun] + [f"{one.ended[id_]}_ended" for id_ in ended]:
                events[kind] = events.get(kind, 0) + 1
            planned_at = self.now if events else one.planned_at
            # Of a kind that the rule is not about the end is not sent either, even if the rule has that kind by then.
            await self._connection.execute(_MOVE, *one.key, sorted(one.begun), begun, sorted(one.ended), planned_at)
            if events:
                await self._connection.execute(
                    _INSERT_NOTICE, *one.key, begun, ended, json.dumps(events), message_id, self.now
                )
                has_made = True
        return has_made


@asynccontextmanager
async def look_at_accounts(engine: Engine) -> AsyncIterator[Look | None]:
    """Begins a look, whose transaction ends with the block; yields None while another process has one.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        row = await connection.fetchrow(_LOCK)
        assert row is not None  # noqa: S101 - a select without from has a row
        is_locked, now = row
        yield Look(connection, now) if is_locked else None
