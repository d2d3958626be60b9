"""Loads the fingerprints of an account's stored records, from memory or from PostgreSQL.

A record whose fingerprint is stored has not changed, and is not even decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from syncer.diff.content_hash import UNKEYED
from syncer.diff.record import DECODER_VERSION
from syncer.diff.stored import Fingerprints, hash_start
from syncer.errors import DatabaseError
from syncer.store.engine import autocommit_connection
from syncer.threads import run_in_thread_if_large

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from syncer.diff.changeset import PollTotals
    from syncer.diff.content_hash import ContentHash
    from syncer.diff.response import ParsedResponse
    from syncer.store.engine import Engine
    from syncer.store.poll.runs import Run

_MAX_CACHED_NUMBERS: Final = 250_000
"""The number of fingerprints that are kept in memory: some 50 MiB."""


@dataclass(frozen=True, slots=True)
class AccountFingerprints:
    """The fingerprints of an account's numbers.

    Attributes:
        app_id: The account's `app_id`; None before the first success.
        fingerprints_version: The random version of the stored fingerprints; these are valid only while it is the same.
            Even after a dump has been restored, no other fingerprints get that version.
        fingerprints: The fingerprints.
    """

    app_id: int | None
    fingerprints_version: UUID | None
    fingerprints: Fingerprints


class FingerprintCache:
    """Keeps accounts' fingerprints in memory, so that the next polls need not read them.

    It keeps up to `_MAX_CACHED_NUMBERS` numbers in total, or a single account that has more. If accounts do not all
    fit, the largest are kept, and among equal ones those stored last: reading the fingerprints of a large account takes
    long and much memory at once, while those of a small one cost little more than a round trip. Accounts are polled in
    turn, so to drop what was not used for longest would drop each account shortly before its next poll.
    """

    def __init__(self) -> None:
        self._by_account: dict[int, AccountFingerprints] = {}
        self._sizes: dict[int, int] = {}
        self._numbers = 0

    def get(
        self, account_id: int, fingerprints_version: UUID | None, content_hash: ContentHash = UNKEYED
    ) -> AccountFingerprints | None:
        """Returns an account's fingerprints, if they are cached and have this version and hash function."""
        cached = self._by_account.get(account_id)
        if cached is None or cached.fingerprints_version != fingerprints_version:
            return None
        return cached if cached.fingerprints.content_hash.has_key_of(content_hash) else None

    def has(self, account_id: int) -> bool:
        """Returns whether an account's fingerprints are cached, in whichever version."""
        return account_id in self._by_account

    def has_other_start(self, account_id: int, body: bytes, content_hash: ContentHash) -> bool:
        """Returns whether the response with the cached fingerprints began with other bytes than this one."""
        cached = self._by_account.get(account_id)
        start_hash = b"" if cached is None else cached.fingerprints.last_response.start_hash
        return start_hash not in {b"", hash_start(body, content_hash)}

    def put(self, account_id: int, fingerprints: AccountFingerprints) -> None:
        """Caches an account's fingerprints, once the poll that changed them has committed."""
        self._evict(account_id)
        self._by_account[account_id] = fingerprints
        self._sizes[account_id] = len(fingerprints.fingerprints)
        self._numbers += self._sizes[account_id]
        while self._numbers > _MAX_CACHED_NUMBERS and len(self._by_account) > 1:
            self._evict(min(self._sizes, key=self._sizes.__getitem__))

    def keep_only(self, account_ids: Collection[int]) -> None:
        """Drops all accounts but these, so that one that is no longer polled frees its place."""
        for account_id in self._by_account.keys() - set(account_ids):
            self._evict(account_id)

    def _evict(self, account_id: int) -> None:
        self._by_account.pop(account_id, None)
        self._numbers -= self._sizes.pop(account_id, 0)


def next_fingerprints(
    before: AccountFingerprints, parsed: ParsedResponse, totals: PollTotals, version: UUID
) -> AccountFingerprints:
    """Returns an account's fingerprints as they are after a poll's changes were written.

    Args:
        before: The fingerprints that the poll compared the response with.
        parsed: The response.
        totals: The changes that were written.
        version: The version that was stored with them.
    """
    app_id = before.app_id if before.app_id is not None else parsed.app_id
    if not totals.has_fingerprint_changes:
        return replace(before, app_id=app_id, fingerprints=replace(before.fingerprints, last_response=parsed.elements))
    if not before.fingerprints:  # a first load, whose numbers are many
        after = Fingerprints(totals.fingerprints, frozenset(), parsed.elements, before.fingerprints.content_hash)
        return AccountFingerprints(app_id, version, after)
    replaced = totals.removed.union(totals.fingerprints.values())
    fingerprints = dict(before.fingerprints.by_fingerprint)
    for fingerprint, number in parsed.vanished_fingerprints.items():
        if number in replaced:
            del fingerprints[fingerprint]
    fingerprints |= totals.fingerprints
    without_fingerprint = before.fingerprints.without_fingerprint - replaced
    after = Fingerprints(fingerprints, without_fingerprint, parsed.elements, before.fingerprints.content_hash)
    return AccountFingerprints(app_id, version, after)


_ACCOUNT: Final = """
select app_id, fingerprints_version
  from syncer.account_fence join syncer.account using (account_id) where account_id = $1
"""
# Fingerprints and numbers are one concatenated value each: a row per number would take longer to build, on both sides,
# than to read.
_FINGERPRINTS: Final = """
select app_id, fingerprints_version,
       (select coalesce(string_agg(int8send(virtual_number_id) || fingerprint, ''), '')
          from syncer.record_fingerprint
         where account_id = $1 and decoder_version = $2 and length(fingerprint) = 16) as fingerprints,
       (select coalesce(string_agg(int8send(virtual_number_id), ''), '')
          from syncer.virtual_number where account_id = $1 and removed_at is null) as numbers
  from syncer.account_fence join syncer.account using (account_id) where account_id = $1
"""
_NUMBER_AND_FINGERPRINT: Final = Struct(">q16s")
_NUMBER_BYTES: Final = 8


def cached_fingerprints(fingerprint_cache: FingerprintCache, run: Run) -> AccountFingerprints | None:
    """Returns an account's fingerprints, if the version that was stored when the run began is cached."""
    cached = fingerprint_cache.get(run.account_id, run.fingerprints_version, run.content_hash)
    return None if cached is None else replace(cached, app_id=run.app_id)


async def load_fingerprints(
    engine: Engine, account_id: int, content_hash: ContentHash, fingerprint_cache: FingerprintCache
) -> AccountFingerprints:
    """Loads an account's fingerprints from the cache if they are still valid, else from the database.

    Args:
        engine: The database.
        account_id: The account.
        content_hash: The hash function that new fingerprints are made with.
        fingerprint_cache: The fingerprints of recent polls.

    Raises:
        DatabaseError: The database cannot be read, or the account was deleted.
    """
    async with autocommit_connection(engine) as connection:
        if fingerprint_cache.has(account_id):
            account = await connection.fetchrow(_ACCOUNT, account_id)
            if account is not None:
                cached = fingerprint_cache.get(account_id, account["fingerprints_version"], content_hash)
                if cached is not None:
                    return replace(cached, app_id=account["app_id"])
        account = await connection.fetchrow(_FINGERPRINTS, account_id, DECODER_VERSION)
    if account is None:
        raise DatabaseError(f"database: account {account_id} was deleted while it was polled; nothing was recorded")
    fingerprints = await run_in_thread_if_large(
        len(account["fingerprints"]), _match_numbers, account["fingerprints"], account["numbers"]
    )
    fingerprints = replace(fingerprints, content_hash=content_hash)
    loaded = AccountFingerprints(account["app_id"], account["fingerprints_version"], fingerprints)
    fingerprint_cache.put(account_id, loaded)
    return loaded


def _match_numbers(packed_fingerprints: bytes, packed_numbers: bytes) -> Fingerprints:
    """Matches fingerprints to the numbers that are not removed.

    Fingerprints are only a cache: a number without one still exists, and one of a removed number is ignored.
    """
    fingerprints = {
        fingerprint: number for number, fingerprint in _NUMBER_AND_FINGERPRINT.iter_unpack(packed_fingerprints)
    }
    numbers = set(Struct(f">{len(packed_numbers) // _NUMBER_BYTES}q").unpack(packed_numbers))
    without_fingerprint = numbers.difference(fingerprints.values())
    if len(without_fingerprint) + len(fingerprints) > len(numbers):
        fingerprints = {fingerprint: number for fingerprint, number in fingerprints.items() if number in numbers}
    return Fingerprints(fingerprints, frozenset(without_fingerprint))
