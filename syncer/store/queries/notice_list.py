"""Reads what was sent and what waits, for the status page and `syncer status`: counts, and no phone numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

MAX_MESSAGES: Final = 10
"""Messages that `read_notices` returns, at most."""


class RecentMessage(Struct, frozen=True):
    """A message: its notices of all accounts, or that of the account that was asked for.

    Attributes:
        account: The account; the first one by name if there are several.
        accounts: How many accounts it is about, of those that were asked for.
        time_zone: The time zone of `account`.
        is_digest: Whether it follows a rule with a crontab line.
        events: How many events of each kind it is about; the end of a condition is `CONDITION_ended`.
        delay_seconds: How long after the last poll that it is about, or else after it was made, it was sent; None if it
            was not.
        error: What went wrong in the last attempt.
    """

    account: str
    accounts: int
    time_zone: str
    rule: str
    channel: str
    is_digest: bool
    events: dict[str, int]
    outcome: str
    made_at: datetime
    delay_seconds: float | None
    attempts: int
    error: str | None


class WaitingChannel(Struct, frozen=True):
    """What waits for a channel.

    Attributes:
        time_zone: That of the accounts concerned; UTC if they have several.
        messages: How many messages wait.
        since: When the first of them was made.
        seconds: How long ago that was.
        error: What went wrong in the last attempt to send the first one that failed; None if none has failed.
    """

    channel: str
    time_zone: str
    messages: int
    since: datetime
    seconds: float
    error: str | None


class RefusedChannel(Struct, frozen=True):
    """A channel whose newest message that has ended was refused for good, and how the receiver answered."""

    channel: str
    time_zone: str
    at: datetime
    http_status: int | None
    error: str | None


class NoticeList(Struct, frozen=True):
    """The newest messages, the newest first, and the channels for which something waits; of one account or of all.

    Attributes:
        has_any: Whether there is a notice of any account.
    """

    has_any: bool
    messages: list[RecentMessage]
    waiting: list[WaitingChannel]


# Goes from message to message by the index, since one can have a notice of each account.
_NEWEST: Final = """
with recursive newest as (
    (select made_at, message_id, 1 as place from syncer.notice order by made_at desc, message_id desc limit 1)
     union all
    select older.made_at, older.message_id, place + 1
      from newest
     cross join lateral (select made_at, message_id from syncer.notice n
                          where (n.made_at, n.message_id) < (newest.made_at, newest.message_id)
                          order by made_at desc, message_id desc limit 1) older
     where place < :messages
), about as (select cast(null as integer) as account_id)
"""
_NEWEST_OF_ACCOUNT: Final = """
with about as (select account_id from syncer.account where name = :account), newest as (
    select made_at, message_id, row_number() over (order by notice_id desc) as place
      from syncer.notice where account_id = (select account_id from about) order by notice_id desc limit :messages
)
"""
_MESSAGES: Final = """
select one.account, several.accounts, one.time_zone, one.rule, one.channel, one.is_digest,
       several.events::text as events, one.outcome, m.made_at, one.delay_seconds, one.attempts, one.error
  from newest m
 cross join about
 cross join lateral (
       select a.name as account, a.time_zone, n.rule, n.channel, n.polls_since is not null as is_digest, n.outcome,
              case when n.outcome = 'sent'
                   then greatest(extract(epoch from n.finished_at - coalesce(r.finished_at, n.made_at)), 0)::float8
              end as delay_seconds, n.attempts, n.error
         from syncer.notice n
         join syncer.account a using (account_id)
         left join syncer.sync_run r on r.account_id = n.account_id and r.run_id = n.through_run_id
        where n.made_at = m.made_at and n.message_id = m.message_id
          and (about.account_id is null or n.account_id = about.account_id)
        order by a.name limit 1) one
 cross join lateral (
       select max(accounts) as accounts,
              coalesce(jsonb_object_agg(event, count) filter (where event <> ''), '{}') as events
         from (select e.event, sum(e.count::bigint) as count, count(*) as accounts
                 from syncer.notice n
                cross join lateral (select '' as event, '0' as count  -- of each notice, also one without events
                                     union all
                                    select * from jsonb_each_text(n.events)) e
                where n.made_at = m.made_at and n.message_id = m.message_id
                  and (about.account_id is null or n.account_id = about.account_id)
                group by e.event) per_event) several
 order by m.place
"""
_ATTEMPTED: Final = """
select account_id, notice_id, after_run_id, through_run_id, outcome, error
  from syncer.notice
 where kind = 'changes' and through_run_id is not null and (outcome <> 'waiting' or error is not null)
 order by made_at desc limit $1
"""
_WAITING: Final = """
select n.channel, case when count(distinct a.time_zone) = 1 then min(a.time_zone) else 'UTC' end,
       count(distinct n.message_id), min(n.made_at), extract(epoch from syncer.clock() - min(n.made_at))::float8,
       (array_agg(n.error order by n.made_at, n.notice_id) filter (where n.error is not null))[1]
  from syncer.notice n join syncer.account a using (account_id)
 where n.outcome = 'waiting' and (cast(:account as text) is null or a.name = :account)
 group by n.channel
 order by n.channel
"""
_REFUSED: Final = """
select channel, time_zone, finished_at, http_status, error
  from (select distinct on (n.channel) n.channel, a.time_zone, n.finished_at, n.http_status, n.error, n.outcome
          from syncer.notice n
          join syncer.notice_cursor c using (account_id, rule, channel)
          join syncer.account a using (account_id)
         where c.retired_at is null and n.finished_at is not null
         order by n.channel, n.finished_at desc, n.notice_id desc) newest
 where outcome = 'refused'
 order by channel
"""


class Attempted(NamedTuple):
    """A notice of changes that was sent, given up, or failed and is tried again; its runs and what went wrong."""

    account_id: int
    notice_id: int
    after_run_id: int
    through_run_id: int
    outcome: str
    error: str | None


async def read_attempts(connection: asyncpg.Connection[Any]) -> list[Attempted]:
    """Reads the newest notices of changes that were sent or tried, the oldest of them first."""
    return [Attempted(*row) for row in reversed(await connection.fetch(_ATTEMPTED, MAX_MESSAGES))]


async def read_notices(engine: AsyncEngine, account: str | None, *, statement_seconds: int) -> NoticeList:
    """Reads the newest messages and what waits, of one account, or of all if `account` is None.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    newest = _NEWEST if account is None else _NEWEST_OF_ACCOUNT
    of_account = {} if account is None else {"account": account}
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        has_any = await connection.scalar(text("select exists (select from syncer.notice)"))
        messages = await connection.execute(text(newest + _MESSAGES), of_account | {"messages": MAX_MESSAGES})
        waiting = await connection.execute(text(_WAITING), {"account": account})
    return NoticeList(
        bool(has_any),
        [RecentMessage(**row | {"events": json.loads(row["events"])}) for row in map(dict, messages.mappings())],
        [WaitingChannel(*row) for row in waiting],
    )


async def read_channels(engine: AsyncEngine) -> tuple[list[WaitingChannel], list[RefusedChannel]]:
    """Reads what waits for each channel, and which channels refused for good.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        waiting = [WaitingChannel(*row) for row in await connection.execute(text(_WAITING), {"account": None})]
        refused = [RefusedChannel(*row) for row in await connection.execute(text(_REFUSED))]
    return waiting, refused
