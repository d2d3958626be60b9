"""An element becomes a record that means what the vendor said, or is rejected alone, with a reason and its bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from syncer.diff.json_array import split
from syncer.diff.record import (
    COLUMNS,
    MAX_BIGINT,
    MAX_PAYLOAD_BYTES,
    MAX_RECORD_CHARS,
    MIN_RECORD_BYTES,
    ParsedRecord,
    Rejection,
    decode,
    reject,
    same_json,
)
from tests.builders import APP_ID, record, redirect, without

SAMPLES = Path(__file__).parents[1] / "samples"
DIGEST = bytes(range(16))
WORDS = ("type", "purpose", "state", "nc_type", "region_name")
TEXTS = ("comment", "reason", "dgn_number", "redirect_number", "sip_uri")
INTEGERS = ("scenario_id", "group_scenario_id", "group_id", "employee_id", "app_id")
BOOLEANS = ("is_scenario_active", "is_group_scenario_active")


def spelled(element: Any) -> bytes:
    return json.dumps(element, ensure_ascii=False).encode()


def taken(element: Any) -> ParsedRecord:
    """What an element comes to that has to be taken; given as it is spelled, or to be spelled."""
    decoded = decode(Raw(element if isinstance(element, bytes) else spelled(element)), DIGEST)
    assert isinstance(decoded, ParsedRecord), decoded
    return decoded


def rejected(element: Any) -> Rejection:
    """What an element comes to that has to be rejected."""
    decoded = decode(Raw(element if isinstance(element, bytes) else spelled(element)), DIGEST)
    assert isinstance(decoded, Rejection), decoded
    return decoded


def columns(arrived: ParsedRecord) -> dict[str, Any]:
    return dict(zip(COLUMNS, arrived.values, strict=True))


def values(element: Any) -> dict[str, Any]:
    """The columns of an element that has to be taken."""
    return columns(taken(element))


def having(column: str, value: Any) -> dict[str, Any]:
    return record() | {column: value}


def minimal(**fields: str) -> bytes:
    """A record of the three fields it needs and of `fields`, whose values are JSON as it is to stand there."""
    told = {"id": "250", "number": '"79208547433"', "state": '"active"'} | fields
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in told.items()) + "}").encode()


def sample(name: str) -> list[ParsedRecord]:
    return [taken(bytes(element)) for _, elements in split((SAMPLES / name).read_bytes()) for element in elements]


def test_the_vendors_first_example_is_taken_to_the_letter() -> None:
    arrived = sample("documented.json")[0]
    assert arrived == ParsedRecord(
        virtual_number_id=250,
        values=arrived.values,
        redirects=frozenset({(249, "74994088157")}),
        extra={},
        fingerprint=DIGEST,
    )
    assert columns(arrived) == {
        "number": "79208547433",
        "comment": "ffff",
        "type": "def",
        "purpose": "company",
        "state": "active",
        "reason": None,
        "scenario_id": None,
        "group_scenario_id": None,
        "group_id": None,
        "is_scenario_active": None,
        "is_group_scenario_active": None,
        "employee_id": None,
        "dgn_number": UNSET,
        "redirect_number": "74994088157",
        "region_name": "Брянская область",
        "app_id": 1200054,
        "nc_type": "custom",
        "sip_uri": None,
    }


def test_the_vendors_second_example_has_a_landline_pair_and_tells_of_no_redirection() -> None:
    told = columns(sample("documented.json")[1])
    assert (told["dgn_number"], told["redirect_number"]) == ("74954789551", UNSET)
    assert (told["scenario_id"], told["is_scenario_active"], told["is_group_scenario_active"]) == (561, True, None)


def test_the_landline_pair_and_the_number_for_redirection_are_never_one() -> None:
    told = columns(sample("variants.json")[0])
    assert (told["dgn_number"], told["redirect_number"]) == ("74994088157", None)
    both = values(record(dgn_number="74950000001", redirect_number="74950000002"))
    assert (both["dgn_number"], both["redirect_number"]) == ("74950000001", "74950000002")


def test_several_numbers_may_redirect_to_one() -> None:
    assert sample("variants.json")[0].redirects == frozenset({(678, "78009966666"), (249, "74994088157")})


def test_the_shape_of_an_unconfirmed_number_is_taken_and_what_it_lacks_was_not_told() -> None:
    arrived = sample("variants.json")[1]
    lacking = {column for column, value in columns(arrived).items() if value is UNSET}
    assert lacking == {"redirect_number", "app_id", "nc_type", "sip_uri"}
    assert (arrived.redirects, arrived.extra) == (frozenset(), {})


def test_an_inactive_number_and_its_reason_are_taken_as_they_are_told() -> None:
    told = columns(sample("variants.json")[2])
    assert (told["state"], told["reason"], told["purpose"]) == ("inactive", "manual", "company")


def test_the_samples_are_records_of_one_account() -> None:
    everything = sample("documented.json") + sample("variants.json")
    assert [arrived.virtual_number_id for arrived in everything] == [250, 256, 250, 331, 542]
    assert {columns(arrived)["app_id"] for arrived in everything} == {APP_ID, UNSET}


@pytest.mark.parametrize("spelling", ["company", "\u0441ompany", r"\u0441ompany"])
def test_the_company_is_latin_however_its_first_letter_is_spelled(spelling: str) -> None:
    assert values(minimal(purpose=f'"{spelling}"'))["purpose"] == "company"


@pytest.mark.parametrize("word", ["employee", "not_specified", "\u0441отрудник", "\u0421ompany", "", None])
def test_any_other_purpose_stays_as_it_is(word: str | None) -> None:
    assert values(record(purpose=word))["purpose"] == word


def test_null_redirects_are_no_redirects_and_absent_ones_were_not_told() -> None:
    assert taken(record(from_redirect_numbers=None)).redirects == frozenset()
    assert taken(record(from_redirect_numbers=[])).redirects == frozenset()
    assert taken(without(record(), "from_redirect_numbers")).redirects is UNSET


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - {"number", "state"}))
def test_null_is_an_empty_value_and_an_absent_key_was_not_told(column: str) -> None:
    assert values(having(column, None))[column] is None
    assert values(without(record(), column))[column] is UNSET


def test_three_fields_make_a_record() -> None:
    arrived = taken(b'{"id":1,"number":"7","state":"s"}')
    told = columns(arrived)
    assert (arrived.virtual_number_id, told.pop("number"), told.pop("state")) == (1, "7", "s")
    assert set(told.values()) == {UNSET}
    assert arrived.redirects is UNSET


@pytest.mark.parametrize("column", WORDS)
def test_the_vocabulary_is_open(column: str) -> None:
    assert values(having(column, "Never seen — до сих пор"))[column] == "Never seen — до сих пор"


def test_the_order_of_redirects_means_nothing_and_the_same_one_twice_is_one() -> None:
    one, other = redirect(249, "74994088157"), redirect(678, "78009966666")
    assert taken(record(from_redirect_numbers=[one, other, one])).same_content(
        taken(record(from_redirect_numbers=[other, one]))
    )


def test_one_redirect_id_may_carry_two_numbers_and_one_number_two_ids() -> None:
    told = [redirect(1, "74950000001"), redirect(1, "74950000002"), redirect(2, "74950000001")]
    assert taken(record(from_redirect_numbers=told)).redirects == frozenset(
        {
            (1, "74950000001"),
            (1, "74950000002"),
            (2, "74950000001"),
        }
    )


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ('"74994088157"', "null", None),
        ("null", '"74994088157"', "74994088157"),
        ('"74994088157"', '"74954789551"', "74954789551"),
        ("[1]", '"74954789551"', "74954789551"),
        ("12", "null", None),
    ],
)
def test_of_a_key_told_twice_the_last_wins(first: str, last: str, expected: str | None) -> None:
    element = minimal(dgn_number=first)[:-1] + f', "dgn_number": {last}}}'.encode()
    assert values(element)["dgn_number"] == expected


def test_of_an_id_told_twice_the_last_wins() -> None:
    assert taken(b'{"id": "x", "number": "7", "state": "s", "id": 3}').virtual_number_id == 3
    assert rejected(b'{"id": 3, "number": "7", "state": "s", "id": "x"}').virtual_number_id is None


@pytest.mark.parametrize("first", ["7", '"x"', "null"])
def test_of_a_redirects_key_told_twice_the_last_wins(first: str) -> None:
    element = minimal(from_redirect_numbers=f'[{{"id": {first}, "id": 249, "number": "74994088157"}}]')
    assert taken(element).redirects == frozenset({(249, "74994088157")})


def test_a_key_may_be_spelled_with_escapes() -> None:
    assert taken(rb'{"\u0069d": 3, "n\u0075mber": "7", "state": "s"}').virtual_number_id == 3


def test_fields_without_a_column_are_extra() -> None:
    told = {"tariff": None, "region_id": 7, "virtual_number_id": 9, "": "", "tags": ["а", {"b": [1.5, True, None]}]}
    arrived = taken(record() | told)
    assert arrived.extra == told
    assert arrived.values == taken(record()).values


def test_of_an_extra_field_told_twice_the_last_wins() -> None:
    assert taken(minimal(x="1")[:-1] + b', "x": [2]}').extra == {"x": [2]}


def test_an_extra_number_keeps_its_size() -> None:
    assert taken(minimal(x="18446744073709551616", y="-9223372036854775809", z="1" + "0" * 400)).extra == {
        "x": 2**64,
        "y": -(2**63) - 1,
        "z": 10**400,
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("1e400", "Number out of range - in the unknown field 'tariff'"),
        ("[1e400]", "Number out of range - at `$[0]` - in the unknown field 'tariff'"),
        ("9" * 5000, "Integer value out of range - in the unknown field 'tariff'"),
    ],
)
def test_an_extra_number_beyond_any_measure_rejects_its_record(value: str, error: str) -> None:
    rejection = rejected(minimal(tariff=value))
    assert (rejection.virtual_number_id, rejection.error) == (250, error)


def test_the_reason_of_a_rejection_tells_80_characters_of_a_fields_name() -> None:
    rejection = rejected(minimal(**{"x" * 79 + "yz": "1e400"}))
    assert rejection.error == f"Number out of range - in the unknown field '{'x' * 79}y'"


def test_the_reason_of_a_rejection_is_one_line_whatever_the_vendor_calls_a_field() -> None:
    rejection = rejected(minimal(**{r"a\nb\r\u2028\u001b[2J": "1e400"}))
    assert rejection.error.startswith("Number out of range - in the unknown field")
    assert rejection.error.isprintable()


def test_nul_and_lone_surrogates_are_replaced_in_columns_redirects_and_extra() -> None:
    arrived = taken(
        minimal(
            comment=r'"a\u0000b\ud800c\ud83d\ude00"',
            from_redirect_numbers=r'[{"id": 1, "number": "7\udc00"}]',
            x=r'{"\u0000": ["\udfff", "\\u0000"]}',
        )
    )
    assert columns(arrived)["comment"] == "a\ufffdb\ufffdc\U0001f600"
    assert arrived.redirects == frozenset({(1, "7\ufffd")})
    assert arrived.extra == {"x": {"\ufffd": ["\ufffd", "\\u0000"]}}


_NOT_AN_INTEGER = [
    ("true", "Expected `int`, got `bool`"),
    ("1.0", "Expected `int`, got `float`"),
    ("1.5", "Expected `int`, got `float`"),
    ("1e2", "Expected `int`, got `float`"),
    ('"1"', "Expected `int`, got `str`"),
    ("[1]", "Expected `int`, got `array`"),
    ("9223372036854775808", "Expected `int` <= 9223372036854775807"),
    ("18446744073709551616", "Expected `int` <= 9223372036854775807"),
    ("1" + "0" * 5000, "Integer value out of range"),
    ("1e400", "Number out of range"),
]


@pytest.mark.parametrize(("value", "error"), [*_NOT_AN_INTEGER, ("null", "Expected `int`, got `null`")])
def test_an_id_that_is_no_integer_leaves_nobody_to_blame(value: str, error: str) -> None:
    rejection = rejected(minimal(id=value, app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (None, 5, f"{error} - at `$.id`")


@pytest.mark.parametrize("value", ["0", "-0", "-1", str(-(2**63))])
def test_an_id_is_positive(value: str) -> None:
    rejection = rejected(minimal(id=value))
    assert (rejection.virtual_number_id, rejection.error) == (None, "Expected `int` >= 1 - at `$.id`")


def test_ids_go_up_to_the_largest_bigint() -> None:
    assert taken(minimal(id=str(2**63 - 1))).virtual_number_id == MAX_BIGINT == 9223372036854775807


@pytest.mark.parametrize("column", INTEGERS)
@pytest.mark.parametrize(("value", "error"), _NOT_AN_INTEGER)
def test_an_integer_is_nothing_else(column: str, value: str, error: str) -> None:
    rejection = rejected(minimal(**{column: value}))
    told = f"{error.replace('Expected `int`, got', 'Expected `int | null`, got')} - at `$.{column}`"
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, None, told)


@pytest.mark.parametrize("column", INTEGERS)
@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_an_integer_is_any_that_bigint_holds(column: str, value: int) -> None:
    assert values(having(column, value))[column] == value


def test_an_integer_below_bigint_is_rejected() -> None:
    assert rejected(record(group_id=-(2**63) - 1)).error == "Expected `int` >= -9223372036854775808 - at `$.group_id`"


@pytest.mark.parametrize("column", BOOLEANS)
@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_a_boolean_is_nothing_else(column: str, value: Any) -> None:
    rejection = rejected(having(column, value))
    assert rejection.virtual_number_id == 250
    assert rejection.error.startswith("Expected `bool | null`, got")
    assert rejection.error.endswith(f" - at `$.{column}`")


@pytest.mark.parametrize("column", WORDS + TEXTS)
@pytest.mark.parametrize("value", [0, 1.5, True, [], {}])
def test_a_text_is_nothing_else(column: str, value: Any) -> None:
    rejection = rejected(having(column, value))
    assert rejection.virtual_number_id == 250
    assert rejection.error.startswith("Expected `str")
    assert rejection.error.endswith(f" - at `$.{column}`")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"number": None}, "Expected `str`, got `null` - at `$.number`"),
        ({"number": ""}, "Expected `str` of length >= 1 - at `$.number`"),
        ({"number": 79208547433}, "Expected `str`, got `int` - at `$.number`"),
        ({"state": None}, "Expected `str`, got `null` - at `$.state`"),
    ],
)
def test_a_number_and_a_state_are_needed(fields: dict[str, Any], error: str) -> None:
    rejection = rejected(record(**fields))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, APP_ID, error)


@pytest.mark.parametrize(("key", "known_id"), [("id", None), ("number", 250), ("state", 250)])
def test_the_three_keys_that_a_record_needs_may_not_be_absent(key: str, known_id: int | None) -> None:
    rejection = rejected(without(record(), key))
    expected = (known_id, APP_ID, f"Object missing required field `{key}`")
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == expected


@pytest.mark.parametrize("letter", ["7", "я", "\U0001f600"])
@pytest.mark.parametrize("column", [*WORDS, "number"])
def test_words_and_numbers_have_200_characters_at_most_whatever_their_bytes(column: str, letter: str) -> None:
    assert values(having(column, letter * 200))[column] == letter * 200
    rejection = rejected(having(column, letter * 201))
    assert rejection.virtual_number_id == 250
    assert rejection.error.endswith(f"of length <= 200 - at `$.{column}`")


@pytest.mark.parametrize("column", TEXTS)
def test_free_text_is_as_long_as_it_is(column: str) -> None:
    assert values(having(column, "я" * 100_000))[column] == "я" * 100_000


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ("1", "Expected `array | null`, got `int` - at `$.from_redirect_numbers`"),
        ("{}", "Expected `array | null`, got `object` - at `$.from_redirect_numbers`"),
        ("[249]", "Expected `object`, got `int` - at `$.from_redirect_numbers[0]`"),
        ("[null]", "Expected `object`, got `null` - at `$.from_redirect_numbers[0]`"),
        ("[{}]", "Object missing required field `id` - at `$.from_redirect_numbers[0]`"),
        ('[{"id": 1}]', "Object missing required field `number` - at `$.from_redirect_numbers[0]`"),
        ('[{"id": 1, "number": ""}]', "Expected `str` of length >= 1 - at `$.from_redirect_numbers[0].number`"),
        ('[{"id": 1, "number": null}]', "Expected `str`, got `null` - at `$.from_redirect_numbers[0].number`"),
        ('[{"id": null, "number": "7"}]', "Expected `int`, got `null` - at `$.from_redirect_numbers[0].id`"),
        ('[{"id": true, "number": "7"}]', "Expected `int`, got `bool` - at `$.from_redirect_numbers[0].id`"),
        ('[{"id": 1.0, "number": "7"}]', "Expected `int`, got `float` - at `$.from_redirect_numbers[0].id`"),
        (
            '[{"id": 1, "number": "7"}, {"id": 9223372036854775808, "number": "7"}]',
            "Expected `int` <= 9223372036854775807 - at `$.from_redirect_numbers[1].id`",
        ),
        (
            f'[{{"id": 1, "number": "{"7" * 201}"}}]',
            "Expected `str` of length <= 200 - at `$.from_redirect_numbers[0].number`",
        ),
    ],
)
def test_a_redirect_that_cannot_be_taken_rejects_its_record(told: str, error: str) -> None:
    rejection = rejected(minimal(from_redirect_numbers=told, app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, 5, error)


@pytest.mark.parametrize(
    ("element", "kind"),
    [("null", "null"), ("1", "int"), ('"250"', "str"), ("true", "bool"), ("[]", "array"), ('[{"id": 250}]', "array")],
)
def test_an_element_that_is_no_object_is_rejected(element: str, kind: str) -> None:
    rejection = rejected(element.encode())
    assert rejection == Rejection(None, None, f"Expected `object`, got `{kind}`", element.encode(), DIGEST)


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(minimal(comment='"ÿ"').replace("ÿ".encode(), b"\xff"), id="in a column"),
        pytest.param(minimal(comment='"ÿ"').replace("ÿ".encode(), b"\xed\xa0\x80"), id="a surrogate in a column"),
        pytest.param(minimal(comment='"ÿ"').replace("ÿ".encode(), b"\xc0\x80"), id="an overlong NUL in a column"),
        pytest.param(minimal(number='"ÿ"').replace("ÿ".encode(), b"\xd0"), id="in the number"),
        pytest.param(minimal(x='"ÿ"').replace("ÿ".encode(), b"\xff"), id="in an extra field"),
        pytest.param(minimal(x='{"ÿ": 1}').replace("ÿ".encode(), b"\xff"), id="in a key of an extra field"),
        pytest.param(
            minimal(from_redirect_numbers='[{"id": 1, "number": "ÿ"}]').replace("ÿ".encode(), b"\xff"),
            id="in a redirect's number",
        ),
        pytest.param(
            minimal(from_redirect_numbers='[{"id": 1, "number": "7", "comment": "ÿ"}]').replace("ÿ".encode(), b"\xff"),
            id="in a redirect's unknown field",
        ),
        pytest.param(
            minimal(x='"ÿ", "x": 1').replace("ÿ".encode(), b"\xff"), id="in the first of an extra field's two values"
        ),
        pytest.param(
            minimal(x="1", comment='"ÿ", "comment": null').replace("ÿ".encode(), b"\xff"),
            id="in the first of a column's two values",
        ),
    ],
)
def test_bytes_that_are_not_utf8_reject_their_record(element: bytes) -> None:
    assert rejected(element) == Rejection(250, None, "the bytes are not UTF-8", element, DIGEST)


def test_an_extra_key_that_is_not_utf8_rejects_its_record() -> None:
    element = minimal(ÿ="1").replace("ÿ".encode(), b"\xff")
    assert rejected(element).error == "the bytes are not UTF-8"


def test_an_element_nested_too_deep_is_rejected() -> None:
    element = minimal(x="[" * 100_000 + "]" * 100_000)
    assert rejected(element) == Rejection(None, None, "nested too deep", element[:MAX_PAYLOAD_BYTES], DIGEST)


def test_a_record_longer_than_anybody_means_is_rejected_and_its_id_still_read() -> None:
    spare = MAX_RECORD_CHARS - len(minimal(comment='""'))
    longest, longer = (minimal(comment=f'"{"a" * length}"') for length in (spare, spare + 1))
    assert isinstance(decode(Raw(longest), DIGEST), ParsedRecord)
    found = rejected(longer)
    assert (found.error, found.virtual_number_id) == ("longer than 16,777,216 characters", 250)
    assert (found.payload, found.fingerprint) == (longer[:MAX_PAYLOAD_BYTES], DIGEST)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("depth", [50, 100, 300, 500, 700, 900])
def test_what_is_nested_deep_is_either_rejected_or_can_be_compared(depth: int, opening: str, closing: str) -> None:
    element = minimal(x=opening * depth + "1" + closing * depth)
    one, other = decode(Raw(element), DIGEST), decode(Raw(element[:-1] + b" }"), DIGEST)
    if isinstance(one, ParsedRecord) and isinstance(other, ParsedRecord):
        assert one.same_content(other)
    else:
        assert (type(one), type(other)) == (Rejection, Rejection)


@pytest.mark.parametrize(
    ("opening", "closing", "innermost", "levels"),
    [("[", "]", "1", 0), ("[", "]", "[]", 1), ('{"a":', "}", "1", 0), ('{"a":', "}", "{}", 1)],
)
def test_an_unknown_field_has_a_hundred_levels_at_most(opening: str, closing: str, innermost: str, levels: int) -> None:
    deepest, deeper = (
        minimal(x=opening * (depth - levels) + innermost + closing * (depth - levels)) for depth in (100, 101)
    )
    assert isinstance(decode(deepest, DIGEST), ParsedRecord)
    assert rejected(deeper).error == "nested too deep - in the unknown field 'x'"


def test_a_rejection_keeps_exactly_the_bytes_that_were_received() -> None:
    element = b'{ "id":  250,\t"number":"",\r\n"comment" : "\\ud800\\u0000\\u0441\xff" }'
    rejection = rejected(element)
    assert (rejection.payload, rejection.fingerprint, rejection.virtual_number_id) == (element, DIGEST, 250)


@pytest.mark.parametrize("beyond", [-1, 0, 1, 1000])
def test_a_rejection_keeps_64_kib_at_most(beyond: int) -> None:
    bare = minimal(number='""', comment='""')
    element = bare.replace(b'"comment": ""', b'"comment": "%s"' % (b"x" * (64 * 1024 - len(bare) + beyond)))
    assert len(element) == 64 * 1024 + beyond
    assert rejected(element).payload == element[: 64 * 1024]


def test_a_record_may_be_rejected_for_another_reason_than_its_own() -> None:
    element = spelled(record(250))
    assert reject(Raw(element), DIGEST, "why not") == Rejection(250, APP_ID, "why not", element, DIGEST)


@pytest.mark.parametrize("value", ["null", "true", '"5"', "1.0", "1e2", "[]", "9223372036854775808", "9" * 5000])
def test_identifiers_that_cannot_be_read_are_not_guessed(value: str) -> None:
    rejection = rejected(minimal(id=value, app_id=value, number="null"))
    assert (rejection.virtual_number_id, rejection.app_id) == (None, None)


def test_the_app_id_of_a_rejected_record_is_read_as_that_of_a_taken_one() -> None:
    for app_id in (APP_ID, 1, 0, -5, -(2**63), 2**63 - 1):
        assert values(record(app_id=app_id))["app_id"] == app_id
        assert rejected(record(app_id=app_id, number="")).app_id == app_id


def test_the_identifiers_of_a_rejected_record_are_read_beside_lone_surrogates() -> None:
    rejection = rejected(minimal(comment=r'"\ud800"', number="null", app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id) == (250, 5)


@given(st.permutations(sorted(record())), st.sampled_from([None, 1, "\t"]), st.booleans())
@settings(deadline=None, max_examples=50)
def test_spelling_and_order_mean_nothing(keys: list[str], indent: int | str | None, escaped: bool) -> None:
    told = record(comment="компании\u200b/\U0001f600", from_redirect_numbers=[redirect(249, "74994088157")], x={"a": 1})
    other = json.dumps({"x": told["x"]} | {key: told[key] for key in keys}, indent=indent, ensure_ascii=escaped)
    assert taken(told).same_content(taken(other.encode()))


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_makes_a_difference(column: str) -> None:
    other = {"id": 7}.get(column, True if column in BOOLEANS else 7 if column in INTEGERS else "7")
    assert not taken(record()).same_content(taken(having(column, other)))


def test_absent_null_and_empty_mean_three_things() -> None:
    absent, null, empty = taken(without(record(), "comment")), taken(record(comment=None)), taken(record(comment=""))
    assert not absent.same_content(null)
    assert not null.same_content(empty)
    assert not absent.same_content(empty)


def test_redirects_and_extra_make_a_difference() -> None:
    plain = taken(record())
    assert not plain.same_content(taken(record(from_redirect_numbers=[redirect(1, "7")])))
    assert not plain.same_content(taken(without(record(), "from_redirect_numbers")))
    assert not plain.same_content(taken(record(x=None)))
    assert not taken(record(x=1)).same_content(taken(record(x=True)))
    assert taken(record(x=1)).same_content(taken(record(x=1.0)))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (0, -0.0, True),
        (0.0, -0.0, True),
        (100000, 1e5, True),
        (10**23, 1e23, True),
        (2**53, float(2**53), True),
        (2**53 + 1, float(2**53), False),
        (2**64, 1.8446744073709552e19, False),
        (0.1, 0.1, True),
        (0.1, 0.2, False),
        (5e-324, 0, False),
        (1, True, False),
        (0, False, False),
        (1.0, True, False),
        (True, True, True),
        (None, None, True),
        (None, False, False),
        (None, 0, False),
        (None, [], False),
        ("1", 1, False),
        ("", None, False),
        ("e\u0301", "é", False),
        ([], {}, False),
        ([], [], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([1, True], [1.0, True], True),
        ([1, True], [1.0, 1], False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True),
        ({"a": None}, {}, False),
        ({"a": {"b": [True]}}, {"a": {"b": [1]}}, False),
    ],
)
def test_json_is_compared_as_jsonb_compares_it(one: Any, other: Any, expected: bool) -> None:
    assert same_json(one, other) is expected
    assert same_json(other, one) is expected


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.integers(-400, 400))
@settings(deadline=None, max_examples=50)
@example(1e23, 0)
@example(5e-324, 0)
@example(1.7976931348623157e308, 0)
def test_a_number_that_went_through_postgresql_is_the_same(number: float, step: int) -> None:
    assert same_json(number, json.loads(f"{Decimal(repr(number)):f}"))
    assert not same_json(number, number + step) or number == number + step


@given(_json)
@settings(deadline=None, max_examples=50)
def test_any_json_is_the_same_as_itself_in_another_order_of_keys(value: Any) -> None:
    def turned(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: turned(inner[key]) for key in reversed(inner)}
        return list(map(turned, inner)) if isinstance(inner, list) else inner

    assert same_json(value, turned(value))


_fields = st.dictionaries(
    st.sampled_from([*COLUMNS, "id", "from_redirect_numbers", "x", "y\0"]),
    _json | st.lists(st.fixed_dictionaries({"id": _json, "number": _json}), max_size=2),
    max_size=5,
)


@given(_fields, st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_element_is_taken_as_postgresql_can_hold_it_or_rejected(fields: dict[str, Any], escaped: bool) -> None:
    element = json.dumps(record() | fields, ensure_ascii=escaped).encode(errors="surrogatepass")
    decoded = decode(Raw(element), DIGEST)
    assert decoded.fingerprint == DIGEST
    if isinstance(decoded, Rejection):
        assert decoded.payload == element
        assert decoded.error
        assert "\n" not in decoded.error
        return
    told = columns(decoded)
    assert {type(told[column]) for column in INTEGERS} <= {int, type(None)}
    assert {type(told[column]) for column in BOOLEANS} <= {bool, type(None)}
    assert {type(told[column]) for column in (*WORDS, *TEXTS, "number")} <= {str, type(None)}
    assert isinstance(decoded.redirects, frozenset)
    integers = [
        decoded.virtual_number_id,
        *(told[column] for column in INTEGERS),
        *(key for key, _ in decoded.redirects),
    ]
    assert all(-(2**63) <= integer < 2**63 for integer in integers if integer is not None)
    text = json.dumps([decoded.values, sorted(decoded.redirects), decoded.extra], ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()


def test_no_record_that_can_be_taken_is_shorter_than_the_shortest() -> None:
    shortest = b'{"id":1,"number":"1","state":""}'
    assert isinstance(decode(Raw(shortest), DIGEST), ParsedRecord)
    assert len(shortest + b",") == MIN_RECORD_BYTES
