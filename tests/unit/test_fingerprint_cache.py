"""The fingerprint cache is limited by the total count of numbers of all accounts, and prefers large accounts."""

from __future__ import annotations

import json
from functools import cache
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from syncer.diff.changeset import PollTotals
from syncer.diff.content_hash import UNKEYED
from syncer.diff.response import parse_response
from syncer.diff.stored import Elements, Fingerprints
from syncer.store.poll.fingerprints import AccountFingerprints, FingerprintCache, next_fingerprints
from tests.builders import record

VERSION = uuid4()


@cache
def account_fingerprints(numbers: int, *, version: UUID = VERSION) -> AccountFingerprints:
    return AccountFingerprints(None, version, Fingerprints(without_fingerprint=frozenset(range(numbers))))


def cached_accounts(cache: FingerprintCache) -> list[int]:
    return [account_id for account_id in range(10) if cache.get(account_id, VERSION) is not None]


def test_the_accounts_stored_last_are_cached() -> None:
    cache = FingerprintCache()
    for account_id in (1, 2, 3):
        cache.put(account_id, account_fingerprints(80_000))
    assert cached_accounts(cache) == [1, 2, 3]

    cache.put(1, account_fingerprints(80_000))
    cache.put(4, account_fingerprints(80_000))
    assert cached_accounts(cache) == [1, 3, 4]


def test_a_response_with_another_start_than_the_last_one_is_recognized() -> None:
    cache, body = FingerprintCache(), json.dumps([record(1)]).encode()
    cache.put(1, account_fingerprints(1))
    unknown = cache.has_other_start(1, body, UNKEYED), cache.has_other_start(2, body, UNKEYED)
    parsed = parse_response(body, Fingerprints(), None)
    cache.put(1, AccountFingerprints(None, VERSION, Fingerprints(last_response=parsed.elements)))

    assert unknown == (False, False)
    assert not cache.has_other_start(1, body, UNKEYED)
    assert cache.has_other_start(1, b" " + body, UNKEYED)
    assert not cache.has_other_start(2, b" " + body, UNKEYED)


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


def test_a_small_account_does_not_displace_a_large_one() -> None:
    cache = FingerprintCache()
    cache.put(1, account_fingerprints(249_000))
    for account_id in (2, 3, 4):
        cache.put(account_id, account_fingerprints(800))
    assert cached_accounts(cache) == [1, 4]

    cache.put(5, account_fingerprints(400_000))
    cache.put(6, account_fingerprints(100))
    assert cached_accounts(cache) == [5]


def test_accounts_that_are_polled_in_turn_and_do_not_all_fit_stay_cached_as_far_as_they_fit() -> None:
    sizes = {1: 120_000, 2: 110_000, 3: 60_000, 4: 50_000}
    cache = FingerprintCache()
    for account_id, numbers in sizes.items():
        cache.put(account_id, account_fingerprints(numbers))
    for _ in range(3):
        hits = [account_id for account_id in sizes if cache.get(account_id, VERSION) is not None]
        for account_id in sizes.keys() - set(hits):
            cache.put(account_id, account_fingerprints(sizes[account_id]))
        assert hits == [1, 2]


def test_an_account_that_is_no_longer_polled_frees_its_place() -> None:
    cache = FingerprintCache()
    cache.put(1, account_fingerprints(249_000))
    cache.keep_only({2, 3})
    cache.put(2, account_fingerprints(200_000))
    assert cached_accounts(cache) == [2]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 100, 80_000, 120_000, 125_000, 249_999, 250_000, 400_000])),
        max_size=30,
    )
)
def test_no_account_displaces_a_larger_one_and_the_bound_holds(puts: list[tuple[int, int]]) -> None:
    cache = FingerprintCache()
    sizes: dict[int, int] = {}
    for account_id, numbers in puts:
        before = set(cached_accounts(cache)) - {account_id}
        sizes[account_id] = numbers
        cache.put(account_id, account_fingerprints(numbers))
        after = set(cached_accounts(cache))

        kept_sizes = [sizes[kept] for kept in after]
        displaced = (before | {account_id}) - after
        assert sum(kept_sizes) <= 250_000 or len(kept_sizes) == 1
        assert after <= before | {account_id}
        assert all(sizes[dropped] <= min(kept_sizes) for dropped in displaced)
        assert not displaced or sum(kept_sizes) + max(sizes[dropped] for dropped in displaced) > 250_000


def test_fingerprints_of_another_version_are_not_returned() -> None:
    cache = FingerprintCache()
    version = uuid4()
    cache.put(1, account_fingerprints(100, version=version))
    assert cache.get(1, uuid4()) is None
    assert cache.get(1, None) is None
    assert cache.get(1, version) is not None


def test_the_last_response_is_cached_whether_or_not_it_changed_anything() -> None:
    body = json.dumps([record(1)]).encode()
    parsed = parse_response(body, Fingerprints(), None)
    fingerprint = parsed.records[1].fingerprint
    before = AccountFingerprints(None, None, Fingerprints())
    changed = next_fingerprints(before, parsed, PollTotals(fingerprints={fingerprint: 1}), uuid4())
    assert changed.fingerprints.last_response == Elements([fingerprint], [None])

    again = parse_response(body, changed.fingerprints, None)
    unchanged = next_fingerprints(changed, again, PollTotals(), uuid4())
    assert unchanged.fingerprints.last_response == Elements([fingerprint], [1])
