"""The fingerprint cache is limited by the total count of numbers of all accounts."""

from __future__ import annotations

import json

from syncer.diff.changeset import PollTotals
from syncer.diff.response import parse_response
from syncer.diff.stored import Elements, Fingerprints
from syncer.store.poll.fingerprints import AccountFingerprints, FingerprintCache, next_fingerprints
from tests.builders import record


def account_fingerprints(numbers: int, *, run_id: int = 1) -> AccountFingerprints:
    return AccountFingerprints(None, run_id, Fingerprints(without_fingerprint=frozenset(range(numbers))))


def cached_accounts(cache: FingerprintCache) -> list[int]:
    return [account_id for account_id in range(10) if cache.get(account_id, 1) is not None]


def test_the_accounts_stored_last_are_cached() -> None:
    cache = FingerprintCache()
    for account_id in (1, 2, 3):
        cache.put(account_id, account_fingerprints(80_000))
    assert cached_accounts(cache) == [1, 2, 3]

    cache.put(1, account_fingerprints(80_000))
    cache.put(4, account_fingerprints(80_000))
    assert cached_accounts(cache) == [1, 3, 4]


def test_an_account_stored_again_counts_once() -> None:
    cache = FingerprintCache()
    cache.put(1, account_fingerprints(100_000))
    for _ in range(5):
        cache.put(2, account_fingerprints(100_000))
    assert cached_accounts(cache) == [1, 2]


def test_one_account_is_cached_however_many_numbers_it_has() -> None:
    cache = FingerprintCache()
    cache.put(1, account_fingerprints(100))
    cache.put(2, account_fingerprints(400_000))
    assert cached_accounts(cache) == [2]
    cache.put(3, account_fingerprints(100))
    assert cached_accounts(cache) == [3]


def test_fingerprints_of_another_run_are_not_returned() -> None:
    cache = FingerprintCache()
    cache.put(1, account_fingerprints(100, run_id=7))
    assert cache.get(1, 8) is None
    assert cache.get(1, 7) is not None


def test_the_last_response_is_cached_whether_or_not_it_changed_anything() -> None:
    body = json.dumps([record(1)]).encode()
    parsed = parse_response(body, Fingerprints(), None)
    fingerprint = parsed.records[1].fingerprint
    before = AccountFingerprints(None, None, Fingerprints())
    changed = next_fingerprints(before, parsed, PollTotals(fingerprints={fingerprint: 1}), 7)
    assert changed.fingerprints.last_response == Elements([fingerprint], [None])

    again = parse_response(body, changed.fingerprints, None)
    assert next_fingerprints(changed, again, PollTotals(), 8).fingerprints.last_response == Elements([fingerprint], [1])
