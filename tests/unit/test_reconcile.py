"""What was known and what arrived decide what changed: whose window, counted how, and how much absence is believed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from xxhash import xxh3_128_digest

from syncer.diff.changeset import ChangeSet, NewState, NewVersion, PollTotals, PresenceUpdate, RedirectChange
from syncer.diff.reconcile import reconcile, reconcile_absences
from syncer.diff.record import COLUMNS, ParsedRecord, Rejection, decode
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import ParsedResponse, Span, UnseenRecords, read
from syncer.diff.stored import Elements, Fingerprints, StoredNumber, StoredNumbers, StoredState, UnreadNumber
from tests.builders import decide, record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIRST = datetime(2026, 3, 1, 9, tzinfo=UTC)
"""The start of a success long ago."""
LAST = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The start of the last success."""
NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
"""The moment that this poll is recorded under."""
NEVER = datetime.min.replace(tzinfo=UTC)
HOLD = timedelta(hours=24)
GUARD = RemovalGuard(ratio=0.2, hold=HOLD)
ACCEPTED = RemovalGuard(ratio=0.2, hold=HOLD, accepted=True)
CAUTIOUS = RemovalGuard(ratio=0, hold=HOLD)


def spelled(element: dict[str, Any]) -> bytes:
    return json.dumps(element).encode()


def digest_of(element: dict[str, Any]) -> bytes:
    return xxh3_128_digest(spelled(element))


def arrived(element: dict[str, Any]) -> ParsedRecord:
    decoded = decode(spelled(element), digest_of(element))
    assert isinstance(decoded, ParsedRecord), decoded
    return decoded


def values_of(element: dict[str, Any]) -> tuple[Any, ...]:
    """The columns of a record, in their order; null where a key is absent."""
    return tuple(None if value is UNSET else value for value in arrived(element).values)


def stored(
    element: dict[str, Any], *, last_read_at: datetime | None = None, removed_at: datetime | None = None
) -> StoredNumber:
    """A number as the database knows it after it was read from an element."""
    told = arrived(element)
    redirects = frozenset[tuple[int, str]]() if told.redirects is UNSET else told.redirects
    return StoredNumber(values_of(element), redirects, told.extra, last_read_at, removed_at)


def rejection(number: int | None, *, digest: bytes = b"r" * 16) -> Rejection:
    return Rejection(number, None, "why", b"payload", digest)


def response(
    *elements: dict[str, Any],
    known_count: int = 0,
    rejections: Iterable[Rejection] = (),
    missing_ids: Iterable[int] = (),
    received: int | None = None,
) -> ParsedResponse:
    """A response, told apart: elements to be looked at, and how many stand, cannot be taken, are missing."""
    rejections = tuple(rejections)
    body, places = b"", {}
    for element in elements:
        places[element["id"]] = Span(len(body), len(body) + len(spelled(element)))
        body += spelled(element)
    return ParsedResponse(
        received=len(elements) + known_count + len(rejections) if received is None else received,
        repeated=0,
        known_count=known_count,
        records=UnseenRecords(body, places),
        rejections=rejections,
        missing_ids=frozenset(missing_ids),
        app_id=None,
    )


class Before(NamedTuple):
    """What the database knew: of the numbers that are spoken of, and of the account."""

    numbers: StoredNumbers
    known: StoredState


def decided(parsed: ParsedResponse, before: Before, guard: RemovalGuard) -> ChangeSet:
    """What a response changes; of the numbers whose element is rejected, those that are listed are found out here."""
    listed = {number for number, stored in before.numbers.stored.items() if stored.removed_at is None}
    rejected = {rejection.virtual_number_id for rejection in parsed.rejections}
    return decide(parsed, before.numbers, replace(before.known, listed_and_rejected=listed & rejected), guard)


def known(
    numbers: Mapping[int, StoredNumber] | None = None,
    *,
    unread: Mapping[int, UnreadNumber] | None = None,
    listed: int = 100,
    removed_in_hold: Iterable[int] = (),
    returned_in_hold: Iterable[int] = (),
    added_since_first_missing: Iterable[int] = (),
    rejected: Iterable[bytes] = (),
    last: datetime | None = LAST,
    now: datetime = NOW,
) -> Before:
    found = numbers or {}
    account = StoredState(
        observed_at=now,
        success_started_at=last,
        unread=unread or {},
        listed=listed,
        removed_in_hold=frozenset(removed_in_hold),
        returned_in_hold=frozenset(returned_in_hold),
        added_since_first_missing=frozenset(added_since_first_missing),
        rejected_fingerprints=frozenset(rejected),
    )
    return Before(StoredNumbers(found), account)


FIRST_SUCCESS = known(last=None, listed=0)


def counted(changes: ChangeSet) -> dict[str, int]:
    return {name: count for name, count in changes.counters.items() if count}


def is_quiet(changes: ChangeSet) -> bool:
    """Whether there is nothing to write but digests and rejected records."""
    return not (
        changes.created
        or changes.replaced
        or changes.closed_states
        or changes.opened_states
        or changes.opened_redirects
        or changes.closed_redirects
        or changes.extra_updates
        or changes.presence_updates
    )


def test_what_a_first_success_finds_has_no_lower_end_to_its_window() -> None:
    told = record(1, state="freeze", reason="debt", from_redirect_numbers=[redirect(9, "79"), redirect(8, "78")], x=1)
    changes = decided(response(told), FIRST_SUCCESS, GUARD)
    assert changes == ChangeSet(
        created=[NewVersion(1, values_of(told), {"x": 1}, None)],
        opened_states=[NewState(1, "freeze", "debt", None)],
        opened_redirects=[RedirectChange(1, 8, "78", None), RedirectChange(1, 9, "79", None)],
        fingerprints={1: digest_of(told)},
        is_first_or_rejections_changed=True,
        counters=Counter(created=1, received=1, redirects_opened=2, redirects_closed=0, rejected=0, unchanged=0),
    )


def test_the_window_of_a_number_created_later_begins_where_the_last_success_began() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")])
    changes = decided(response(told), known(), GUARD)
    assert changes.created == [NewVersion(1, values_of(told), {}, LAST)]
    assert changes.opened_states == [NewState(1, "active", None, LAST)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert counted(changes) == {"received": 1, "created": 1, "redirects_opened": 1}


def test_a_created_number_counts_no_state_change_and_no_changed_column() -> None:
    changes = decided(response(record(1, state="freeze")), known(), GUARD)
    assert (changes.closed_states, changes.column_changes, counted(changes)["created"]) == ([], Counter(), 1)


def test_a_record_that_says_what_is_stored_changes_nothing_but_its_digest() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")], x={"a": 1})
    changes = decided(response(told), known({1: stored(told)}), GUARD)
    assert is_quiet(changes)
    assert changes.is_empty
    assert changes.fingerprints == {1: digest_of(told)}
    assert counted(changes) == {"received": 1, "unchanged": 1}


def test_elements_that_stand_count_as_unchanged() -> None:
    changes = decided(response(record(1), known_count=7), known({1: stored(record(1))}), GUARD)
    assert counted(changes) == {"received": 8, "unchanged": 8}


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - {"state", "reason"}))
def test_a_change_of_any_column_makes_a_version_and_no_period(column: str) -> None:
    new = {"is_scenario_active": True, "is_group_scenario_active": True}.get(column) or (
        77 if column.endswith("_id") else "77"
    )
    told = record(1) | {column: new}
    changes = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {}, LAST)]
    assert (changes.closed_states, changes.opened_states, changes.presence_updates) == ([], [], [])
    assert counted(changes) == {"received": 1, "changed": 1}
    assert changes.column_changes == Counter({column: 1})
    assert not changes.is_empty


@pytest.mark.parametrize(
    ("fields", "column_changes"),
    [
        ({"state": "freeze"}, {"state": 1}),
        ({"reason": "debt"}, {"reason": 1}),
        ({"state": "freeze", "reason": "debt"}, {"state": 1, "reason": 1}),
    ],
)
def test_a_change_of_state_or_reason_or_both_is_one_change_of_state(
    fields: dict[str, str], column_changes: dict[str, int]
) -> None:
    told = record(1, **fields)
    changes = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {}, LAST)]
    assert changes.closed_states == [(1, LAST)]
    assert changes.opened_states == [NewState(1, told["state"], told["reason"], LAST)]
    assert counted(changes) == {"received": 1, "changed": 1, "state_changes": 1}
    assert changes.column_changes == Counter(column_changes)


def test_a_reason_that_goes_from_null_to_empty_is_a_change() -> None:
    changes = decided(response(record(1, reason="")), known({1: stored(record(1, reason=None))}), GUARD)
    assert changes.opened_states == [NewState(1, "active", "", LAST)]


def test_extra_fields_alone_are_replaced_and_count_as_unchanged() -> None:
    changes = decided(response(record(1, x=2)), known({1: stored(record(1, x=1, y=3))}), GUARD)
    assert changes.extra_updates == [(1, {"x": 2})]
    assert (changes.replaced, counted(changes)) == ([], {"received": 1, "unchanged": 1})
    assert not changes.is_empty


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (10**23, 1e23), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_extra_fields_that_jsonb_holds_equal_are_not_written(old: Any, new: Any) -> None:
    changes = decided(response(record(1, x=new)), known({1: stored(record(1, x=old))}), GUARD)
    assert is_quiet(changes)
    assert changes.is_empty


def test_extra_fields_that_no_longer_come_are_dropped() -> None:
    changes = decided(response(record(1)), known({1: stored(record(1, x=1))}), GUARD)
    assert changes.extra_updates == [(1, {})]


def test_extra_fields_go_with_the_version_where_there_is_one() -> None:
    told = record(1, comment="new", x=2)
    changes = decided(response(told), known({1: stored(record(1, x=1))}), GUARD)
    assert (changes.replaced, changes.extra_updates) == ([NewVersion(1, values_of(told), {"x": 2}, LAST)], [])


def test_redirects_come_and_go_without_a_version() -> None:
    before = record(1, from_redirect_numbers=[redirect(7, "77"), redirect(8, "78"), redirect(9, "79")])
    told = record(1, from_redirect_numbers=[redirect(9, "79"), redirect(6, "76"), redirect(5, "75")])
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert changes.opened_redirects == [RedirectChange(1, 5, "75", LAST), RedirectChange(1, 6, "76", LAST)]
    assert changes.closed_redirects == [RedirectChange(1, 7, "77", LAST), RedirectChange(1, 8, "78", LAST)]
    assert (changes.replaced, changes.opened_states) == ([], [])
    assert counted(changes) == {"received": 1, "changed": 1, "redirects_opened": 2, "redirects_closed": 2}
    assert changes.column_changes == Counter(from_redirect_numbers=1)
    assert not changes.is_empty


@pytest.mark.parametrize(("before", "after"), [([], [redirect(9, "79")]), ([redirect(9, "79")], [])])
def test_a_redirect_that_comes_or_goes_alone_is_a_change(before: list[Any], after: list[Any]) -> None:
    known_before = known({1: stored(record(1, from_redirect_numbers=before))})
    changes = decided(response(record(1, from_redirect_numbers=after)), known_before, GUARD)
    assert (len(changes.opened_redirects), len(changes.closed_redirects)) == (len(after), len(before))
    assert not changes.is_empty


def test_a_redirect_whose_number_changes_ends_and_begins() -> None:
    before, told = (record(1, from_redirect_numbers=[redirect(9, number)]) for number in ("79", "80"))
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "80", LAST)]


def test_two_redirects_that_swap_their_numbers_all_end_and_begin() -> None:
    before = record(1, from_redirect_numbers=[redirect(8, "A"), redirect(9, "B")])
    told = record(1, from_redirect_numbers=[redirect(8, "B"), redirect(9, "A")])
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert changes.closed_redirects == [RedirectChange(1, 8, "A", LAST), RedirectChange(1, 9, "B", LAST)]
    assert changes.opened_redirects == [RedirectChange(1, 8, "B", LAST), RedirectChange(1, 9, "A", LAST)]


def test_a_redirect_that_moves_to_another_number_ends_there_and_begins_here() -> None:
    moving = [redirect(9, "79")]
    numbers = {1: stored(record(1, from_redirect_numbers=moving)), 2: stored(record(2))}
    changes = decided(response(record(1), record(2, from_redirect_numbers=moving)), known(numbers), GUARD)
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert changes.opened_redirects == [RedirectChange(2, 9, "79", LAST)]
    assert counted(changes)["changed"] == 2


def test_redirects_in_another_order_and_null_for_none_are_no_change() -> None:
    pair = [redirect(8, "78"), redirect(9, "79")]
    numbers = {1: stored(record(1, from_redirect_numbers=pair)), 2: stored(record(2, from_redirect_numbers=[]))}
    told = response(record(1, from_redirect_numbers=pair[::-1]), record(2, from_redirect_numbers=None))
    assert decided(told, known(numbers), GUARD).is_empty


def test_columns_and_redirects_that_change_together_are_one_changed_number() -> None:
    told = record(1, state="freeze", comment="new", from_redirect_numbers=[redirect(9, "79")])
    changes = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert counted(changes) == {"received": 1, "changed": 1, "state_changes": 1, "redirects_opened": 1}
    assert changes.column_changes == Counter(state=1, comment=1, from_redirect_numbers=1)


def test_a_column_counts_once_a_number_in_which_it_changed() -> None:
    numbers = {number: stored(record(number)) for number in (1, 2, 3)}
    told = response(record(1, comment="a"), record(2, comment="b", state="freeze"), record(3))
    assert decided(told, known(numbers), GUARD).column_changes == Counter(comment=2, state=1)


def test_absent_keys_keep_the_last_value_and_are_counted() -> None:
    before = record(1, comment="kept", app_id=5, from_redirect_numbers=[redirect(9, "79")])
    told = without(before, "comment", "app_id", "from_redirect_numbers")
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert is_quiet(changes)
    assert changes.is_empty
    assert changes.absent_keys == Counter(comment=1, app_id=1, from_redirect_numbers=1)


def test_absent_keys_of_a_changed_record_keep_the_last_value() -> None:
    before = record(1, comment="kept")
    told = without(record(1, type="abc"), "comment", "reason")
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(before | {"type": "abc"}), {}, LAST)]
    assert changes.column_changes == Counter(type=1)


def test_absent_keys_of_a_new_number_are_null_and_counted_a_number_each() -> None:
    told = [without(record(number), "comment", "from_redirect_numbers") for number in (1, 2)]
    changes = decided(response(*told), known(), GUARD)
    assert changes.created == [NewVersion(number, values_of(record(number)), {}, LAST) for number in (1, 2)]
    assert (changes.opened_redirects, changes.absent_keys) == ([], Counter(comment=2, from_redirect_numbers=2))


def test_null_takes_the_value_away_and_no_key_is_counted() -> None:
    told = record(1, comment=None, from_redirect_numbers=None)
    before = record(1, comment="was", from_redirect_numbers=[redirect(9, "79")])
    changes = decided(response(told), known({1: stored(before)}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {}, LAST)]
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert changes.absent_keys == Counter()


def test_a_removed_number_that_returns_gets_a_version_a_period_and_its_redirects() -> None:
    told = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored(record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=FIRST, removed_at=LAST)
    changes = decided(response(told), known({1: before}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {}, FIRST)]
    assert changes.opened_states == [NewState(1, "freeze", None, FIRST)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert (changes.closed_states, changes.closed_redirects, changes.presence_updates) == ([], [], [])
    assert counted(changes) == {"received": 1, "restored": 1, "redirects_opened": 1}
    assert changes.column_changes == Counter()


def test_a_removed_number_that_returns_as_it_was_is_restored_all_the_same() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")], x=1)
    before = stored(told, last_read_at=FIRST, removed_at=LAST)
    changes = decided(response(told), known({1: before}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {"x": 1}, FIRST)]
    assert changes.opened_states == [NewState(1, "active", None, FIRST)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert counted(changes) == {"received": 1, "restored": 1, "redirects_opened": 1}


def test_a_removed_number_that_returns_without_a_word_of_redirects_gets_back_those_its_removal_closed() -> None:
    before = record(1, comment="kept", from_redirect_numbers=[redirect(8, "78"), redirect(9, "79")])
    told = without(before, "comment", "from_redirect_numbers")
    changes = decided(response(told), known({1: stored(before, last_read_at=FIRST, removed_at=LAST)}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(before), {}, FIRST)]
    assert changes.opened_redirects == [RedirectChange(1, 8, "78", FIRST), RedirectChange(1, 9, "79", FIRST)]
    assert changes.absent_keys == Counter(comment=1, from_redirect_numbers=1)


def test_a_removed_number_that_returns_with_no_redirects_gets_none() -> None:
    before = stored(record(1, from_redirect_numbers=[redirect(9, "79")]), last_read_at=FIRST, removed_at=LAST)
    changes = decided(response(record(1, from_redirect_numbers=None)), known({1: before}), GUARD)
    assert (changes.opened_redirects, changes.closed_redirects) == ([], [])


def test_a_number_that_was_missing_and_returns_changed_has_a_window_from_when_it_was_last_read() -> None:
    told = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored(record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=FIRST)
    changes = decided(response(told), known({1: before}, unread={1: UnreadNumber(FIRST, LAST)}), GUARD)
    assert changes.replaced == [NewVersion(1, values_of(told), {}, FIRST)]
    assert (changes.closed_states, changes.opened_states) == ([(1, FIRST)], [NewState(1, "freeze", None, FIRST)])
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert changes.closed_redirects == [RedirectChange(1, 8, "78", FIRST)]
    assert changes.presence_updates == []


@pytest.mark.parametrize("missing_since", [LAST, None], ids=["missing", "rejected"])
def test_a_number_that_was_not_read_and_returns_as_it_was_is_read_again(missing_since: datetime | None) -> None:
    unread = {
        1: UnreadNumber(FIRST, missing_since),
        2: UnreadNumber(FIRST, missing_since),
        3: UnreadNumber(FIRST, missing_since),
    }
    numbers = {
        1: stored(record(1), last_read_at=FIRST),
        2: stored(record(2), last_read_at=FIRST),
    }
    told = response(record(1), record(2, from_redirect_numbers=[redirect(9, "79")]), known_count=1)
    changes = decided(told, known(numbers, unread=unread), GUARD)
    assert changes.presence_updates == [PresenceUpdate(number, None, None, None) for number in (1, 2, 3)]
    assert changes.opened_redirects == [RedirectChange(2, 9, "79", FIRST)]
    assert counted(changes) == {"received": 3, "unchanged": 2, "changed": 1, "redirects_opened": 1}
    assert not changes.is_empty


def test_a_number_whose_record_is_rejected_keeps_what_is_stored_and_was_last_read_by_the_last_success() -> None:
    changes = decided(response(rejections=[rejection(1)]), known({1: stored(record(1))}, rejected=[b"r" * 16]), GUARD)
    assert changes.presence_updates == [PresenceUpdate(1, LAST, None, None)]
    assert (changes.replaced, changes.fingerprints, changes.is_empty) == ([], {}, False)
    assert counted(changes) == {"received": 1, "rejected": 1}


def test_a_rejected_record_of_a_number_nobody_knows_is_only_kept() -> None:
    changes = decided(response(rejections=[rejection(1), rejection(None, digest=b"s" * 16)]), known(), GUARD)
    assert is_quiet(changes)
    assert not changes.is_empty


def test_a_removed_number_whose_record_is_rejected_stays_removed() -> None:
    before = stored(record(1), last_read_at=FIRST, removed_at=LAST)
    assert is_quiet(decided(response(rejections=[rejection(1)]), known({1: before}), GUARD))


def test_a_number_that_stays_rejected_stays_as_it_is() -> None:
    before = known(
        {1: stored(record(1), last_read_at=FIRST)}, unread={1: UnreadNumber(FIRST, None)}, rejected=[b"r" * 16]
    )
    changes = decided(response(rejections=[rejection(1)]), before, GUARD)
    assert is_quiet(changes)
    assert changes.is_empty
    assert counted(changes) == {"received": 1, "rejected": 1}


def test_a_missing_number_that_returns_rejected_is_no_longer_missing() -> None:
    before = known({1: stored(record(1), last_read_at=FIRST)}, unread={1: UnreadNumber(FIRST, LAST)})
    changes = decided(response(rejections=[rejection(1)]), before, GUARD)
    assert changes.presence_updates == [PresenceUpdate(1, FIRST, None, None)]


def test_a_rejected_number_that_goes_missing_is_missing_from_now_on() -> None:
    changes = decided(response(known_count=99, missing_ids=[1]), known(unread={1: UnreadNumber(FIRST, None)}), CAUTIOUS)
    assert changes.presence_updates == [PresenceUpdate(1, FIRST, NOW, None)]
    assert counted(changes) == {"received": 99, "unchanged": 99, "held": 1}


def test_two_rejected_records_of_one_number_are_one_presence_and_two_rejections() -> None:
    both = [rejection(1), rejection(1, digest=b"s" * 16)]
    changes = decided(response(rejections=both), known({1: stored(record(1))}), GUARD)
    assert changes.presence_updates == [PresenceUpdate(1, LAST, None, None)]
    assert counted(changes) == {"received": 2, "rejected": 2}


@pytest.mark.parametrize(
    ("stand", "arrive", "unchanged"),
    [
        ([], [], True),
        ([b"r"], [b"r"], True),
        ([b"r", b"s"], [b"s", b"r"], True),
        ([], [b"r"], False),
        ([b"r"], [], False),
        ([b"r"], [b"s"], False),
        ([b"r", b"s"], [b"r"], False),
    ],
)
def test_a_change_in_what_is_rejected_is_a_change(stand: list[bytes], arrive: list[bytes], unchanged: bool) -> None:
    rejections = [rejection(None, digest=digest) for digest in arrive]
    assert decided(response(known_count=1, rejections=rejections), known(rejected=stand), GUARD).is_empty is unchanged


def removals(changes: ChangeSet) -> tuple[int, int]:
    """How many removals were applied and how many held."""
    return changes.counters["removed"], changes.counters["held"]


def test_a_removal_within_the_share_is_applied_at_once() -> None:
    changes = decided(response(known_count=99, missing_ids=[1]), known(listed=100), GUARD)
    assert changes.presence_updates == changes.removed == [PresenceUpdate(1, LAST, NOW, NOW)]
    assert counted(changes) == {"received": 99, "unchanged": 99, "removed": 1}
    assert not changes.is_empty


def test_a_removal_beyond_the_share_is_held_and_its_time_begins() -> None:
    changes = decided(response(known_count=1, missing_ids=[2]), known(listed=2), GUARD)
    assert (changes.presence_updates, changes.removed) == ([PresenceUpdate(2, LAST, NOW, None)], [])
    assert counted(changes) == {"received": 1, "unchanged": 1, "held": 1}
    assert not changes.is_empty


def test_a_removal_that_stays_held_writes_nothing_and_is_told_again() -> None:
    before = known(unread={2: UnreadNumber(FIRST, LAST)}, listed=2)
    changes = decided(response(known_count=1, missing_ids=[2]), before, GUARD)
    assert is_quiet(changes)
    assert changes.is_empty
    assert counted(changes) == {"received": 1, "unchanged": 1, "held": 1}


@pytest.mark.parametrize(
    ("ratio", "listed", "missing", "believed"),
    [
        (0.2, 1, 1, False),
        (0.2, 2, 1, False),
        (0.2, 4, 1, False),
        (0.2, 5, 1, True),
        (0.2, 5, 2, False),
        (0.2, 9, 2, False),
        (0.2, 10, 2, True),
        (0.2, 10, 3, False),
        (0.5, 2, 1, True),
        (0.5, 2, 2, False),
        (0.5, 1, 1, False),
        (0.1, 10, 1, True),
        (0.1, 10, 2, False),
        (0.1, 30, 3, True),
        (0.3, 10, 3, True),
        (0.7, 10, 7, True),
        (0.29, 100, 29, True),
        (0.29, 100, 30, False),
        (0.57, 100, 57, True),
        (1, 1, 1, True),
        (1, 2, 2, True),
        (1.0, 10, 10, True),
        (0, 1, 1, False),
        (0, 10, 1, False),
        (0.0, 1_000_000, 1, False),
        (1e-6, 1_000_000, 1, True),
        (1e-6, 999_999, 1, False),
    ],
)
def test_exactly_the_share_is_not_more_than_it(ratio: float, listed: int, missing: int, believed: bool) -> None:
    parsed = response(known_count=max(listed - missing, 1), missing_ids=range(1, missing + 1))
    changes = decided(parsed, known(listed=listed), RemovalGuard(ratio, HOLD))
    assert removals(changes) == ((missing, 0) if believed else (0, missing))


@pytest.mark.parametrize(
    ("listed", "removed_in_hold", "missing", "believed"),
    [
        (9, 1, 1, True),  # 2 of 10
        (8, 2, 1, False),  # 3 of 10
        (8, 1, 1, False),  # 2 of 9
        (4, 1, 1, False),  # 2 of 5
        (90, 10, 10, True),  # 20 of 100
        (90, 10, 11, False),  # 21 of 100
        (80, 20, 1, False),  # 21 of 100
    ],
)
def test_losses_that_trickle_count_together(listed: int, removed_in_hold: int, missing: int, believed: bool) -> None:
    parsed = response(known_count=listed - missing, missing_ids=range(1, missing + 1))
    gone = range(1001, 1001 + removed_in_hold)
    changes = decided(parsed, known(listed=listed, removed_in_hold=gone), GUARD)
    assert removals(changes) == ((missing, 0) if believed else (0, missing))


@pytest.mark.parametrize(
    ("returned_in_hold", "missing", "believed"),
    [
        ([1], 2, True),  # the same number twice: 2 of 10
        ([3], 2, False),  # 3 of 10
        ([1, 2, 3], 1, False),  # 3 of 10
        ([3, 4], 0, True),  # nothing goes now
    ],
)
def test_who_went_and_returned_counts_once(returned_in_hold: list[int], missing: int, believed: bool) -> None:
    parsed = response(known_count=10 - missing, missing_ids=range(1, missing + 1))
    changes = decided(parsed, known(listed=10, returned_in_hold=returned_in_hold), GUARD)
    assert removals(changes) == ((missing, 0) if believed else (0, missing))


def test_those_that_are_held_already_count_with_those_that_are_newly_missing() -> None:
    before = known(unread={1: UnreadNumber(FIRST, LAST), 2: UnreadNumber(FIRST, LAST)}, listed=10)
    changes = decided(response(known_count=7, missing_ids=[1, 2, 3]), before, GUARD)
    assert removals(changes) == (0, 3)
    assert changes.presence_updates == [PresenceUpdate(3, LAST, NOW, None)]


def test_those_that_are_held_are_removed_as_soon_as_they_are_few_enough_and_dated_when_first_missed() -> None:
    missing = {number: UnreadNumber(FIRST, LAST) for number in (1, 2, 3)}
    changes = decided(response(known_count=8, missing_ids=[1, 2]), known(unread=missing, listed=10), GUARD)
    assert changes.presence_updates == [
        PresenceUpdate(3, None, None, None),
        PresenceUpdate(1, FIRST, LAST, LAST),
        PresenceUpdate(2, FIRST, LAST, LAST),
    ]
    assert removals(changes) == (2, 0)


def test_numbers_that_came_since_the_loss_do_not_make_it_believable() -> None:
    before = known(unread={1: UnreadNumber(FIRST, LAST)}, listed=10, added_since_first_missing=range(5, 11))
    assert removals(decided(response(known_count=9, missing_ids=[1]), before, GUARD)) == (0, 1)


def test_a_number_that_goes_now_is_held_against_all_that_are_listed_now() -> None:
    before = known(unread={1: UnreadNumber(FIRST, LAST)}, listed=10, added_since_first_missing=range(5, 11))
    changes = decided(response(known_count=8, missing_ids=[1, 2]), before, GUARD)
    assert changes.presence_updates == [
        PresenceUpdate(2, LAST, NOW, NOW)
    ]  # 2 of 10; of the 4 of whom number 1 was one, 2
    assert removals(changes) == (1, 1)


@pytest.mark.parametrize(("first_listed", "believed"), [(9, True), (8, False)])  # 2 of 10, 2 of 9
@pytest.mark.parametrize(
    ("missing_ids", "removed_in_hold", "returned_in_hold"),
    [([1, 11], [], []), ([1], [11], []), ([1], [], [11])],
    ids=["missing", "removed", "returned"],
)
def test_a_number_that_came_since_the_loss_and_is_lost_itself_counts_alike_whether_it_is_removed_yet(
    missing_ids: list[int], removed_in_hold: list[int], returned_in_hold: list[int], first_listed: int, believed: bool
) -> None:
    came = {11, 12, 13} - set(removed_in_hold)
    before = known(
        unread={1: UnreadNumber(FIRST, LAST)},
        listed=first_listed + len(came),
        removed_in_hold=removed_in_hold,
        returned_in_hold=returned_in_hold,
        added_since_first_missing=came,
    )
    changes = decided(response(known_count=8, missing_ids=missing_ids), before, GUARD)
    assert (PresenceUpdate(1, FIRST, LAST, LAST) in changes.removed) is believed


def test_what_has_waited_for_its_time_is_no_reason_to_hold_others() -> None:
    since = NOW - HOLD
    before = known(unread={number: UnreadNumber(FIRST, since) for number in range(1, 51)}, listed=100)
    changes = decided(response(known_count=49, missing_ids=range(1, 52)), before, GUARD)
    assert removals(changes) == (51, 0)


def test_what_has_waited_for_its_time_is_not_among_those_listed() -> None:
    before = known(unread={number: UnreadNumber(FIRST, NOW - HOLD) for number in range(1, 6)}, listed=10)
    changes = decided(response(known_count=3, missing_ids=range(1, 8)), before, GUARD)  # 2 of 5
    assert removals(changes) == (5, 2)


@pytest.mark.parametrize(
    ("missed_for", "believed"),
    [(HOLD - timedelta(microseconds=1), False), (HOLD, True), (HOLD + timedelta(microseconds=1), True)],
)
def test_a_held_removal_is_applied_when_its_time_is_reached(missed_for: timedelta, believed: bool) -> None:
    since = NOW - missed_for
    before = known(unread={1: UnreadNumber(FIRST, since)}, listed=2)
    changes = decided(response(known_count=1, missing_ids=[1]), before, GUARD)
    assert changes.presence_updates == ([PresenceUpdate(1, FIRST, since, since)] if believed else [])
    assert removals(changes) == ((1, 0) if believed else (0, 1))


def test_each_held_removal_has_its_own_time() -> None:
    old, young = NOW - HOLD, NOW - HOLD + timedelta(seconds=1)
    before = known(
        unread={1: UnreadNumber(FIRST, old), 2: UnreadNumber(FIRST, young), 4: UnreadNumber(FIRST, None)}, listed=5
    )
    changes = decided(response(known_count=1, missing_ids=[1, 2, 3, 4]), before, GUARD)
    assert changes.presence_updates == [
        PresenceUpdate(1, FIRST, old, old),
        PresenceUpdate(3, LAST, NOW, None),
        PresenceUpdate(4, FIRST, NOW, None),
    ]
    assert removals(changes) == (1, 3)


def test_without_a_hold_time_a_removal_is_applied_at_once() -> None:
    changes = decided(response(known_count=1, missing_ids=[1, 2]), known(listed=3), RemovalGuard(0, timedelta()))
    assert changes.presence_updates == [PresenceUpdate(1, LAST, NOW, NOW), PresenceUpdate(2, LAST, NOW, NOW)]


def test_an_operator_who_accepts_them_has_removals_applied_and_dated_when_first_missed() -> None:
    before = known(unread={1: UnreadNumber(FIRST, LAST)}, listed=3)
    changes = decided(response(known_count=1, missing_ids=[1, 2]), before, ACCEPTED)
    assert changes.presence_updates == [PresenceUpdate(1, FIRST, LAST, LAST), PresenceUpdate(2, LAST, NOW, NOW)]
    assert removals(changes) == (2, 0)


@pytest.mark.parametrize(
    "guard", [GUARD, RemovalGuard(1, HOLD), RemovalGuard(0.2, timedelta()), RemovalGuard(1, timedelta())]
)
def test_an_empty_list_is_never_believed(guard: RemovalGuard) -> None:
    before = known(unread={1: UnreadNumber(FIRST, NOW - 2 * HOLD)}, listed=100)
    changes = decided(response(missing_ids=[1, 2]), before, guard)
    assert changes.presence_updates == [PresenceUpdate(2, LAST, NOW, None)]
    assert removals(changes) == (0, 2)


def test_an_empty_list_is_believed_if_an_operator_says_so() -> None:
    changes = decided(response(missing_ids=[1, 2]), known(listed=2), ACCEPTED)
    assert changes.presence_updates == [PresenceUpdate(1, LAST, NOW, NOW), PresenceUpdate(2, LAST, NOW, NOW)]


@pytest.mark.parametrize("guard", [GUARD, ACCEPTED, RemovalGuard(1, timedelta()), RemovalGuard(1, timedelta(), True)])
def test_a_record_whose_id_cannot_be_read_may_be_any_of_the_missing(guard: RemovalGuard) -> None:
    before = known(unread={1: UnreadNumber(FIRST, NOW - 2 * HOLD)}, listed=100)
    changes = decided(response(known_count=98, rejections=[rejection(None)], missing_ids=[1, 2]), before, guard)
    assert changes.presence_updates == [PresenceUpdate(2, LAST, NOW, None)]
    assert removals(changes) == (0, 2)


def test_a_rejected_record_whose_id_can_be_read_holds_nobody_else() -> None:
    changes = decided(
        response(known_count=8, rejections=[rejection(1)], missing_ids=[2]),
        known({1: stored(record(1))}, listed=10),
        GUARD,
    )
    assert changes.presence_updates == [PresenceUpdate(1, LAST, None, None), PresenceUpdate(2, LAST, NOW, NOW)]
    assert removals(changes) == (1, 0)


def test_all_else_is_applied_while_removals_are_held() -> None:
    numbers = {1: stored(record(1))}
    changes = decided(
        response(record(1, state="freeze"), record(9), missing_ids=[2, 3]), known(numbers, listed=3), GUARD
    )
    assert counted(changes) == {"received": 2, "changed": 1, "state_changes": 1, "created": 1, "held": 2}


def test_a_first_success_is_applied_even_if_it_finds_nothing() -> None:
    changes = decided(response(), FIRST_SUCCESS, GUARD)
    assert is_quiet(changes)
    assert not changes.is_empty


def test_an_empty_list_where_nothing_was_listed_is_unchanged() -> None:
    assert decided(response(), known(listed=0), GUARD).is_empty


def test_a_number_that_could_not_be_read_until_now_has_no_lower_end_to_its_window() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")])
    before = Before(StoredNumbers(rejected_before=frozenset({1})), known().known)
    changes = decided(response(told, record(2)), before, GUARD)
    assert [version.changed_after for version in changes.created] == [None, LAST]
    assert changes.opened_states == [NewState(1, "active", None, None), NewState(2, "active", None, LAST)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", None)]


def test_counters_count_numbers() -> None:
    gone = {number: stored(record(number), last_read_at=FIRST, removed_at=LAST) for number in (3, 4, 5)}
    listed = {number: stored(record(number)) for number in (6, 7, 8)}
    told = [record(number, state="freeze", from_redirect_numbers=[redirect(9, "79")]) for number in range(1, 9)]
    changes = decided(response(*told), known(gone | listed), GUARD)
    assert counted(changes) == {
        "received": 8,
        "created": 2,
        "restored": 3,
        "changed": 3,
        "state_changes": 3,
        "redirects_opened": 8,
    }
    assert changes.column_changes == Counter(state=3, from_redirect_numbers=3)


def test_what_the_batches_of_a_response_change_adds_up() -> None:
    before = known({number: stored(record(number)) for number in (1, 2)}, listed=4)
    totals = PollTotals()
    batches = (record(1, comment="a"), without(record(2, comment="b"), "type"))
    for told in batches:
        totals.add(reconcile(response(told).records, before.numbers, before.known))
    totals.add(reconcile_absences(response(known_count=1, missing_ids=[3]), before.known, RemovalGuard(1, HOLD)))
    assert totals == PollTotals(
        counters=Counter(received=1, changed=2, unchanged=1, removed=1),
        absent_keys=Counter(type=1),
        column_changes=Counter(comment=2),
        fingerprints={digest_of(told): told["id"] for told in batches},
        removed={3},
        is_unchanged=False,
    )


@pytest.mark.parametrize(("comments", "unchanged"), [(["", ""], True), (["new", ""], False), (["", "new"], False)])
def test_a_response_means_what_is_stored_if_all_of_its_batches_do(comments: list[str], unchanged: bool) -> None:
    before = known({number: stored(record(number, comment="")) for number in (1, 2)})
    totals = PollTotals()
    for number, comment in enumerate(comments, start=1):
        totals.add(reconcile(response(record(number, comment=comment)).records, before.numbers, before.known))
    assert totals.is_unchanged is unchanged


@pytest.mark.parametrize(
    ("totals", "changes"),
    [(PollTotals(), False), (PollTotals(fingerprints={b"d" * 16: 1}), True), (PollTotals(removed={1}), True)],
)
def test_other_digests_stand_once_some_are_read_or_a_number_is_removed(totals: PollTotals, changes: bool) -> None:
    assert totals.changes_fingerprints is changes


# One poll after another, with a database that holds what decisions say in memory.


@dataclass
class Period:
    """A period of state, or of a redirect."""

    what: Any
    changed_after: datetime | None
    valid_from: datetime
    valid_to: datetime | None = None
    closed_after: datetime | None = None


@dataclass
class Number:
    """A number and its history."""

    values: tuple[Any, ...]
    extra: Mapping[str, Any]
    last_read_at: datetime | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    last_removed_at: datetime = NEVER
    states: list[Period] = field(default_factory=list)
    redirects: list[Period] = field(default_factory=list)

    def redirects_until(self, moment: datetime | None) -> frozenset[tuple[int, str]]:
        return frozenset(period.what for period in self.redirects if period.valid_to == moment)

    def stored(self) -> StoredNumber:
        redirects = self.redirects_until(self.removed_at)
        return StoredNumber(self.values, redirects, self.extra, self.last_read_at, self.removed_at)


@dataclass
class World:
    """What a database would hold of an account after the decisions so far."""

    numbers: dict[int, Number] = field(default_factory=dict)
    digests: dict[bytes, int] = field(default_factory=dict)
    last: Elements = field(default_factory=Elements)
    rejected: frozenset[bytes] = frozenset()
    last_started_at: datetime | None = None

    def poll(
        self, body: bytes, guard: RemovalGuard, *, after: timedelta = timedelta(hours=1)
    ) -> tuple[ParsedResponse, ChangeSet]:
        """A poll that begins so long after the one before, and takes a minute."""
        started_at = FIRST if self.last_started_at is None else self.last_started_at + after
        alive = {key for key, number in self.numbers.items() if number.removed_at is None}
        standing = Fingerprints(self.digests, frozenset(alive - set(self.digests.values())), self.last)
        parsed = read(body, standing, None)
        self.last = parsed.elements
        now = started_at + timedelta(minutes=1)
        asked = parsed.records.keys() | {rejected.virtual_number_id for rejected in parsed.rejections}
        lately = {key for key, number in self.numbers.items() if number.last_removed_at > now - guard.hold}
        numbers = StoredNumbers({key: number.stored() for key, number in self.numbers.items() if key in asked})
        known_now = StoredState(
            observed_at=now,
            success_started_at=self.last_started_at,
            unread={
                key: UnreadNumber(number.last_read_at, number.missing_since)
                for key, number in self.numbers.items()
                if number.last_read_at is not None and number.removed_at is None
            },
            listed=len(standing),
            removed_in_hold={key for key in lately if self.numbers[key].removed_at is not None},
            returned_in_hold={key for key in lately if self.numbers[key].removed_at is None},
            added_since_first_missing=self._came_since_loss(parsed, now - guard.hold),
            rejected_fingerprints=self.rejected,
        )
        changes = decided(parsed, Before(numbers, known_now), guard)
        self._apply(changes, now)
        self.rejected = frozenset(rejected.fingerprint for rejected in parsed.rejections)
        self.last_started_at = started_at
        return parsed, changes

    def _came_since_loss(self, parsed: ParsedResponse, earliest: datetime) -> set[int]:
        """Who appeared or returned since the first loss that is held and has not waited long enough."""
        since = [self.numbers[key].missing_since for key in parsed.missing_ids]
        losses = [moment for moment in since if moment is not None and moment > earliest]
        if not losses:
            return set()
        came = set()
        for key, number in self.numbers.items():
            ends = {period.valid_to for period in number.states}
            begins = [period.valid_from for period in number.states if period.valid_from not in ends]
            if max(begins) >= min(losses):
                came.add(key)
        return came

    def _apply(self, changes: ChangeSet, now: datetime) -> None:
        for version in changes.created:
            assert version.virtual_number_id not in self.numbers
            self.numbers[version.virtual_number_id] = Number(version.values, version.extra)
        for version in changes.replaced:
            number = self.numbers[version.virtual_number_id]
            number.values, number.extra = version.values, version.extra
            number.last_read_at = number.missing_since = number.removed_at = None
        for key, extra in changes.extra_updates:
            self.numbers[key].extra = extra
        for key, after in changes.closed_states:
            self._close(self.numbers[key].states, None, now, after)
        for change in changes.closed_redirects:
            what = (change.redirect_number_id, change.number)
            self._close(self.numbers[change.virtual_number_id].redirects, what, now, change.changed_after)
        for presence in changes.presence_updates:
            self._settle(self.numbers[presence.virtual_number_id], presence)
        for opened in changes.opened_states:
            states = self.numbers[opened.virtual_number_id].states
            states.append(Period((opened.state, opened.reason), opened.changed_after, now))
        for change in changes.opened_redirects:
            redirects = self.numbers[change.virtual_number_id].redirects
            redirects.append(Period((change.redirect_number_id, change.number), change.changed_after, now))
        gone = {presence.virtual_number_id for presence in changes.removed} | changes.fingerprints.keys()
        self.digests = {digest: key for digest, key in self.digests.items() if key not in gone}
        self.digests.update((digest, key) for key, digest in changes.fingerprints.items())

    def _settle(self, number: Number, presence: PresenceUpdate) -> None:
        number.last_read_at, number.missing_since = presence.last_read_at, presence.missing_since
        number.removed_at = presence.removed_at
        if presence.removed_at is not None:
            number.last_removed_at = presence.removed_at
            self._close(number.states, None, presence.removed_at, presence.last_read_at)
            for what in number.redirects_until(None):
                self._close(number.redirects, what, presence.removed_at, presence.last_read_at)

    @staticmethod
    def _close(periods: list[Period], what: Any, at: datetime, after: datetime | None) -> None:
        (period,) = (one for one in periods if one.valid_to is None and what in (None, one.what))
        period.valid_to, period.closed_after = at, after

    def require_invariants(self) -> None:
        """Those of the contract, 1 to 4, as far as they lie in what was decided."""
        for number in self.numbers.values():
            open_states = [period.what for period in number.states if period.valid_to is None]
            state, reason = (number.values[COLUMNS.index(name)] for name in ("state", "reason"))
            assert open_states == ([(state, reason)] if number.removed_at is None else [])
            for earlier, later in zip(number.states, number.states[1:], strict=False):
                assert earlier.valid_to is not None
                assert earlier.valid_to <= later.valid_from
                assert earlier.valid_to == later.valid_from or earlier.closed_after is not None
            for period in number.states + number.redirects:
                assert period.changed_after is None or period.changed_after < period.valid_from
                if period.valid_to is not None:
                    assert period.closed_after is not None
                    assert period.valid_from < period.valid_to
                    assert period.closed_after < period.valid_to
            still_open = [period.what for period in number.redirects if period.valid_to is None]
            assert len(still_open) == len(set(still_open))


def listing(elements: Iterable[dict[str, Any] | str]) -> bytes:
    return json.dumps(list(elements)).encode()


_redirects = st.lists(st.builds(redirect, st.integers(8, 9), st.sampled_from(["A", "B"])), max_size=2)


@st.composite
def _elements(draw: st.DrawFn) -> dict[str, Any] | str:
    number = draw(st.integers(1, 5))
    if draw(st.integers(0, 9)) == 0:
        broken: list[dict[str, Any] | str] = [{"id": number}, {"id": number, "number": ""}, "?"]
        return broken[draw(st.integers(0, len(broken) - 1))]
    told = record(
        number,
        state=draw(st.sampled_from(["active", "freeze"])),
        reason=draw(st.sampled_from([None, "debt"])),
        comment=draw(st.sampled_from([None, "a"])),
        from_redirect_numbers=draw(st.none() | _redirects),
    )
    told |= draw(st.sampled_from([{}, {}, {"x": 1}, {"x": 1.0}, {"x": [True]}]))
    return without(told, *draw(st.sampled_from([(), (), ("comment",), ("from_redirect_numbers", "reason")])))


_responses = st.lists(_elements(), max_size=6)
_guards = st.builds(
    RemovalGuard,
    st.sampled_from([0, 0.2, 0.5, 1]),
    st.sampled_from([timedelta(), timedelta(hours=1), timedelta(hours=2)]),
    st.booleans(),
)


@given(st.lists(st.tuples(_responses, _guards), min_size=1, max_size=5))
@settings(deadline=None, max_examples=150)
def test_what_was_just_applied_is_unchanged_and_history_stays_whole(
    polls: list[tuple[list[dict[str, Any] | str], RemovalGuard]],
) -> None:
    world = World()
    for elements, guard in polls:
        parsed, changes = world.poll(listing(elements), guard)
        world.require_invariants()
        counters = changes.counters
        kinds = ("created", "changed", "unchanged", "restored", "rejected")
        assert parsed.received == sum(counters[kind] for kind in kinds) + parsed.repeated == len(elements)
        assert counters["removed"] == len(changes.removed)
        assert counters["removed"] + counters["held"] == len(parsed.missing_ids)
        assert counters["changed"] + counters["restored"] >= len(changes.replaced)
        assert changes.is_empty <= is_quiet(changes)
    _, again = world.poll(listing(reversed(elements)), CAUTIOUS)
    assert again.is_empty
    assert is_quiet(again)
    assert again.counters["held"] == counters["held"]


@given(
    st.lists(st.tuples(st.sets(st.integers(1, 12), max_size=4), st.booleans()), min_size=2, max_size=6),
    st.sampled_from([0.2, 0.25, 0.5]),
)
@settings(deadline=None, max_examples=200)
def test_a_response_polled_again_changes_nothing_whoever_came_and_went(
    polls: list[tuple[set[int], bool]], ratio: float
) -> None:
    """Each poll, some numbers appear or go, and it may be unreadable who is listed; half an hour ends no one's time."""
    world, guard, half_an_hour = World(), RemovalGuard(ratio, timedelta(hours=2)), timedelta(minutes=30)
    numbers = set(range(1, 10))
    world.poll(listing(map(record, numbers)), guard)
    for others, is_readable in polls:
        numbers ^= others
        body = listing([*map(record, numbers), *([] if is_readable else ["?"])])
        _, changes = world.poll(body, guard, after=half_an_hour)
        _, again = world.poll(body, guard, after=half_an_hour)
        assert again.is_empty
        assert again.counters["held"] == changes.counters["held"]


@given(_responses, _responses)
@settings(deadline=None, max_examples=100)
def test_after_a_believed_response_the_database_says_what_it_says(
    before: list[dict[str, Any] | str], after: list[dict[str, Any] | str]
) -> None:
    world = World()
    world.poll(listing(before), GUARD)
    whole = [record(99), *(record() | element for element in after if isinstance(element, dict) and "state" in element)]
    told = {element["id"]: element for element in whole}
    world.poll(listing(told.values()), RemovalGuard(1, HOLD))
    alive = {key: number for key, number in world.numbers.items() if number.removed_at is None}
    assert {key: number.values for key, number in alive.items()} == {
        key: values_of(element) for key, element in told.items()
    }
    assert {key: number.redirects_until(None) for key, number in alive.items()} == {
        key: stored(element).redirects for key, element in told.items()
    }


def test_a_number_removed_late_and_restored_later_has_two_periods_with_their_windows() -> None:
    world = World()
    guard = RemovalGuard(0, timedelta(hours=2))
    listed, missing_ids = listing([record(1), record(2)]), listing([record(2)])
    for body in (listed, missing_ids, missing_ids, missing_ids, missing_ids, listed):
        world.poll(body, guard)
    polled = [FIRST + timedelta(hours=hour) for hour in range(6)]
    minute = timedelta(minutes=1)
    assert world.numbers[1].states == [
        Period(("active", None), None, polled[0] + minute, polled[1] + minute, polled[0]),
        Period(("active", None), polled[0], polled[5] + minute),
    ]
