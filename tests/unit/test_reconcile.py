"""Comparing a response with stored data: what changes, its lower bounds and counters, and which removals are held."""

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

from syncer.diff.changeset import MAX_RECORD_KEYS, ChangeSet, NewVersion, PollTotals, PresenceUpdate, RedirectChange
from syncer.diff.content_hash import UNKEYED
from syncer.diff.reconcile import reconcile, reconcile_absences
from syncer.diff.record import COLUMNS, ParsedRecord, Rejection, decode
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import ParsedResponse, parse_response
from syncer.diff.stored import (
    Elements,
    Fingerprints,
    StartedRun,
    StoredAccount,
    StoredNumber,
    StoredNumbers,
    UnreadNumber,
)
from syncer.diff.unmatched_records import Span, UnmatchedRecords
from tests.builders import reconcile_response, record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EARLIER_SUCCESS = datetime(2026, 3, 1, 9, tzinfo=UTC)
"""The start of a successful poll before the last one."""
LAST_SUCCESS = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The start of the last successful poll."""
NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
"""The time under which this poll's changes are recorded."""
REMOVAL = StartedRun(6, EARLIER_SUCCESS + timedelta(hours=1))
"""The run that removed a number which was removed."""
BELIEVABLE_RUN = StartedRun(8, LAST_SUCCESS)
"""The last run whose response was believable: it is the last successful one."""
BELIEVABLE_COUNT = 8
"""How many responses were believable before this one."""
NEVER = datetime.min.replace(tzinfo=UTC)
HOLD = timedelta(hours=24)
GUARD = RemovalGuard(ratio=0.2, hold=HOLD, confirmations=1)
ACCEPTING_GUARD = RemovalGuard(ratio=0.2, hold=HOLD, confirmations=1, accept_removals=True)
ZERO_RATIO_GUARD = RemovalGuard(ratio=0, hold=HOLD, confirmations=1)


def encode_element(element: dict[str, Any]) -> bytes:
    return json.dumps(element).encode()


def fingerprint_of(element: dict[str, Any]) -> bytes:
    return UNKEYED(encode_element(element))


def parse_element(element: dict[str, Any]) -> ParsedRecord:
    decoded = decode(encode_element(element), fingerprint_of(element))
    assert isinstance(decoded, ParsedRecord), decoded
    return decoded


def column_values(element: dict[str, Any]) -> tuple[Any, ...]:
    """The column values of a record, in order; None for an absent key."""
    return tuple(None if value is UNSET else value for value in parse_element(element).values)


def stored_number(
    element: dict[str, Any], *, last_read_at: datetime | None = None, removal: StartedRun | None = None
) -> StoredNumber:
    """A number as stored after it was read from an element."""
    parsed = parse_element(element)
    redirects = frozenset[tuple[int, str]]() if parsed.redirects is UNSET else parsed.redirects
    return StoredNumber(column_values(element), redirects, parsed.extra, last_read_at, removal)


def rejection(number_id: int | None, *, fingerprint: bytes = b"r" * 16) -> Rejection:
    return Rejection(number_id, None, "why", b"payload", fingerprint)


def parsed_response(
    *elements: dict[str, Any],
    known_count: int = 0,
    rejections: Iterable[Rejection] = (),
    missing_ids: Iterable[int] = (),
    received: int | None = None,
) -> ParsedResponse:
    """A response with these unmatched elements, so many known ones, and these rejected elements and missing numbers."""
    rejections = tuple(rejections)
    body, spans = b"", {}
    for element in elements:
        spans[element["id"]] = Span(len(body), len(body) + len(encode_element(element)))
        body += encode_element(element)
    return ParsedResponse(
        received=len(elements) + known_count + len(rejections) if received is None else received,
        repeated=0,
        known_count=known_count,
        records=UnmatchedRecords(body, spans),
        rejections=rejections,
        missing_ids=frozenset(missing_ids),
        app_id=None,
    )


class StoredData(NamedTuple):
    """What is stored about the numbers of a response, and about the account."""

    numbers: StoredNumbers
    account: StoredAccount


def decide_changes(parsed: ParsedResponse, stored: StoredData, guard: RemovalGuard) -> ChangeSet:
    """Decides what a response changes. `listed_and_rejected` is derived from the numbers and the rejections."""
    not_removed = {number_id for number_id, number in stored.numbers.by_id.items() if number.removal is None}
    rejected_ids = {rejection.virtual_number_id for rejection in parsed.rejections}
    account = replace(stored.account, listed_and_rejected=not_removed & rejected_ids)
    return reconcile_response(parsed, stored.numbers, account, guard)


def stored_data(
    numbers: Mapping[int, StoredNumber] | None = None,
    *,
    unread: Mapping[int, UnreadNumber] | None = None,
    listed_count: int = 100,
    removed_in_hold: Iterable[int] = (),
    returned_in_hold: Iterable[int] = (),
    added_since_first_missing: Iterable[int] = (),
    rejected_fingerprints: Iterable[bytes] = (),
    success_started_at: datetime | None = LAST_SUCCESS,
    observed_at: datetime = NOW,
) -> StoredData:
    account = StoredAccount(
        observed_at=observed_at,
        success_started_at=success_started_at,
        unread=unread or {},
        listed_count=listed_count,
        removed_in_hold=frozenset(removed_in_hold),
        returned_in_hold=frozenset(returned_in_hold),
        added_since_first_missing=frozenset(added_since_first_missing),
        rejected_fingerprints=frozenset(rejected_fingerprints),
        believable_run=None if success_started_at is None else BELIEVABLE_RUN,
        believable_count=0 if success_started_at is None else BELIEVABLE_COUNT,
    )
    return StoredData(StoredNumbers(numbers or {}), account)


NO_SUCCESS_YET = stored_data(success_started_at=None, listed_count=0)


def nonzero_counters(changes: ChangeSet) -> dict[str, int]:
    return {name: count for name, count in changes.counters.items() if count}


def writes_no_data(changes: ChangeSet) -> bool:
    """Returns whether there is nothing to write except fingerprints and rejected records."""
    return not (
        changes.created
        or changes.replaced
        or changes.opened_redirects
        or changes.closed_redirects
        or changes.extra_updates
        or changes.presence_updates
    )


def unread_number(last_read_at: datetime, missing_since: datetime | None) -> UnreadNumber:
    """A number that was not read; if it is missing, all responses that missed it were believable."""
    return UnreadNumber(last_read_at, missing_since, missing_since, None if missing_since is None else BELIEVABLE_COUNT)


def presence_update(
    number_id: int, last_read_at: datetime | None, missing_since: datetime | None, removed_at: datetime | None
) -> PresenceUpdate:
    """A presence update; if the number is missing, all responses that missed it were believable."""
    missing_from = None if missing_since is None else BELIEVABLE_COUNT + (missing_since == NOW)
    return PresenceUpdate(number_id, last_read_at, missing_since, removed_at, missing_since, missing_from)


def test_numbers_found_by_the_first_success_have_no_lower_bound() -> None:
    element = record(
        1, state="freeze", reason="debt", from_redirect_numbers=[redirect(9, "79"), redirect(8, "78")], x=1
    )
    changes = decide_changes(parsed_response(element), NO_SUCCESS_YET, GUARD)
    assert changes == ChangeSet(
        created=[NewVersion(1, column_values(element), {"x": 1}, None)],
        opened_redirects=[RedirectChange(1, 8, "78", None), RedirectChange(1, 9, "79", None)],
        fingerprints={1: fingerprint_of(element)},
        extra_keys={"x"},
        is_first_or_rejections_changed=True,
        counters=Counter(created=1, received=1, redirects_opened=2, redirects_closed=0, rejected=0, unchanged=0),
    )


def test_the_lower_bound_of_a_number_created_later_is_the_start_of_the_last_success() -> None:
    element = record(1, from_redirect_numbers=[redirect(9, "79")])
    changes = decide_changes(parsed_response(element), stored_data(), GUARD)
    assert changes.created == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert nonzero_counters(changes) == {"received": 1, "created": 1, "redirects_opened": 1}


def test_a_created_number_counts_no_state_change_and_no_changed_column() -> None:
    changes = decide_changes(parsed_response(record(1, state="freeze")), stored_data(), GUARD)
    assert (changes.replaced, changes.column_changes) == ([], Counter())
    assert nonzero_counters(changes) == {"received": 1, "created": 1}


def test_a_record_equal_to_the_stored_one_changes_only_its_fingerprint() -> None:
    element = record(1, from_redirect_numbers=[redirect(9, "79")], x={"a": 1})
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(element)}), GUARD)
    assert writes_no_data(changes)
    assert changes.is_empty
    assert changes.fingerprints == {1: fingerprint_of(element)}
    assert nonzero_counters(changes) == {"received": 1, "unchanged": 1}


def test_known_elements_count_as_unchanged() -> None:
    changes = decide_changes(
        parsed_response(record(1), known_count=7), stored_data({1: stored_number(record(1))}), GUARD
    )
    assert nonzero_counters(changes) == {"received": 8, "unchanged": 8}


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - {"state", "reason"}))
def test_a_change_of_any_other_column_makes_a_version_and_is_no_change_of_state(column: str) -> None:
    new = {"is_scenario_active": True, "is_group_scenario_active": True}.get(column) or (
        77 if column.endswith("_id") else "77"
    )
    element = record(1) | {column: new}
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(record(1))}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert changes.presence_updates == []
    assert nonzero_counters(changes) == {"received": 1, "changed": 1}
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
    element = record(1, **fields)
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(record(1))}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert nonzero_counters(changes) == {"received": 1, "changed": 1, "state_changes": 1}
    assert changes.column_changes == Counter(column_changes)


def test_a_reason_that_changes_from_null_to_empty_is_a_change() -> None:
    element = record(1, reason="")
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(record(1, reason=None))}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert nonzero_counters(changes) == {"received": 1, "changed": 1, "state_changes": 1}


def test_a_change_of_extra_fields_alone_is_written_and_counts_as_unchanged() -> None:
    changes = decide_changes(
        parsed_response(record(1, x=2)), stored_data({1: stored_number(record(1, x=1, y=3))}), GUARD
    )
    assert changes.extra_updates == [(1, {"x": 2})]
    assert (changes.replaced, nonzero_counters(changes)) == ([], {"received": 1, "unchanged": 1})
    assert not changes.is_empty


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (10**23, 1e23), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_extra_fields_equal_as_jsonb_are_not_written(old: Any, new: Any) -> None:
    changes = decide_changes(
        parsed_response(record(1, x=new)), stored_data({1: stored_number(record(1, x=old))}), GUARD
    )
    assert writes_no_data(changes)
    assert changes.is_empty


def test_extra_fields_that_are_no_longer_sent_are_dropped() -> None:
    changes = decide_changes(parsed_response(record(1)), stored_data({1: stored_number(record(1, x=1))}), GUARD)
    assert changes.extra_updates == [(1, {})]


def test_a_limited_number_of_extra_keys_is_noted_and_the_beginning_of_each() -> None:
    many = {f"key {index}": 1 for index in range(MAX_RECORD_KEYS)}
    few = decide_changes(parsed_response(record(1, x=1), record(2, **{"y" * 101: 1})), stored_data(), GUARD)
    changes = decide_changes(parsed_response(record(1, x=1), record(2, **many), record(3, z=1)), stored_data(), GUARD)
    assert few.extra_keys == {"x", "y" * 100}
    assert changes.extra_keys == {"x", *many}


def test_extra_fields_are_part_of_the_new_version_if_there_is_one() -> None:
    element = record(1, comment="new", x=2)
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(record(1, x=1))}), GUARD)
    assert (changes.replaced, changes.extra_updates) == (
        [NewVersion(1, column_values(element), {"x": 2}, LAST_SUCCESS)],
        [],
    )


def test_redirects_begin_and_end_without_a_new_version() -> None:
    before = record(1, from_redirect_numbers=[redirect(7, "77"), redirect(8, "78"), redirect(9, "79")])
    element = record(1, from_redirect_numbers=[redirect(9, "79"), redirect(6, "76"), redirect(5, "75")])
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert changes.opened_redirects == [
        RedirectChange(1, 5, "75", LAST_SUCCESS),
        RedirectChange(1, 6, "76", LAST_SUCCESS),
    ]
    assert changes.closed_redirects == [
        RedirectChange(1, 7, "77", LAST_SUCCESS),
        RedirectChange(1, 8, "78", LAST_SUCCESS),
    ]
    assert changes.replaced == []
    assert nonzero_counters(changes) == {"received": 1, "changed": 1, "redirects_opened": 2, "redirects_closed": 2}
    assert changes.column_changes == Counter(from_redirect_numbers=1)
    assert not changes.is_empty


@pytest.mark.parametrize(("before", "after"), [([], [redirect(9, "79")]), ([redirect(9, "79")], [])])
def test_a_single_redirect_that_begins_or_ends_is_a_change(before: list[Any], after: list[Any]) -> None:
    stored = stored_data({1: stored_number(record(1, from_redirect_numbers=before))})
    changes = decide_changes(parsed_response(record(1, from_redirect_numbers=after)), stored, GUARD)
    assert (len(changes.opened_redirects), len(changes.closed_redirects)) == (len(after), len(before))
    assert not changes.is_empty


def test_a_redirect_whose_number_changes_ends_and_begins() -> None:
    before, element = (record(1, from_redirect_numbers=[redirect(9, number)]) for number in ("79", "80"))
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "80", LAST_SUCCESS)]


def test_two_redirects_that_swap_their_numbers_all_end_and_begin() -> None:
    before = record(1, from_redirect_numbers=[redirect(8, "A"), redirect(9, "B")])
    element = record(1, from_redirect_numbers=[redirect(8, "B"), redirect(9, "A")])
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert changes.closed_redirects == [
        RedirectChange(1, 8, "A", LAST_SUCCESS),
        RedirectChange(1, 9, "B", LAST_SUCCESS),
    ]
    assert changes.opened_redirects == [
        RedirectChange(1, 8, "B", LAST_SUCCESS),
        RedirectChange(1, 9, "A", LAST_SUCCESS),
    ]


def test_a_redirect_that_moves_to_another_number_ends_there_and_begins_here() -> None:
    moving = [redirect(9, "79")]
    numbers = {1: stored_number(record(1, from_redirect_numbers=moving)), 2: stored_number(record(2))}
    changes = decide_changes(
        parsed_response(record(1), record(2, from_redirect_numbers=moving)), stored_data(numbers), GUARD
    )
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert changes.opened_redirects == [RedirectChange(2, 9, "79", LAST_SUCCESS)]
    assert nonzero_counters(changes)["changed"] == 2


def test_redirects_in_another_order_and_null_instead_of_an_empty_list_are_no_change() -> None:
    pair = [redirect(8, "78"), redirect(9, "79")]
    numbers = {
        1: stored_number(record(1, from_redirect_numbers=pair)),
        2: stored_number(record(2, from_redirect_numbers=[])),
    }
    parsed = parsed_response(record(1, from_redirect_numbers=pair[::-1]), record(2, from_redirect_numbers=None))
    assert decide_changes(parsed, stored_data(numbers), GUARD).is_empty


def test_columns_and_redirects_that_change_together_are_one_changed_number() -> None:
    element = record(1, state="freeze", comment="new", from_redirect_numbers=[redirect(9, "79")])
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(record(1))}), GUARD)
    assert nonzero_counters(changes) == {"received": 1, "changed": 1, "state_changes": 1, "redirects_opened": 1}
    assert changes.column_changes == Counter(state=1, comment=1, from_redirect_numbers=1)


def test_column_changes_count_the_numbers_in_which_a_column_changed() -> None:
    numbers = {number: stored_number(record(number)) for number in (1, 2, 3)}
    parsed = parsed_response(record(1, comment="a"), record(2, comment="b", state="freeze"), record(3))
    assert decide_changes(parsed, stored_data(numbers), GUARD).column_changes == Counter(comment=2, state=1)


def test_absent_keys_keep_the_last_value_and_are_counted() -> None:
    before = record(1, comment="kept", app_id=5, from_redirect_numbers=[redirect(9, "79")])
    element = without(before, "comment", "app_id", "from_redirect_numbers")
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert writes_no_data(changes)
    assert changes.is_empty
    assert changes.absent_keys == Counter(comment=1, app_id=1, from_redirect_numbers=1)


def test_absent_keys_of_a_changed_record_keep_the_last_value() -> None:
    before = record(1, comment="kept")
    element = without(record(1, type="abc"), "comment", "reason")
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(before | {"type": "abc"}), {}, LAST_SUCCESS)]
    assert changes.column_changes == Counter(type=1)


def test_absent_keys_of_new_numbers_are_null_and_counted_once_per_number() -> None:
    elements = [without(record(number), "comment", "from_redirect_numbers") for number in (1, 2)]
    changes = decide_changes(parsed_response(*elements), stored_data(), GUARD)
    assert changes.created == [NewVersion(number, column_values(record(number)), {}, LAST_SUCCESS) for number in (1, 2)]
    assert (changes.opened_redirects, changes.absent_keys) == ([], Counter(comment=2, from_redirect_numbers=2))


def test_null_clears_the_value_and_does_not_count_as_an_absent_key() -> None:
    element = record(1, comment=None, from_redirect_numbers=None)
    before = record(1, comment="was", from_redirect_numbers=[redirect(9, "79")])
    changes = decide_changes(parsed_response(element), stored_data({1: stored_number(before)}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert changes.closed_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert changes.absent_keys == Counter()


def test_a_removed_number_that_returns_gets_a_version_and_its_redirects() -> None:
    element = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored_number(
        record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=EARLIER_SUCCESS, removal=REMOVAL
    )
    changes = decide_changes(parsed_response(element), stored_data({1: before}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {}, LAST_SUCCESS)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert (changes.closed_redirects, changes.presence_updates) == ([], [])
    assert nonzero_counters(changes) == {"received": 1, "restored": 1, "redirects_opened": 1}
    assert changes.column_changes == Counter()


@pytest.mark.parametrize(
    ("believable_run", "rejected_by", "last_absence"),
    [
        (BELIEVABLE_RUN, None, LAST_SUCCESS),
        (BELIEVABLE_RUN, REMOVAL.run_id, LAST_SUCCESS),
        (BELIEVABLE_RUN, REMOVAL.run_id + 1, REMOVAL.started_at),
        (StartedRun(REMOVAL.run_id - 1, EARLIER_SUCCESS), None, REMOVAL.started_at),
        (None, None, REMOVAL.started_at),
    ],
    ids=["missed since", "rejected before", "rejected since", "no believable response since", "none at all"],
)
def test_the_lower_bound_of_a_removed_number_that_returns_is_the_last_poll_known_not_to_have_listed_it(
    believable_run: StartedRun | None, rejected_by: int | None, last_absence: datetime
) -> None:
    before = stored_number(record(1), last_read_at=EARLIER_SUCCESS, removal=REMOVAL)
    numbers = StoredNumbers({1: before}, {} if rejected_by is None else {1: rejected_by})
    account = replace(stored_data().account, believable_run=believable_run)
    changes = reconcile({1: parse_element(record(1))}, numbers, account)
    assert [version.changed_after for version in changes.replaced] == [last_absence]


def test_a_removed_number_that_returns_unchanged_is_restored() -> None:
    element = record(1, from_redirect_numbers=[redirect(9, "79")], x=1)
    before = stored_number(element, last_read_at=EARLIER_SUCCESS, removal=REMOVAL)
    changes = decide_changes(parsed_response(element), stored_data({1: before}), GUARD)
    assert changes.replaced == [NewVersion(1, column_values(element), {"x": 1}, LAST_SUCCESS)]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", LAST_SUCCESS)]
    assert nonzero_counters(changes) == {"received": 1, "restored": 1, "redirects_opened": 1}


def test_a_removed_number_that_returns_without_a_redirects_key_gets_back_those_its_removal_closed() -> None:
    before = record(1, comment="kept", from_redirect_numbers=[redirect(8, "78"), redirect(9, "79")])
    element = without(before, "comment", "from_redirect_numbers")
    changes = decide_changes(
        parsed_response(element),
        stored_data({1: stored_number(before, last_read_at=EARLIER_SUCCESS, removal=REMOVAL)}),
        GUARD,
    )
    assert changes.replaced == [NewVersion(1, column_values(before), {}, LAST_SUCCESS)]
    assert changes.opened_redirects == [
        RedirectChange(1, 8, "78", LAST_SUCCESS),
        RedirectChange(1, 9, "79", LAST_SUCCESS),
    ]
    assert changes.absent_keys == Counter(comment=1, from_redirect_numbers=1)


def test_a_removed_number_that_returns_with_no_redirects_gets_none() -> None:
    before = stored_number(
        record(1, from_redirect_numbers=[redirect(9, "79")]), last_read_at=EARLIER_SUCCESS, removal=REMOVAL
    )
    changes = decide_changes(parsed_response(record(1, from_redirect_numbers=None)), stored_data({1: before}), GUARD)
    assert (changes.opened_redirects, changes.closed_redirects) == ([], [])


def test_the_lower_bound_of_a_missing_number_that_returns_changed_is_when_it_was_last_read() -> None:
    element = record(1, state="freeze", from_redirect_numbers=[redirect(9, "79")])
    before = stored_number(record(1, from_redirect_numbers=[redirect(8, "78")]), last_read_at=EARLIER_SUCCESS)
    changes = decide_changes(
        parsed_response(element),
        stored_data({1: before}, unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)}),
        GUARD,
    )
    assert changes.replaced == [NewVersion(1, column_values(element), {}, EARLIER_SUCCESS)]
    assert changes.counters["state_changes"] == 1
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", EARLIER_SUCCESS)]
    assert changes.closed_redirects == [RedirectChange(1, 8, "78", EARLIER_SUCCESS)]
    assert changes.presence_updates == []


@pytest.mark.parametrize("missing_since", [LAST_SUCCESS, None], ids=["missing", "rejected"])
def test_an_unread_number_that_returns_unchanged_is_read_again(missing_since: datetime | None) -> None:
    unread = {
        1: unread_number(EARLIER_SUCCESS, missing_since),
        2: unread_number(EARLIER_SUCCESS, missing_since),
        3: unread_number(EARLIER_SUCCESS, missing_since),
    }
    numbers = {
        1: stored_number(record(1), last_read_at=EARLIER_SUCCESS),
        2: stored_number(record(2), last_read_at=EARLIER_SUCCESS),
    }
    parsed = parsed_response(record(1), record(2, from_redirect_numbers=[redirect(9, "79")]), known_count=1)
    changes = decide_changes(parsed, stored_data(numbers, unread=unread), GUARD)
    assert changes.presence_updates == [presence_update(number, None, None, None) for number in (1, 2, 3)]
    assert changes.opened_redirects == [RedirectChange(2, 9, "79", EARLIER_SUCCESS)]
    assert nonzero_counters(changes) == {"received": 3, "unchanged": 2, "changed": 1, "redirects_opened": 1}
    assert not changes.is_empty


def test_a_number_whose_record_is_rejected_keeps_its_values_and_was_last_read_by_the_last_success() -> None:
    changes = decide_changes(
        parsed_response(rejections=[rejection(1)]),
        stored_data({1: stored_number(record(1))}, rejected_fingerprints=[b"r" * 16]),
        GUARD,
    )
    assert changes.presence_updates == [presence_update(1, LAST_SUCCESS, None, None)]
    assert (changes.replaced, changes.fingerprints, changes.is_empty) == ([], {}, False)
    assert nonzero_counters(changes) == {"received": 1, "rejected": 1}


def test_a_rejected_record_of_an_unknown_number_changes_no_number() -> None:
    changes = decide_changes(
        parsed_response(rejections=[rejection(1), rejection(None, fingerprint=b"s" * 16)]), stored_data(), GUARD
    )
    assert writes_no_data(changes)
    assert not changes.is_empty


def test_a_removed_number_whose_record_is_rejected_stays_removed() -> None:
    before = stored_number(record(1), last_read_at=EARLIER_SUCCESS, removal=REMOVAL)
    assert writes_no_data(decide_changes(parsed_response(rejections=[rejection(1)]), stored_data({1: before}), GUARD))


def test_a_number_that_stays_rejected_is_not_changed() -> None:
    before = stored_data(
        {1: stored_number(record(1), last_read_at=EARLIER_SUCCESS)},
        unread={1: unread_number(EARLIER_SUCCESS, None)},
        rejected_fingerprints=[b"r" * 16],
    )
    changes = decide_changes(parsed_response(rejections=[rejection(1)]), before, GUARD)
    assert writes_no_data(changes)
    assert changes.is_empty
    assert nonzero_counters(changes) == {"received": 1, "rejected": 1}


def test_a_missing_number_that_returns_rejected_is_no_longer_missing() -> None:
    before = stored_data(
        {1: stored_number(record(1), last_read_at=EARLIER_SUCCESS)},
        unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)},
    )
    changes = decide_changes(parsed_response(rejections=[rejection(1)]), before, GUARD)
    assert changes.presence_updates == [presence_update(1, EARLIER_SUCCESS, None, None)]


def test_a_rejected_number_that_goes_missing_is_missing_from_now_on() -> None:
    changes = decide_changes(
        parsed_response(known_count=99, missing_ids=[1]),
        stored_data(unread={1: unread_number(EARLIER_SUCCESS, None)}),
        ZERO_RATIO_GUARD,
    )
    assert changes.presence_updates == [presence_update(1, EARLIER_SUCCESS, NOW, None)]
    assert nonzero_counters(changes) == {"received": 99, "unchanged": 99, "held": 1}


def test_two_rejected_records_of_one_number_are_one_presence_update_and_two_rejections() -> None:
    both = [rejection(1), rejection(1, fingerprint=b"s" * 16)]
    changes = decide_changes(parsed_response(rejections=both), stored_data({1: stored_number(record(1))}), GUARD)
    assert changes.presence_updates == [presence_update(1, LAST_SUCCESS, None, None)]
    assert nonzero_counters(changes) == {"received": 2, "rejected": 2}


@pytest.mark.parametrize(
    ("stored", "received", "is_unchanged"),
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
def test_a_change_of_the_rejected_elements_is_a_change(
    stored: list[bytes], received: list[bytes], is_unchanged: bool
) -> None:
    rejections = [rejection(None, fingerprint=fingerprint) for fingerprint in received]
    assert (
        decide_changes(
            parsed_response(known_count=1, rejections=rejections), stored_data(rejected_fingerprints=stored), GUARD
        ).is_empty
        is is_unchanged
    )


def removal_counts(changes: ChangeSet) -> tuple[int, int]:
    """How many removals were applied and how many are held."""
    return changes.counters["removed"], changes.counters["held"]


def test_a_removal_within_the_ratio_is_applied_at_once() -> None:
    changes = decide_changes(parsed_response(known_count=99, missing_ids=[1]), stored_data(listed_count=100), GUARD)
    assert changes.presence_updates == changes.removed == [presence_update(1, LAST_SUCCESS, NOW, NOW)]
    assert nonzero_counters(changes) == {"received": 99, "unchanged": 99, "removed": 1}
    assert not changes.is_empty


def test_a_removal_waits_until_as_many_believable_responses_as_required_have_missed_the_number() -> None:
    guard = replace(GUARD, confirmations=2)
    first = decide_changes(parsed_response(known_count=99, missing_ids=[1]), stored_data(listed_count=100), guard)
    assert (first.presence_updates, first.removed) == ([presence_update(1, LAST_SUCCESS, NOW, None)], [])
    assert nonzero_counters(first) == {"received": 99, "unchanged": 99, "unconfirmed": 1}
    missed_once = stored_data(unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)}, listed_count=100)
    second = decide_changes(parsed_response(known_count=99, missing_ids=[1]), missed_once, guard)
    assert second.removed == [presence_update(1, EARLIER_SUCCESS, LAST_SUCCESS, LAST_SUCCESS)]
    assert nonzero_counters(second) == {"received": 99, "unchanged": 99, "removed": 1}


def test_a_removal_above_the_ratio_is_held_and_its_hold_time_begins() -> None:
    changes = decide_changes(parsed_response(known_count=1, missing_ids=[2]), stored_data(listed_count=2), GUARD)
    assert (changes.presence_updates, changes.removed) == ([presence_update(2, LAST_SUCCESS, NOW, None)], [])
    assert nonzero_counters(changes) == {"received": 1, "unchanged": 1, "held": 1}
    assert not changes.is_empty


def test_a_removal_that_stays_held_writes_nothing_and_is_counted_again() -> None:
    before = stored_data(unread={2: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)}, listed_count=2)
    changes = decide_changes(parsed_response(known_count=1, missing_ids=[2]), before, GUARD)
    assert writes_no_data(changes)
    assert changes.is_empty
    assert nonzero_counters(changes) == {"received": 1, "unchanged": 1, "held": 1}


@pytest.mark.parametrize(
    ("ratio", "listed", "missing", "is_removed"),
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
def test_a_loss_of_exactly_the_ratio_is_removed(ratio: float, listed: int, missing: int, is_removed: bool) -> None:
    parsed = parsed_response(known_count=max(listed - missing, 1), missing_ids=range(1, missing + 1))
    changes = decide_changes(parsed, stored_data(listed_count=listed), RemovalGuard(ratio, HOLD, confirmations=1))
    assert removal_counts(changes) == ((missing, 0) if is_removed else (0, missing))


@pytest.mark.parametrize(
    ("listed", "removed_in_hold", "missing", "is_removed"),
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
def test_successive_losses_add_up(listed: int, removed_in_hold: int, missing: int, is_removed: bool) -> None:
    parsed = parsed_response(known_count=listed - missing, missing_ids=range(1, missing + 1))
    removed_ids = range(1001, 1001 + removed_in_hold)
    changes = decide_changes(parsed, stored_data(listed_count=listed, removed_in_hold=removed_ids), GUARD)
    assert removal_counts(changes) == ((missing, 0) if is_removed else (0, missing))


@pytest.mark.parametrize(
    ("returned_in_hold", "missing", "is_removed"),
    [
        ([1], 2, True),  # the same number twice: 2 of 10
        ([3], 2, False),  # 3 of 10
        ([1, 2, 3], 1, False),  # 3 of 10
        ([3, 4], 0, True),  # no number is missing now
    ],
)
def test_a_number_that_was_removed_and_returned_counts_once(
    returned_in_hold: list[int], missing: int, is_removed: bool
) -> None:
    parsed = parsed_response(known_count=10 - missing, missing_ids=range(1, missing + 1))
    changes = decide_changes(parsed, stored_data(listed_count=10, returned_in_hold=returned_in_hold), GUARD)
    assert removal_counts(changes) == ((missing, 0) if is_removed else (0, missing))


def test_removals_held_already_count_with_newly_missing_numbers() -> None:
    before = stored_data(
        unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS), 2: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)},
        listed_count=10,
    )
    changes = decide_changes(parsed_response(known_count=7, missing_ids=[1, 2, 3]), before, GUARD)
    assert removal_counts(changes) == (0, 3)
    assert changes.presence_updates == [presence_update(3, LAST_SUCCESS, NOW, None)]


def test_held_removals_are_applied_once_they_are_few_enough_and_dated_when_first_missed() -> None:
    missing = {number: unread_number(EARLIER_SUCCESS, LAST_SUCCESS) for number in (1, 2, 3)}
    changes = decide_changes(
        parsed_response(known_count=8, missing_ids=[1, 2]), stored_data(unread=missing, listed_count=10), GUARD
    )
    assert changes.presence_updates == [
        presence_update(3, None, None, None),
        presence_update(1, EARLIER_SUCCESS, LAST_SUCCESS, LAST_SUCCESS),
        presence_update(2, EARLIER_SUCCESS, LAST_SUCCESS, LAST_SUCCESS),
    ]
    assert removal_counts(changes) == (2, 0)


def test_numbers_added_since_a_loss_do_not_release_it() -> None:
    before = stored_data(
        unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)},
        listed_count=10,
        added_since_first_missing=range(5, 11),
    )
    assert removal_counts(decide_changes(parsed_response(known_count=9, missing_ids=[1]), before, GUARD)) == (0, 1)


def test_a_newly_missing_number_is_compared_with_all_numbers_listed_now() -> None:
    before = stored_data(
        unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)},
        listed_count=10,
        added_since_first_missing=range(5, 11),
    )
    changes = decide_changes(parsed_response(known_count=8, missing_ids=[1, 2]), before, GUARD)
    # Two of the 10 numbers listed now are missing, but two of the 4 that were listed before number 1 was first missed.
    assert changes.presence_updates == [presence_update(2, LAST_SUCCESS, NOW, NOW)]
    assert removal_counts(changes) == (1, 1)


@pytest.mark.parametrize(("first_listed", "is_removed"), [(9, True), (8, False)])  # 2 of 10, 2 of 9
@pytest.mark.parametrize(
    ("missing_ids", "removed_in_hold", "returned_in_hold"),
    [([1, 11], [], []), ([1], [11], []), ([1], [], [11])],
    ids=["missing", "removed", "returned"],
)
def test_a_number_added_since_a_loss_and_lost_itself_counts_the_same_before_and_after_its_removal(
    missing_ids: list[int], removed_in_hold: list[int], returned_in_hold: list[int], first_listed: int, is_removed: bool
) -> None:
    added = {11, 12, 13} - set(removed_in_hold)
    before = stored_data(
        unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)},
        listed_count=first_listed + len(added),
        removed_in_hold=removed_in_hold,
        returned_in_hold=returned_in_hold,
        added_since_first_missing=added,
    )
    changes = decide_changes(parsed_response(known_count=8, missing_ids=missing_ids), before, GUARD)
    assert (presence_update(1, EARLIER_SUCCESS, LAST_SUCCESS, LAST_SUCCESS) in changes.removed) is is_removed


def test_numbers_past_the_hold_time_do_not_hold_others() -> None:
    since = NOW - HOLD
    before = stored_data(
        unread={number: unread_number(EARLIER_SUCCESS, since) for number in range(1, 51)}, listed_count=100
    )
    changes = decide_changes(parsed_response(known_count=49, missing_ids=range(1, 52)), before, GUARD)
    assert removal_counts(changes) == (51, 0)


def test_numbers_past_the_hold_time_do_not_count_as_listed() -> None:
    before = stored_data(
        unread={number: unread_number(EARLIER_SUCCESS, NOW - HOLD) for number in range(1, 6)}, listed_count=10
    )
    changes = decide_changes(parsed_response(known_count=3, missing_ids=range(1, 8)), before, GUARD)  # 2 of 5
    assert removal_counts(changes) == (5, 2)


@pytest.mark.parametrize(
    ("missing_for", "is_removed"),
    [(HOLD - timedelta(microseconds=1), False), (HOLD, True), (HOLD + timedelta(microseconds=1), True)],
)
def test_a_held_removal_is_applied_when_the_hold_time_is_reached(missing_for: timedelta, is_removed: bool) -> None:
    since = NOW - missing_for
    before = stored_data(unread={1: unread_number(EARLIER_SUCCESS, since)}, listed_count=2)
    changes = decide_changes(parsed_response(known_count=1, missing_ids=[1]), before, GUARD)
    assert changes.presence_updates == ([presence_update(1, EARLIER_SUCCESS, since, since)] if is_removed else [])
    assert removal_counts(changes) == ((1, 0) if is_removed else (0, 1))


def test_each_held_removal_has_its_own_hold_time() -> None:
    old, young = NOW - HOLD, NOW - HOLD + timedelta(seconds=1)
    before = stored_data(
        unread={
            1: unread_number(EARLIER_SUCCESS, old),
            2: unread_number(EARLIER_SUCCESS, young),
            4: unread_number(EARLIER_SUCCESS, None),
        },
        listed_count=5,
    )
    changes = decide_changes(parsed_response(known_count=1, missing_ids=[1, 2, 3, 4]), before, GUARD)
    assert changes.presence_updates == [
        presence_update(1, EARLIER_SUCCESS, old, old),
        presence_update(3, LAST_SUCCESS, NOW, None),
        presence_update(4, EARLIER_SUCCESS, NOW, None),
    ]
    assert removal_counts(changes) == (1, 3)


def test_without_a_hold_time_a_removal_is_applied_at_once() -> None:
    changes = decide_changes(
        parsed_response(known_count=1, missing_ids=[1, 2]),
        stored_data(listed_count=3),
        RemovalGuard(0, timedelta(), confirmations=1),
    )
    assert changes.presence_updates == [
        presence_update(1, LAST_SUCCESS, NOW, NOW),
        presence_update(2, LAST_SUCCESS, NOW, NOW),
    ]


def test_removals_an_operator_accepts_are_applied_and_dated_when_first_missed() -> None:
    before = stored_data(unread={1: unread_number(EARLIER_SUCCESS, LAST_SUCCESS)}, listed_count=3)
    changes = decide_changes(parsed_response(known_count=1, missing_ids=[1, 2]), before, ACCEPTING_GUARD)
    assert changes.presence_updates == [
        presence_update(1, EARLIER_SUCCESS, LAST_SUCCESS, LAST_SUCCESS),
        presence_update(2, LAST_SUCCESS, NOW, NOW),
    ]
    assert removal_counts(changes) == (2, 0)


@pytest.mark.parametrize(
    "guard", [GUARD, RemovalGuard(1, HOLD, 1), RemovalGuard(0.2, timedelta(), 1), RemovalGuard(1, timedelta(), 1)]
)
def test_an_empty_list_never_removes_a_number(guard: RemovalGuard) -> None:
    before = stored_data(unread={1: unread_number(EARLIER_SUCCESS, NOW - 2 * HOLD)}, listed_count=100)
    changes = decide_changes(parsed_response(missing_ids=[1, 2]), before, guard)
    assert changes.presence_updates == [PresenceUpdate(2, LAST_SUCCESS, NOW)]
    assert removal_counts(changes) == (0, 2)


def test_an_empty_list_removes_all_numbers_if_an_operator_accepts_it() -> None:
    changes = decide_changes(parsed_response(missing_ids=[1, 2]), stored_data(listed_count=2), ACCEPTING_GUARD)
    assert changes.presence_updates == [
        PresenceUpdate(1, LAST_SUCCESS, NOW, NOW),
        PresenceUpdate(2, LAST_SUCCESS, NOW, NOW),
    ]


@pytest.mark.parametrize("guard", [GUARD, RemovalGuard(0.2, HOLD, 2), RemovalGuard(1, timedelta(), 1)])
def test_a_record_whose_id_cannot_be_read_holds_all_removals(guard: RemovalGuard) -> None:
    before = stored_data(unread={1: unread_number(EARLIER_SUCCESS, NOW - 2 * HOLD)}, listed_count=100)
    changes = decide_changes(
        parsed_response(known_count=98, rejections=[rejection(None)], missing_ids=[1, 2]), before, guard
    )
    assert changes.presence_updates == [PresenceUpdate(2, LAST_SUCCESS, NOW)]
    assert removal_counts(changes) == (0, 2)


def test_a_rejected_record_whose_id_can_be_read_holds_no_removal() -> None:
    changes = decide_changes(
        parsed_response(known_count=8, rejections=[rejection(1)], missing_ids=[2]),
        stored_data({1: stored_number(record(1))}, listed_count=10),
        GUARD,
    )
    assert changes.presence_updates == [
        presence_update(1, LAST_SUCCESS, None, None),
        presence_update(2, LAST_SUCCESS, NOW, NOW),
    ]
    assert removal_counts(changes) == (1, 0)


def test_other_changes_are_applied_while_removals_are_held() -> None:
    numbers = {1: stored_number(record(1))}
    changes = decide_changes(
        parsed_response(record(1, state="freeze"), record(9), missing_ids=[2, 3]),
        stored_data(numbers, listed_count=3),
        GUARD,
    )
    assert nonzero_counters(changes) == {"received": 2, "changed": 1, "state_changes": 1, "created": 1, "held": 2}


def test_a_first_success_is_applied_even_if_the_list_is_empty() -> None:
    changes = decide_changes(parsed_response(), NO_SUCCESS_YET, GUARD)
    assert writes_no_data(changes)
    assert not changes.is_empty


def test_an_empty_list_is_unchanged_if_no_number_was_listed() -> None:
    assert decide_changes(parsed_response(), stored_data(listed_count=0), GUARD).is_empty


def test_a_number_only_rejected_until_now_has_no_lower_bound() -> None:
    element = record(1, from_redirect_numbers=[redirect(9, "79")])
    before = StoredData(StoredNumbers(rejected_by={1: 8}), stored_data().account)
    changes = decide_changes(parsed_response(element, record(2)), before, GUARD)
    assert changes.created == [
        NewVersion(1, column_values(element), {}, None),
        NewVersion(2, column_values(record(2)), {}, LAST_SUCCESS),
    ]
    assert changes.opened_redirects == [RedirectChange(1, 9, "79", None)]


def test_counters_count_numbers() -> None:
    removed = {
        number: stored_number(record(number), last_read_at=EARLIER_SUCCESS, removal=REMOVAL) for number in (3, 4, 5)
    }
    listed = {number: stored_number(record(number)) for number in (6, 7, 8)}
    elements = [record(number, state="freeze", from_redirect_numbers=[redirect(9, "79")]) for number in range(1, 9)]
    changes = decide_changes(parsed_response(*elements), stored_data(removed | listed), GUARD)
    assert nonzero_counters(changes) == {
        "received": 8,
        "created": 2,
        "restored": 3,
        "changed": 3,
        "state_changes": 3,
        "redirects_opened": 8,
    }
    assert changes.column_changes == Counter(state=3, from_redirect_numbers=3)


def test_the_changes_of_all_batches_are_added_up() -> None:
    before = stored_data({number: stored_number(record(number)) for number in (1, 2)}, listed_count=4)
    totals = PollTotals()
    batches = (record(1, comment="a"), without(record(2, comment="b"), "type"))
    for element in batches:
        totals.add(reconcile(parsed_response(element).records, before.numbers, before.account))
    totals.add(
        reconcile_absences(
            parsed_response(known_count=1, missing_ids=[3]), before.account, RemovalGuard(1, HOLD, confirmations=1)
        )
    )
    assert totals == PollTotals(
        counters=Counter(received=1, changed=2, unchanged=1, removed=1),
        compared=2,
        absent_keys=Counter(type=1),
        column_changes=Counter(comment=2),
        fingerprints={fingerprint_of(element): element["id"] for element in batches},
        removed={3},
        is_unchanged=False,
    )


def test_the_extra_keys_of_batches_are_added_up_to_a_limit() -> None:
    totals = PollTotals()
    for extra_keys in ({"a"}, {"b"}, {f"key {index}" for index in range(MAX_RECORD_KEYS - 2)}, {"c"}):
        totals.add(ChangeSet(extra_keys=extra_keys))
    assert {"a", "b", "c"} & totals.extra_keys == {"a", "b"}
    assert len(totals.extra_keys) == MAX_RECORD_KEYS


def test_the_keys_of_compared_records_are_those_that_not_all_of_them_lack() -> None:
    totals = PollTotals()
    assert totals.keys == set()
    for element in (without(record(1, x=1), "comment", "type"), without(record(2), "comment")):
        totals.add(reconcile(parsed_response(element).records, stored_data().numbers, stored_data().account))
    assert totals.keys == {*record(), "x"} - {"comment"}


@pytest.mark.parametrize(("comments", "unchanged"), [(["", ""], True), (["new", ""], False), (["", "new"], False)])
def test_a_response_is_unchanged_if_all_of_its_batches_are(comments: list[str], unchanged: bool) -> None:
    before = stored_data({number: stored_number(record(number, comment="")) for number in (1, 2)})
    totals = PollTotals()
    for number, comment in enumerate(comments, start=1):
        totals.add(reconcile(parsed_response(record(number, comment=comment)).records, before.numbers, before.account))
    assert totals.is_unchanged is unchanged


@pytest.mark.parametrize(
    ("totals", "changes"),
    [(PollTotals(), False), (PollTotals(fingerprints={b"d" * 16: 1}), True), (PollTotals(removed={1}), True)],
)
def test_fingerprints_change_if_some_are_written_or_a_number_is_removed(totals: PollTotals, changes: bool) -> None:
    assert totals.has_fingerprint_changes is changes


# Sequences of polls, with an in-memory database to which the change sets are applied.


@dataclass
class Period:
    """A period of a state and reason, or of a redirect."""

    value: Any
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
    believable_missing_since: datetime | None = None
    believable_missing_from: int | None = None
    removal: StartedRun | None = None
    last_removed_at: datetime = NEVER
    states: list[Period] = field(default_factory=list)
    redirects: list[Period] = field(default_factory=list)

    def redirects_valid_to(self, valid_to: datetime | None) -> frozenset[tuple[int, str]]:
        return frozenset(period.value for period in self.redirects if period.valid_to == valid_to)

    def row(self) -> StoredNumber:
        redirects = self.redirects_valid_to(self.removed_at)
        return StoredNumber(self.values, redirects, self.extra, self.last_read_at, self.removal)


def state_of(values: tuple[Any, ...]) -> tuple[Any, Any]:
    """The state and the reason among the values of a version."""
    return values[COLUMNS.index("state")], values[COLUMNS.index("reason")]


@dataclass
class FakeDatabase:
    """What a database would contain of an account after the polls so far."""

    numbers: dict[int, Number] = field(default_factory=dict)
    fingerprints: dict[bytes, int] = field(default_factory=dict)
    last_response: Elements = field(default_factory=Elements)
    rejected_fingerprints: frozenset[bytes] = frozenset()
    last_started_at: datetime | None = None
    run_id: int = 0
    believable_run: StartedRun | None = None
    believable_count: int = 0

    def poll(
        self, body: bytes, guard: RemovalGuard, *, after: timedelta = timedelta(hours=1)
    ) -> tuple[ParsedResponse, ChangeSet]:
        """Polls once; the poll starts `after` the previous one and takes a minute."""
        started_at = EARLIER_SUCCESS if self.last_started_at is None else self.last_started_at + after
        self.run_id += 1
        run = StartedRun(self.run_id, started_at)
        not_removed = {key for key, number in self.numbers.items() if number.removed_at is None}
        fingerprints = Fingerprints(
            self.fingerprints, frozenset(not_removed - set(self.fingerprints.values())), self.last_response
        )
        parsed = parse_response(body, fingerprints, None)
        self.last_response = parsed.elements
        now = started_at + timedelta(minutes=1)
        requested_ids = parsed.records.keys() | {rejected.virtual_number_id for rejected in parsed.rejections}
        recently_removed = {key for key, number in self.numbers.items() if number.last_removed_at > now - guard.hold}
        numbers = StoredNumbers({key: number.row() for key, number in self.numbers.items() if key in requested_ids})
        stored_account = StoredAccount(
            observed_at=now,
            success_started_at=self.last_started_at,
            unread={
                key: UnreadNumber(
                    number.last_read_at,
                    number.missing_since,
                    number.believable_missing_since,
                    number.believable_missing_from,
                )
                for key, number in self.numbers.items()
                if number.last_read_at is not None and number.removed_at is None
            },
            listed_count=len(fingerprints),
            removed_in_hold={key for key in recently_removed if self.numbers[key].removed_at is not None},
            returned_in_hold={key for key in recently_removed if self.numbers[key].removed_at is None},
            added_since_first_missing=self._added_since_first_missing(parsed, now - guard.hold),
            rejected_fingerprints=self.rejected_fingerprints,
            believable_run=self.believable_run,
            believable_count=self.believable_count,
        )
        changes = decide_changes(parsed, StoredData(numbers, stored_account), guard)
        self._apply(changes, now, run)
        if parsed.is_believable:
            self.believable_run = run
            self.believable_count += 1
        self.rejected_fingerprints = frozenset(rejected.fingerprint for rejected in parsed.rejections)
        self.last_started_at = started_at
        return parsed, changes

    def _added_since_first_missing(self, parsed: ParsedResponse, earliest: datetime) -> set[int]:
        """The numbers created or restored since the oldest removal still within the hold time was first missed."""
        missing_since = [
            number.missing_since
            for number in (self.numbers[key] for key in parsed.missing_ids)
            if number.missing_since is not None
            and (number.believable_missing_since is None or number.believable_missing_since > earliest)
        ]
        if not missing_since:
            return set()
        added = set()
        for key, number in self.numbers.items():
            ends = {period.valid_to for period in number.states}
            begins = [period.valid_from for period in number.states if period.valid_from not in ends]
            if max(begins) >= min(missing_since):
                added.add(key)
        return added

    def _apply(self, changes: ChangeSet, now: datetime, run: StartedRun) -> None:
        for version in changes.created:
            assert version.virtual_number_id not in self.numbers
            states = [Period(state_of(version.values), version.changed_after, now)]
            self.numbers[version.virtual_number_id] = Number(version.values, version.extra, states=states)
        state_changes = 0
        for version in changes.replaced:
            number = self.numbers[version.virtual_number_id]
            has_new_state = state_of(version.values) != state_of(number.values)
            if has_new_state and number.removed_at is None:
                self._close(number.states, None, now, version.changed_after)
                state_changes += 1
            if has_new_state or number.removed_at is not None:
                number.states.append(Period(state_of(version.values), version.changed_after, now))
            number.values, number.extra = version.values, version.extra
            number.last_read_at = number.missing_since = number.removed_at = number.removal = None
            number.believable_missing_since = number.believable_missing_from = None
        assert changes.counters["state_changes"] == state_changes
        for key, extra in changes.extra_updates:
            self.numbers[key].extra = extra
        for change in changes.closed_redirects:
            redirect_key = (change.redirect_number_id, change.number)
            self._close(self.numbers[change.virtual_number_id].redirects, redirect_key, now, change.changed_after)
        for presence in changes.presence_updates:
            self._update_presence(self.numbers[presence.virtual_number_id], presence, run)
        for change in changes.opened_redirects:
            redirects = self.numbers[change.virtual_number_id].redirects
            redirects.append(Period((change.redirect_number_id, change.number), change.changed_after, now))
        outdated = {presence.virtual_number_id for presence in changes.removed} | changes.fingerprints.keys()
        self.fingerprints = {fingerprint: key for fingerprint, key in self.fingerprints.items() if key not in outdated}
        self.fingerprints.update((fingerprint, key) for key, fingerprint in changes.fingerprints.items())

    def _update_presence(self, number: Number, presence: PresenceUpdate, run: StartedRun) -> None:
        number.last_read_at, number.missing_since = presence.last_read_at, presence.missing_since
        number.removed_at = presence.removed_at
        number.believable_missing_since = presence.believable_missing_since
        number.believable_missing_from = presence.believable_missing_from
        if presence.removed_at is not None:
            number.removal = run
            number.last_removed_at = presence.removed_at
            self._close(number.states, None, presence.removed_at, presence.last_read_at)
            for key in number.redirects_valid_to(None):
                self._close(number.redirects, key, presence.removed_at, presence.last_read_at)

    @staticmethod
    def _close(periods: list[Period], value: Any, valid_to: datetime, closed_after: datetime | None) -> None:
        (period,) = (
            candidate for candidate in periods if candidate.valid_to is None and value in (None, candidate.value)
        )
        period.valid_to, period.closed_after = valid_to, closed_after

    def require_invariants(self) -> None:
        """Checks invariants 1 to 4 of the contract, as far as the comparison is responsible for them."""
        for number in self.numbers.values():
            open_states = [period.value for period in number.states if period.valid_to is None]
            assert open_states == ([state_of(number.values)] if number.removed_at is None else [])
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
            still_open = [period.value for period in number.redirects if period.valid_to is None]
            assert len(still_open) == len(set(still_open))


def encode_list(elements: Iterable[dict[str, Any] | str]) -> bytes:
    return json.dumps(list(elements)).encode()


_redirects = st.lists(st.builds(redirect, st.integers(8, 9), st.sampled_from(["A", "B"])), max_size=2)


@st.composite
def _elements(draw: st.DrawFn) -> dict[str, Any] | str:
    number = draw(st.integers(1, 5))
    if draw(st.integers(0, 9)) == 0:
        invalid: list[dict[str, Any] | str] = [{"id": number}, {"id": number, "number": ""}, "?"]
        return invalid[draw(st.integers(0, len(invalid) - 1))]
    element = record(
        number,
        state=draw(st.sampled_from(["active", "freeze"])),
        reason=draw(st.sampled_from([None, "debt"])),
        comment=draw(st.sampled_from([None, "a"])),
        from_redirect_numbers=draw(st.none() | _redirects),
    )
    element |= draw(st.sampled_from([{}, {}, {"x": 1}, {"x": 1.0}, {"x": [True]}]))
    return without(element, *draw(st.sampled_from([(), (), ("comment",), ("from_redirect_numbers", "reason")])))


_responses = st.lists(_elements(), max_size=6)
_guards = st.builds(
    RemovalGuard,
    st.sampled_from([0, 0.2, 0.5, 1]),
    st.sampled_from([timedelta(), timedelta(hours=1), timedelta(hours=2)]),
    st.integers(1, 3),
    st.booleans(),
)


@given(st.lists(st.tuples(_responses, _guards), min_size=1, max_size=5))
@settings(deadline=None, max_examples=150)
def test_an_applied_response_is_unchanged_when_repeated_and_history_stays_consistent(
    polls: list[tuple[list[dict[str, Any] | str], RemovalGuard]],
) -> None:
    database = FakeDatabase()
    for elements, guard in polls:
        parsed, changes = database.poll(encode_list(elements), guard)
        database.require_invariants()
        counters = changes.counters
        kinds = ("created", "changed", "unchanged", "restored", "rejected")
        assert parsed.received == sum(counters[kind] for kind in kinds) + parsed.repeated == len(elements)
        assert counters["removed"] == len(changes.removed)
        assert counters["removed"] + counters["held"] + counters["unconfirmed"] == len(parsed.missing_ids)
        assert counters["changed"] + counters["restored"] >= len(changes.replaced)
        assert changes.is_empty <= writes_no_data(changes)
    _, again = database.poll(encode_list(reversed(elements)), ZERO_RATIO_GUARD)
    assert again.is_empty
    assert writes_no_data(again)
    assert again.counters["held"] + again.counters["unconfirmed"] == counters["held"] + counters["unconfirmed"]


@given(
    st.lists(st.tuples(st.sets(st.integers(1, 12), max_size=4), st.booleans()), min_size=2, max_size=6),
    st.sampled_from([0.2, 0.25, 0.5]),
)
@settings(deadline=None, max_examples=200)
def test_a_response_polled_again_changes_nothing_whatever_numbers_came_and_went(
    polls: list[tuple[set[int], bool]], ratio: float
) -> None:
    """In each poll some numbers come or go, and one id may be unreadable. No hold time ends within the half hours."""
    database, guard, half_an_hour = (
        FakeDatabase(),
        RemovalGuard(ratio, timedelta(hours=2), confirmations=1),
        timedelta(minutes=30),
    )
    numbers = set(range(1, 10))
    database.poll(encode_list(map(record, numbers)), guard)
    for others, is_readable in polls:
        numbers ^= others
        body = encode_list([*map(record, numbers), *([] if is_readable else ["?"])])
        _, changes = database.poll(body, guard, after=half_an_hour)
        _, again = database.poll(body, guard, after=half_an_hour)
        assert again.is_empty
        assert again.counters["held"] == changes.counters["held"]


@given(_responses, _responses)
@settings(deadline=None, max_examples=100)
def test_after_a_response_with_all_removals_applied_the_database_equals_the_response(
    before: list[dict[str, Any] | str], after: list[dict[str, Any] | str]
) -> None:
    database = FakeDatabase()
    database.poll(encode_list(before), GUARD)
    valid = [record(99), *(record() | element for element in after if isinstance(element, dict) and "state" in element)]
    by_id = {element["id"]: element for element in valid}
    database.poll(encode_list(by_id.values()), RemovalGuard(1, HOLD, confirmations=1))
    not_removed = {key: number for key, number in database.numbers.items() if number.removed_at is None}
    assert {key: number.values for key, number in not_removed.items()} == {
        key: column_values(element) for key, element in by_id.items()
    }
    assert {key: number.redirects_valid_to(None) for key, number in not_removed.items()} == {
        key: stored_number(element).redirects for key, element in by_id.items()
    }


def test_a_number_removed_late_and_restored_later_has_two_periods_with_their_lower_bounds() -> None:
    database = FakeDatabase()
    guard = RemovalGuard(0, timedelta(hours=2), confirmations=1)
    both, one = encode_list([record(1), record(2)]), encode_list([record(2)])
    for body in (both, one, one, one, one, both):
        database.poll(body, guard)
    starts = [EARLIER_SUCCESS + timedelta(hours=hour) for hour in range(6)]
    minute = timedelta(minutes=1)
    assert database.numbers[1].states == [
        Period(("active", None), None, starts[0] + minute, starts[1] + minute, starts[0]),
        Period(("active", None), starts[4], starts[5] + minute),
    ]
