"""Decoding one element: into a record with the vendor's values, or into a rejection with an error and the bytes."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.json_array import split_array
from syncer.diff.json_values import equal_as_jsonb, read_json
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
    validate_together,
)
from tests.builders import APP_ID, XXH3_COLLISION, record, redirect, without

SAMPLES = Path(__file__).parents[1] / "samples"
FINGERPRINT = bytes(range(16))
WORDS = ("type", "purpose", "state", "nc_type", "region_name")
TEXTS = ("comment", "reason", "dgn_number", "redirect_number", "sip_uri")
INTEGERS = ("scenario_id", "group_scenario_id", "group_id", "employee_id", "app_id")
BOOLEANS = ("is_scenario_active", "is_group_scenario_active")


def encode_element(element: Any) -> bytes:
    return json.dumps(element, ensure_ascii=False).encode()


def decode_valid(element: Any) -> ParsedRecord:
    """Decodes an element, given as bytes or as JSON to encode, that must be valid."""
    decoded = decode(Raw(element if isinstance(element, bytes) else encode_element(element)), FINGERPRINT)
    assert isinstance(decoded, ParsedRecord), decoded
    return decoded


def decode_invalid(element: Any) -> Rejection:
    """Decodes an element, given as bytes or as JSON to encode, that must be rejected."""
    decoded = decode(Raw(element if isinstance(element, bytes) else encode_element(element)), FINGERPRINT)
    assert isinstance(decoded, Rejection), decoded
    return decoded


def columns_of(parsed: ParsedRecord) -> dict[str, Any]:
    return dict(zip(COLUMNS, parsed.values, strict=True))


def valid_columns(element: Any) -> dict[str, Any]:
    """The column values of an element that must be valid."""
    return columns_of(decode_valid(element))


def record_with(column: str, value: Any) -> dict[str, Any]:
    return record() | {column: value}


def minimal_record(**fields: str) -> bytes:
    """A record of the three required fields and of `fields`, whose values are JSON text."""
    texts = {"id": "250", "number": '"79208547433"', "state": '"active"'} | fields
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in texts.items()) + "}").encode()


def decode_sample(name: str) -> list[ParsedRecord]:
    return [
        decode_valid(bytes(element))
        for _, elements in split_array((SAMPLES / name).read_bytes())
        for element in elements
    ]


def test_the_vendors_first_example_is_decoded_exactly() -> None:
    parsed = decode_sample("documented.json")[0]
    assert parsed == ParsedRecord(
        virtual_number_id=250,
        values=parsed.values,
        redirects=frozenset({(249, "74994088157")}),
        extra={},
        fingerprint=FINGERPRINT,
    )
    assert columns_of(parsed) == {
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


def test_the_vendors_second_example_has_a_landline_pair_and_no_redirect_number_key() -> None:
    columns = columns_of(decode_sample("documented.json")[1])
    assert (columns["dgn_number"], columns["redirect_number"]) == ("74954789551", UNSET)
    assert (columns["scenario_id"], columns["is_scenario_active"], columns["is_group_scenario_active"]) == (
        561,
        True,
        None,
    )


def test_the_landline_pair_and_the_redirect_number_are_separate_fields() -> None:
    columns = columns_of(decode_sample("variants.json")[0])
    assert (columns["dgn_number"], columns["redirect_number"]) == ("74994088157", None)
    both = valid_columns(record(dgn_number="74950000001", redirect_number="74950000002"))
    assert (both["dgn_number"], both["redirect_number"]) == ("74950000001", "74950000002")


def test_several_numbers_may_redirect_to_one() -> None:
    assert decode_sample("variants.json")[0].redirects == frozenset({(678, "78009966666"), (249, "74994088157")})


def test_the_shape_of_an_unconfirmed_number_is_valid_and_its_absent_keys_are_unset() -> None:
    parsed = decode_sample("variants.json")[1]
    absent = {column for column, value in columns_of(parsed).items() if value is UNSET}
    assert absent == {"redirect_number", "app_id", "nc_type", "sip_uri"}
    assert (parsed.redirects, parsed.extra) == (frozenset(), {})


def test_an_inactive_number_and_its_reason_are_decoded() -> None:
    columns = columns_of(decode_sample("variants.json")[2])
    assert (columns["state"], columns["reason"], columns["purpose"]) == ("inactive", "manual", "company")


def test_the_samples_belong_to_one_account() -> None:
    everything = decode_sample("documented.json") + decode_sample("variants.json")
    assert [parsed.virtual_number_id for parsed in everything] == [250, 256, 250, 331, 542]
    assert {columns_of(parsed)["app_id"] for parsed in everything} == {APP_ID, UNSET}


@pytest.mark.parametrize("spelling", ["company", "\u0441ompany", r"\u0441ompany"])
def test_company_is_latin_whether_its_first_letter_is_latin_or_cyrillic(spelling: str) -> None:
    assert valid_columns(minimal_record(purpose=f'"{spelling}"'))["purpose"] == "company"


@pytest.mark.parametrize("word", ["employee", "not_specified", "\u0441отрудник", "\u0421ompany", "", None])
def test_any_other_purpose_is_not_changed(word: str | None) -> None:
    assert valid_columns(record(purpose=word))["purpose"] == word


def test_null_redirects_are_no_redirects_and_an_absent_key_is_unset() -> None:
    assert decode_valid(record(from_redirect_numbers=None)).redirects == frozenset()
    assert decode_valid(record(from_redirect_numbers=[])).redirects == frozenset()
    assert decode_valid(without(record(), "from_redirect_numbers")).redirects is UNSET


@pytest.mark.parametrize("column", sorted(set(COLUMNS) - {"number", "state"}))
def test_null_is_none_and_an_absent_key_is_unset(column: str) -> None:
    assert valid_columns(record_with(column, None))[column] is None
    assert valid_columns(without(record(), column))[column] is UNSET


def test_three_fields_are_enough_for_a_record() -> None:
    parsed = decode_valid(b'{"id":1,"number":"7","state":"s"}')
    columns = columns_of(parsed)
    assert (parsed.virtual_number_id, columns.pop("number"), columns.pop("state")) == (1, "7", "s")
    assert set(columns.values()) == {UNSET}
    assert parsed.redirects is UNSET


@pytest.mark.parametrize("column", WORDS)
def test_unknown_words_are_accepted(column: str) -> None:
    assert valid_columns(record_with(column, "Never seen — до сих пор"))[column] == "Never seen — до сих пор"


def test_the_order_of_redirects_does_not_matter_and_a_repeated_one_counts_once() -> None:
    one, other = redirect(249, "74994088157"), redirect(678, "78009966666")
    assert decode_valid(record(from_redirect_numbers=[one, other, one])).has_same_content(
        decode_valid(record(from_redirect_numbers=[other, one]))
    )


def test_one_redirect_id_may_have_two_numbers_and_one_number_two_ids() -> None:
    redirects = [redirect(1, "74950000001"), redirect(1, "74950000002"), redirect(2, "74950000001")]
    assert decode_valid(record(from_redirect_numbers=redirects)).redirects == frozenset(
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
def test_the_last_value_of_a_repeated_key_counts(first: str, last: str, expected: str | None) -> None:
    element = minimal_record(dgn_number=first)[:-1] + f', "dgn_number": {last}}}'.encode()
    assert valid_columns(element)["dgn_number"] == expected


def test_the_last_value_of_a_repeated_id_counts() -> None:
    assert decode_valid(b'{"id": "x", "number": "7", "state": "s", "id": 3}').virtual_number_id == 3
    assert decode_invalid(b'{"id": 3, "number": "7", "state": "s", "id": "x"}').virtual_number_id is None


@pytest.mark.parametrize("first", ["7", '"x"', "null"])
def test_the_last_value_of_a_repeated_key_in_a_redirect_counts(first: str) -> None:
    element = minimal_record(from_redirect_numbers=f'[{{"id": {first}, "id": 249, "number": "74994088157"}}]')
    assert decode_valid(element).redirects == frozenset({(249, "74994088157")})


def test_a_key_may_contain_escapes() -> None:
    assert decode_valid(rb'{"\u0069d": 3, "n\u0075mber": "7", "state": "s"}').virtual_number_id == 3


def test_fields_without_a_column_are_extra() -> None:
    extra = {"tariff": None, "region_id": 7, "virtual_number_id": 9, "": "", "tags": ["а", {"b": [1.5, True, None]}]}
    parsed = decode_valid(record() | extra)
    assert parsed.extra == extra
    assert parsed.values == decode_valid(record()).values


def test_the_last_value_of_a_repeated_extra_field_counts() -> None:
    assert decode_valid(minimal_record(x="1")[:-1] + b', "x": [2]}').extra == {"x": [2]}


def test_a_large_integer_in_an_extra_field_is_kept() -> None:
    assert decode_valid(
        minimal_record(x="18446744073709551616", y="-9223372036854775809", z="1" + "0" * 400)
    ).extra == {
        "x": 2**64,
        "y": -(2**63) - 1,
        "z": 10**400,
    }


@pytest.mark.parametrize("value", ["125.0", "1.25e2", "1250E-1", "0.125e+3", "125." + "0" * 5000])
@pytest.mark.parametrize("column", ["id", *INTEGERS])
def test_an_integer_may_be_written_with_a_fraction_or_an_exponent(column: str, value: str) -> None:
    parsed = decode_valid(minimal_record(**{column: value}))
    assert (parsed.virtual_number_id if column == "id" else columns_of(parsed)[column]) == 125


def test_the_id_of_a_rejected_record_may_be_written_with_a_fraction() -> None:
    rejection = decode_invalid(minimal_record(id="125.0", app_id="5e0", state="null"))
    assert (rejection.virtual_number_id, rejection.app_id) == (125, 5)


def test_the_id_of_a_redirect_may_be_written_with_a_fraction() -> None:
    parsed = decode_valid(minimal_record(from_redirect_numbers='[{"id": 249.0, "number": "74994088157"}]'))
    assert (parsed.redirects, parsed.extra) == (frozenset({(249, "74994088157")}), {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1e400", Decimal("1e400")),
        ("[-1.5E-400]", [Decimal("-1.5e-400")]),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("12345678901234567890.5", Decimal("12345678901234567890.5")),
        ("9" * 5000, Decimal("9" * 5000)),
        ('{"a": [' + "9" * 5000 + ', 0.1, "x"]}', {"a": [Decimal("9" * 5000), Decimal("0.1"), "x"]}),
        ("1e131071", Decimal("1e131071")),
        ("1e131072", "1e131072"),
        ("9" * 131_073, "9" * 131_073),
        ("1e-16383", Decimal("1e-16383")),
        ("1e-16384", "1e-16384"),
        ("1e9999999999999999999999", "1e9999999999999999999999"),
        ("[" + ", ".join(["1e100000"] * 12) + "]", [Decimal("1e100000")] * 10 + ["1e100000"] * 2),
    ],
)
def test_a_number_in_an_extra_field_is_exact_and_text_if_jsonb_cannot_store_it(value: str, expected: Any) -> None:
    assert decode_valid(minimal_record(tariff=value)).extra == {"tariff": expected}


@pytest.mark.parametrize(
    ("numbers", "last", "beyond"),
    [
        (["1.5", *["1e100000"] * 10], "1e48652", "1e48653"),
        (["1.5", *["1e-16383"] * 64], "1e-517", "1e-518"),
    ],
    ids=["before the decimal point", "after it"],
)
def test_numbers_are_text_where_their_exponents_add_more_than_a_mebidigit(
    numbers: list[str], last: str, beyond: str
) -> None:
    assert read_json(f"[{', '.join([*numbers, last])}]") == [*map(Decimal, numbers), Decimal(last)]
    assert read_json(f"[{', '.join([*numbers, beyond])}]") == [*map(Decimal, numbers), beyond]


def test_text_with_an_integer_of_thousands_of_digits_is_read_exactly() -> None:
    assert read_json("9" * 5000) == Decimal("9" * 5000)


def test_a_fingerprint_is_the_keyed_blake2b_of_the_bytes() -> None:
    content_hash = ContentHash(bytes(range(32)))
    assert content_hash(b'{"id":1}').hex() == content_hash(Raw(b'{"id":1}')).hex() == "6ff79c74d3f7cc9130856872ae043ed8"
    assert content_hash.has_key_of(ContentHash(bytes(range(32))))
    assert not content_hash.has_key_of(UNKEYED)


def test_the_hashes_of_many_contents_are_those_of_each() -> None:
    content_hash, contents = ContentHash(bytes(range(32))), [b'{"id":1}', b"", b"x" * 1_000, Raw(b'{"id":1}')]
    assert content_hash.of_each(contents) == [*map(content_hash, contents)]


def test_records_that_have_the_same_xxh3_hash_have_different_fingerprints() -> None:
    first, second = XXH3_COLLISION
    for content_hash in (UNKEYED, ContentHash(bytes(range(32)))):
        assert content_hash(first) != content_hash(second)


def test_the_error_of_a_rejection_quotes_80_characters_of_a_field_name() -> None:
    rejection = decode_invalid(minimal_record(**{"x" * 79 + "yz": "[" * 101 + "]" * 101}))
    assert rejection.error == f"nested too deep - in the unknown field '{'x' * 79}y'"


def test_the_error_of_a_rejection_is_one_line_whatever_the_field_name() -> None:
    rejection = decode_invalid(minimal_record(**{r"a\nb\r\u2028\u001b[2J": "[" * 101 + "]" * 101}))
    assert rejection.error.startswith("nested too deep - in the unknown field")
    assert rejection.error.isprintable()


def test_unknown_fields_of_redirects_are_extra_whatever_the_order_of_the_redirects() -> None:
    redirects = [
        '{"id": 9, "number": "7499", "schedule": "night", "enabled": false}',
        '{"id": 249.0, "number": "74994088157", "priority": 1.50}',
        '{"id": 7, "number": "7495"}',
    ]
    parsed = decode_valid(minimal_record(from_redirect_numbers=f"[{', '.join(redirects)}]"))
    assert parsed.redirects == frozenset({(9, "7499"), (249, "74994088157"), (7, "7495")})
    assert parsed.extra == {
        "from_redirect_numbers": [
            {"id": 249, "priority": Decimal("1.50")},
            {"id": 9, "enabled": False, "schedule": "night"},
        ]
    }
    other = decode_valid(minimal_record(from_redirect_numbers=f"[{', '.join([*redirects[::-1], redirects[0]])}]"))
    assert parsed.has_same_content(other)


def test_an_unknown_field_of_a_redirect_has_at_most_a_hundred_levels() -> None:
    redirects = f'[{{"id": 1, "number": "7", "x": {"[" * 101 + "]" * 101}}}]'
    assert decode_invalid(minimal_record(from_redirect_numbers=redirects)).error == (
        "nested too deep - in the unknown field 'x'"
    )


@pytest.mark.parametrize("character", ["я", "€", "\U0001f600"])
@pytest.mark.parametrize("offset", range(4))
def test_the_payload_of_a_rejection_is_cut_between_two_characters(character: str, offset: int) -> None:
    start = b'{"id": 1, "comment": "'.ljust(MAX_PAYLOAD_BYTES - offset, b"a")
    rejection = decode_invalid(start + character.encode() * 2 + b'"}')
    kept = offset // len(character.encode()) * len(character.encode())
    assert rejection.payload == (start + character.encode() * 2)[: len(start) + kept]


@pytest.mark.parametrize("broken", [b"\xff", b"\x80\x80\x80\x80\x80"])
def test_a_payload_that_is_not_utf8_is_cut_at_64_kib(broken: bytes) -> None:
    start = b'{"id": 1, "comment": "'.ljust(MAX_PAYLOAD_BYTES - len(broken) + 1, b"a")
    assert decode_invalid(start + broken + b'"}').payload == (start + broken)[:MAX_PAYLOAD_BYTES]


def test_nul_and_lone_surrogates_are_replaced_in_columns_redirects_and_extra() -> None:
    parsed = decode_valid(
        minimal_record(
            comment=r'"a\u0000b\ud800c\ud83d\ude00"',
            from_redirect_numbers=r'[{"id": 1, "number": "7\udc00"}]',
            x=r'{"\u0000": ["\udfff", "\\u0000"]}',
        )
    )
    assert columns_of(parsed)["comment"] == "a\ufffdb\ufffdc\U0001f600"
    assert parsed.redirects == frozenset({(1, "7\ufffd")})
    assert parsed.extra == {"x": {"\ufffd": ["\ufffd", "\\u0000"]}}


_NOT_AN_INTEGER = [
    ("true", "Expected `int`, got `bool`"),
    ("1.5", "Expected `int`, got `float`"),
    ("125.5", "Expected `int`, got `float`"),
    ("1.25e1", "Expected `int`, got `float`"),
    ("1e-1", "Expected `int`, got `float`"),
    ("9223372036854775808.0", "Expected `int` <= 9223372036854775807"),
    ("1e99999999999999999999", "Number out of range"),
    ('"1"', "Expected `int`, got `str`"),
    ("[1]", "Expected `int`, got `array`"),
    ("9223372036854775808", "Expected `int` <= 9223372036854775807"),
    ("18446744073709551616", "Expected `int` <= 9223372036854775807"),
    ("1" + "0" * 5000, "Integer value out of range"),
    ("1e400", "Number out of range"),
]


@pytest.mark.parametrize(("value", "error"), [*_NOT_AN_INTEGER, ("null", "Expected `int`, got `null`")])
def test_an_id_that_is_not_an_integer_is_not_reported_as_the_rejections_id(value: str, error: str) -> None:
    rejection = decode_invalid(minimal_record(id=value, app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (None, 5, f"{error} - at `$.id`")


@pytest.mark.parametrize("value", ["0", "-0", "-1", str(-(2**63))])
def test_an_id_must_be_positive(value: str) -> None:
    rejection = decode_invalid(minimal_record(id=value))
    assert (rejection.virtual_number_id, rejection.error) == (None, "Expected `int` >= 1 - at `$.id`")


def test_ids_go_up_to_the_largest_bigint() -> None:
    assert decode_valid(minimal_record(id=str(2**63 - 1))).virtual_number_id == MAX_BIGINT == 9223372036854775807


@pytest.mark.parametrize("column", INTEGERS)
@pytest.mark.parametrize(("value", "error"), _NOT_AN_INTEGER)
def test_an_integer_field_accepts_only_integers(column: str, value: str, error: str) -> None:
    rejection = decode_invalid(minimal_record(**{column: value}))
    expected = f"{error.replace('Expected `int`, got', 'Expected `int | null`, got')} - at `$.{column}`"
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, None, expected)


@pytest.mark.parametrize("column", INTEGERS)
@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_an_integer_field_accepts_every_bigint(column: str, value: int) -> None:
    assert valid_columns(record_with(column, value))[column] == value


def test_an_integer_below_bigint_is_rejected() -> None:
    assert (
        decode_invalid(record(group_id=-(2**63) - 1)).error
        == "Expected `int` >= -9223372036854775808 - at `$.group_id`"
    )


@pytest.mark.parametrize("column", BOOLEANS)
@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_a_boolean_field_accepts_only_booleans(column: str, value: Any) -> None:
    rejection = decode_invalid(record_with(column, value))
    assert rejection.virtual_number_id == 250
    assert rejection.error.startswith("Expected `bool | null`, got")
    assert rejection.error.endswith(f" - at `$.{column}`")


@pytest.mark.parametrize("column", WORDS + TEXTS)
@pytest.mark.parametrize("value", [0, 1.5, True, [], {}])
def test_a_text_field_accepts_only_strings(column: str, value: Any) -> None:
    rejection = decode_invalid(record_with(column, value))
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
        ({"state": ""}, "Expected `str` of length >= 1 - at `$.state`"),
    ],
)
def test_a_number_and_a_state_are_required(fields: dict[str, Any], error: str) -> None:
    rejection = decode_invalid(record(**fields))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, APP_ID, error)


@pytest.mark.parametrize(("key", "known_id"), [("id", None), ("number", 250), ("state", 250)])
def test_the_three_required_keys_must_be_present(key: str, known_id: int | None) -> None:
    rejection = decode_invalid(without(record(), key))
    expected = (known_id, APP_ID, f"Object missing required field `{key}`")
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == expected


@pytest.mark.parametrize("letter", ["7", "я", "\U0001f600"])
@pytest.mark.parametrize("column", [*WORDS, "number"])
def test_words_and_numbers_have_at_most_200_characters_however_many_bytes(column: str, letter: str) -> None:
    assert valid_columns(record_with(column, letter * 200))[column] == letter * 200
    rejection = decode_invalid(record_with(column, letter * 201))
    assert rejection.virtual_number_id == 250
    assert rejection.error.endswith(f"of length <= 200 - at `$.{column}`")


@pytest.mark.parametrize("column", TEXTS)
def test_free_text_may_be_long(column: str) -> None:
    assert valid_columns(record_with(column, "я" * 100_000))[column] == "я" * 100_000


@pytest.mark.parametrize(
    ("redirects", "error"),
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
        ('[{"id": 1.5, "number": "7"}]', "Expected `int`, got `float` - at `$.from_redirect_numbers[0].id`"),
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
def test_an_invalid_redirect_rejects_its_record(redirects: str, error: str) -> None:
    rejection = decode_invalid(minimal_record(from_redirect_numbers=redirects, app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id, rejection.error) == (250, 5, error)


@pytest.mark.parametrize(
    ("element", "kind"),
    [("null", "null"), ("1", "int"), ('"250"', "str"), ("true", "bool"), ("[]", "array"), ('[{"id": 250}]', "array")],
)
def test_an_element_that_is_not_an_object_is_rejected(element: str, kind: str) -> None:
    rejection = decode_invalid(element.encode())
    assert rejection == Rejection(None, None, f"Expected `object`, got `{kind}`", element.encode(), FINGERPRINT)


NOT_UTF8 = [
    pytest.param(minimal_record(comment='"ÿ"').replace("ÿ".encode(), b"\xff"), id="in a column"),
    pytest.param(minimal_record(comment='"ÿ"').replace("ÿ".encode(), b"\xed\xa0\x80"), id="a surrogate in a column"),
    pytest.param(minimal_record(comment='"ÿ"').replace("ÿ".encode(), b"\xc0\x80"), id="an overlong NUL in a column"),
    pytest.param(minimal_record(number='"ÿ"').replace("ÿ".encode(), b"\xd0"), id="in the number"),
    pytest.param(minimal_record(x='"ÿ"').replace("ÿ".encode(), b"\xff"), id="in an extra field"),
    pytest.param(minimal_record(x='{"ÿ": 1}').replace("ÿ".encode(), b"\xff"), id="in a key of an extra field"),
    pytest.param(
        minimal_record(from_redirect_numbers='[{"id": 1, "number": "ÿ"}]').replace("ÿ".encode(), b"\xff"),
        id="in a redirect's number",
    ),
    pytest.param(
        minimal_record(from_redirect_numbers='[{"id": 1, "number": "7", "comment": "ÿ"}]').replace(
            "ÿ".encode(), b"\xff"
        ),
        id="in a redirect's unknown field",
    ),
    pytest.param(
        minimal_record(x='"ÿ", "x": 1').replace("ÿ".encode(), b"\xff"),
        id="in the first of an extra field's two values",
    ),
    pytest.param(
        minimal_record(x="1", comment='"ÿ", "comment": null').replace("ÿ".encode(), b"\xff"),
        id="in the first of a column's two values",
    ),
]


@pytest.mark.parametrize("element", NOT_UTF8)
def test_bytes_that_are_not_utf8_reject_their_record(element: bytes) -> None:
    assert decode_invalid(element) == Rejection(250, None, "the bytes are not UTF-8", element, FINGERPRINT)


@pytest.mark.parametrize("element", NOT_UTF8)
def test_records_are_not_decoded_together_if_one_of_them_is_not_utf8(element: bytes) -> None:
    assert validate_together(b",".join([minimal_record(), element, minimal_record()])) is None


def test_an_extra_key_that_is_not_utf8_rejects_its_record() -> None:
    element = minimal_record(ÿ="1").replace("ÿ".encode(), b"\xff")
    assert decode_invalid(element).error == "the bytes are not UTF-8"


def test_an_element_nested_too_deep_is_rejected() -> None:
    element = minimal_record(x="[" * 100_000 + "]" * 100_000)
    id_read = 250 if sys.version_info >= (3, 14) else None  # from 3.14 on, what is passed over may be that deep
    assert decode_invalid(element) == Rejection(
        id_read, None, "nested too deep", element[:MAX_PAYLOAD_BYTES], FINGERPRINT
    )


def test_a_record_that_is_too_long_is_rejected_and_its_id_is_still_read() -> None:
    spare = MAX_RECORD_CHARS - len(minimal_record(comment='""'))
    longest, longer = (minimal_record(comment=f'"{"a" * length}"') for length in (spare, spare + 1))
    assert isinstance(decode(Raw(longest), FINGERPRINT), ParsedRecord)
    found = decode_invalid(longer)
    assert (found.error, found.virtual_number_id) == ("longer than 4,194,304 characters", 250)
    assert (found.payload, found.fingerprint) == (longer[:MAX_PAYLOAD_BYTES], FINGERPRINT)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("depth", [50, 100, 300, 500, 700, 900])
def test_a_deeply_nested_record_is_either_rejected_or_comparable(depth: int, opening: str, closing: str) -> None:
    element = minimal_record(x=opening * depth + "1" + closing * depth)
    one, other = decode(Raw(element), FINGERPRINT), decode(Raw(element[:-1] + b" }"), FINGERPRINT)
    if isinstance(one, ParsedRecord) and isinstance(other, ParsedRecord):
        assert one.has_same_content(other)
    else:
        assert (type(one), type(other)) == (Rejection, Rejection)


@pytest.mark.parametrize(
    ("opening", "closing", "innermost", "levels"),
    [("[", "]", "1", 0), ("[", "]", "[]", 1), ('{"a":', "}", "1", 0), ('{"a":', "}", "{}", 1)],
)
def test_an_unknown_field_has_at_most_a_hundred_levels(opening: str, closing: str, innermost: str, levels: int) -> None:
    deepest, deeper = (
        minimal_record(x=opening * (depth - levels) + innermost + closing * (depth - levels)) for depth in (100, 101)
    )
    assert isinstance(decode(deepest, FINGERPRINT), ParsedRecord)
    assert decode_invalid(deeper).error == "nested too deep - in the unknown field 'x'"


def test_a_rejection_keeps_exactly_the_bytes_that_were_received() -> None:
    element = b'{ "id":  250,\t"number":"",\r\n"comment" : "\\ud800\\u0000\\u0441\xff" }'
    rejection = decode_invalid(element)
    assert (rejection.payload, rejection.fingerprint, rejection.virtual_number_id) == (element, FINGERPRINT, 250)


@pytest.mark.parametrize("beyond", [-1, 0, 1, 1000])
def test_a_rejection_keeps_at_most_64_kib(beyond: int) -> None:
    bare = minimal_record(number='""', comment='""')
    element = bare.replace(b'"comment": ""', b'"comment": "%s"' % (b"x" * (64 * 1024 - len(bare) + beyond)))
    assert len(element) == 64 * 1024 + beyond
    assert decode_invalid(element).payload == element[: 64 * 1024]


def test_a_valid_record_can_be_rejected_with_a_given_error() -> None:
    element = encode_element(record(250))
    assert reject(Raw(element), FINGERPRINT, "why not") == Rejection(250, APP_ID, "why not", element, FINGERPRINT)


@pytest.mark.parametrize("value", ["null", "true", '"5"', "1.5", "1e-2", "[]", "9223372036854775808", "9" * 5000])
def test_identifiers_that_cannot_be_read_are_none(value: str) -> None:
    rejection = decode_invalid(minimal_record(id=value, app_id=value, number="null"))
    assert (rejection.virtual_number_id, rejection.app_id) == (None, None)


def test_the_app_id_of_a_rejected_record_is_read_like_that_of_a_valid_one() -> None:
    for app_id in (APP_ID, 1, 0, -5, -(2**63), 2**63 - 1):
        assert valid_columns(record(app_id=app_id))["app_id"] == app_id
        assert decode_invalid(record(app_id=app_id, number="")).app_id == app_id


def test_the_identifiers_of_a_rejected_record_are_read_despite_lone_surrogates() -> None:
    rejection = decode_invalid(minimal_record(comment=r'"\ud800"', number="null", app_id="5"))
    assert (rejection.virtual_number_id, rejection.app_id) == (250, 5)


@given(st.permutations(sorted(record())), st.sampled_from([None, 1, "\t"]), st.booleans())
@settings(deadline=None, max_examples=50)
def test_formatting_and_key_order_do_not_matter(keys: list[str], indent: int | str | None, escaped: bool) -> None:
    fields = record(
        comment="компании\u200b/\U0001f600", from_redirect_numbers=[redirect(249, "74994088157")], x={"a": 1}
    )
    other = json.dumps({"x": fields["x"]} | {key: fields[key] for key in keys}, indent=indent, ensure_ascii=escaped)
    assert decode_valid(fields).has_same_content(decode_valid(other.encode()))


@pytest.mark.parametrize("column", COLUMNS)
def test_records_that_differ_in_any_column_differ(column: str) -> None:
    other = {"id": 7}.get(column, True if column in BOOLEANS else 7 if column in INTEGERS else "7")
    assert not decode_valid(record()).has_same_content(decode_valid(record_with(column, other)))


def test_an_absent_key_null_and_an_empty_value_differ() -> None:
    absent, null, empty = (
        decode_valid(without(record(), "comment")),
        decode_valid(record(comment=None)),
        decode_valid(record(comment="")),
    )
    assert not absent.has_same_content(null)
    assert not null.has_same_content(empty)
    assert not absent.has_same_content(empty)


def test_records_that_differ_in_redirects_or_extra_fields_differ() -> None:
    plain = decode_valid(record())
    assert not plain.has_same_content(decode_valid(record(from_redirect_numbers=[redirect(1, "7")])))
    assert not plain.has_same_content(decode_valid(without(record(), "from_redirect_numbers")))
    assert not plain.has_same_content(decode_valid(record(x=None)))
    assert not decode_valid(record(x=1)).has_same_content(decode_valid(record(x=True)))
    assert decode_valid(record(x=1)).has_same_content(decode_valid(record(x=1.0)))


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
def test_json_is_compared_as_by_jsonb(one: Any, other: Any, expected: bool) -> None:
    assert equal_as_jsonb(one, other) is expected
    assert equal_as_jsonb(other, one) is expected


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.integers(-400, 400))
@settings(deadline=None, max_examples=50)
@example(1e23, 0)
@example(5e-324, 0)
@example(1.7976931348623157e308, 0)
def test_a_number_read_back_from_postgresql_is_equal(number: float, step: int) -> None:
    assert equal_as_jsonb(number, json.loads(f"{Decimal(repr(number)):f}"))
    assert not equal_as_jsonb(number, number + step) or number == number + step


@given(_json)
@settings(deadline=None, max_examples=50)
def test_any_json_is_equal_to_itself_with_keys_reordered(value: Any) -> None:
    def reverse_keys(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: reverse_keys(inner[key]) for key in reversed(inner)}
        return list(map(reverse_keys, inner)) if isinstance(inner, list) else inner

    assert equal_as_jsonb(value, reverse_keys(value))


_fields = st.dictionaries(
    st.sampled_from([*COLUMNS, "id", "from_redirect_numbers", "x", "y\0"]),
    _json | st.lists(st.fixed_dictionaries({"id": _json, "number": _json}), max_size=2),
    max_size=5,
)


@given(_fields, st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_element_is_decoded_to_values_that_postgresql_can_store_or_rejected(
    fields: dict[str, Any], escaped: bool
) -> None:
    element = json.dumps(record() | fields, ensure_ascii=escaped).encode(errors="surrogatepass")
    decoded = decode(Raw(element), FINGERPRINT)
    assert decoded.fingerprint == FINGERPRINT
    if isinstance(decoded, Rejection):
        assert decoded.payload == element
        assert decoded.error
        assert "\n" not in decoded.error
        return
    columns = columns_of(decoded)
    assert {type(columns[column]) for column in INTEGERS} <= {int, type(None)}
    assert {type(columns[column]) for column in BOOLEANS} <= {bool, type(None)}
    assert {type(columns[column]) for column in (*WORDS, *TEXTS, "number")} <= {str, type(None)}
    assert isinstance(decoded.redirects, frozenset)
    integers = [
        decoded.virtual_number_id,
        *(columns[column] for column in INTEGERS),
        *(key for key, _ in decoded.redirects),
    ]
    assert all(-(2**63) <= integer < 2**63 for integer in integers if integer is not None)
    text = json.dumps([decoded.values, sorted(decoded.redirects), decoded.extra], ensure_ascii=False, default=str)
    assert "\\u0000" not in text
    text.encode()


def test_the_shortest_valid_record_has_the_minimum_length() -> None:
    shortest = b'{"id":1,"number":"1","state":"1"}'
    assert isinstance(decode(Raw(shortest), FINGERPRINT), ParsedRecord)
    assert len(shortest + b",") == MIN_RECORD_BYTES
