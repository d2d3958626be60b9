"""The lists of names: which are due, claimed for the time of a lease, and what they say, with its history.

A list is read under a lease, without a transaction. It is written under the lock of its row in `name_list`, if the
lease is still this process's: of two processes that read a list, one writes.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from syncer.name_list import Named, StoredName
from syncer.store.active_erasures import load_erasures
from syncer.store.engine import autocommit_connection, limited_transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg

    from syncer.diff.content_hash import ContentHash
    from syncer.diff.erasures import Erasures
    from syncer.errors import PollError
    from syncer.store.engine import Engine

ListKey = tuple[int, str]
"""An `account_id` and the name of a list."""

FAILED_PAUSE: Final = timedelta(hours=1)
"""Minimum pause after a list could not be read."""
REFUSED_PAUSE: Final = timedelta(hours=24)
"""Minimum pause after the endpoint refused it for a reason that a person has to remove."""
_ROWS_PER_STATEMENT: Final = 5_000
_MICROSECOND: Final = timedelta(microseconds=1)


class Claim(NamedTuple):
    """A list that was due, and that this process reads until the lease ends.

    Attributes:
        now: The database's time, before the list is asked for.
        body_digest: The digest of the response that was last read; None if none was, or all of it is compared again.
        hash_key: The key of this database for such digests; None if it is lost.
    """

    account_id: int
    list: str
    now: datetime
    body_digest: bytes | None
    hash_key: bytes | None
    holder: str


# Statements of their own, each about one thing: where the tables are distributed, one that does several may do them one
# after another, and an insert may not compute with times in its conflict clause.
_LEAVE: Final = """
update syncer.name_list set due_at = null, lease_holder = null, lease_until = null
 where due_at is not null and (account_id, list) not in (select * from unnest($1::integer[], $2::text[]))
"""
_TAKE_UP: Final = """
update syncer.name_list l
   set due_at = case when l.due_at is null or $3 and l.outcome = 'failed' then now.now
                     when l.outcome = 'failed' then least(l.due_at, now.longest)
                     else least(l.due_at, now.next) end
  from (select syncer.clock() as now, syncer.clock() + $4::interval as next,
               syncer.clock() + $5::interval as longest) now
 where (l.account_id, l.list) in (select * from unnest($1::integer[], $2::text[]))
"""
_ADD: Final = """
insert into syncer.name_list (account_id, list, due_at)
select account_id, list, syncer.clock() from unnest($1::integer[], $2::text[]) wanted (account_id, list)
on conflict (account_id, list) do nothing
"""


async def register_lists(
    engine: Engine, wanted: Collection[ListKey], interval: timedelta, *, retries_failed: bool
) -> None:
    """Says which lists are read from now on; all others are not.

    Args:
        engine: The database.
        wanted: The lists.
        interval: The time between two readings of a list. None is due later than that from now, as one would be after
            the interval was shortened or the database's clock was set back.
        retries_failed: Whether lists whose last attempt failed are due at once.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    account_ids, lists = _columns(wanted)
    longest_pause = max(interval, REFUSED_PAUSE)
    async with limited_transaction(engine, _LIMITS) as connection:
        await connection.execute(_LEAVE, account_ids, lists)
        await connection.execute(_TAKE_UP, account_ids, lists, retries_failed, interval, longest_pause)
        await connection.execute(_ADD, account_ids, lists)


# A lease that ends later than any that is granted now is from a time when the clock was ahead.
_IS_DUE: Final = """
l.due_at <= now.now
   and (l.lease_until is null or l.lease_until <= now.now or l.lease_until > now.longest)
"""
_DUE: Final = f"""
select l.account_id, l.list
  from syncer.name_list l
 cross join (select syncer.clock() as now, syncer.clock() + 2 * $3::interval as longest) now
 where l.account_id = any($1::integer[]) and l.list = any($2::text[]) and {_IS_DUE}
 order by l.due_at
 limit $4
"""  # noqa: S608 - a constant
# One list, so that one server can do it where the tables are distributed; of two processes, the later finds it claimed.
_CLAIM: Final = f"""
update syncer.name_list l set lease_holder = $3, lease_until = now.lease_until, attempted_at = now.now
  from (select syncer.clock() as now, syncer.clock() + $4::interval as lease_until,
               syncer.clock() + 2 * $4::interval as longest) now
 where l.account_id = $1 and l.list = $2 and {_IS_DUE}
returning l.account_id, l.list, now.now, l.body_digest
"""  # noqa: S608 - a constant
_KEY: Final = "select key from syncer.hash_key"


async def claim_lists(
    engine: Engine, wanted: Collection[ListKey], process: str, lease: timedelta, *, limit: int
) -> list[Claim]:
    """Claims lists that are due and that no process reads, the longest overdue first.

    Args:
        engine: The database.
        wanted: The lists to choose from; all others of their accounts were registered as not to be read.
        process: Which process reads them.
        lease: How long the lease lasts.
        limit: How many lists to claim at most.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    account_ids, lists = {account_id for account_id, _ in wanted}, {name for _, name in wanted}
    holder = f"{process}:{uuid4().hex[:12]}"
    async with autocommit_connection(engine) as connection:
        due = await connection.fetch(_DUE, account_ids, lists, lease, limit)
        if not due:
            return []
        hash_key = await connection.fetchval(_KEY)
        # Another process with other settings may have registered more: its lists are left to it.
        rows = [await connection.fetchrow(_CLAIM, *key, holder, lease) for key in due if tuple(key) in wanted]
        return [Claim(*(*row, hash_key, holder)) for row in rows if row is not None]


_RELEASE: Final = """
update syncer.name_list set lease_holder = null, lease_until = null
 where starts_with(lease_holder, $1 || ':') and due_at is not null
"""


async def release_lists(engine: Engine, process: str) -> None:
    """Ends the leases of a process that stops, so that others need not wait for their end.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_RELEASE, process)


_FAIL: Final = """
update syncer.name_list
   set lease_holder = null, lease_until = null, outcome = 'failed', error_kind = $4, error = $5, http_status = $6,
       due_at = syncer.clock() + $7::interval
 where account_id = $1 and list = $2 and lease_holder = $3 and due_at is not null
"""


async def record_failure(engine: Engine, claim: Claim, error: PollError, pause: timedelta) -> bool:
    """Records that a list could not be read, and when it is asked for again; False if the lease was over.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        status = await connection.execute(
            _FAIL, *claim[:2], claim.holder, error.kind, str(error), error.http_status, pause
        )
    return status == "UPDATE 1"


_LIMITS: Final = {"lock_timeout": "20s", "idle_in_transaction_session_timeout": "60s"}
_LOCK: Final = """
select success_at, body_digest
  from syncer.name_list
 where account_id = $1 and list = $2 and lease_holder = $3 and due_at is not null
   for no key update
"""
# Nothing of the account is erased until the names are written. Polls are not kept waiting.
_KEEP_ERASURES: Final = "select from syncer.account_fence where account_id = $1 for key share"
_NAMES: Final = """
select object_id, name, position, scenario_type, target_list, target_id, changed_at, unlisted_since is not null
  from syncer.name where account_id = $1 and list = $2
"""
_VALUES: Final = """
unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
    given (object_id, name, position, scenario_type, target_list, target_id)
"""
_INSERT: Final = f"""
insert into syncer.name (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                         first_seen_at, changed_at, changed_after)
select $1, $2, given.*, $9, $9, $10 from {_VALUES}
"""  # noqa: S608 - a constant
_CLOSE: Final = """
insert into syncer.name_history (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                                 valid_from, valid_to, changed_after, closed_after)
select account_id, list, object_id, name, position, scenario_type, target_list, target_id,
       changed_at, $4, changed_after, coalesce($5, changed_at)
  from syncer.name where account_id = $1 and list = $2 and object_id = any($3::bigint[])
"""
_REPLACE: Final = f"""
update syncer.name n
   set name = given.name, position = given.position, scenario_type = given.scenario_type,
       target_list = given.target_list, target_id = given.target_id,
       changed_at = $9, changed_after = coalesce($10, n.changed_at), unlisted_since = null
  from {_VALUES}
 where n.account_id = $1 and n.list = $2 and n.object_id = given.object_id
"""  # noqa: S608 - a constant
_SET_UNLISTED: Final = """
update syncer.name set unlisted_since = $4::timestamptz
 where account_id = $1 and list = $2 and object_id = any($3::bigint[])
"""
_SUCCEED: Final = """
update syncer.name_list
   set lease_holder = null, lease_until = null, success_at = $3, body_digest = $4, outcome = $5,
       received = coalesce($6, received), skipped = coalesce($7, skipped),
       error_kind = null, error = null, http_status = 200, due_at = syncer.clock() + $8::interval
 where account_id = $1 and list = $2
"""


@dataclass(slots=True)
class LockedList:
    """A list's row in `name_list`, locked until the transaction of `connection` ends.

    Attributes:
        success_at: When the list was last read; None if it never was.
        body_digest: The digest of that response.
        observed_at: The time under which everything is recorded: that before the request, and later than any before.
    """

    connection: asyncpg.Connection[Any]
    claim: Claim
    success_at: datetime | None
    body_digest: bytes | None
    observed_at: datetime

    async def read_names(self) -> dict[int, StoredName]:
        """Returns what is stored about each id."""
        rows = await self.connection.fetch(_NAMES, *self.claim[:2])
        stored = {row[0]: StoredName(Named(*row[1:6]), row[6], row[7]) for row in rows}
        # Later than each version even if the row of the list is new, and the clock was set back.
        latest = max((one.changed_at for one in stored.values()), default=None)
        if latest is not None:
            self.observed_at = max(self.observed_at, latest + _MICROSECOND)
        return stored

    async def read_erasures(self, content_hash: ContentHash) -> Erasures:
        """Returns what was erased of the account and is not stored again."""
        return await load_erasures(self.connection, self.claim.account_id, content_hash)

    async def insert(self, names: Mapping[int, Named]) -> None:
        """Stores ids that the list never had."""
        for some in _batches(names):
            await self.connection.execute(_INSERT, *self._arguments(some))

    async def replace(self, names: Mapping[int, Named]) -> None:
        """Moves what is stored about these ids to the history, and stores what the list says now."""
        for some in _batches(names):
            await self.connection.execute(_CLOSE, *self.claim[:2], list(some), self.observed_at, self.success_at)
            await self.connection.execute(_REPLACE, *self._arguments(some))

    def _arguments(self, names: Mapping[int, Named]) -> tuple[object, ...]:
        return (*self.claim[:2], list(names), *zip(*names.values(), strict=True), self.observed_at, self.success_at)

    async def set_unlisted(self, object_ids: Sequence[int], *, is_unlisted: bool) -> None:
        """Marks ids as not in the list any more, or as in it again."""
        if object_ids:
            since = self.observed_at if is_unlisted else None
            await self.connection.execute(_SET_UNLISTED, *self.claim[:2], object_ids, since)

    async def succeed(
        self, body_digest: bytes, pause: timedelta, *, received: int | None = None, skipped: int | None = None
    ) -> None:
        """Records that the list was read, and ends the lease.

        Args:
            body_digest: The digest of the response.
            pause: After which time the list is due again.
            received: How many records the response has; None if it is the one that was read before.
            skipped: How many of them were not stored.
        """
        outcome = "unchanged" if received is None else "read"
        await self.connection.execute(
            _SUCCEED, *self.claim[:2], self.observed_at, body_digest, outcome, received, skipped, pause
        )


@asynccontextmanager
async def lock_list(engine: Engine, claim: Claim) -> AsyncIterator[LockedList | None]:
    """Locks a list for one transaction, which commits when the block ends and rolls back if it raises.

    Yields None if the lease is over and another process reads the list, or if none does any more.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with limited_transaction(engine, _LIMITS) as connection:
        row = await connection.fetchrow(_LOCK, *claim[:2], claim.holder)
        if row is None:
            yield None
            return
        await connection.execute(_KEEP_ERASURES, claim.account_id)
        success_at = row["success_at"]
        observed_at = claim.now if success_at is None else max(claim.now, success_at + _MICROSECOND)
        yield LockedList(connection, claim, success_at, row["body_digest"], observed_at)


_SUCCESS_TIMES: Final = """
select account_id, list, success_at from syncer.name_list where due_at is not null and success_at is not null
"""


async def read_success_times(engine: Engine) -> dict[ListKey, datetime]:
    """Returns when each list that is read was last read.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        return {(row[0], row[1]): row[2] for row in await connection.fetch(_SUCCESS_TIMES)}


def _columns(wanted: Collection[ListKey]) -> tuple[list[int], list[str]]:
    return [account_id for account_id, _ in wanted], [name for _, name in wanted]


def _batches(names: Mapping[int, Named]) -> Iterator[dict[int, Named]]:
    items = iter(names.items())
    while some := dict(islice(items, _ROWS_PER_STATEMENT)):
        yield some
