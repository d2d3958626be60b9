"""Lists of names: what is decoded of a response, what is skipped, and what a list changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.diff.content_hash import UNKEYED
from syncer.diff.erasures import NOTHING_ERASED, Erasures, hash_number
from syncer.errors import NotAnArrayError, NotJsonError, PollError
from syncer.name_list import NAME_LISTS, Named, StoredName, lists_of
from syncer.names.changes import NameChanges, compare_names
from syncer.names.decode import DecodedList, decode_list

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG = "я" * 300
NO_ARRAY = (
    "JSON that is not an array of records: the names stay as they are; check SYNCER_API_URL, and ask the vendor if it "
    "is right"
)


def decode(name: str, *records: Any) -> DecodedList:
    """Decodes records; text among them is JSON as it is."""
    texts = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in records)
    return decode_list(NAME_LISTS[name], f"[{', '.join(texts)}]".encode())


def employee(id: Any = 41, **fields: Any) -> dict[str, Any]:  # noqa: A002 - the vendor's name
    """Returns a record of an employee as the vendor sends it."""
    return {
        "id": id,
        "first_name": "Анна",
        "last_name": "Орлова",
        "full_name": "Орлова Анна",
        "position_id": 7,
        "position_name": "Оператор",
        "email": "a@example.org",
        "login": "orlova@vats1.example",
        "password": "hunter2",
        "groups": [{"id": 41, "name": "x", "full_name": "y"}],
    } | fields


def shift(scenario_type: str = "redirect_to_employee", **target: Any) -> dict[str, Any]:
    """Returns a working shift of a scenario."""
    given = {"scenario_type": scenario_type, "employee_id": None, "employee_group_id": None, "external_numb": None}
    return given | {"breaks": [], "is_active": True} | target


def test_the_words_of_the_setting_say_which_lists_are_read() -> None:
    assert {word: [one.path for one in lists_of([word])] for word in ("employees", "groups", "scenarios")} == {
        "employees": ["/employee"],
        "groups": ["/scenario/inbound/group"],
        "scenarios": [
            "/employee-group/",
            "/scenario/inbound/virtual-number",
            "/scenario/inbound/virtual-number-group",
        ],
    }
    assert lists_of([]) == []


def test_of_an_employee_the_name_and_the_position_are_decoded() -> None:
    assert decode("employees", employee(41), employee(42, position_name=None)) == DecodedList(
        received=2,
        skipped=0,
        candidates={41: [Named("Орлова Анна", "Оператор")], 42: [Named("Орлова Анна")]},
    )


@pytest.mark.parametrize("name", ["groups", "employee_groups"])
def test_of_a_group_the_name_is_decoded(name: str) -> None:
    group = {"name": "Склад", "is_active": True, "comment": "x", "virtual_number_ids": [546], "id": 35}
    assert decode(name, group) == DecodedList(1, 0, {35: [Named("Склад")]})


@pytest.mark.parametrize("name", ["scenarios", "group_scenarios"])
@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ({}, Named()),
        (
            {"working_shift1": shift(employee_id=41), "working_shift2": None},
            Named(scenario_type="redirect_to_employee", target_list="employees", target_id=41),
        ),
        (
            {"default_working_shift": shift("redirect_to_employee_group", employee_group_id=79)},
            Named(scenario_type="redirect_to_employee_group", target_list="employee_groups", target_id=79),
        ),
        (
            {
                "working_shift1": shift(employee_id=41, external_numb="79000000001"),
                "working_shift3": shift(employee_id=41),
            },
            Named(scenario_type="redirect_to_employee", target_list="employees", target_id=41),
        ),
        ({"working_shift1": shift("redirect", external_numb="79000000001")}, Named(scenario_type="redirect")),
        (
            {"working_shift1": shift(employee_id=41), "working_shift2": shift(employee_id=42)},
            Named(scenario_type="varies"),
        ),
        (
            {"working_shift1": shift(employee_id=41), "default_working_shift": shift("duty")},
            Named(scenario_type="varies"),
        ),
        ({"working_shift1": shift("informer"), "working_shift2": shift("informer")}, Named(scenario_type="informer")),
    ],
)
def test_a_scenario_has_the_type_and_the_target_of_its_working_shifts(
    name: str, shifts: dict[str, Any], expected: Named
) -> None:
    assert decode(name, {"id": 773, "virtual_number_id": 649, **shifts}) == DecodedList(1, 0, {773: [expected]})


@pytest.mark.parametrize(
    "record",
    [
        {"full_name": "Без номера"},
        employee(None),
        employee("41"),
        employee(True),
        employee(41.5),
        employee(2**63),
        employee(full_name=None),
        employee(full_name=""),
        employee(full_name=" \t "),
        employee(full_name=LONG + "я"),
        employee(full_name=17),
        employee(full_name=["Орлова"]),
        employee(position_name=LONG + "я"),
        employee(position_name={"name": "Оператор"}),
        {"id": 41, "position_name": "Оператор"},
        "41",
        "null",
        "[41]",
        '"hunter2"',
        "[" * 10_000 + "]" * 10_000,
    ],
)
def test_a_record_that_cannot_be_stored_is_skipped_alone(record: Any) -> None:
    assert decode("employees", employee(1), record, employee(2)) == DecodedList(
        3, 1, {key: [Named("Орлова Анна", "Оператор")] for key in (1, 2)}
    )


def test_names_and_ids_at_their_limits_are_stored() -> None:
    assert decode(
        "employees", employee(2**63 - 1, full_name=LONG, position_name=LONG), employee(-(2**63))
    ) == DecodedList(2, 0, {2**63 - 1: [Named(LONG, LONG)], -(2**63): [Named("Орлова Анна", "Оператор")]})
    assert decode("employees", '{"id": 41.0, "full_name": "А"}').candidates == {41: [Named("А")]}


def test_a_blank_position_is_none() -> None:
    assert decode("employees", employee(position_name=" ")).candidates == {41: [Named("Орлова Анна")]}


def test_nul_and_lone_surrogates_are_replaced_as_in_numbers() -> None:
    record = r'{"id": 41, "full_name": "a\u0000b\ud800c", "password": "\udfff"}'
    assert decode("employees", record, employee(42)) == DecodedList(
        2, 0, {41: [Named("a\ufffdb\ufffdc")], 42: [Named("Орлова Анна", "Оператор")]}
    )


def test_further_records_of_an_id_are_counted_as_skipped() -> None:
    records = (employee(full_name="А"), employee(full_name="Б"), employee(full_name="А"), employee(42))
    assert decode("employees", *records) == DecodedList(
        4, 2, {41: [Named("А", "Оператор"), Named("Б", "Оператор")], 42: [Named("Орлова Анна", "Оператор")]}
    )


def test_records_of_one_id_without_end_take_no_time_that_grows_with_their_square() -> None:
    decoded = decode("employees", *(employee(full_name=f"Имя {number}") for number in range(20_000)))
    assert (decoded.received, decoded.skipped) == (20_000, 19_999)
    assert decoded.candidates == {41: [Named(f"Имя {number}", "Оператор") for number in range(10)]}


def test_a_name_that_is_not_utf_8_is_skipped_alone() -> None:
    body = b'[{"id": 1, "full_name": "\xff\xfe"}, {"id": 2, "full_name": "A", "password": "\xff"}]'
    assert decode_list(NAME_LISTS["employees"], body) == DecodedList(2, 1, {2: [Named("A")]})


def test_an_empty_list_is_a_list() -> None:
    assert decode("employees") == DecodedList()


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        (
            b"<html>hunter2</html>",
            NotJsonError,
            "an HTML page: the names stay as they are, and the list is asked for again",
        ),
        (
            b'[{"id": 41, "full_name": "hunter2", "pass',
            NotJsonError,
            "41 bytes that are not complete JSON: the names stay as they are, and the list is asked for again",
        ),
        (
            b"",
            NotJsonError,
            "0 bytes that are not complete JSON: the names stay as they are, and the list is asked for again",
        ),
        (
            b'{"password": "hunter2"}',
            NotAnArrayError,
            NO_ARRAY,
        ),
        (
            b"[" + b"1," * 300_000 + b"1]",
            NotAnArrayError,
            NO_ARRAY,
        ),
    ],
)
def test_what_is_no_list_is_an_error_without_its_content(body: bytes, kind: type[PollError], problem: str) -> None:
    with pytest.raises(kind) as caught:
        decode_list(NAME_LISTS["employees"], body)

    assert str(caught.value) == f"/employee was answered with {problem}"
    assert caught.value.response_bytes == len(body)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)
SECRET = "hunter2"
STORED_FIELDS = ("full_name", "name", "position_name", "scenario_type")


@given(
    name=st.sampled_from(sorted(NAME_LISTS)),
    records=st.lists(
        st.dictionaries(st.text().filter(lambda key: key not in STORED_FIELDS), st.just(SECRET) | json_values)
        | st.builds(lambda base, more: base | more, st.just(employee()), st.dictionaries(st.text(), json_values))
        | json_values,
        max_size=4,
    ),
)
def test_nothing_but_the_stored_fields_gets_out_of_any_json(name: str, records: list[Any]) -> None:
    decoded = decode(name, *map(json.dumps, records))

    allowed = {
        value
        for record in records
        if isinstance(record, dict)
        for part in (record, *(one for one in record.values() if isinstance(one, dict)))
        for key in STORED_FIELDS
        if isinstance(value := part.get(key), str)
    }
    stored = {text for found in decoded.candidates.values() for one in found for text in one[:3] if text is not None}
    assert decoded.received == len(records)
    assert decoded.skipped + len(decoded.candidates) == len(records)
    assert {text for text in stored if "\ufffd" not in text} <= allowed
    assert SECRET not in stored


def test_a_list_changes_what_differs_from_what_is_stored() -> None:
    stored = {
        1: StoredName(Named("same"), NOON, is_unlisted=False),
        2: StoredName(Named("old"), NOON, is_unlisted=False),
        3: StoredName(Named("gone"), NOON, is_unlisted=False),
        4: StoredName(Named("gone before"), NOON, is_unlisted=True),
        5: StoredName(Named("back"), NOON, is_unlisted=True),
        6: StoredName(Named("back with another name"), NOON, is_unlisted=True),
        7: StoredName(Named("second of two"), NOON, is_unlisted=False),
    }
    candidates = {
        1: [Named("same")],
        2: [Named("new name")],
        5: [Named("back")],
        6: [Named("other")],
        7: [Named("first of two"), Named("second of two")],
        8: [Named("first"), Named("second")],
    }
    assert compare_names("employees", candidates, stored, NOTHING_ERASED) == NameChanges(
        new={8: Named("first")},
        changed={2: Named("new name"), 6: Named("other")},
        relisted=[5],
        unlisted=[3],
    )


def test_an_erased_employee_has_neither_name_nor_position() -> None:
    stored = {
        1: StoredName(Named(), NOON, is_unlisted=False),
        2: StoredName(Named("not erased yet", "Оператор"), NOON, is_unlisted=False),
        3: StoredName(Named(), NOON, is_unlisted=True),
    }
    candidates = {key: [Named("Орлова Анна", "Оператор"), Named("Орлова")] for key in (1, 2, 3, 4)}

    assert compare_names("employees", candidates, stored, Erasures(employee_ids={1, 2, 3, 4})) == NameChanges(
        new={4: Named()}, changed={2: Named()}, relisted=[3], unlisted=[]
    )
    assert compare_names("employees", candidates, stored, Erasures(employee_ids={2, 3, 4})).changed == {
        1: Named("Орлова Анна", "Оператор"),
        2: Named(),
    }


def test_an_id_of_another_list_is_not_the_erased_employee_and_phone_numbers_are_masked_in_all_lists() -> None:
    erasures = Erasures(by_hash={hash_number("79261234567", UNKEYED): "erased-1"}, employee_ids={1})
    stored = {2: StoredName(Named("Склад erased-1"), NOON, is_unlisted=False)}
    candidates = {1: [Named("Продажи")], 2: [Named("Склад 79261234567")]}

    assert compare_names("groups", candidates, stored, erasures) == NameChanges(
        new={1: Named("Продажи")}, changed={}, relisted=[], unlisted=[]
    )
