"""Parsing a response: known, unmatched, repeated and rejected elements, missing numbers, and the account check."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import ValidationError

from syncer.diff.changeset import MAX_RECORD_KEYS
from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.hashed_pieces import hash_ahead, hash_pieces
from syncer.diff.record import Rejection
from syncer.diff.response import (
    MAX_STORED_REJECTIONS,
    ParsedResponse,
    parse_response,
    read_record_keys,
    reject_words,
)
from syncer.diff.stored import Elements, Fingerprints
from syncer.diff.unmatched_records import Span, UnmatchedRecords
from syncer.errors import NotAnArrayError, NotJsonError, WrongAccountError
from tests.builders import APP_ID, record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import Raw

OTHER_APP_ID = 1200055
JsonOrBytes = Any
"""JSON to encode, or bytes that are encoded already."""


def encode(element: JsonOrBytes, indent: int | None = None) -> bytes:
    return element if isinstance(element, bytes) else json.dumps(element, ensure_ascii=False, indent=indent).encode()


def reformat(element: dict[str, Any]) -> bytes:
    """Encodes the same content as other bytes."""
    return json.dumps(dict(reversed(element.items())), indent=1).encode()


def encode_list(*elements: JsonOrBytes) -> bytes:
    return b"[" + b", ".join(map(encode, elements)) + b"]"


def stored_fingerprints(*elements: tuple[int, JsonOrBytes], without_fingerprint: Sequence[int] = ()) -> Fingerprints:
    """Fingerprints of numbers that were last read from these elements, and numbers without a fingerprint."""
    return Fingerprints(
        {UNKEYED(encode(element)): number_id for number_id, element in elements}, frozenset(without_fingerprint)
    )


NO_FINGERPRINTS = Fingerprints()
NO_RECORDS = UnmatchedRecords(b"", {})


def payloads(parsed: ParsedResponse) -> list[bytes]:
    return [rejection.payload for rejection in parsed.rejections]


def conflict_rejection(number_id: int, element: JsonOrBytes) -> Rejection:
    """The rejection of an element whose content differs from that of another with its id."""
    return Rejection(
        number_id,
        json.loads(encode(element)).get("app_id"),
        f"another element of the same response has the id {number_id} and different content",
        encode(element),
        UNKEYED(encode(element)),
    )


def test_an_empty_list_for_an_account_without_numbers_changes_nothing() -> None:
    assert parse_response(b"[]", NO_FINGERPRINTS, None) == ParsedResponse(
        received=0, repeated=0, known_count=0, records=NO_RECORDS, rejections=(), missing_ids=frozenset(), app_id=None
    )


def test_every_element_of_a_first_response_is_decoded() -> None:
    parsed = parse_response(encode_list(record(1), record(2), {"id": 3, "number": "7"}), NO_FINGERPRINTS, None)
    assert (parsed.received, parsed.repeated, parsed.known_count, parsed.app_id) == (3, 0, 0, APP_ID)
    assert list(parsed.records) == [1, 2]
    assert [(one.virtual_number_id, one.error, one.fingerprint) for one in parsed.rejections] == [
        (3, "Object missing required field `state`", UNKEYED(b'{"id": 3, "number": "7"}'))
    ]


def test_a_long_response_loses_no_element() -> None:
    elements = [record(number) for number in range(1, 101)]
    parsed = parse_response(encode_list(*elements), stored_fingerprints(*enumerate(elements[:10], start=1)), APP_ID)
    assert (parsed.received, parsed.known_count, list(parsed.records)) == (100, 10, [*range(11, 101)])


def test_popped_batches_are_sorted_by_id_and_removed() -> None:
    records = parse_response(encode_list(*map(record, (5, 3, 1, 4, 2))), NO_FINGERPRINTS, None).records
    batches = records.pop_batches(2)
    assert [list(next(batches)), len(records)] == [[1, 2], 3]
    assert [[(number, one.virtual_number_id) for number, one in batch.items()] for batch in batches] == [
        [(3, 3), (4, 4)],
        [(5, 5)],
    ]
    assert len(records) == 0


def test_after_a_small_first_batch_each_has_at_most_twice_as_many_records() -> None:
    spans = {number: Span(0, 0) for number in range(1, 26)}
    batches = UnmatchedRecords(b"", spans).pop_batches(9, first_size=2)
    assert [len(batch) for batch in batches] == [2, 4, 8, 9, 2]
    assert [
        len(batch) for batch in UnmatchedRecords(b"", {1: Span(0, 0), 2: Span(0, 0)}).pop_batches(1, first_size=2)
    ] == [
        1,
        1,
    ]


def test_a_batch_has_no_more_bytes_than_the_limit_unless_it_is_a_single_record() -> None:
    spans, end = {}, 100
    for number_id, length in enumerate((3, 3, 1, 7, 2, 4), start=1):
        spans[number_id] = Span(end, end + length)
        end += length
    content_hash = ContentHash(b"key")
    batches = list(UnmatchedRecords(b"", spans, content_hash).pop_batches(10, max_bytes=6))
    assert [list(batch) for batch in batches] == [[1, 2], [3], [4], [5, 6]]
    assert [batch.content_hash for batch in batches] == [content_hash] * 4


def test_records_with_a_word_that_is_not_stored_are_rejected() -> None:
    elements = [record(1, type="new"), record(2, type="def"), record(3, region_name="Луна", type="def")]
    parsed = parse_response(encode_list(*elements), NO_FINGERPRINTS, None)
    refused = reject_words(parsed, {"type": {"new", "newer"}, "region_name": {"Луна"}})
    assert list(refused.records) == [2]
    assert refused.rejections == tuple(
        Rejection(
            number_id,
            APP_ID,
            f"its {field_name} is one of too many that are new in this response: the next polls store more of them",
            encode(element),
            UNKEYED(encode(element)),
        )
        for number_id, field_name, element in ((1, "type", elements[0]), (3, "region_name", elements[2]))
    )


def test_of_records_rejected_for_a_word_only_as_many_as_are_stored_have_their_texts() -> None:
    elements = [record(number_id, type="new") for number_id in (1, 2)]
    parsed = parse_response(encode_list(*elements), NO_FINGERPRINTS, None)
    others = (conflict_rejection(9, record(9)),) * (MAX_STORED_REJECTIONS - 1)
    *_, stored, counted = reject_words(replace(parsed, rejections=others), {"type": {"new"}}).rejections
    assert (stored.virtual_number_id, stored.payload, bool(stored.error)) == (1, encode(elements[0]), True)
    assert (counted.virtual_number_id, counted.payload, counted.error) == (2, b"", "")


def test_the_keys_of_known_and_of_compared_records_are_read() -> None:
    elements = [record(1, a=1), record(2, b=1, **{"y" * 101: 1}), record(3, c=1)]
    known = stored_fingerprints((1, elements[0]))
    parsed = parse_response(encode_list(*elements), known, None)
    compared = {UNKEYED(encode(elements[1]))}
    assert read_record_keys(parsed, known, compared, {"a", "b", "c", "d", "y" * 100}) == {"a", "b", "y" * 100}
    assert read_record_keys(parsed, known, compared, {"a"}) == {"a"}
    assert read_record_keys(parsed, known, compared, None) == {*record(), "a", "b", "y" * 100}


def test_keys_are_read_until_the_wanted_ones_or_enough_are_found() -> None:
    elements = [record(1, **{f"key {index}": 1 for index in range(MAX_RECORD_KEYS)}), b"this cannot be decoded"]
    known = stored_fingerprints(*enumerate(elements, start=1))
    parsed = ParsedResponse(
        received=2,
        repeated=0,
        known_count=2,
        records=UnmatchedRecords(encode_list(elements[0], '"x"'), {}),
        rejections=(),
        missing_ids=frozenset(),
        app_id=None,
        elements=Elements([UNKEYED(encode(element)) for element in elements], [1, 2]),
    )
    assert read_record_keys(parsed, known, (), {"key 7"}) == {"key 7"}
    assert len(read_record_keys(parsed, known, (), None)) >= MAX_RECORD_KEYS
    with pytest.raises(ValidationError):
        read_record_keys(parsed, known, (), {"other"})


def test_more_records_than_one_sort_chunk_are_still_sorted_by_id() -> None:
    numbers = [*range(250_000, 0, -2), *range(1, 250_000, 2)]
    batches = UnmatchedRecords(b"", {number: Span(0, 0) for number in numbers}).pop_batches(60_000)
    assert [list(batch) for batch in batches] == [
        [*range(first, min(first + 60_000, 250_001))] for first in range(1, 250_001, 60_000)
    ]


def test_lookup_values_are_collected_from_unmatched_elements_without_null_and_absent_ones() -> None:
    elements = [
        record(1, type="abc", purpose="employee", state="freeze", region_name="Москва"),
        without(record(2, type=None, region_name="Москва"), "purpose"),
        record(3, type="def", state="active", region_name=None),
    ]
    stored = stored_fingerprints((4, record(4, state="known")))
    assert parse_response(encode_list(*elements, record(4, state="known")), stored, None).lookup_values == {
        "type": {"abc", "def"},
        "purpose": {"company", "employee"},
        "state": {"freeze", "active"},
        "region_name": {"Москва"},
    }


def test_a_record_has_the_fingerprint_of_its_bytes_as_received() -> None:
    element = b'{ "id": 1,\t"number": "7", "state": "\\ud800" }'
    parsed = parse_response(b" [ " + element + b" ] ", NO_FINGERPRINTS, None)
    assert parsed.records[1].fingerprint == UNKEYED(element)


@pytest.mark.parametrize(
    "between", [b",", b" ,\n\t ", b"," + b" " * 2**17], ids=["a comma", "a new line", "much white space"]
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf\n"], ids=["nothing before", "a byte order mark"])
def test_records_are_located_whatever_separates_them(before: bytes, between: bytes) -> None:
    elements = {number: encode(record(number)) for number in range(1, 400)}
    known = {number: element for number, element in elements.items() if number % 7 in {0, 1, 4}}
    parsed = parse_response(
        before + b"[" + between.join([b"0", *elements.values()]) + b"]",
        Fingerprints({UNKEYED(element): number for number, element in known.items()}),
        APP_ID,
    )
    unmatched_ids = elements.keys() - known.keys()
    assert {number: one.fingerprint for number, one in parsed.records.items()} == {
        number: UNKEYED(elements[number]) for number in unmatched_ids
    }


@pytest.mark.parametrize(("body", "error"), [(b"[1", NotJsonError), (b"", NotJsonError), (b"{}", NotAnArrayError)])
def test_a_body_that_is_not_an_array_is_refused(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_response(body, stored_fingerprints((1, record(1))), APP_ID)


def test_a_list_of_tiny_elements_is_refused() -> None:
    with pytest.raises(NotAnArrayError) as caught:
        parse_response(b"[" + b"0," * 20_000 + b"0]", NO_FINGERPRINTS, None)
    assert str(caught.value) == (
        "the endpoint answered with an array of 10,626 elements in 21,253 bytes, and at most 10,625 are accepted in "
        "so few, since the vendor's records are longer: nothing was changed; check SYNCER_API_URL, and ask the vendor "
        "if it is right"
    )


def test_two_hundred_thousand_elements_may_be_shorter_than_is_typical() -> None:
    body = encode_list(*[b'{"id":1,"number":"1","state":"s"}'] * 230_000)
    with pytest.raises(NotAnArrayError) as caught:
        parse_response(body, NO_FINGERPRINTS, None)
    assert str(caught.value) == (
        "the endpoint answered with an array of 226,512 elements in 7,927,920 bytes, and at most 226,426 are accepted "
        "in so few, since the vendor's records are longer: nothing was changed; check SYNCER_API_URL, and ask the "
        "vendor if it is right"
    )
    assert parse_response(body[: 35 * 200_000 - 1] + b"]", NO_FINGERPRINTS, None).received == 200_000


def test_ten_thousand_combinations_of_words_are_accepted_and_records_with_further_ones_are_rejected() -> None:
    records = [record(number, state=f"s{number}", region_name=f"r{number}") for number in range(1, 10_003)]
    parsed = parse_response(encode_list(*records, record(10_003, state="s1", region_name="r1")), NO_FINGERPRINTS, None)
    assert (len(parsed.records), 10_003 in parsed.records, len(parsed.lookup_values["state"])) == (10_001, True, 10_000)
    assert [(rejection.virtual_number_id, rejection.error) for rejection in parsed.rejections] == [
        (
            number,
            "its type, purpose, state, region_name are one of too many combinations that are new in this response",
        )
        for number in (10_001, 10_002)
    ]


@pytest.mark.parametrize("between", [b",", b", "], ids=["decoded together", "decoded one by one"])
def test_the_bounds_of_words_and_redirects_hold_however_records_are_decoded(between: bytes) -> None:
    words = [record(number, state=f"s{number}", region_name=f"r{number}") for number in range(1, 10_003)]
    redirects = [redirect(number, f"7{number}") for number in range(1, 20_002)]
    elements = map(encode, [*words, record(10_003, state="s1", region_name="r1")])
    parsed = parse_response(b"[" + between.join(elements) + b"]", NO_FINGERPRINTS, None)
    assert (set(parsed.records), parsed.has_deferred) == ({*range(1, 10_001), 10_003}, True)

    elements = map(encode, [record(1, from_redirect_numbers=redirects), record(2, from_redirect_numbers=redirects)])
    parsed = parse_response(b"[" + between.join(elements) + b"]", NO_FINGERPRINTS, None)
    assert (set(parsed.records), parsed.has_deferred) == ({1}, True)


def test_the_payloads_of_a_response_are_cut_to_four_kibibytes_once_there_are_four_mebibytes_of_them() -> None:
    broken = [{"id": number, "comment": "x" * 70_000} for number in range(1, 101)]
    payloads = [
        rejection.payload for rejection in parse_response(encode_list(*broken), NO_FINGERPRINTS, None).rejections
    ]
    assert [len(payload) for payload in payloads] == [65_536] * 64 + [4_096] * 36


def test_a_batch_has_few_values_however_short_they_are() -> None:
    records = [record(number, future=[0] * 60_000) for number in range(1, 8)]
    batches = parse_response(encode_list(*records), NO_FINGERPRINTS, None).records.pop_batches(5)
    assert list(map(list, batches)) == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_known_element_is_not_decoded() -> None:
    parsed = parse_response(encode_list("this is no record"), stored_fingerprints((7, "this is no record")), APP_ID)
    assert parsed == ParsedResponse(
        received=1, repeated=0, known_count=1, records=NO_RECORDS, rejections=(), missing_ids=frozenset(), app_id=None
    )


def test_a_known_element_is_not_decoded_when_others_are_unmatched() -> None:
    parsed = parse_response(
        encode_list("this is no record", record(8)), stored_fingerprints((7, "this is no record")), APP_ID
    )
    assert (parsed.known_count, list(parsed.records), parsed.rejections) == (1, [8], ())


def test_an_element_without_a_stored_fingerprint_is_decoded_though_its_number_is_stored() -> None:
    parsed = parse_response(
        encode_list(record(1), record(2)), stored_fingerprints((1, record(1)), without_fingerprint=[2]), APP_ID
    )
    assert (parsed.known_count, list(parsed.records), parsed.missing_ids) == (1, [2], frozenset())


def test_a_number_is_missing_if_neither_its_fingerprint_nor_its_id_is_in_the_response() -> None:
    stored = stored_fingerprints((1, record(1)), (2, record(2)), (3, record(3)), without_fingerprint=[4, 5, 6])
    parsed = parse_response(encode_list(record(1), record(2, state="freeze"), record(4), {"id": 5}), stored, APP_ID)
    assert parsed.missing_ids == {3, 6}
    assert (parsed.known_count, list(parsed.records), payloads(parsed)) == (1, [2, 4], [b'{"id": 5}'])


def test_stored_fingerprints_that_no_element_has_have_vanished() -> None:
    stored = stored_fingerprints((1, record(1)), (2, record(2)), (3, record(3)))
    parsed = parse_response(encode_list(record(1), record(2, state="freeze")), stored, APP_ID)
    assert parsed.vanished_fingerprints == {
        UNKEYED(encode(record(2))): 2,
        UNKEYED(encode(record(3))): 3,
    }
    assert parse_response(encode_list(record(1), record(2), record(3)), stored, APP_ID).vanished_fingerprints == {}


def test_an_empty_list_misses_every_number() -> None:
    parsed = parse_response(
        b" [\n] ", stored_fingerprints((1, record(1)), (2, record(2)), without_fingerprint=[3]), APP_ID
    )
    assert (parsed.received, parsed.missing_ids, parsed.app_id) == (0, frozenset({1, 2, 3}), None)


def test_a_number_whose_record_is_rejected_is_not_missing() -> None:
    parsed = parse_response(
        encode_list(record(1, number=""), {"id": 2}),
        stored_fingerprints((1, record(1)), without_fingerprint=[2]),
        APP_ID,
    )
    assert (parsed.known_count, parsed.missing_ids) == (0, frozenset())
    assert [rejection.virtual_number_id for rejection in parsed.rejections] == [1, 2]


def test_a_rejected_element_without_an_id_lists_no_number() -> None:
    parsed = parse_response(encode_list("?"), stored_fingerprints((1, record(1))), APP_ID)
    assert (parsed.missing_ids, parsed.rejections[0].virtual_number_id) == (frozenset({1}), None)


def test_the_order_of_elements_does_not_matter() -> None:
    elements = [record(1), record(2), record(3, state="freeze"), {"id": 4}, "?"]
    stored = stored_fingerprints((1, record(1)), (3, record(3)))
    one, other = (
        parse_response(encode_list(*elements), stored, APP_ID),
        parse_response(encode_list(*reversed(elements)), stored, APP_ID),
    )
    assert one.records == other.records
    assert (one.known_count, one.missing_ids, set(one.rejections)) == (
        other.known_count,
        other.missing_ids,
        set(other.rejections),
    )


def test_identical_elements_count_once() -> None:
    parsed = parse_response(encode_list(record(1), record(1), record(1), "?", "?"), NO_FINGERPRINTS, None)
    assert (parsed.received, parsed.repeated, parsed.known_count) == (5, 3, 0)
    assert (list(parsed.records), payloads(parsed)) == ([1], [b'"?"'])


def test_identical_known_elements_count_once() -> None:
    parsed = parse_response(encode_list(record(1), record(1)), stored_fingerprints((1, record(1))), APP_ID)
    assert (parsed.received, parsed.repeated, parsed.known_count, parsed.records) == (2, 1, 1, NO_RECORDS)


def test_elements_with_the_same_content_count_once() -> None:
    one = record(1, from_redirect_numbers=None, purpose="company", x={"a": 1})
    same = record(1, from_redirect_numbers=[], purpose="сompany", x={"a": 1.0})
    parsed = parse_response(encode_list(one, reformat(one), same), NO_FINGERPRINTS, None)
    assert (parsed.received, parsed.repeated, parsed.rejections) == (3, 2, ())
    assert parsed.records[1].fingerprint == UNKEYED(encode(one))


def test_each_number_may_be_listed_more_than_once() -> None:
    parsed = parse_response(
        encode_list(record(1), reformat(record(1)), record(2), reformat(record(2))), NO_FINGERPRINTS, None
    )
    assert (parsed.received, parsed.repeated, list(parsed.records)) == (4, 2, [1, 2])


def test_an_element_with_the_content_of_a_known_one_is_repeated() -> None:
    known = record(1, from_redirect_numbers=[redirect(249, "74994088157")])
    parsed = parse_response(encode_list(reformat(known), known), stored_fingerprints((1, known)), APP_ID)
    assert (parsed.received, parsed.repeated, parsed.known_count) == (2, 1, 1)
    assert (parsed.records, parsed.rejections, parsed.missing_ids) == (NO_RECORDS, (), frozenset())


def test_a_reformatted_element_is_decoded_again() -> None:
    parsed = parse_response(encode_list(reformat(record(1))), stored_fingerprints((1, record(1))), APP_ID)
    assert (parsed.known_count, list(parsed.records), parsed.missing_ids) == (0, [1], frozenset())


def test_two_elements_of_one_id_that_differ_are_both_rejected() -> None:
    one, other = record(1), record(1, state="freeze")
    parsed = parse_response(encode_list(one, record(2), other), NO_FINGERPRINTS, None)
    assert (parsed.received, parsed.repeated, list(parsed.records)) == (3, 0, [2])
    assert parsed.rejections == (conflict_rejection(1, one), conflict_rejection(1, other))


def test_an_absent_key_makes_two_elements_of_one_id_differ() -> None:
    one, other = record(1), without(record(1), "comment")
    assert parse_response(encode_list(one, other), NO_FINGERPRINTS, None).rejections == (
        conflict_rejection(1, one),
        conflict_rejection(1, other),
    )


def test_one_differing_element_of_three_with_one_id_rejects_all() -> None:
    one, same, other = record(1), reformat(record(1)), record(1, comment="?")
    parsed = parse_response(encode_list(one, same, other, one), NO_FINGERPRINTS, None)
    assert (parsed.received, parsed.repeated, parsed.records) == (4, 1, NO_RECORDS)
    assert set(parsed.rejections) == {
        conflict_rejection(1, one),
        conflict_rejection(1, same),
        conflict_rejection(1, other),
    }


def test_an_element_that_differs_from_the_known_one_rejects_both() -> None:
    known_element, other = record(1), record(1, state="freeze")
    for elements in ([known_element, other], [other, known_element]):
        parsed = parse_response(
            encode_list(*elements, record(2)), stored_fingerprints((1, known_element), (2, record(2))), APP_ID
        )
        assert (parsed.received, parsed.repeated, parsed.known_count, parsed.records) == (3, 0, 1, NO_RECORDS)
        assert set(parsed.rejections) == {conflict_rejection(1, known_element), conflict_rejection(1, other)}
        assert parsed.missing_ids == frozenset()


def test_an_invalid_element_rejects_the_others_with_its_id() -> None:
    invalid = record(1, number="")
    parsed = parse_response(encode_list(invalid, record(1)), NO_FINGERPRINTS, None)
    assert [rejection.error for rejection in parsed.rejections] == [
        "Expected `str` of length >= 1 - at `$.number`",
        "another element of the same response has the id 1 and different content",
    ]
    assert (parsed.records, payloads(parsed)) == (NO_RECORDS, [encode(invalid), encode(record(1))])


def test_an_invalid_element_rejects_the_known_one_with_its_id() -> None:
    invalid = record(1, number="")
    parsed = parse_response(encode_list(record(1), invalid), stored_fingerprints((1, record(1))), APP_ID)
    assert (parsed.known_count, parsed.missing_ids) == (0, frozenset())
    assert payloads(parsed) == [encode(invalid), encode(record(1))]
    assert parsed.rejections[1] == conflict_rejection(1, record(1))


def test_two_invalid_elements_with_one_id_are_two_rejections() -> None:
    parsed = parse_response(
        encode_list({"id": 1}, {"id": 1, "number": ""}), stored_fingerprints((1, record(1))), APP_ID
    )
    assert (len(parsed.rejections), parsed.known_count, parsed.missing_ids) == (2, 0, frozenset())


def test_a_known_element_that_is_not_a_valid_record_conflicts_like_any_other() -> None:
    parsed = parse_response(encode_list("?", record(7)), stored_fingerprints((7, "?")), APP_ID)
    assert (parsed.known_count, parsed.records, parsed.missing_ids) == (0, NO_RECORDS, frozenset())
    assert sorted(payloads(parsed)) == [b'"?"', encode(record(7))]


def test_records_of_another_account_are_refused() -> None:
    with pytest.raises(WrongAccountError) as caught:
        parse_response(
            encode_list(record(1, app_id=OTHER_APP_ID), record(2, app_id=7)),
            stored_fingerprints((1, record(1))),
            APP_ID,
        )
    assert str(caught.value) == (
        "the records carry app_id 7, this account's is 1200054: the token is of another Личный кабинет; nothing was "
        "changed; put the right token back, or give the new one an account name of its own; if the vendor gave the "
        "same Личный кабинет another app_id, run: syncer account accept-app-id NAME"
    )


def test_one_record_of_the_account_is_enough() -> None:
    parsed = parse_response(encode_list(record(1, app_id=OTHER_APP_ID), record(2)), NO_FINGERPRINTS, APP_ID)
    assert list(parsed.records) == [1, 2]


def test_one_known_element_of_the_account_is_enough() -> None:
    parsed = parse_response(
        encode_list(record(1), record(2, app_id=OTHER_APP_ID)), stored_fingerprints((1, record(1))), APP_ID
    )
    assert (parsed.known_count, list(parsed.records)) == (1, [2])


def test_a_known_element_of_another_account_or_of_none_is_not_enough() -> None:
    without_app_id, other_account = record(1, app_id=None), record(2, app_id=OTHER_APP_ID)
    stored = stored_fingerprints((1, without_app_id), (2, other_account))
    with pytest.raises(WrongAccountError):
        parse_response(encode_list(without_app_id, other_account, record(3, app_id=OTHER_APP_ID)), stored, APP_ID)


def test_a_stored_element_that_is_not_in_the_response_is_not_enough() -> None:
    with pytest.raises(WrongAccountError):
        parse_response(encode_list(record(2, app_id=OTHER_APP_ID)), stored_fingerprints((1, record(1))), APP_ID)


@pytest.mark.parametrize(
    "others", [[], [record(3, app_id=None)]], ids=["nothing unmatched", "an unmatched one without an app_id"]
)
def test_known_elements_of_another_account_alone_are_refused_if_a_number_is_missing(others: list[JsonOrBytes]) -> None:
    other_account = record(1, app_id=OTHER_APP_ID)
    with pytest.raises(WrongAccountError, match=f"the records carry app_id {OTHER_APP_ID}, this account's is {APP_ID}"):
        parse_response(
            encode_list(other_account, *others), stored_fingerprints((1, other_account), (2, record(2))), APP_ID
        )


def test_known_elements_of_another_account_alone_are_refused_if_no_number_is_missing() -> None:
    """Those of this account may have been removed by a response whose other records were rejected."""
    other_account = record(1, app_id=OTHER_APP_ID)
    with pytest.raises(WrongAccountError):
        parse_response(encode_list(other_account), stored_fingerprints((1, other_account)), APP_ID)


def test_the_app_id_of_a_rejected_element_does_not_count() -> None:
    own, other = {"id": 1, "app_id": APP_ID}, {"id": 2, "app_id": OTHER_APP_ID}
    with pytest.raises(WrongAccountError):
        parse_response(encode_list(own, record(3, app_id=OTHER_APP_ID)), NO_FINGERPRINTS, APP_ID)
    assert len(parse_response(encode_list(other), NO_FINGERPRINTS, APP_ID).rejections) == 1
    assert parse_response(encode_list(own, {"id": 4, "app_id": 3}), NO_FINGERPRINTS, None).app_id is None
    assert parse_response(encode_list(other, other | {"id": 4}, record(3)), NO_FINGERPRINTS, None).app_id == APP_ID


def test_the_app_id_of_records_that_contradict_each_other_does_not_count() -> None:
    contradicting = [record(1, app_id=3), record(1, app_id=3, comment="x"), record(1, app_id=4)]
    assert parse_response(encode_list(*contradicting), NO_FINGERPRINTS, None).app_id is None
    assert parse_response(encode_list(*contradicting, record(2)), NO_FINGERPRINTS, APP_ID).app_id == APP_ID


@pytest.mark.parametrize("app_id", [APP_ID, OTHER_APP_ID])
def test_the_app_id_of_a_known_element_that_another_one_contradicts_does_not_count(app_id: int) -> None:
    known_element = record(1, app_id=OTHER_APP_ID)
    parsed = parse_response(
        encode_list(known_element, known_element | {"tariff": 1}), stored_fingerprints((1, known_element)), app_id
    )
    assert (len(parsed.rejections), parsed.known_count, list(parsed.records)) == (2, 0, [])


def test_of_equally_frequent_app_ids_the_smallest_counts() -> None:
    records = [record(number, app_id=app_id) for number, app_id in enumerate([9, 7, 8, 8, 7], start=1)]
    assert parse_response(encode_list(*records), NO_FINGERPRINTS, None).app_id == 7


@pytest.mark.parametrize("app_id", [1, 2**63 - 1, 0, -5])
def test_a_known_element_counts_whatever_the_accounts_app_id_is(app_id: int) -> None:
    known_element = record(1, app_id=app_id)
    parsed = parse_response(
        encode_list(known_element, record(2, app_id=OTHER_APP_ID)), stored_fingerprints((1, known_element)), app_id
    )
    assert (parsed.known_count, list(parsed.records)) == (1, [2])


def test_records_without_an_app_id_are_not_another_accounts() -> None:
    elements = [record(1, app_id=None), without(record(2), "app_id"), {"id": 3}, "?"]
    parsed = parse_response(encode_list(*elements), NO_FINGERPRINTS, APP_ID)
    assert (list(parsed.records), len(parsed.rejections), parsed.app_id) == ([1, 2], 2, None)


@pytest.mark.parametrize("body", [b"[]", b"[ ]"])
def test_an_empty_list_is_never_another_accounts(body: bytes) -> None:
    assert parse_response(body, stored_fingerprints((1, record(1))), APP_ID).missing_ids == {1}


def test_an_account_without_an_app_id_accepts_any() -> None:
    parsed = parse_response(encode_list(record(1, app_id=OTHER_APP_ID)), stored_fingerprints((2, record(2))), None)
    assert (list(parsed.records), parsed.app_id) == ([1], OTHER_APP_ID)


@pytest.mark.parametrize(
    ("app_ids", "expected"),
    [
        ([5, 6, 6], 6),
        ([6, 5, 5, 6], 5),
        ([7, 6, 5], 5),
        ([None, None, 9], 9),
        ([None, None], None),
        ([], None),
    ],
)
def test_the_app_id_is_the_most_frequent_one_and_the_smallest_of_a_tie(
    app_ids: list[int | None], expected: int | None
) -> None:
    elements = [record(number, app_id=app_id) for number, app_id in enumerate(app_ids, start=1)]
    assert parse_response(encode_list(*elements), NO_FINGERPRINTS, None).app_id == expected


def test_the_length_of_fingerprints_is_the_count_of_numbers() -> None:
    assert len(stored_fingerprints((1, record(1)), (2, record(2)), without_fingerprint=[3])) == 3
    assert len(NO_FINGERPRINTS) == 0


_records = st.builds(
    lambda number, state, comment: record(number, state=state, comment=comment),
    st.integers(1, 5),
    st.sampled_from(["active", "freeze"]),
    st.sampled_from([None, "a"]),
)
_invalid = st.sampled_from([b'{"id": 1}', b'{"id":1}', b'{"id": 3, "number": ""}', b'"?"', b'{"id": "4"}', b"[1]"])
_elements = _records.map(encode) | _records.map(reformat) | _invalid


@st.composite
def _stored_fingerprints(draw: st.DrawFn) -> Fingerprints:
    """Some numbers with a fingerprint each, and some others without one."""
    elements = draw(st.lists(_records, max_size=4, unique_by=lambda element: element["id"]))
    with_fingerprint = [(element["id"], draw(st.sampled_from([encode, reformat]))(element)) for element in elements]
    without_fingerprint = draw(st.frozensets(st.integers(1, 7))) - {number for number, _ in with_fingerprint}
    return stored_fingerprints(*with_fingerprint, without_fingerprint=sorted(without_fingerprint))


@dataclass
class Expected:
    """The expected result, computed element by element."""

    known_elements: set[bytes] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    rejected: set[bytes] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)


def expected_result(elements: Sequence[bytes], stored: Fingerprints) -> Expected:
    expected = Expected()
    encodings_by_id: dict[int | None, set[bytes]] = {}
    for element in elements:
        value = json.loads(element)
        number = value.get("id") if isinstance(value, dict) else None
        encodings_by_id.setdefault(number if isinstance(number, int) else None, set()).add(element)
    for number, encodings in encodings_by_id.items():
        contents = {tuple(sorted(map(str, json.loads(encoding).items()))) for encoding in encodings if number}
        known = {encoding for encoding in encodings if UNKEYED(encoding) in stored.by_fingerprint}
        if number is None or len(contents) > 1 or any(not json.loads(one).get("number") for one in encodings):
            expected.rejected |= encodings
        elif known:
            expected.known_elements |= known
        else:
            expected.records.add(number)
        expected.listed |= {number} if number else set()
    return expected


@given(st.lists(_elements, max_size=8), _stored_fingerprints(), st.data())
@settings(deadline=None, max_examples=200)
def test_the_last_response_is_used_only_for_identical_bytes_at_the_same_position(
    elements: list[bytes], stored: Fingerprints, data: st.DataObject
) -> None:
    earlier = data.draw(st.sampled_from([elements, *(elements[:end] for end in range(len(elements)))]))
    earlier = [data.draw(st.just(element) | _elements) for element in earlier]
    last = parse_response(encode_list(*earlier, *data.draw(st.lists(_elements, max_size=2))), stored, None).elements
    assert last.fingerprints[: len(earlier)] == [UNKEYED(element) for element in earlier]

    again = parse_response(encode_list(*elements), replace(stored, last_response=last), APP_ID)
    assert again == parse_response(encode_list(*elements), stored, APP_ID)
    assert again.elements.fingerprints == [UNKEYED(element) for element in elements]
    assert again.elements.number_ids == [stored.by_fingerprint.get(UNKEYED(element)) for element in elements]


def test_look_up_finds_ids_whether_or_not_elements_have_moved() -> None:
    first, second, third = (UNKEYED(encode(record(number))) for number in (1, 2, 3))
    last = Elements([first, second, third], [1, 2, None])
    fingerprints = replace(stored_fingerprints((1, record(1)), (2, record(2)), (3, record(3))), last_response=last)
    assert fingerprints.look_up([first, second, third], position=0) == [1, 2, 3]
    assert fingerprints.look_up([first, third, b"?"], position=0) == [1, 3, None]
    assert fingerprints.look_up([second, second], position=1) == [2, 2]
    assert fingerprints.look_up([third, first], position=2) == [3, 1]
    assert fingerprints.look_up([third, first], position=7) == [3, 1]
    assert fingerprints.look_up([first], position=0) == [1]


def test_an_element_at_its_last_position_is_not_looked_up_by_fingerprint() -> None:
    last = Elements([b"a", b"b", b"c", b"d"], [1, 2, None, 4])
    last_response_only = Fingerprints({}, last_response=last)
    assert last_response_only.look_up([b"a", b"b"], position=0) == [1, 2]
    assert last_response_only.look_up([b"b", b"c", b"d"], position=1) == [2, None, 4]
    assert last_response_only.look_up([b"b", b"?", b"d", b"e"], position=1) == [2, None, 4, None]
    assert last_response_only.look_up([b"b", b"a"], position=0) == [None, None]


@given(st.lists(_elements, max_size=8), _stored_fingerprints())
@settings(deadline=None, max_examples=200)
def test_every_element_and_every_number_is_classified_exactly_once(elements: list[bytes], stored: Fingerprints) -> None:
    parsed = parse_response(encode_list(*elements), stored, APP_ID)
    expected = expected_result(elements, stored)
    assert parsed.records.keys() == expected.records
    assert all(number == record.virtual_number_id for number, record in parsed.records.items())
    assert sorted(payloads(parsed)) == sorted(expected.rejected)
    assert parsed.known_count == len(expected.known_elements)
    assert parsed.missing_ids == ({*stored.by_fingerprint.values()} | stored.without_fingerprint) - expected.listed
    assert parsed.received == len(elements)
    assert parsed.received == parsed.known_count + len(parsed.records) + len(parsed.rejections) + parsed.repeated


@given(st.lists(_elements, max_size=8), _stored_fingerprints())
@settings(deadline=None, max_examples=200)
def test_a_response_that_was_hashed_ahead_is_parsed_the_same(elements: list[bytes], stored: Fingerprints) -> None:
    body = encode_list(*elements)
    parsed = parse_response(body, stored, APP_ID, hashed=hash_ahead(body, UNKEYED))
    expected = parse_response(body, stored, APP_ID)
    assert dict(parsed.records) == dict(expected.records)
    assert replace(parsed, records=NO_RECORDS) == replace(expected, records=NO_RECORDS)
    assert parsed.elements == expected.elements


@pytest.mark.parametrize("max_bytes", [0, 70_000, 200_000, 2**30])
def test_what_was_not_hashed_ahead_is_hashed_later(max_bytes: int) -> None:
    body = encode_list(*map(record, range(1, 1_001)))
    pieces, hashed = list(hash_pieces(body, UNKEYED)), hash_ahead(body, UNKEYED, max_bytes)
    assert 3 < len(pieces) < 1_000
    assert hashed is not None
    assert list(hashed) == pieces


def test_how_much_is_hashed_ahead_is_limited_by_bytes_whatever_the_length_of_records() -> None:
    hashed_bytes = 0

    class CountingHash(ContentHash):
        def of_each(self, elements: Iterable[Raw | bytes]) -> list[bytes]:
            nonlocal hashed_bytes
            elements = list(elements)
            hashed_bytes += sum(map(len, elements))
            return super().of_each(elements)

    long_records = [record(number, comment="x" * 300_000) for number in range(1, 21)]
    hash_ahead(encode_list(*long_records), CountingHash(b""), max_bytes=1_000_000)

    assert 1_000_000 < hashed_bytes < 2_000_000


@pytest.mark.parametrize("end", [b"", b",", b',{"id":'], ids=["no bracket", "a comma", "half an element"])
def test_of_a_response_that_was_cut_short_nothing_is_hashed_ahead(end: bytes) -> None:
    body = encode_list(*map(record, range(1, 1_001)))[:-1] + end
    assert hash_ahead(body, UNKEYED) is None


_unusual = st.sampled_from(
    [
        b'{"id":6,"number":"7","state":"a","later":1}',
        b'{"id":6,"number":"7","state":"a\\ud800"}',
        b'{"id":6,"number":"7","state":"a","app_id":1200055}',
        b'{"id":6.0,"number":"7","state":"a"}',
        '{"id":7,"number":"7","state":"a","purpose":"\u0441ompany"}'.encode(),
        b'{"id":7,"number":"7","state":"a","purpose":"company","app_id":null}',
        b'{"id":8,"number":"7","state":"\xff"}',
    ]
)


@given(st.lists(_elements | _unusual, max_size=8), _stored_fingerprints())
@settings(deadline=None, max_examples=300)
def test_a_response_means_the_same_with_or_without_space_between_its_elements(
    elements: list[bytes], stored: Fingerprints
) -> None:
    together = parse_response(b"[" + b",".join(elements) + b"]", stored, None)
    one_by_one = parse_response(b"[" + b" , ".join(elements) + b"]", stored, None)
    assert dict(together.records) == dict(one_by_one.records)
    assert replace(together, records=NO_RECORDS) == replace(one_by_one, records=NO_RECORDS)
    assert together.lookup_values == one_by_one.lookup_values
    assert together.elements == one_by_one.elements
    assert together.vanished_fingerprints == one_by_one.vanished_fingerprints
