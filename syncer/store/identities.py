"""Keeps generated ids above those that exist.

PostgreSQL generates ids from sequences, which are no part of a table's data: logical replication and many copies leave
them behind. A run whose id is smaller than that of the newest success counts as superseded, and a new account or region
gets an id that is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from syncer.errors import DatabaseError, DuplicateKeyError
from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncer.store.engine import Engine

T = TypeVar("T")

_MARGIN: Final = 1_000
"""Ids that are skipped when a sequence is advanced: while that happens, other processes may take some more of them."""


@dataclass(frozen=True, slots=True)
class IdentityBehind:
    """A column whose generated ids are behind the data.

    Attributes:
        column: Its name, with schema and table.
        last: The last id that was generated.
        highest: The highest id in the data.
        sequence: The sequence that generates its ids.
        may_advance: Whether this login may advance the sequence.
    """

    column: str
    last: int
    highest: int
    sequence: str
    may_advance: bool

    @property
    def next(self) -> int:
        """The id after which the sequence should go on."""
        return self.highest + _MARGIN

    @property
    def problem(self) -> str:
        """What is wrong, and what to do if this login may not put it right."""
        problem = (
            f"{self.column} was generated up to {self.last}, but the data have {self.highest} already, as after a copy "
            "or a cutover without its sequences"
        )
        if self.may_advance:
            return problem
        return f"{problem}: let the schema's owner run select setval('{self.sequence}', {self.next})"


# The ids of runs, notices and conditions are looked up account by account, by the primary key. What the data have is
# read from one snapshot, and the sequences after it was taken: they cannot be behind it by mistake.
_BEHIND: Final = """
with identities (column_name, sequence, highest) as materialized (
    select 'syncer.account.account_id', pg_get_serial_sequence('syncer.account', 'account_id'),
           (select max(account_id) from syncer.account)
     union all
    select 'syncer.sync_run.run_id', pg_get_serial_sequence('syncer.sync_run', 'run_id'),
           (select max(greatest(f.success_run_id, newest.run_id))
              from syncer.account_fence f
              left join lateral (select r.run_id from syncer.sync_run r where r.account_id = f.account_id
                                  order by r.run_id desc limit 1) newest on true)
     union all
    select 'syncer.region.region_id', pg_get_serial_sequence('syncer.region', 'region_id'),
           (select max(region_id) from syncer.region)
     union all
    select 'syncer.notice.notice_id', pg_get_serial_sequence('syncer.notice', 'notice_id'),
           (select max(newest.notice_id)
              from syncer.account_fence f
             cross join lateral (select n.notice_id from syncer.notice n where n.account_id = f.account_id
                                  order by n.notice_id desc limit 1) newest)
     union all
    select 'syncer.account_condition.condition_id',
           pg_get_serial_sequence('syncer.account_condition', 'condition_id'),
           (select max(newest.condition_id)
              from syncer.account_fence f
             cross join lateral (select k.condition_id from syncer.account_condition k where k.account_id = f.account_id
                                  order by k.condition_id desc limit 1) newest)
     union all
    select 'syncer.erasure.erasure_id', pg_get_serial_sequence('syncer.erasure', 'erasure_id'),
           (select max(erasure_id) from syncer.erasure)
), readable as materialized (
    select *, case when has_sequence_privilege(sequence, 'select')
                   then coalesce(pg_sequence_last_value(sequence::regclass), 0) end as last
      from identities
)
select column_name, last, highest, sequence, has_sequence_privilege(sequence, 'update')
  from readable where last < highest
"""
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('syncer.identities', 0))"
_ADVANCE: Final = "select setval($1::text::regclass, $2)"


async def find_identities_behind(engine: Engine) -> list[IdentityBehind]:
    """Returns the columns whose generated ids are behind the data, as far as this login may know.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        return [IdentityBehind(*row) for row in await connection.fetch(_BEHIND)]


async def advance_identities(engine: Engine) -> list[IdentityBehind]:
    """Advances the sequences that are behind the data.

    Returns:
        What they were before.

    Raises:
        DatabaseError: PostgreSQL refused, or this login may not advance them; the message says who may.
    """
    if not await find_identities_behind(engine):
        return []
    async with autocommit_connection(engine) as connection, connection.transaction():
        await connection.execute(_LOCK)
        behind = [IdentityBehind(*row) for row in await connection.fetch(_BEHIND)]
        for identity in behind:
            if not identity.may_advance:
                raise DatabaseError(f"database: {identity.problem}")
            await connection.execute(_ADVANCE, identity.sequence, identity.next)
    return behind


async def retry_with_new_ids(engine: Engine, operation: Callable[[], Awaitable[T]]) -> T:
    """Runs an operation, and once more if it failed because generated ids are behind the data.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    try:
        return await operation()
    except DuplicateKeyError:  # the attempt may have used up the last id that was taken
        await advance_identities(engine)
    return await operation()
