"""Reads what was sent and what waits, for the status page and `syncer status`: counts, and no phone numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from syncer.store.engine import Engine

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


_ACCOUNT: Final = "select account_id from syncer.account where name = :account"
# One message a query, by the index, since one can have a notice of each account.
_NEWEST: Final = """
select made_at, message_id
  from syncer.notice
 where (made_at, message_id) < (:made_at, cast(:message_id as uuid))
 order by made_at desc, message_id desc limit 1
"""
_AFTER_ALL: Final = {"made_at": datetime.max.replace(tzinfo=UTC), "message_id": UUID(int=0)}
_NEWEST_OF_ACCOUNT: Final = """
select made_at, message_id from syncer.notice where account_id = :account_id order by notice_id desc limit :messages
"""
_OF_MESSAGES: Final = """
 where n.made_at = any(:made_at) and n.message_id = any(cast(:message_ids as uuid[]))
   and (cast(:account_id as integer) is null or n.account_id = :account_id)
"""
_FIRST_NOTICES: Final = f"""
select distinct on (n.message_id) n.message_id,
       a.name as account, a.time_zone, n.rule, n.channel, n.polls_since is not null as is_digest, n.outcome, n.made_at,
       case when n.outcome = 'sent'
            then greatest(extract(epoch from n.finished_at - coalesce(r.finished_at, n.made_at)), 0)::float8
       end as delay_seconds, n.attempts, n.error
  from syncer.notice n
  join syncer.account a using (account_id)
  left join syncer.sync_run r on r.account_id = n.account_id and r.run_id = n.through_run_id
{_OF_MESSAGES}
 order by n.message_id, a.name
"""  # noqa: S608 - a constant
_COUNT_ACCOUNTS: Final = f"select n.message_id, count(*) from syncer.notice n {_OF_MESSAGES} group by 1"  # noqa: S608 - a constant
_COUNT_EVENTS: Final = f"""
select message_id, jsonb_object_agg(event, count)::text
  from (select n.message_id, e.event, sum((n.events ->> e.event)::bigint) as count
          from syncer.notice n
         cross join lateral jsonb_object_keys(n.events) e (event)
        {_OF_MESSAGES}
         group by 1, 2) counts
 group by 1
"""  # noqa: S608 - a constant
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


async def read_notices(engine: Engine, account: str | None, *, statement_seconds: int) -> NoticeList:
    """Reads the newest messages and what waits, of one account, or of all if `account` is None.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        if await connection.scalar(text("select 1 from syncer.notice limit 1")) is None:
            return NoticeList(False, [], [])
        account_id = None if account is None else await connection.scalar(text(_ACCOUNT), {"account": account})
        if account_id is None and account is not None:
            messages: list[RecentMessage] = []
        else:
            messages = await _read_messages(connection, account_id)
        waiting = await connection.execute(text(_WAITING), {"account": account})
    return NoticeList(True, messages, [WaitingChannel(*row) for row in waiting])


async def _read_messages(connection: AsyncConnection, account_id: int | None) -> list[RecentMessage]:
    """Reads the newest messages: each part by a query that servers with distributed tables can answer together."""
    newest: list[RowMapping] = []
    if account_id is None:
        place: Mapping[str, Any] = _AFTER_ALL
        while len(newest) < MAX_MESSAGES:
            older = (await connection.execute(text(_NEWEST), place)).mappings().one_or_none()
            if older is None:
                break
            newest.append(older)
            place = dict(older)
    else:
        of_account = {"account_id": account_id, "messages": MAX_MESSAGES}
        newest += (await connection.execute(text(_NEWEST_OF_ACCOUNT), of_account)).mappings()
    parameters = {
        "made_at": [message["made_at"] for message in newest],
        "message_ids": [message["message_id"] for message in newest],
        "account_id": account_id,
    }
    first = {row["message_id"]: row for row in (await connection.execute(text(_FIRST_NOTICES), parameters)).mappings()}
    accounts = {row[0]: row[1] for row in await connection.execute(text(_COUNT_ACCOUNTS), parameters)}
    events = {row[0]: json.loads(row[1]) for row in await connection.execute(text(_COUNT_EVENTS), parameters)}
    return [
        RecentMessage(
            accounts=accounts[id_],
            events=events.get(id_, {}),
            **{name: value for name, value in first[id_].items() if name != "message_id"},
        )
        for id_ in (message["message_id"] for message in newest)
    ]


async def read_channels(engine: Engine) -> tuple[list[WaitingChannel], list[RefusedChannel]]:
    """Reads what waits for each channel, and which channels refused for good.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        waiting = [WaitingChannel(*row) for row in await connection.execute(text(_WAITING), {"account": None})]
        refused = [RefusedChannel(*row) for row in await connection.execute(text(_REFUSED))]
    return waiting, refused
