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

from syncer.diff.changeset import Decision, NewState, NewVersion, Presence, RedirectChange, Total
from syncer.diff.reconcile import reconcile, settle
from syncer.diff.record import COLUMNS, Arrived, Rejection, decode
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import Arrival, Fresh, Place, read
from syncer.diff.stored import Elements, Known, KnownNumbers, Standing, StoredNumber, Unread
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


def arrived(element: dict[str, Any]) -> Arrived:
    decoded = decode(spelled(element), digest_of(element))
    assert isinstance(decoded, Arrived), decoded
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
    standing: int = 0,
    rejections: Iterable[Rejection] = (),
    unlisted: Iterable[int] = (),
    received: int | None = None,
) -> Arrival:
    """A response, told apart: elements to be looked at, and how many stand, cannot be taken, are missing."""
    rejections = tuple(rejections)
    body, places = b"", {}
    for element in elements:
        places[element["id"]] = Place(len(body), len(body) + len(spelled(element)))
        body += spelled(element)
    return Arrival(
        received=len(elements) + standing + len(rejections) if received is None else received,
        repeated=0,
        standing=standing,
        records=Fresh(body, places),
        rejections=rejections,
        unlisted=frozenset(unlisted),
        app_id=None,
    )


class Before(NamedTuple):
    """What the database knew: of the numbers that are spoken of, and of the account."""

    numbers: KnownNumbers
    known: Known


def decided(arrival: Arrival, before: Before, guard: RemovalGuard) -> Decision:
    """What a response changes; of the numbers whose element is rejected, those that are listed are found out here."""
    listed = {number for number, stored in before.numbers.stored.items() if stored.removed_at is None}
    rejected = {rejection.virtual_number_id for rejection in arrival.rejections}
    return decide(arrival, before.numbers, replace(before.known, listed_rejected=listed & rejected), guard)


def known(
    numbers: Mapping[int, StoredNumber] | None = None,
    *,
    unread: Mapping[int, Unread] | None = None,
    listed: int = 100,
    lately_removed: Iterable[int] = (),
    lately_returned: Iterable[int] = (),
    came_since_loss: Iterable[int] = (),
    rejected: Iterable[bytes] = (),
    last: datetime | None = LAST,
    now: datetime = NOW,
) -> Before:
    found = numbers or {}
    account = Known(
        observed_at=now,
        success_started_at=last,
        unread=unread or {},
        listed=listed,
        lately_removed=frozenset(lately_removed),
        lately_returned=frozenset(lately_returned),
        came_since_loss=frozenset(came_since_loss),
        rejected=frozenset(rejected),
    )
    return Before(KnownNumbers(found), account)


FIRST_SUCCESS = known(last=None, listed=0)


def counted(decision: Decision) -> dict[str, int]:
    return {name: count for name, count in decision.counters.items() if count}


def is_quiet(decision: Decision) -> bool:
    """Whether there is nothing to write but digests and rejected records."""
    return not (
        decision.created
        or decision.superseded
        or decision.closed_states
        or decision.opened_states
        or decision.opened_redirects
        or decision.closed_redirects
        or decision.extras
        or decision.presences
    )


def test_what_a_first_success_finds_has_no_lower_end_to_its_window() -> None:
    told = record(1, state="freeze", reason="debt", from_redirect_numbers=[redirect(9, "79"), redirect(8, "78")], x=1)
    decision = decided(response(told), FIRST_SUCCESS, GUARD)
    assert decision == Decision(
        created=[NewVersion(1, values_of(told), {"x": 1}, None)],
        opened_states=[NewState(1, "freeze", "debt", None)],
        opened_redirects=[RedirectChange(1, 8, "78", None), RedirectChange(1, 9, "79", None)],
        digests={1: digest_of(told)},
        is_news=True,
        counters=Counter(created=1, received=1, redirects_opened=2, redirects_closed=0, rejected=0, unchanged=0),
    )


def test_the_window_of_a_number_created_later_begins_where_the_last_success_began() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")])
    decision = decided(response(told), known(), GUARD)
    assert decision.created == [NewVersion(1, values_of(told), {}, LAST)]
    assert decision.opened_states == [NewState(1, "active", None, LAST)]
    assert decision.opened_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert counted(decision) == {"received": 1, "created": 1, "redirects_opened": 1}


def test_a_created_number_counts_no_state_change_and_no_changed_column() -> None:
    decision = decided(response(record(1, state="freeze")), known(), GUARD)
    assert (decision.closed_states, decision.column_changes, counted(decision)["created"]) == ([], Counter(), 1)


def test_a_record_that_says_what_is_stored_changes_nothing_but_its_digest() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")], x={"a": 1})
    decision = decided(response(told), known({1: stored(told)}), GUARD)
    assert is_quiet(decision)
    assert decision.is_empty
    assert decision.digests == {1: digest_of(told)}
    assert counted(decision) == {"received": 1, "unchanged": 1}


def test_elements_that_stand_count_as_unchanged() -> None:
    decision = decided(response(record(1), standing=7), known({1: stored(record(1))}), GUARD)
    assert counted(decision) == {"received": 8, "unchanged": 8}


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - {"state", "reason"}))
def test_a_change_of_any_column_makes_a_version_and_no_period(column: str) -> None:
    new = {"is_scenario_active": True, "is_group_scenario_active": True}.get(column) or (
        77 if column.endswith("_id") else "77"
    )
    told = record(1) | {column: new}
    decision = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {}, LAST)]
    assert (decision.closed_states, decision.opened_states, decision.presences) == ([], [], [])
    assert counted(decision) == {"received": 1, "changed": 1}
    assert decision.column_changes == Counter({column: 1})
    assert not decision.is_empty


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"state": "freeze"}, {"state": 1}),
        ({"reason": "debt"}, {"reason": 1}),
        ({"state": "freeze", "reason": "debt"}, {"state": 1, "reason": 1}),
    ],
)
def test_a_change_of_state_or_reason_or_both_is_one_change_of_state(
    fields: dict[str, str], changes: dict[str, int]
) -> None:
    told = record(1, **fields)
    decision = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {}, LAST)]
    assert decision.closed_states == [(1, LAST)]
    assert decision.opened_states == [NewState(1, told["state"], told["reason"], LAST)]
    assert counted(decision) == {"received": 1, "changed": 1, "state_changes": 1}
    assert decision.column_changes == Counter(changes)


def test_a_reason_that_goes_from_null_to_empty_is_a_change() -> None:
    decision = decided(response(record(1, reason="")), known({1: stored(record(1, reason=None))}), GUARD)
    assert decision.opened_states == [NewState(1, "active", "", LAST)]


def test_extra_fields_alone_are_replaced_and_count_as_unchanged() -> None:
    decision = decided(response(record(1, x=2)), known({1: stored(record(1, x=1, y=3))}), GUARD)
    assert decision.extras == [(1, {"x": 2})]
    assert (decision.superseded, counted(decision)) == ([], {"received": 1, "unchanged": 1})
    assert not decision.is_empty


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (10**23, 1e23), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_extra_fields_that_jsonb_holds_equal_are_not_written(old: Any, new: Any) -> None:
    decision = decided(response(record(1, x=new)), known({1: stored(record(1, x=old))}), GUARD)
    assert is_quiet(decision)
    assert decision.is_empty


def test_extra_fields_that_no_longer_come_are_dropped() -> None:
    decision = decided(response(record(1)), known({1: stored(record(1, x=1))}), GUARD)
    assert decision.extras == [(1, {})]


def test_extra_fields_go_with_the_version_where_there_is_one() -> None:
    told = record(1, comment="new", x=2)
    decision = decided(response(told), known({1: stored(record(1, x=1))}), GUARD)
    assert (decision.superseded, decision.extras) == ([NewVersion(1, values_of(told), {"x": 2}, LAST)], [])


def test_redirects_come_and_go_without_a_version() -> None:
    before = record(1, from_redirect_numbers=[redirect(7, "77"), redirect(8, "78"), redirect(9, "79")])
    told = record(1, from_redirect_numbers=[redirect(9, "79"), redirect(6, "76"), redirect(5, "75")])
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert decision.opened_redirects == [RedirectChange(1, 5, "75", LAST), RedirectChange(1, 6, "76", LAST)]
    assert decision.closed_redirects == [RedirectChange(1, 7, "77", LAST), RedirectChange(1, 8, "78", LAST)]
    assert (decision.superseded, decision.opened_states) == ([], [])
    assert counted(decision) == {"received": 1, "changed": 1, "redirects_opened": 2, "redirects_closed": 2}
    assert decision.column_changes == Counter(from_redirect_numbers=1)
    assert not decision.is_empty


@pytest.mark.parametrize(("before", "after"), [([], [redirect(9, "79")]), ([redirect(9, "79")], [])])
def test_a_redirect_that_comes_or_goes_alone_is_a_change(before: list[Any], after: list[Any]) -> None:
    known_before = known({1: stored(record(1, from_redirect_numbers=before))})
    decision = decided(response(record(1, from_redirect_numbers=after)), known_before, GUARD)
    assert (len(decision.opened_redirects), len(decision.closed_redirects)) == (len(after), len(before))
    assert not decision.is_empty


def test_a_redirect_whose_number_changes_ends_and_begins() -> None:
    before, told = (record(1, from_redirect_numbers=[redirect(9, number)]) for number in ("79", "80"))
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert decision.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert decision.opened_redirects == [RedirectChange(1, 9, "80", LAST)]


def test_two_redirects_that_swap_their_numbers_all_end_and_begin() -> None:
    before = record(1, from_redirect_numbers=[redirect(8, "A"), redirect(9, "B")])
    told = record(1, from_redirect_numbers=[redirect(8, "B"), redirect(9, "A")])
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert decision.closed_redirects == [RedirectChange(1, 8, "A", LAST), RedirectChange(1, 9, "B", LAST)]
    assert decision.opened_redirects == [RedirectChange(1, 8, "B", LAST), RedirectChange(1, 9, "A", LAST)]


def test_a_redirect_that_moves_to_another_number_ends_there_and_begins_here() -> None:
    moving = [redirect(9, "79")]
    numbers = {1: stored(record(1, from_redirect_numbers=moving)), 2: stored(record(2))}
    decision = decided(response(record(1), record(2, from_redirect_numbers=moving)), known(numbers), GUARD)
    assert decision.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert decision.opened_redirects == [RedirectChange(2, 9, "79", LAST)]
    assert counted(decision)["changed"] == 2


def test_redirects_in_another_order_and_null_for_none_are_no_change() -> None:
    pair = [redirect(8, "78"), redirect(9, "79")]
    numbers = {1: stored(record(1, from_redirect_numbers=pair)), 2: stored(record(2, from_redirect_numbers=[]))}
    told = response(record(1, from_redirect_numbers=pair[::-1]), record(2, from_redirect_numbers=None))
    assert decided(told, known(numbers), GUARD).is_empty


def test_columns_and_redirects_that_change_together_are_one_changed_number() -> None:
    told = record(1, state="freeze", comment="new", from_redirect_numbers=[redirect(9, "79")])
    decision = decided(response(told), known({1: stored(record(1))}), GUARD)
    assert counted(decision) == {"received": 1, "changed": 1, "state_changes": 1, "redirects_opened": 1}
    assert decision.column_changes == Counter(state=1, comment=1, from_redirect_numbers=1)


def test_a_column_counts_once_a_number_in_which_it_changed() -> None:
    numbers = {number: stored(record(number)) for number in (1, 2, 3)}
    told = response(record(1, comment="a"), record(2, comment="b", state="freeze"), record(3))
    assert decided(told, known(numbers), GUARD).column_changes == Counter(comment=2, state=1)


def test_absent_keys_keep_the_last_value_and_are_counted() -> None:
    before = record(1, comment="kept", app_id=5, from_redirect_numbers=[redirect(9, "79")])
    told = without(before, "comment", "app_id", "from_redirect_numbers")
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert is_quiet(decision)
    assert decision.is_empty
    assert decision.absent_keys == Counter(comment=1, app_id=1, from_redirect_numbers=1)


def test_absent_keys_of_a_changed_record_keep_the_last_value() -> None:
    before = record(1, comment="kept")
    told = without(record(1, type="abc"), "comment", "reason")
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(before | {"type": "abc"}), {}, LAST)]
    assert decision.column_changes == Counter(type=1)


def test_absent_keys_of_a_new_number_are_null_and_counted_a_number_each() -> None:
    told = [without(record(number), "comment", "from_redirect_numbers") for number in (1, 2)]
    decision = decided(response(*told), known(), GUARD)
    assert decision.created == [NewVersion(number, values_of(record(number)), {}, LAST) for number in (1, 2)]
    assert (decision.opened_redirects, decision.absent_keys) == ([], Counter(comment=2, from_redirect_numbers=2))


def test_null_takes_the_value_away_and_no_key_is_counted() -> None:
    told = record(1, comment=None, from_redirect_numbers=None)
    before = record(1, comment="was", from_redirect_numbers=[redirect(9, "79")])
    decision = decided(response(told), known({1: stored(before)}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {}, LAST)]
    assert decision.closed_redirects == [RedirectChange(1, 9, "79", LAST)]
    assert decision.absent_keys == Counter()


def test_a_removed_number_that_returns_gets_a_version_a_period_and_its_redirects() -> None:
    told = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored(record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=FIRST, removed_at=LAST)
    decision = decided(response(told), known({1: before}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {}, FIRST)]
    assert decision.opened_states == [NewState(1, "freeze", None, FIRST)]
    assert decision.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert (decision.closed_states, decision.closed_redirects, decision.presences) == ([], [], [])
    assert counted(decision) == {"received": 1, "restored": 1, "redirects_opened": 1}
    assert decision.column_changes == Counter()


def test_a_removed_number_that_returns_as_it_was_is_restored_all_the_same() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")], x=1)
    before = stored(told, last_read_at=FIRST, removed_at=LAST)
    decision = decided(response(told), known({1: before}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {"x": 1}, FIRST)]
    assert decision.opened_states == [NewState(1, "active", None, FIRST)]
    assert decision.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert counted(decision) == {"received": 1, "restored": 1, "redirects_opened": 1}


def test_a_removed_number_that_returns_without_a_word_of_redirects_gets_back_those_its_removal_closed() -> None:
    before = record(1, comment="kept", from_redirect_numbers=[redirect(8, "78"), redirect(9, "79")])
    told = without(before, "comment", "from_redirect_numbers")
    decision = decided(response(told), known({1: stored(before, last_read_at=FIRST, removed_at=LAST)}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(before), {}, FIRST)]
    assert decision.opened_redirects == [RedirectChange(1, 8, "78", FIRST), RedirectChange(1, 9, "79", FIRST)]
    assert decision.absent_keys == Counter(comment=1, from_redirect_numbers=1)


def test_a_removed_number_that_returns_with_no_redirects_gets_none() -> None:
    before = stored(record(1, from_redirect_numbers=[redirect(9, "79")]), last_read_at=FIRST, removed_at=LAST)
    decision = decided(response(record(1, from_redirect_numbers=None)), known({1: before}), GUARD)
    assert (decision.opened_redirects, decision.closed_redirects) == ([], [])


def test_a_number_that_was_missing_and_returns_changed_has_a_window_from_when_it_was_last_read() -> None:
    told = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored(record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=FIRST)
    decision = decided(response(told), known({1: before}, unread={1: Unread(FIRST, LAST)}), GUARD)
    assert decision.superseded == [NewVersion(1, values_of(told), {}, FIRST)]
    assert (decision.closed_states, decision.opened_states) == ([(1, FIRST)], [NewState(1, "freeze", None, FIRST)])
    assert decision.opened_redirects == [RedirectChange(1, 9, "79", FIRST)]
    assert decision.closed_redirects == [RedirectChange(1, 8, "78", FIRST)]
    assert decision.presences == []


@pytest.mark.parametrize("missing_since", [LAST, None], ids=["missing", "rejected"])
def test_a_number_that_was_not_read_and_returns_as_it_was_is_read_again(missing_since: datetime | None) -> None:
    unread = {1: Unread(FIRST, missing_since), 2: Unread(FIRST, missing_since), 3: Unread(FIRST, missing_since)}
    numbers = {
        1: stored(record(1), last_read_at=FIRST),
        2: stored(record(2), last_read_at=FIRST),
    }
    told = response(record(1), record(2, from_redirect_numbers=[redirect(9, "79")]), standing=1)
    decision = decided(told, known(numbers, unread=unread), GUARD)
    assert decision.presences == [Presence(number, None, None, None) for number in (1, 2, 3)]
    assert decision.opened_redirects == [RedirectChange(2, 9, "79", FIRST)]
    assert counted(decision) == {"received": 3, "unchanged": 2, "changed": 1, "redirects_opened": 1}
    assert not decision.is_empty


def test_a_number_whose_record_is_rejected_keeps_what_is_stored_and_was_last_read_by_the_last_success() -> None:
    decision = decided(response(rejections=[rejection(1)]), known({1: stored(record(1))}, rejected=[b"r" * 16]), GUARD)
    assert decision.presences == [Presence(1, LAST, None, None)]
    assert (decision.superseded, decision.digests, decision.is_empty) == ([], {}, False)
    assert counted(decision) == {"received": 1, "rejected": 1}


def test_a_rejected_record_of_a_number_nobody_knows_is_only_kept() -> None:
    decision = decided(response(rejections=[rejection(1), rejection(None, digest=b"s" * 16)]), known(), GUARD)
    assert is_quiet(decision)
    assert not decision.is_empty


def test_a_removed_number_whose_record_is_rejected_stays_removed() -> None:
    before = stored(record(1), last_read_at=FIRST, removed_at=LAST)
    assert is_quiet(decided(response(rejections=[rejection(1)]), known({1: before}), GUARD))


def test_a_number_that_stays_rejected_stays_as_it_is() -> None:
    before = known({1: stored(record(1), last_read_at=FIRST)}, unread={1: Unread(FIRST, None)}, rejected=[b"r" * 16])
    decision = decided(response(rejections=[rejection(1)]), before, GUARD)
    assert is_quiet(decision)
    assert decision.is_empty
    assert counted(decision) == {"received": 1, "rejected": 1}


def test_a_missing_number_that_returns_rejected_is_no_longer_missing() -> None:
    before = known({1: stored(record(1), last_read_at=FIRST)}, unread={1: Unread(FIRST, LAST)})
    decision = decided(response(rejections=[rejection(1)]), before, GUARD)
    assert decision.presences == [Presence(1, FIRST, None, None)]


def test_a_rejected_number_that_goes_missing_is_missing_from_now_on() -> None:
    decision = decided(response(standing=99, unlisted=[1]), known(unread={1: Unread(FIRST, None)}), CAUTIOUS)
    assert decision.presences == [Presence(1, FIRST, NOW, None)]
    assert counted(decision) == {"received": 99, "unchanged": 99, "held": 1}


def test_two_rejected_records_of_one_number_are_one_presence_and_two_rejections() -> None:
    both = [rejection(1), rejection(1, digest=b"s" * 16)]
    decision = decided(response(rejections=both), known({1: stored(record(1))}), GUARD)
    assert decision.presences == [Presence(1, LAST, None, None)]
    assert counted(decision) == {"received": 2, "rejected": 2}


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
    assert decided(response(standing=1, rejections=rejections), known(rejected=stand), GUARD).is_empty is unchanged


def removals(decision: Decision) -> tuple[int, int]:
    """How many removals were applied and how many held."""
    return decision.counters["removed"], decision.counters["held"]


def test_a_removal_within_the_share_is_applied_at_once() -> None:
    decision = decided(response(standing=99, unlisted=[1]), known(listed=100), GUARD)
    assert decision.presences == decision.removed == [Presence(1, LAST, NOW, NOW)]
    assert counted(decision) == {"received": 99, "unchanged": 99, "removed": 1}
    assert not decision.is_empty


def test_a_removal_beyond_the_share_is_held_and_its_time_begins() -> None:
    decision = decided(response(standing=1, unlisted=[2]), known(listed=2), GUARD)
    assert (decision.presences, decision.removed) == ([Presence(2, LAST, NOW, None)], [])
    assert counted(decision) == {"received": 1, "unchanged": 1, "held": 1}
    assert not decision.is_empty


def test_a_removal_that_stays_held_writes_nothing_and_is_told_again() -> None:
    before = known(unread={2: Unread(FIRST, LAST)}, listed=2)
    decision = decided(response(standing=1, unlisted=[2]), before, GUARD)
    assert is_quiet(decision)
    assert decision.is_empty
    assert counted(decision) == {"received": 1, "unchanged": 1, "held": 1}


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
    arrival = response(standing=max(listed - missing, 1), unlisted=range(1, missing + 1))
    decision = decided(arrival, known(listed=listed), RemovalGuard(ratio, HOLD))
    assert removals(decision) == ((missing, 0) if believed else (0, missing))


@pytest.mark.parametrize(
    ("listed", "lately_removed", "missing", "believed"),
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
def test_losses_that_trickle_count_together(listed: int, lately_removed: int, missing: int, believed: bool) -> None:
    arrival = response(standing=listed - missing, unlisted=range(1, missing + 1))
    gone = range(1001, 1001 + lately_removed)
    decision = decided(arrival, known(listed=listed, lately_removed=gone), GUARD)
    assert removals(decision) == ((missing, 0) if believed else (0, missing))


@pytest.mark.parametrize(
    ("lately_returned", "missing", "believed"),
    [
        ([1], 2, True),  # the same number twice: 2 of 10
        ([3], 2, False),  # 3 of 10
        ([1, 2, 3], 1, False),  # 3 of 10
        ([3, 4], 0, True),  # nothing goes now
    ],
)
def test_who_went_and_returned_counts_once(lately_returned: list[int], missing: int, believed: bool) -> None:
    arrival = response(standing=10 - missing, unlisted=range(1, missing + 1))
    decision = decided(arrival, known(listed=10, lately_returned=lately_returned), GUARD)
    assert removals(decision) == ((missing, 0) if believed else (0, missing))


def test_those_that_are_held_already_count_with_those_that_are_newly_missing() -> None:
    before = known(unread={1: Unread(FIRST, LAST), 2: Unread(FIRST, LAST)}, listed=10)
    decision = decided(response(standing=7, unlisted=[1, 2, 3]), before, GUARD)
    assert removals(decision) == (0, 3)
    assert decision.presences == [Presence(3, LAST, NOW, None)]


def test_those_that_are_held_are_removed_as_soon_as_they_are_few_enough_and_dated_when_first_missed() -> None:
    missing = {number: Unread(FIRST, LAST) for number in (1, 2, 3)}
    decision = decided(response(standing=8, unlisted=[1, 2]), known(unread=missing, listed=10), GUARD)
    assert decision.presences == [
        Presence(3, None, None, None),
        Presence(1, FIRST, LAST, LAST),
        Presence(2, FIRST, LAST, LAST),
    ]
    assert removals(decision) == (2, 0)


def test_numbers_that_came_since_the_loss_do_not_make_it_believable() -> None:
    before = known(unread={1: Unread(FIRST, LAST)}, listed=10, came_since_loss=range(5, 11))
    assert removals(decided(response(standing=9, unlisted=[1]), before, GUARD)) == (0, 1)


def test_a_number_that_goes_now_is_held_against_all_that_are_listed_now() -> None:
    before = known(unread={1: Unread(FIRST, LAST)}, listed=10, came_since_loss=range(5, 11))
    decision = decided(response(standing=8, unlisted=[1, 2]), before, GUARD)
    assert decision.presences == [Presence(2, LAST, NOW, NOW)]  # 2 of 10; of the 4 of whom number 1 was one, 2
    assert removals(decision) == (1, 1)


@pytest.mark.parametrize(("first_listed", "believed"), [(9, True), (8, False)])  # 2 of 10, 2 of 9
@pytest.mark.parametrize(
    ("unlisted", "lately_removed", "lately_returned"),
    [([1, 11], [], []), ([1], [11], []), ([1], [], [11])],
    ids=["missing", "removed", "returned"],
)
def test_a_number_that_came_since_the_loss_and_is_lost_itself_counts_alike_whether_it_is_removed_yet(
    unlisted: list[int], lately_removed: list[int], lately_returned: list[int], first_listed: int, believed: bool
) -> None:
    came = {11, 12, 13} - set(lately_removed)
    before = known(
        unread={1: Unread(FIRST, LAST)},
        listed=first_listed + len(came),
        lately_removed=lately_removed,
        lately_returned=lately_returned,
        came_since_loss=came,
    )
    decision = decided(response(standing=8, unlisted=unlisted), before, GUARD)
    assert (Presence(1, FIRST, LAST, LAST) in decision.removed) is believed


def test_what_has_waited_for_its_time_is_no_reason_to_hold_others() -> None:
    since = NOW - HOLD
    before = known(unread={number: Unread(FIRST, since) for number in range(1, 51)}, listed=100)
    decision = decided(response(standing=49, unlisted=range(1, 52)), before, GUARD)
    assert removals(decision) == (51, 0)


def test_what_has_waited_for_its_time_is_not_among_those_listed() -> None:
    before = known(unread={number: Unread(FIRST, NOW - HOLD) for number in range(1, 6)}, listed=10)
    decision = decided(response(standing=3, unlisted=range(1, 8)), before, GUARD)  # 2 of 5
    assert removals(decision) == (5, 2)


@pytest.mark.parametrize(
    ("missed_for", "believed"),
    [(HOLD - timedelta(microseconds=1), False), (HOLD, True), (HOLD + timedelta(microseconds=1), True)],
)
def test_a_held_removal_is_applied_when_its_time_is_reached(missed_for: timedelta, believed: bool) -> None:
    since = NOW - missed_for
    before = known(unread={1: Unread(FIRST, since)}, listed=2)
    decision = decided(response(standing=1, unlisted=[1]), before, GUARD)
    assert decision.presences == ([Presence(1, FIRST, since, since)] if believed else [])
    assert removals(decision) == ((1, 0) if believed else (0, 1))


def test_each_held_removal_has_its_own_time() -> None:
    old, young = NOW - HOLD, NOW - HOLD + timedelta(seconds=1)
    before = known(unread={1: Unread(FIRST, old), 2: Unread(FIRST, young), 4: Unread(FIRST, None)}, listed=5)
    decision = decided(response(standing=1, unlisted=[1, 2, 3, 4]), before, GUARD)
    assert decision.presences == [
        Presence(1, FIRST, old, old),
        Presence(3, LAST, NOW, None),
        Presence(4, FIRST, NOW, None),
    ]
    assert removals(decision) == (1, 3)


def test_without_a_hold_time_a_removal_is_applied_at_once() -> None:
    decision = decided(response(standing=1, unlisted=[1, 2]), known(listed=3), RemovalGuard(0, timedelta()))
    assert decision.presences == [Presence(1, LAST, NOW, NOW), Presence(2, LAST, NOW, NOW)]


def test_an_operator_who_accepts_them_has_removals_applied_and_dated_when_first_missed() -> None:
    before = known(unread={1: Unread(FIRST, LAST)}, listed=3)
    decision = decided(response(standing=1, unlisted=[1, 2]), before, ACCEPTED)
    assert decision.presences == [Presence(1, FIRST, LAST, LAST), Presence(2, LAST, NOW, NOW)]
    assert removals(decision) == (2, 0)


@pytest.mark.parametrize(
    "guard", [GUARD, RemovalGuard(1, HOLD), RemovalGuard(0.2, timedelta()), RemovalGuard(1, timedelta())]
)
def test_an_empty_list_is_never_believed(guard: RemovalGuard) -> None:
    before = known(unread={1: Unread(FIRST, NOW - 2 * HOLD)}, listed=100)
    decision = decided(response(unlisted=[1, 2]), before, guard)
    assert decision.presences == [Presence(2, LAST, NOW, None)]
    assert removals(decision) == (0, 2)


def test_an_empty_list_is_believed_if_an_operator_says_so() -> None:
    decision = decided(response(unlisted=[1, 2]), known(listed=2), ACCEPTED)
    assert decision.presences == [Presence(1, LAST, NOW, NOW), Presence(2, LAST, NOW, NOW)]


@pytest.mark.parametrize("guard", [GUARD, ACCEPTED, RemovalGuard(1, timedelta()), RemovalGuard(1, timedelta(), True)])
def test_a_record_whose_id_cannot_be_read_may_be_any_of_the_missing(guard: RemovalGuard) -> None:
    before = known(unread={1: Unread(FIRST, NOW - 2 * HOLD)}, listed=100)
    decision = decided(response(standing=98, rejections=[rejection(None)], unlisted=[1, 2]), before, guard)
    assert decision.presences == [Presence(2, LAST, NOW, None)]
    assert removals(decision) == (0, 2)


def test_a_rejected_record_whose_id_can_be_read_holds_nobody_else() -> None:
    decision = decided(
        response(standing=8, rejections=[rejection(1)], unlisted=[2]), known({1: stored(record(1))}, listed=10), GUARD
    )
    assert decision.presences == [Presence(1, LAST, None, None), Presence(2, LAST, NOW, NOW)]
    assert removals(decision) == (1, 0)


def test_all_else_is_applied_while_removals_are_held() -> None:
    numbers = {1: stored(record(1))}
    decision = decided(response(record(1, state="freeze"), record(9), unlisted=[2, 3]), known(numbers, listed=3), GUARD)
    assert counted(decision) == {"received": 2, "changed": 1, "state_changes": 1, "created": 1, "held": 2}


def test_a_first_success_is_applied_even_if_it_finds_nothing() -> None:
    decision = decided(response(), FIRST_SUCCESS, GUARD)
    assert is_quiet(decision)
    assert not decision.is_empty


def test_an_empty_list_where_nothing_was_listed_is_unchanged() -> None:
    assert decided(response(), known(listed=0), GUARD).is_empty


def test_a_number_that_could_not_be_read_until_now_has_no_lower_end_to_its_window() -> None:
    told = record(1, from_redirect_numbers=[redirect(9, "79")])
    before = Before(KnownNumbers(rejected_before=frozenset({1})), known().known)
    decision = decided(response(told, record(2)), before, GUARD)
    assert [version.changed_after for version in decision.created] == [None, LAST]
    assert decision.opened_states == [NewState(1, "active", None, None), NewState(2, "active", None, LAST)]
    assert decision.opened_redirects == [RedirectChange(1, 9, "79", None)]


def test_counters_count_numbers() -> None:
    gone = {number: stored(record(number), last_read_at=FIRST, removed_at=LAST) for number in (3, 4, 5)}
    listed = {number: stored(record(number)) for number in (6, 7, 8)}
    told = [record(number, state="freeze", from_redirect_numbers=[redirect(9, "79")]) for number in range(1, 9)]
    decision = decided(response(*told), known(gone | listed), GUARD)
    assert counted(decision) == {
        "received": 8,
        "created": 2,
        "restored": 3,
        "changed": 3,
        "state_changes": 3,
        "redirects_opened": 8,
    }
    assert decision.column_changes == Counter(state=3, from_redirect_numbers=3)


def test_what_the_batches_of_a_response_change_adds_up() -> None:
    before = known({number: stored(record(number)) for number in (1, 2)}, listed=4)
    total = Total()
    batches = (record(1, comment="a"), without(record(2, comment="b"), "type"))
    for told in batches:
        total.add(reconcile(response(told).records, before.numbers, before.known))
    total.add(settle(response(standing=1, unlisted=[3]), before.known, RemovalGuard(1, HOLD)))
    assert total == Total(
        counters=Counter(received=1, changed=2, unchanged=1, removed=1),
        absent_keys=Counter(type=1),
        column_changes=Counter(comment=2),
        standing={digest_of(told): told["id"] for told in batches},
        removed={3},
        is_unchanged=False,
    )


@pytest.mark.parametrize(("comments", "unchanged"), [(["", ""], True), (["new", ""], False), (["", "new"], False)])
def test_a_response_means_what_is_stored_if_all_of_its_batches_do(comments: list[str], unchanged: bool) -> None:
    before = known({number: stored(record(number, comment="")) for number in (1, 2)})
    total = Total()
    for number, comment in enumerate(comments, start=1):
        total.add(reconcile(response(record(number, comment=comment)).records, before.numbers, before.known))
    assert total.is_unchanged is unchanged


@pytest.mark.parametrize(
    ("total", "changes"), [(Total(), False), (Total(standing={b"d" * 16: 1}), True), (Total(removed={1}), True)]
)
def test_other_digests_stand_once_some_are_read_or_a_number_is_removed(total: Total, changes: bool) -> None:
    assert total.changes_standing is changes


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
    ) -> tuple[Arrival, Decision]:
        """A poll that begins so long after the one before, and takes a minute."""
        started_at = FIRST if self.last_started_at is None else self.last_started_at + after
        alive = {key for key, number in self.numbers.items() if number.removed_at is None}
        standing = Standing(self.digests, frozenset(alive - set(self.digests.values())), self.last)
        arrival = read(body, standing, None)
        self.last = arrival.elements
        now = started_at + timedelta(minutes=1)
        asked = arrival.records.keys() | {rejected.virtual_number_id for rejected in arrival.rejections}
        lately = {key for key, number in self.numbers.items() if number.last_removed_at > now - guard.hold}
        numbers = KnownNumbers({key: number.stored() for key, number in self.numbers.items() if key in asked})
        known_now = Known(
            observed_at=now,
            success_started_at=self.last_started_at,
            unread={
                key: Unread(number.last_read_at, number.missing_since)
                for key, number in self.numbers.items()
                if number.last_read_at is not None and number.removed_at is None
            },
            listed=len(standing),
            lately_removed={key for key in lately if self.numbers[key].removed_at is not None},
            lately_returned={key for key in lately if self.numbers[key].removed_at is None},
            came_since_loss=self._came_since_loss(arrival, now - guard.hold),
            rejected=self.rejected,
        )
        decision = decided(arrival, Before(numbers, known_now), guard)
        self._apply(decision, now)
        self.rejected = frozenset(rejected.digest for rejected in arrival.rejections)
        self.last_started_at = started_at
        return arrival, decision

    def _came_since_loss(self, arrival: Arrival, earliest: datetime) -> set[int]:
        """Who appeared or returned since the first loss that is held and has not waited long enough."""
        since = [self.numbers[key].missing_since for key in arrival.unlisted]
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

    def _apply(self, decision: Decision, now: datetime) -> None:
        for version in decision.created:
            assert version.virtual_number_id not in self.numbers
            self.numbers[version.virtual_number_id] = Number(version.values, version.extra)
        for version in decision.superseded:
            number = self.numbers[version.virtual_number_id]
            number.values, number.extra = version.values, version.extra
            number.last_read_at = number.missing_since = number.removed_at = None
        for key, extra in decision.extras:
            self.numbers[key].extra = extra
        for key, after in decision.closed_states:
            self._close(self.numbers[key].states, None, now, after)
        for change in decision.closed_redirects:
            what = (change.redirect_number_id, change.number)
            self._close(self.numbers[change.virtual_number_id].redirects, what, now, change.changed_after)
        for presence in decision.presences:
            self._settle(self.numbers[presence.virtual_number_id], presence)
        for opened in decision.opened_states:
            states = self.numbers[opened.virtual_number_id].states
            states.append(Period((opened.state, opened.reason), opened.changed_after, now))
        for change in decision.opened_redirects:
            redirects = self.numbers[change.virtual_number_id].redirects
            redirects.append(Period((change.redirect_number_id, change.number), change.changed_after, now))
        gone = {presence.virtual_number_id for presence in decision.removed} | decision.digests.keys()
        self.digests = {digest: key for digest, key in self.digests.items() if key not in gone}
        self.digests.update((digest, key) for key, digest in decision.digests.items())

    def _settle(self, number: Number, presence: Presence) -> None:
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
        arrival, decision = world.poll(listing(elements), guard)
        world.require_invariants()
        counters = decision.counters
        kinds = ("created", "changed", "unchanged", "restored", "rejected")
        assert arrival.received == sum(counters[kind] for kind in kinds) + arrival.repeated == len(elements)
        assert counters["removed"] == len(decision.removed)
        assert counters["removed"] + counters["held"] == len(arrival.unlisted)
        assert counters["changed"] + counters["restored"] >= len(decision.superseded)
        assert decision.is_empty <= is_quiet(decision)
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
        _, decision = world.poll(body, guard, after=half_an_hour)
        _, again = world.poll(body, guard, after=half_an_hour)
        assert again.is_empty
        assert again.counters["held"] == decision.counters["held"]


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
    listed, unlisted = listing([record(1), record(2)]), listing([record(2)])
    for body in (listed, unlisted, unlisted, unlisted, unlisted, listed):
        world.poll(body, guard)
    polled = [FIRST + timedelta(hours=hour) for hour in range(6)]
    minute = timedelta(minutes=1)
    assert world.numbers[1].states == [
        Period(("active", None), None, polled[0] + minute, polled[1] + minute, polled[0]),
        Period(("active", None), polled[0], polled[5] + minute),
    ]
