"""What the database knows: of an account before its response is read, and of the numbers that a response speaks of."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.arrival import Standing
from syncer.known import Known, KnownNumbers, StoredNumber, Unread
from syncer.store.engine import driver_connection
from syncer.store.tables import RECORD_COLUMNS
from syncer.wire import DECODER_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.arrival import Arrival
    from syncer.decision import Total
    from syncer.known import Redirect
    from syncer.store.runs import Fence


_MOST_REMEMBERED: Final = 250_000
"""Numbers whose digests are kept in memory: some 50 MiB."""


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """What stands for an account, and the run that last changed it; it counts only while that run is still the last."""

    app_id: int | None
    standing_run_id: int | None
    standing: Standing


class StandingMemory:
    """The standings of the last polls, so that the next need not read them again.

    An unchanged response asks for none; so the accounts that changed last are enough, up to `_MOST_REMEMBERED` numbers
    in all, or the one account that has more.
    """

    def __init__(self) -> None:
        self._standings: dict[int, AccountStanding] = {}
        self._numbers = 0

    def get(self, account_id: int, standing_run_id: int | None) -> AccountStanding | None:
        """What is remembered, if it belongs to what the database says."""
        found = self._standings.get(account_id)
        return found if found is not None and found.standing_run_id == standing_run_id else None

    def put(self, account_id: int, standing: AccountStanding) -> None:
        """Remembers what stands after a poll has committed."""
        self._forget(account_id)
        self._standings[account_id] = standing
        self._numbers += len(standing.standing)
        while self._numbers > _MOST_REMEMBERED and len(self._standings) > 1:
            self._forget(next(iter(self._standings)))

    def _forget(self, account_id: int) -> None:
        forgotten = self._standings.pop(account_id, None)
        self._numbers -= 0 if forgotten is None else len(forgotten.standing)


def stands_after(before: AccountStanding, arrival: Arrival, total: Total, run_id: int) -> AccountStanding:
    """What stands once a poll's decisions are written by a run."""
    app_id = before.app_id if before.app_id is not None else arrival.app_id
    if not total.changes_standing:
        return replace(before, app_id=app_id)
    renewed = total.removed.union(total.standing.values())
    digests = dict(before.standing.digests)
    for digest, number in arrival.gone.items():
        if number in renewed:
            del digests[digest]
    digests |= total.standing
    return AccountStanding(app_id, run_id, Standing(digests, before.standing.undigested - renewed))


_ACCOUNT: Final = "select app_id, standing_run_id from syncer.account where account_id = $1"
# From the numbers, not from the digests: those are a cache, and a number without one must not seem removed. All in one
# row: to make a row of each number, here and there, would take longer than to read them.
_STANDING: Final = """
select coalesce(string_agg(int8send(n.virtual_number_id) || d.digest, ''), ''),
       coalesce(array_agg(n.virtual_number_id) filter (where d.digest is null), '{}')
  from syncer.virtual_number n
  left join syncer.record_digest d
         on d.account_id = $1 and d.virtual_number_id = n.virtual_number_id
        and d.decoder_version = $2 and length(d.digest) = 16
 where n.account_id = $1 and n.removed_at is null
"""
_NUMBER_AND_DIGEST: Final = Struct(">q16s")


async def recall_standing(engine: AsyncEngine, account_id: int, memory: StandingMemory) -> AccountStanding:
    """What stands for an account, from memory where that is still true, else from the database."""
    async with engine.connect() as session:
        account = await (await driver_connection(session)).fetchrow(_ACCOUNT, account_id)
    assert account is not None  # noqa: S101 - accounts are never deleted
    remembered = memory.get(account_id, account["standing_run_id"])
    if remembered is not None:
        return replace(remembered, app_id=account["app_id"])
    async with engine.begin() as transaction:
        # The whole account is read: to look up each number would be chosen by statistics that lag behind a large load.
        await transaction.execute(text("set local enable_nestloop = off"))
        # If a poll has committed since the first statement, the fence sees that these belong to an earlier run.
        row = await (await driver_connection(transaction)).fetchrow(_STANDING, account_id, DECODER_VERSION)
    assert row is not None  # noqa: S101 - an aggregate has one
    digested, undigested = row
    standing = Standing(await asyncio.to_thread(_unpacked, digested), frozenset(undigested))
    recalled = AccountStanding(account["app_id"], account["standing_run_id"], standing)
    memory.put(account_id, recalled)
    return recalled


def _unpacked(digested: bytes) -> dict[bytes, int]:
    return {digest: number for number, digest in _NUMBER_AND_DIGEST.iter_unpack(digested)}


_NUMBERS: Final = f"""
select n.virtual_number_id, {", ".join("r.name" if name == "region_id" else f"n.{name}" for name in RECORD_COLUMNS)},
       n.extra::text, n.last_read_at, n.removed_at, r.name, r.region_id
  from syncer.virtual_number n
  left join syncer.region r using (region_id)
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[]) and n.virtual_number_id between $3 and $4
"""  # noqa: S608 - names from a constant
# Those that are open, and those that the number's removal closed.
_REDIRECTS: Final = """
select n.virtual_number_id, r.redirect_number_id, r.number
  from syncer.virtual_number n
  join syncer.virtual_number_redirect r on r.virtual_number_id = n.virtual_number_id
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[]) and n.virtual_number_id between $3 and $4
   and r.account_id = $1 and r.virtual_number_id = any($2::bigint[]) and r.virtual_number_id between $3 and $4
   and r.valid_to is not distinct from n.removed_at
"""
_UNREAD: Final = """
select virtual_number_id, last_read_at, missing_since
  from syncer.virtual_number where account_id = $1 and last_read_at is not null and removed_at is null
"""
# Whether or not they have returned since: a list that flickers must not be believed piece by piece. A removal is a
# period that ended where none begins. No run is finished before the moments it writes, which spares the history of
# those that were finished earlier.
_LATELY_REMOVED: Final = """
select distinct n.virtual_number_id, n.removed_at is null as has_returned
  from syncer.sync_run r
  join syncer.state_history h on h.account_id = r.account_id and h.closed_run_id = r.run_id
  join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
 where r.account_id = $1 and r.finished_at > $2 and r.removed > 0 and r.trigger <> 'accept_removals' and h.valid_to > $2
   and not exists (select from syncer.state_history later
                    where later.account_id = h.account_id and later.virtual_number_id = h.virtual_number_id
                      and later.valid_from = h.valid_to)
"""
# A period that begins where none ended is that of a number which was created or restored.
_CAME_SINCE: Final = """
select distinct h.virtual_number_id
  from syncer.sync_run r
  join syncer.state_history h using (account_id, run_id)
  join syncer.virtual_number n using (account_id, virtual_number_id)
 where r.account_id = $1 and r.finished_at >= $2 and r.created + r.restored > 0
   and h.valid_from >= $2 and n.removed_at is null
   and not exists (select from syncer.state_history before
                    where before.account_id = h.account_id and before.virtual_number_id = h.virtual_number_id
                      and before.valid_to = h.valid_from)
"""
_REJECTED: Final = "select rejected_record_id from syncer.rejected_record where account_id = $1 and last_run_id = $2"

_REJECTED_BEFORE: Final = """
select distinct virtual_number_id
  from syncer.rejected_record where account_id = $1 and virtual_number_id = any($2::bigint[])
"""


_LISTED: Final = """
select virtual_number_id
  from syncer.virtual_number where account_id = $1 and virtual_number_id = any($2::bigint[]) and removed_at is null
"""


async def recall(fence: Fence, arrival: Arrival, standing: Standing, hold: timedelta) -> Known:
    """What the database knows of the account, as far as an arrival needs it, read under the fence."""
    connection, account_id = fence.connection, fence.run.account_id
    lately_removed: list[tuple[int, bool]] = []
    if arrival.unlisted:
        lately_removed = await connection.fetch(_LATELY_REMOVED, account_id, fence.observed_at - hold)
    rejected = await connection.fetch(_REJECTED, account_id, fence.applied_run_id)
    unread = {key: Unread(*times) for key, *times in await connection.fetch(_UNREAD, account_id)}
    held = [times.missing_since for key, times in unread.items() if key in arrival.unlisted and times.missing_since]
    first_loss = min((moment for moment in held if fence.observed_at - moment < hold), default=None)
    came_since_loss: list[tuple[int]] = []
    if first_loss is not None:
        came_since_loss = await connection.fetch(_CAME_SINCE, account_id, first_loss)
    rejected_now = {rejection.virtual_number_id for rejection in arrival.rejections} - {None}
    listed_rejected = await connection.fetch(_LISTED, account_id, rejected_now) if rejected_now else []
    return Known(
        observed_at=fence.observed_at,
        success_started_at=fence.success_started_at,
        unread=unread,
        listed=len(standing),
        lately_removed={number for number, has_returned in lately_removed if not has_returned},
        lately_returned={number for number, has_returned in lately_removed if has_returned},
        came_since_loss={number for (number,) in came_since_loss},
        rejected={row["rejected_record_id"].bytes for row in rejected},
        listed_rejected={number for (number,) in listed_rejected},
    )


async def recall_numbers(fence: Fence, asked: Collection[int]) -> KnownNumbers:
    """What the database knows of some numbers, read under the fence."""
    connection, account_id = fence.connection, fence.run.account_id
    if fence.success_run_id is None:
        return KnownNumbers()
    given = (account_id, asked, min(asked), max(asked))
    rows = await connection.fetch(_NUMBERS, *given)
    redirects: defaultdict[int, set[Redirect]] = defaultdict(set)
    if rows:
        for number, *redirect in await connection.fetch(_REDIRECTS, *given):
            redirects[number].add((redirect[0], redirect[1]))
    stored = {}
    for number, *values, extra, last_read_at, removed_at, _, _ in rows:
        stored[number] = StoredNumber(
            values=tuple(values),
            redirects=frozenset(redirects.get(number, ())),
            extra=json.loads(extra),
            last_read_at=last_read_at,
            removed_at=removed_at,
        )
    new = [number for number in asked if number not in stored]
    rejected_before = await connection.fetch(_REJECTED_BEFORE, account_id, new) if new else []
    return KnownNumbers(
        stored,
        rejected_before={number for (number,) in rejected_before},
        regions={region: region_id for *_, region, region_id in rows if region is not None},
    )
