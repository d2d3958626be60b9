"""A response is told apart by what its elements say; one that is another account's is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_128_digest

from syncer.diff.record import Rejection
from syncer.diff.response import ParsedResponse, Span, UnseenRecords, digest, read
from syncer.diff.stored import Elements, Fingerprints
from syncer.errors import NotAnArrayError, NotJsonError, WrongAccountError
from tests.builders import APP_ID, record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHER_APP_ID = 1200055
Element = Any
"""JSON to be spelled, or bytes that are spelled already."""


def spelled(element: Element, indent: int | None = None) -> bytes:
    return element if isinstance(element, bytes) else json.dumps(element, ensure_ascii=False, indent=indent).encode()


def respelled(element: dict[str, Any]) -> bytes:
    """The same, said in other bytes."""
    return json.dumps(dict(reversed(element.items())), indent=1).encode()


def listing(*elements: Element) -> bytes:
    return b"[" + b", ".join(map(spelled, elements)) + b"]"


def known_elements(*numbers: tuple[int, Element], without_fingerprint: Sequence[int] = ()) -> Fingerprints:
    """Numbers whose current records were read from these elements, and numbers of which that is not known."""
    return Fingerprints(
        {xxh3_128_digest(spelled(element)): number for number, element in numbers}, frozenset(without_fingerprint)
    )


NOTHING = Fingerprints()
NO_RECORDS = UnseenRecords(b"", {})


def payloads(parsed: ParsedResponse) -> list[bytes]:
    return [rejection.payload for rejection in parsed.rejections]


def conflict(number: int, element: Element) -> Rejection:
    """How an element is rejected that says something else than another with its id."""
    told = json.loads(spelled(element))
    return Rejection(
        number,
        told.get("app_id"),
        f"another element of the same response has the id {number} and says something else",
        spelled(element),
        xxh3_128_digest(spelled(element)),
    )


def test_an_empty_list_of_an_account_that_never_had_numbers_is_nothing() -> None:
    assert read(b"[]", NOTHING, None) == ParsedResponse(
        received=0, repeated=0, known_count=0, records=NO_RECORDS, rejections=(), missing_ids=frozenset(), app_id=None
    )


def test_every_element_of_a_first_response_is_looked_at() -> None:
    parsed = read(listing(record(1), record(2), {"id": 3, "number": "7"}), NOTHING, None)
    assert (parsed.received, parsed.repeated, parsed.known_count, parsed.app_id) == (3, 0, 0, APP_ID)
    assert list(parsed.records) == [1, 2]
    assert [(one.virtual_number_id, one.error, one.fingerprint) for one in parsed.rejections] == [
        (3, "Object missing required field `state`", xxh3_128_digest(b'{"id": 3, "number": "7"}'))
    ]


def test_of_a_long_response_nothing_is_lost() -> None:
    elements = [record(number) for number in range(1, 101)]
    parsed = read(listing(*elements), known_elements(*enumerate(elements[:10], start=1)), APP_ID)
    assert (parsed.received, parsed.known_count, list(parsed.records)) == (100, 10, [*range(11, 101)])


def test_records_are_taken_out_by_their_ids_so_many_at_a_time_and_are_gone_then() -> None:
    records = read(listing(*map(record, (5, 3, 1, 4, 2))), NOTHING, None).records
    batches = records.pop_batches(2)
    assert [list(next(batches)), len(records)] == [[1, 2], 3]
    assert [[(number, one.virtual_number_id) for number, one in batch.items()] for batch in batches] == [
        [(3, 3), (4, 4)],
        [(5, 5)],
    ]
    assert len(records) == 0


def test_more_records_than_are_sorted_at_once_come_by_their_ids_too() -> None:
    numbers = [*range(250_000, 0, -2), *range(1, 250_000, 2)]
    batches = UnseenRecords(b"", {number: Span(0, 0) for number in numbers}).pop_batches(60_000)
    assert [list(batch) for batch in batches] == [
        [*range(first, min(first + 60_000, 250_001))] for first in range(1, 250_001, 60_000)
    ]


def test_the_words_of_what_is_looked_at_are_told_by_their_fields_without_those_that_say_nothing() -> None:
    elements = [
        record(1, type="abc", purpose="employee", state="freeze", region_name="Москва"),
        without(record(2, type=None, region_name="Москва"), "purpose"),
        record(3, type="def", state="active", region_name=None),
    ]
    before = known_elements((4, record(4, state="known")))
    assert read(listing(*elements, record(4, state="known")), before, None).lookup_values == {
        "type": {"abc", "def"},
        "purpose": {"company", "employee"},
        "state": {"freeze", "active"},
        "region_name": {"Москва"},
    }


def test_a_record_carries_the_digest_of_its_bytes_as_received() -> None:
    element = b'{ "id": 1,\t"number": "7", "state": "\\ud800" }'
    parsed = read(b" [ " + element + b" ] ", NOTHING, None)
    assert parsed.records[1].fingerprint == xxh3_128_digest(element) == digest(element)


@pytest.mark.parametrize("between", [b",", b" ,\n\t ", b"," + b" " * 2**17], ids=["a comma", "a new line", "much"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf\n"], ids=["nothing before", "a byte order mark"])
def test_records_are_found_where_they_lie_whatever_stands_between_them(before: bytes, between: bytes) -> None:
    elements = {number: spelled(record(number)) for number in range(1, 400)}
    stand = {number: element for number, element in elements.items() if number % 7 in {0, 1, 4}}
    parsed = read(
        before + b"[" + between.join([b"0", *elements.values()]) + b"]",
        Fingerprints({xxh3_128_digest(element): number for number, element in stand.items()}),
        APP_ID,
    )
    looked_at = elements.keys() - stand.keys()
    assert {number: one.fingerprint for number, one in parsed.records.items()} == {
        number: xxh3_128_digest(elements[number]) for number in looked_at
    }


@pytest.mark.parametrize(("body", "error"), [(b"[1", NotJsonError), (b"", NotJsonError), (b"{}", NotAnArrayError)])
def test_what_is_no_array_is_refused(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(body, known_elements((1, record(1))), APP_ID)


def test_a_list_of_crumbs_is_no_list_of_records() -> None:
    with pytest.raises(NotAnArrayError, match="of records: it has"):
        read(b"[" + b"0," * 20_000 + b"0]", NOTHING, None)


def test_an_element_that_stands_is_not_even_decoded() -> None:
    parsed = read(listing("this is no record"), known_elements((7, "this is no record")), APP_ID)
    assert parsed == ParsedResponse(
        received=1, repeated=0, known_count=1, records=NO_RECORDS, rejections=(), missing_ids=frozenset(), app_id=None
    )


def test_an_element_that_stands_is_not_decoded_for_others_that_are_looked_at() -> None:
    parsed = read(listing("this is no record", record(8)), known_elements((7, "this is no record")), APP_ID)
    assert (parsed.known_count, list(parsed.records), parsed.rejections) == (1, [8], ())


def test_an_element_without_a_standing_digest_is_looked_at_though_its_number_is_known() -> None:
    parsed = read(listing(record(1), record(2)), known_elements((1, record(1)), without_fingerprint=[2]), APP_ID)
    assert (parsed.known_count, list(parsed.records), parsed.missing_ids) == (1, [2], frozenset())


def test_a_number_is_unlisted_if_neither_its_bytes_nor_its_id_arrived() -> None:
    before = known_elements((1, record(1)), (2, record(2)), (3, record(3)), without_fingerprint=[4, 5, 6])
    parsed = read(listing(record(1), record(2, state="freeze"), record(4), {"id": 5}), before, APP_ID)
    assert parsed.missing_ids == {3, 6}
    assert (parsed.known_count, list(parsed.records), payloads(parsed)) == (1, [2, 4], [b'{"id": 5}'])


def test_the_digests_that_no_element_has_are_gone() -> None:
    before = known_elements((1, record(1)), (2, record(2)), (3, record(3)))
    parsed = read(listing(record(1), record(2, state="freeze")), before, APP_ID)
    assert parsed.vanished_fingerprints == {
        xxh3_128_digest(spelled(record(2))): 2,
        xxh3_128_digest(spelled(record(3))): 3,
    }
    assert read(listing(record(1), record(2), record(3)), before, APP_ID).vanished_fingerprints == {}


def test_an_empty_list_lists_nobody() -> None:
    parsed = read(b" [\n] ", known_elements((1, record(1)), (2, record(2)), without_fingerprint=[3]), APP_ID)
    assert (parsed.received, parsed.missing_ids, parsed.app_id) == (0, frozenset({1, 2, 3}), None)


def test_a_number_whose_record_cannot_be_taken_is_listed_all_the_same() -> None:
    parsed = read(
        listing(record(1, number=""), {"id": 2}), known_elements((1, record(1)), without_fingerprint=[2]), APP_ID
    )
    assert (parsed.known_count, parsed.missing_ids) == (0, frozenset())
    assert [rejection.virtual_number_id for rejection in parsed.rejections] == [1, 2]


def test_a_rejected_element_without_an_id_lists_nobody() -> None:
    parsed = read(listing("?"), known_elements((1, record(1))), APP_ID)
    assert (parsed.missing_ids, parsed.rejections[0].virtual_number_id) == (frozenset({1}), None)


def test_the_order_of_elements_means_nothing() -> None:
    elements = [record(1), record(2), record(3, state="freeze"), {"id": 4}, "?"]
    before = known_elements((1, record(1)), (3, record(3)))
    one, other = read(listing(*elements), before, APP_ID), read(listing(*reversed(elements)), before, APP_ID)
    assert one.records == other.records
    assert (one.known_count, one.missing_ids, set(one.rejections)) == (
        other.known_count,
        other.missing_ids,
        set(other.rejections),
    )


def test_identical_elements_are_one() -> None:
    parsed = read(listing(record(1), record(1), record(1), "?", "?"), NOTHING, None)
    assert (parsed.received, parsed.repeated, parsed.known_count) == (5, 3, 0)
    assert (list(parsed.records), payloads(parsed)) == ([1], [b'"?"'])


def test_identical_elements_that_stand_are_one() -> None:
    parsed = read(listing(record(1), record(1)), known_elements((1, record(1))), APP_ID)
    assert (parsed.received, parsed.repeated, parsed.known_count, parsed.records) == (2, 1, 1, NO_RECORDS)


def test_elements_that_mean_the_same_are_one() -> None:
    told = record(1, from_redirect_numbers=None, purpose="company", x={"a": 1})
    again = record(1, from_redirect_numbers=[], purpose="сompany", x={"a": 1.0})
    parsed = read(listing(told, respelled(told), again), NOTHING, None)
    assert (parsed.received, parsed.repeated, parsed.rejections) == (3, 2, ())
    assert parsed.records[1].fingerprint == xxh3_128_digest(spelled(told))


def test_each_number_may_be_told_more_than_once() -> None:
    parsed = read(listing(record(1), respelled(record(1)), record(2), respelled(record(2))), NOTHING, None)
    assert (parsed.received, parsed.repeated, list(parsed.records)) == (4, 2, [1, 2])


def test_an_element_that_means_what_a_standing_one_means_is_one_with_it() -> None:
    told = record(1, from_redirect_numbers=[redirect(249, "74994088157")])
    parsed = read(listing(respelled(told), told), known_elements((1, told)), APP_ID)
    assert (parsed.received, parsed.repeated, parsed.known_count) == (2, 1, 1)
    assert (parsed.records, parsed.rejections, parsed.missing_ids) == (NO_RECORDS, (), frozenset())


def test_a_reformatted_element_alone_is_looked_at_again() -> None:
    parsed = read(listing(respelled(record(1))), known_elements((1, record(1))), APP_ID)
    assert (parsed.known_count, list(parsed.records), parsed.missing_ids) == (0, [1], frozenset())


def test_two_elements_of_one_id_that_differ_are_both_rejected() -> None:
    one, other = record(1), record(1, state="freeze")
    parsed = read(listing(one, record(2), other), NOTHING, None)
    assert (parsed.received, parsed.repeated, list(parsed.records)) == (3, 0, [2])
    assert parsed.rejections == (conflict(1, one), conflict(1, other))


def test_a_key_that_one_of_them_lacks_makes_them_differ() -> None:
    one, other = record(1), without(record(1), "comment")
    assert read(listing(one, other), NOTHING, None).rejections == (conflict(1, one), conflict(1, other))


def test_of_three_elements_of_one_id_a_single_other_one_rejects_all() -> None:
    one, same, other = record(1), respelled(record(1)), record(1, comment="?")
    parsed = read(listing(one, same, other, one), NOTHING, None)
    assert (parsed.received, parsed.repeated, parsed.records) == (4, 1, NO_RECORDS)
    assert set(parsed.rejections) == {conflict(1, one), conflict(1, same), conflict(1, other)}


def test_an_element_that_differs_from_the_standing_one_rejects_both() -> None:
    stands, other = record(1), record(1, state="freeze")
    for elements in ([stands, other], [other, stands]):
        parsed = read(listing(*elements, record(2)), known_elements((1, stands), (2, record(2))), APP_ID)
        assert (parsed.received, parsed.repeated, parsed.known_count, parsed.records) == (3, 0, 1, NO_RECORDS)
        assert set(parsed.rejections) == {conflict(1, stands), conflict(1, other)}
        assert parsed.missing_ids == frozenset()


def test_an_element_that_cannot_be_taken_rejects_the_others_with_its_id() -> None:
    broken = record(1, number="")
    parsed = read(listing(broken, record(1)), NOTHING, None)
    assert [rejection.error for rejection in parsed.rejections] == [
        "Expected `str` of length >= 1 - at `$.number`",
        "another element of the same response has the id 1 and says something else",
    ]
    assert (parsed.records, payloads(parsed)) == (NO_RECORDS, [spelled(broken), spelled(record(1))])


def test_an_element_that_cannot_be_taken_rejects_the_standing_one_with_its_id() -> None:
    broken = record(1, number="")
    parsed = read(listing(record(1), broken), known_elements((1, record(1))), APP_ID)
    assert (parsed.known_count, parsed.missing_ids) == (0, frozenset())
    assert payloads(parsed) == [spelled(broken), spelled(record(1))]
    assert parsed.rejections[1] == conflict(1, record(1))


def test_two_broken_elements_with_one_id_are_two_rejections() -> None:
    parsed = read(listing({"id": 1}, {"id": 1, "number": ""}), known_elements((1, record(1))), APP_ID)
    assert (len(parsed.rejections), parsed.known_count, parsed.missing_ids) == (2, 0, frozenset())


def test_a_standing_element_that_is_not_what_it_was_taken_for_conflicts_as_any_other() -> None:
    parsed = read(listing("?", record(7)), known_elements((7, "?")), APP_ID)
    assert (parsed.known_count, parsed.records, parsed.missing_ids) == (0, NO_RECORDS, frozenset())
    assert sorted(payloads(parsed)) == [b'"?"', spelled(record(7))]


def test_records_of_another_account_are_refused() -> None:
    with pytest.raises(WrongAccountError) as caught:
        read(listing(record(1, app_id=OTHER_APP_ID), record(2, app_id=7)), known_elements((1, record(1))), APP_ID)
    assert str(caught.value) == (
        "the records carry app_id 7, this account's is 1200054: the token is of another Личный кабинет; nothing was "
        "changed; put the right token back, or give the new one an account name of its own"
    )


def test_one_record_of_the_account_is_enough() -> None:
    parsed = read(listing(record(1, app_id=OTHER_APP_ID), record(2)), NOTHING, APP_ID)
    assert list(parsed.records) == [1, 2]


def test_one_standing_element_of_the_account_is_enough() -> None:
    parsed = read(listing(record(1), record(2, app_id=OTHER_APP_ID)), known_elements((1, record(1))), APP_ID)
    assert (parsed.known_count, list(parsed.records)) == (1, [2])


def test_a_standing_element_of_another_account_or_of_none_is_not_enough() -> None:
    nowhere, elsewhere = record(1, app_id=None), record(2, app_id=OTHER_APP_ID)
    before = known_elements((1, nowhere), (2, elsewhere))
    with pytest.raises(WrongAccountError):
        read(listing(nowhere, elsewhere, record(3, app_id=OTHER_APP_ID)), before, APP_ID)


def test_a_standing_element_that_did_not_arrive_is_not_enough() -> None:
    with pytest.raises(WrongAccountError):
        read(listing(record(2, app_id=OTHER_APP_ID)), known_elements((1, record(1))), APP_ID)


@pytest.mark.parametrize("beside", [[], [record(3, app_id=None)]], ids=["nothing new", "one that says nothing of it"])
def test_standing_elements_of_another_account_alone_are_refused_where_one_is_missing(beside: list[Element]) -> None:
    elsewhere = record(1, app_id=OTHER_APP_ID)
    with pytest.raises(WrongAccountError, match=f"the records carry app_id {OTHER_APP_ID}, this account's is {APP_ID}"):
        read(listing(elsewhere, *beside), known_elements((1, elsewhere), (2, record(2))), APP_ID)


def test_an_element_that_cannot_be_taken_says_whose_it_is() -> None:
    mine, foreign = {"id": 1, "app_id": APP_ID}, {"id": 2, "app_id": OTHER_APP_ID}
    assert len(read(listing(mine, record(3, app_id=OTHER_APP_ID)), NOTHING, APP_ID).rejections) == 1
    with pytest.raises(WrongAccountError):
        read(listing(foreign), NOTHING, APP_ID)


@pytest.mark.parametrize("app_id", [1, 2**63 - 1, 0, -5])
def test_a_standing_element_counts_whatever_the_accounts_app_id_is(app_id: int) -> None:
    stands = record(1, app_id=app_id)
    parsed = read(listing(stands, record(2, app_id=OTHER_APP_ID)), known_elements((1, stands)), app_id)
    assert (parsed.known_count, list(parsed.records)) == (1, [2])


def test_records_that_carry_no_app_id_are_nobody_elses() -> None:
    elements = [record(1, app_id=None), without(record(2), "app_id"), {"id": 3}, "?"]
    parsed = read(listing(*elements), NOTHING, APP_ID)
    assert (list(parsed.records), len(parsed.rejections), parsed.app_id) == ([1, 2], 2, None)


@pytest.mark.parametrize("body", [b"[]", b"[ ]"])
def test_an_empty_list_is_never_another_accounts(body: bytes) -> None:
    assert read(body, known_elements((1, record(1))), APP_ID).missing_ids == {1}


def test_an_unchanged_response_of_another_account_than_told_is_not_decoded_for_it() -> None:
    elsewhere = record(1, app_id=OTHER_APP_ID)
    assert read(listing(elsewhere), known_elements((1, elsewhere)), APP_ID).known_count == 1


def test_an_account_without_an_app_id_takes_any() -> None:
    parsed = read(listing(record(1, app_id=OTHER_APP_ID)), known_elements((2, record(2))), None)
    assert (list(parsed.records), parsed.app_id) == ([1], OTHER_APP_ID)


@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        ([5, 6, 6], 6),
        ([6, 5, 5, 6], 5),
        ([7, 6, 5], 5),
        ([None, None, 9], 9),
        ([None, None], None),
        ([], None),
    ],
)
def test_the_app_id_is_the_one_that_most_carry_and_of_several_the_smallest(
    carried: list[int | None], expected: int | None
) -> None:
    elements = [record(number, app_id=app_id) for number, app_id in enumerate(carried, start=1)]
    assert read(listing(*elements), NOTHING, None).app_id == expected


def test_a_standing_counts_its_numbers() -> None:
    assert len(known_elements((1, record(1)), (2, record(2)), without_fingerprint=[3])) == 3
    assert len(NOTHING) == 0


_meanings = st.builds(
    lambda number, state, comment: record(number, state=state, comment=comment),
    st.integers(1, 5),
    st.sampled_from(["active", "freeze"]),
    st.sampled_from([None, "a"]),
)
_broken = st.sampled_from([b'{"id": 1}', b'{"id":1}', b'{"id": 3, "number": ""}', b'"?"', b'{"id": "4"}', b"[1]"])
_elements = _meanings.map(spelled) | _meanings.map(respelled) | _broken


@st.composite
def _standings(draw: st.DrawFn) -> Fingerprints:
    """Some numbers stand, each with a record of its own; of some others it is not known from which bytes."""
    told = draw(st.lists(_meanings, max_size=4, unique_by=lambda told: told["id"]))
    digested = [(element["id"], draw(st.sampled_from([spelled, respelled]))(element)) for element in told]
    without_fingerprint = draw(st.frozensets(st.integers(1, 7))) - {number for number, _ in digested}
    return known_elements(*digested, without_fingerprint=sorted(without_fingerprint))


@dataclass
class Expected:
    """What a response comes to by the rules, worked out element by element."""

    known_elements: set[bytes] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    rejected: set[bytes] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)


def expected_of(elements: Sequence[bytes], before: Fingerprints) -> Expected:
    expected = Expected()
    told: dict[int | None, set[bytes]] = {}
    for element in elements:
        value = json.loads(element)
        number = value.get("id") if isinstance(value, dict) else None
        told.setdefault(number if isinstance(number, int) else None, set()).add(element)
    for number, spellings in told.items():
        meanings = {tuple(sorted(map(str, json.loads(spelling).items()))) for spelling in spellings if number}
        standing_ones = {spelling for spelling in spellings if xxh3_128_digest(spelling) in before.by_fingerprint}
        if number is None or len(meanings) > 1 or any(not json.loads(one).get("number") for one in spellings):
            expected.rejected |= spellings
        elif standing_ones:
            expected.known_elements |= standing_ones
        else:
            expected.records.add(number)
        expected.listed |= {number} if number else set()
    return expected


@given(st.lists(_elements, max_size=8), _standings(), st.data())
@settings(deadline=None, max_examples=200)
def test_what_the_last_response_said_at_a_place_is_believed_only_of_the_same_bytes(
    elements: list[bytes], before: Fingerprints, data: st.DataObject
) -> None:
    earlier = data.draw(st.sampled_from([elements, *(elements[:end] for end in range(len(elements)))]))
    earlier = [data.draw(st.just(element) | _elements) for element in earlier]
    last = read(listing(*earlier, *data.draw(st.lists(_elements, max_size=2))), before, None).elements
    assert last.fingerprints[: len(earlier)] == [xxh3_128_digest(element) for element in earlier]

    again = read(listing(*elements), replace(before, last=last), APP_ID)
    assert again == read(listing(*elements), before, APP_ID)
    assert again.elements.fingerprints == [xxh3_128_digest(element) for element in elements]
    assert again.elements.numbers == [before.by_fingerprint.get(xxh3_128_digest(element)) for element in elements]


def test_an_element_at_its_place_in_the_last_response_is_told_apart_from_the_others_there() -> None:
    first, second, third = (xxh3_128_digest(spelled(record(number))) for number in (1, 2, 3))
    last = Elements([first, second, third], [1, 2, None])
    stand = replace(known_elements((1, record(1)), (2, record(2)), (3, record(3))), last=last)
    assert stand.numbers_of([first, second, third], place=0) == [1, 2, 3]
    assert stand.numbers_of([first, third, b"?"], place=0) == [1, 3, None]
    assert stand.numbers_of([second, second], place=1) == [2, 2]
    assert stand.numbers_of([third, first], place=2) == [3, 1]
    assert stand.numbers_of([third, first], place=7) == [3, 1]
    assert stand.numbers_of([first], place=0) == [1]


def test_an_element_that_stands_where_the_last_response_had_it_is_not_looked_up() -> None:
    last = Elements([b"a", b"b", b"c", b"d"], [1, 2, None, 4])
    remembered_alone = Fingerprints({}, last=last)
    assert remembered_alone.numbers_of([b"a", b"b"], place=0) == [1, 2]
    assert remembered_alone.numbers_of([b"b", b"c", b"d"], place=1) == [2, None, 4]
    assert remembered_alone.numbers_of([b"b", b"?", b"d", b"e"], place=1) == [2, None, 4, None]
    assert remembered_alone.numbers_of([b"b", b"a"], place=0) == [None, None]


@given(st.lists(_elements, max_size=8), _standings())
@settings(deadline=None, max_examples=200)
def test_every_element_and_every_number_comes_to_exactly_one_end(elements: list[bytes], before: Fingerprints) -> None:
    parsed = read(listing(*elements), before, APP_ID)
    expected = expected_of(elements, before)
    assert parsed.records.keys() == expected.records
    assert all(number == record.virtual_number_id for number, record in parsed.records.items())
    assert sorted(payloads(parsed)) == sorted(expected.rejected)
    assert parsed.known_count == len(expected.known_elements)
    assert parsed.missing_ids == ({*before.by_fingerprint.values()} | before.without_fingerprint) - expected.listed
    assert parsed.received == len(elements)
    assert parsed.received == parsed.known_count + len(parsed.records) + len(parsed.rejections) + parsed.repeated
