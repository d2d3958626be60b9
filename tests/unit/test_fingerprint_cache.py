"""What is remembered between polls is bounded by the numbers of all accounts together."""

from __future__ import annotations

import json

from syncer.diff.changeset import Total
from syncer.diff.response import read
from syncer.diff.stored import Elements, Standing
from syncer.store.poll.fingerprints import AccountStanding, StandingMemory, stands_after
from tests.builders import record


def standing(numbers: int, *, run_id: int = 1) -> AccountStanding:
    return AccountStanding(None, run_id, Standing(undigested=frozenset(range(numbers))))


def remembered(memory: StandingMemory) -> list[int]:
    return [account_id for account_id in range(10) if memory.get(account_id, 1) is not None]


def test_the_accounts_that_were_put_last_are_remembered() -> None:
    memory = StandingMemory()
    for account_id in (1, 2, 3):
        memory.put(account_id, standing(80_000))
    assert remembered(memory) == [1, 2, 3]

    memory.put(1, standing(80_000))
    memory.put(4, standing(80_000))
    assert remembered(memory) == [1, 3, 4]


def test_an_account_that_is_put_again_counts_once() -> None:
    memory = StandingMemory()
    memory.put(1, standing(100_000))
    for _ in range(5):
        memory.put(2, standing(100_000))
    assert remembered(memory) == [1, 2]


def test_one_account_is_remembered_however_many_numbers_it_has() -> None:
    memory = StandingMemory()
    memory.put(1, standing(100))
    memory.put(2, standing(400_000))
    assert remembered(memory) == [2]
    memory.put(3, standing(100))
    assert remembered(memory) == [3]


def test_what_belongs_to_another_run_is_not_given() -> None:
    memory = StandingMemory()
    memory.put(1, standing(100, run_id=7))
    assert memory.get(1, 8) is None
    assert memory.get(1, 7) is not None


def test_what_the_last_response_listed_is_remembered_whether_it_changed_anything_or_not() -> None:
    body = json.dumps([record(1)]).encode()
    arrival = read(body, Standing(), None)
    told = arrival.records[1]
    before = AccountStanding(None, None, Standing())
    changed = stands_after(before, arrival, Total(standing={told.digest: 1}), 7)
    assert changed.standing.last == Elements([told.digest], [None])

    again = read(body, changed.standing, None)
    assert stands_after(changed, again, Total(), 8).standing.last == Elements([told.digest], [1])
