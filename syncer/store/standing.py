"""What stands for an account before its response is read: which bytes are known, and of which numbers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from syncer.arrival import Standing
from syncer.store.engine import driver_connection
from syncer.wire import DECODER_VERSION

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.arrival import Arrival
    from syncer.decision import Total

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
