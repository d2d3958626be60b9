"""What stands for an account before its response is read: which bytes are known, and of which numbers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from syncer.diff.record import DECODER_VERSION
from syncer.diff.stored import Standing
from syncer.store.engine import undisturbed

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.diff.changeset import Total
    from syncer.diff.response import Arrival

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
        return replace(before, app_id=app_id, standing=replace(before.standing, last=arrival.elements))
    renewed = total.removed.union(total.standing.values())
    digests = dict(before.standing.digests)
    for digest, number in arrival.gone.items():
        if number in renewed:
            del digests[digest]
    digests |= total.standing
    undigested = before.standing.undigested - renewed
    return AccountStanding(app_id, run_id, Standing(digests, undigested, arrival.elements))


_ACCOUNT: Final = "select app_id, standing_run_id from syncer.account where account_id = $1"
# Each in one value: to make a row of each number, here and there, would take longer than to read them.
_DIGESTS: Final = """
select coalesce(string_agg(int8send(virtual_number_id) || digest, ''), '')
  from syncer.record_digest where account_id = $1 and decoder_version = $2 and length(digest) = 16
"""
_NUMBERS: Final = """
select coalesce(string_agg(int8send(virtual_number_id), ''), '')
  from syncer.virtual_number where account_id = $1 and removed_at is null
"""
_NUMBER_AND_DIGEST: Final = Struct(">q16s")
_NUMBER_BYTES: Final = 8


async def recall_standing(engine: AsyncEngine, account_id: int, memory: StandingMemory) -> AccountStanding:
    """What stands for an account, from memory where that is still true, else from the database.

    Raises:
        DatabaseError: It cannot be read.
    """
    async with undisturbed(engine) as connection:
        account = await connection.fetchrow(_ACCOUNT, account_id)
        assert account is not None  # noqa: S101 - accounts are never deleted
        remembered = memory.get(account_id, account["standing_run_id"])
        if remembered is not None:
            return replace(remembered, app_id=account["app_id"])
        # If a poll has committed since the first statement, the fence sees that the others belong to an earlier run.
        digested = await connection.fetchval(_DIGESTS, account_id, DECODER_VERSION)
        digests, numbers = await asyncio.gather(
            asyncio.to_thread(_digests, digested), connection.fetchval(_NUMBERS, account_id)
        )
    standing = await asyncio.to_thread(_standing, digests, numbers)
    recalled = AccountStanding(account["app_id"], account["standing_run_id"], standing)
    memory.put(account_id, recalled)
    return recalled


def _digests(digested: bytes) -> dict[bytes, int]:
    return {digest: number for number, digest in _NUMBER_AND_DIGEST.iter_unpack(digested)}


def _standing(digests: dict[bytes, int], listed: bytes) -> Standing:
    """What stands, by the numbers: digests are a cache. One that is missing removes none, one too many lists none."""
    numbers = set(Struct(f">{len(listed) // _NUMBER_BYTES}q").unpack(listed))
    undigested = numbers.difference(digests.values())
    if len(undigested) + len(digests) > len(numbers):
        digests = {digest: number for digest, number in digests.items() if number in numbers}
    return Standing(digests, frozenset(undigested))
