"""The notices that wait to be sent: claimed for the time of a lease, and settled by how sending them ended.

A notice is sent under a lease, without a transaction. If the process dies or is suspended meanwhile, another sends it
again with the same id, and the late one records nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import uuid4

from syncer.store.engine import autocommit_connection, limited_transaction

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from syncer.store.engine import Engine

LEASE: Final = timedelta(seconds=60)
"""How long a process may take to send a message before another one sends it, too."""


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


async def read_waiting(engine: Engine, channels: Collection[str]) -> list[Waiting]:
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


_LIMITS: Final = {"idle_in_transaction_session_timeout": "60s"}
_PICK: Final = """
select message_id from syncer.notice
 where outcome = 'waiting' and channel = $1 and rule = any($2::text[]) and due_at <= syncer.clock()
   and (lease_until is null or lease_until < syncer.clock())
 order by made_at, notice_id limit 1
"""
_ACCOUNTS_OF_MESSAGE: Final = """
select account_id from syncer.notice where message_id = $1 and outcome = 'waiting' order by account_id
"""
# Rows are locked account by account, as a distributed table allows, and all rows of a message in one order, so that two
# processes that have picked the same one do not deadlock.
_LOCK_NOTICE: Final = """
select n.account_id, n.notice_id, n.rule, n.kind, n.after_run_id, n.through_run_id, n.begun_condition_ids,
       n.ended_condition_ids, n.polls_since, n.types, n.events::text, n.failed_polls::text, n.made_at, n.attempts,
       n.may_have_arrived, n.lease_holder, n.due_at, n.lease_until, n.error, r.finished_at as recorded_at,
       syncer.clock() as now
  from syncer.notice n
  left join syncer.sync_run r on r.account_id = n.account_id and r.run_id = n.through_run_id
 where n.account_id = $1 and n.message_id = $2 and n.outcome = 'waiting'
   for no key update of n
"""
_LEASE: Final = """
update syncer.notice
   set lease_holder = $2, lease_until = syncer.clock() + $3::interval, attempts = attempts + 1
 where message_id = $1 and outcome = 'waiting'
"""


async def claim_message(engine: Engine, channel: str, rules: Collection[str], process: str) -> Claim | None:
    """Claims the oldest message that waits for a channel, for the time of a lease; None if there is none.

    Args:
        engine: The database.
        channel: The channel.
        rules: The rules of the notify file; messages of others are left.
        process: Which process sends it.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        message_id = await connection.fetchval(_PICK, channel, rules)
        if message_id is None:
            return None
        account_ids = [id_ for (id_,) in await connection.fetch(_ACCOUNTS_OF_MESSAGE, message_id)]
        rows = [row for id_ in account_ids for row in await connection.fetch(_LOCK_NOTICE, id_, message_id)]
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


_FINISH: Final = """
update syncer.notice
   set outcome = $3, http_status = $4, error = $5, may_have_arrived = $6, lease_holder = null, lease_until = null,
       finished_at = syncer.clock()
 where message_id = $1 and lease_holder = $2 and outcome = 'waiting'
"""
_TRY_AGAIN: Final = """
update syncer.notice
   set http_status = $3, error = $4, may_have_arrived = $5, lease_holder = null, lease_until = null,
       finished_at = null, due_at = syncer.clock() + $6::interval
 where message_id = $1 and lease_holder = $2 and outcome = 'waiting'
"""


async def settle(
    engine: Engine,
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
        claimed, ending = (claim.message_id, claim.holder), (http_status, error, may_have_arrived)
        if outcome == "waiting":
            status = await connection.execute(_TRY_AGAIN, *claimed, *ending, retry_after)
        else:
            status = await connection.execute(_FINISH, *claimed, outcome, *ending)
    return not status.endswith(" 0")


_PUT_OFF: Final = """
update syncer.notice
   set attempts = attempts - 1, may_have_arrived = $3, lease_holder = null, lease_until = null, due_at = $4
 where message_id = $1 and lease_holder = $2 and outcome = 'waiting'
"""


async def put_off(engine: Engine, claim: Claim, due_at: datetime) -> None:
    """Gives a claimed message back until a later time; it counts as no attempt, and the last one's error stays.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_PUT_OFF, claim.message_id, claim.holder, claim.may_repeat, due_at)


_SEND_NOW: Final = """
update syncer.notice set due_at = syncer.clock()
 where outcome = 'waiting' and channel = $1 and lease_holder is null and due_at > syncer.clock()
"""


async def send_now(engine: Engine, channel: str) -> None:
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


async def prune_notices(engine: Engine, retention: timedelta, *, batch: int) -> bool:
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
