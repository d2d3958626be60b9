"""What stands for an account before its response is read: which bytes are known, and of which numbers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from syncer.diff.record import DECODER_VERSION
from syncer.diff.stored import Fingerprints
from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.diff.changeset import PollTotals
    from syncer.diff.response import ParsedResponse

_MOST_REMEMBERED: Final = 250_000
"""Numbers whose digests are kept in memory: some 50 MiB."""


@dataclass(frozen=True, slots=True)
class AccountFingerprints:
    """What stands for an account, and the run that last changed it; it counts only while that run is still the last."""

    app_id: int | None
    fingerprints_run_id: int | None
    fingerprints: Fingerprints


class FingerprintCache:
    """The standings of the last polls, so that the next need not read them again.

    An unchanged response asks for none; so the accounts that changed last are enough, up to `_MOST_REMEMBERED` numbers
    in all, or the one account that has more.
    """

    def __init__(self) -> None:
        self._by_account: dict[int, AccountFingerprints] = {}
        self._numbers = 0

    def get(self, account_id: int, fingerprints_run_id: int | None) -> AccountFingerprints | None:
        """What is remembered, if it belongs to what the database says."""
        found = self._by_account.get(account_id)
        return found if found is not None and found.fingerprints_run_id == fingerprints_run_id else None

    def put(self, account_id: int, fingerprints: AccountFingerprints) -> None:
        """Remembers what stands after a poll has committed."""
        self._drop(account_id)
        self._by_account[account_id] = fingerprints
        self._numbers += len(fingerprints.fingerprints)
        while self._numbers > _MOST_REMEMBERED and len(self._by_account) > 1:
            self._drop(next(iter(self._by_account)))

    def _drop(self, account_id: int) -> None:
        forgotten = self._by_account.pop(account_id, None)
        self._numbers -= 0 if forgotten is None else len(forgotten.fingerprints)


def next_fingerprints(
    before: AccountFingerprints, parsed: ParsedResponse, totals: PollTotals, run_id: int
) -> AccountFingerprints:
    """What stands once a poll's decisions are written by a run."""
    app_id = before.app_id if before.app_id is not None else parsed.app_id
    if not totals.changes_fingerprints:
        return replace(before, app_id=app_id, fingerprints=replace(before.fingerprints, last=parsed.elements))
    renewed = totals.removed.union(totals.fingerprints.values())
    fingerprints = dict(before.fingerprints.by_fingerprint)
    for fingerprint, number in parsed.vanished_fingerprints.items():
        if number in renewed:
            del fingerprints[fingerprint]
    fingerprints |= totals.fingerprints
    without_fingerprint = before.fingerprints.without_fingerprint - renewed
    return AccountFingerprints(app_id, run_id, Fingerprints(fingerprints, without_fingerprint, parsed.elements))


_ACCOUNT: Final = "select app_id, fingerprints_run_id from syncer.account where account_id = $1"
# Each in one value: to make a row of each number, here and there, would take longer than to read them.
_DIGESTS: Final = """
select coalesce(string_agg(int8send(virtual_number_id) || fingerprint, ''), '')
  from syncer.record_fingerprint where account_id = $1 and decoder_version = $2 and length(fingerprint) = 16
"""
_NUMBERS: Final = """
select coalesce(string_agg(int8send(virtual_number_id), ''), '')
  from syncer.virtual_number where account_id = $1 and removed_at is null
"""
_NUMBER_AND_DIGEST: Final = Struct(">q16s")
_NUMBER_BYTES: Final = 8


async def load_fingerprints(
    engine: AsyncEngine, account_id: int, fingerprint_cache: FingerprintCache
) -> AccountFingerprints:
    """What stands for an account, from memory where that is still true, else from the database.

    Raises:
        DatabaseError: It cannot be read.
    """
    async with autocommit_connection(engine) as connection:
        account = await connection.fetchrow(_ACCOUNT, account_id)
        assert account is not None  # noqa: S101 - accounts are never deleted
        remembered = fingerprint_cache.get(account_id, account["fingerprints_run_id"])
        if remembered is not None:
            return replace(remembered, app_id=account["app_id"])
        # If a poll has committed since the first statement, the fence sees that the others belong to an earlier run.
        digested = await connection.fetchval(_DIGESTS, account_id, DECODER_VERSION)
        by_fingerprint, numbers = await asyncio.gather(
            asyncio.to_thread(_decode_fingerprints, digested), connection.fetchval(_NUMBERS, account_id)
        )
    fingerprints = await asyncio.to_thread(_fingerprints, by_fingerprint, numbers)
    recalled = AccountFingerprints(account["app_id"], account["fingerprints_run_id"], fingerprints)
    fingerprint_cache.put(account_id, recalled)
    return recalled


def _decode_fingerprints(digested: bytes) -> dict[bytes, int]:
    return {fingerprint: number for number, fingerprint in _NUMBER_AND_DIGEST.iter_unpack(digested)}


def _fingerprints(fingerprints: dict[bytes, int], listed: bytes) -> Fingerprints:
    """What stands, by the numbers: digests are a cache. One that is missing removes none, one too many lists none."""
    numbers = set(Struct(f">{len(listed) // _NUMBER_BYTES}q").unpack(listed))
    without_fingerprint = numbers.difference(fingerprints.values())
    if len(without_fingerprint) + len(fingerprints) > len(numbers):
        fingerprints = {fingerprint: number for fingerprint, number in fingerprints.items() if number in numbers}
    return Fingerprints(fingerprints, frozenset(without_fingerprint))
