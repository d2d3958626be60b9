"""What is remembered between polls is bounded by the numbers of all accounts together."""

from __future__ import annotations

import json

from syncer.diff.changeset import PollTotals
from syncer.diff.response import read
from syncer.diff.stored import Elements, Fingerprints
from syncer.store.poll.fingerprints import AccountFingerprints, FingerprintCache, next_fingerprints
from tests.builders import record


def standing(numbers: int, *, run_id: int = 1) -> AccountFingerprints:
    return AccountFingerprints(None, run_id, Fingerprints(without_fingerprint=frozenset(range(numbers))))


def remembered(memory: FingerprintCache) -> list[int]:
    return [account_id for account_id in range(10) if memory.get(account_id, 1) is not None]


def test_the_accounts_that_were_put_last_are_remembered() -> None:
    memory = FingerprintCache()
    for account_id in (1, 2, 3):
        memory.put(account_id, standing(80_000))
    assert remembered(memory) == [1, 2, 3]

    memory.put(1, standing(80_000))
    memory.put(4, standing(80_000))
    assert remembered(memory) == [1, 3, 4]


def test_an_account_that_is_put_again_counts_once() -> None:
    memory = FingerprintCache()
    memory.put(1, standing(100_000))
    for _ in range(5):
        memory.put(2, standing(100_000))
    assert remembered(memory) == [1, 2]


def test_one_account_is_remembered_however_many_numbers_it_has() -> None:
    memory = FingerprintCache()
    memory.put(1, standing(100))
    memory.put(2, standing(400_000))
    assert remembered(memory) == [2]
    memory.put(3, standing(100))
    assert remembered(memory) == [3]


def test_what_belongs_to_another_run_is_not_given() -> None:
    memory = FingerprintCache()
    memory.put(1, standing(100, run_id=7))
    assert memory.get(1, 8) is None
    assert memory.get(1, 7) is not None


def test_what_the_last_response_listed_is_remembered_whether_it_changed_anything_or_not() -> None:
    body = json.dumps([record(1)]).encode()
    parsed = read(body, Fingerprints(), None)
    told = parsed.records[1]
    before = AccountFingerprints(None, None, Fingerprints())
    changed = next_fingerprints(before, parsed, PollTotals(fingerprints={told.fingerprint: 1}), 7)
    assert changed.fingerprints.last == Elements([told.fingerprint], [None])

    again = read(body, changed.fingerprints, None)
    assert next_fingerprints(changed, again, PollTotals(), 8).fingerprints.last == Elements([told.fingerprint], [1])
