"""Splitting an array: its elements are exactly the bytes received, or the whole body is refused."""

from __future__ import annotations

import json
import re
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from syncer.diff.json_array import MAX_TINY_ELEMENTS, replace_unstorable_escapes, split_array
from syncer.errors import NotAnArrayError, NotJsonError

SAMPLES = Path(__file__).parents[1] / "samples"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DEPTH = 300_000 if sys.version_info >= (3, 14) else 100_000
"""Deeper than msgspec decodes: 1,000 levels until Python 3.13, and as many as fit on the stack from 3.14 on."""
DEEP = b"[" * DEPTH + b"]" * DEPTH
"""An element nested deeper than any decoder's limit."""

_spaces = st.text(" \t\r\n", max_size=2)
_string_parts = st.one_of(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters='"\\'),
    st.sampled_from([r"\"", r"\\", r"\/", r"\b", r"\n", "[", "]", "{", "}", ",", ":", "u0000", "ud800", "\u2028"]),
    st.sampled_from([r"\u0000", r"\ud800", r"\uDBFF", r"\udc00", r"\uDfFf", r"\ud83d\ude00", r"\u0041", r"\\u0000"]),
)
_strings = st.lists(_string_parts, max_size=6).map(lambda parts: f'"{"".join(parts)}"')
_scalars = _strings | st.sampled_from(["null", "true", "false", "0", "-0", "250", "-1.5e+3", "1E400", "9" * 30])


@st.composite
def _arrays_of(draw: st.DrawFn, elements: st.SearchStrategy[str]) -> str:
    cells = draw(st.lists(st.tuples(_spaces, elements, _spaces), max_size=4))
    return f"[{','.join(map(''.join, cells)) if cells else draw(_spaces)}]"


@st.composite
def _objects_of(draw: st.DrawFn, elements: st.SearchStrategy[str]) -> str:
    fields = draw(st.lists(st.tuples(_spaces, _strings, _spaces, elements, _spaces), max_size=4))
    members = (f"{before}{key}{after}:{after}{value}{end}" for before, key, after, value, end in fields)
    return f"{{{','.join(members) if fields else draw(_spaces)}}}"


_values = st.recursive(_scalars, lambda inner: _arrays_of(inner) | _objects_of(inner), max_leaves=8)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Draws the bytes of an array and the bytes of its elements."""
    elements = draw(st.lists(_values, max_size=5))
    cells = (draw(_spaces) + element + draw(_spaces) for element in elements)
    inside = ",".join(cells) if elements else draw(_spaces)
    mark = draw(st.sampled_from([b"", BYTE_ORDER_MARK]))
    return mark + f"{draw(_spaces)}[{inside}]{draw(_spaces)}".encode(), [element.encode() for element in elements]


_tokens = [
    *rb'[ ] { } , : " \ \u \ud800 \udc00 0041 a 1 0 - . e true null "a":'.split(),
    *(b" ", b"\n", b"\x0b", b"\x00", b"\xff", b"\xa0", BYTE_ORDER_MARK),
]
_noise = st.binary(max_size=20) | st.lists(st.sampled_from(_tokens), max_size=10).map(b"".join)


def split_elements(body: bytes, **limits: int) -> list[bytes]:
    return [bytes(element) for _, elements in split_array(body, **limits) for element in elements]


def decode_with_json(text: bytes, **hooks: Any) -> Any:
    """Decodes with Python's decoder. Bytes that are not UTF-8 pass, because splitting does not check them."""

    def refuse(word: str) -> None:
        raise ValueError(word)  # NaN and Infinity are not JSON

    decoded = text.removeprefix(BYTE_ORDER_MARK).decode(errors="surrogateescape")
    return json.loads(decoded, parse_constant=refuse, parse_int=str, parse_float=str, **hooks)


@given(_bodies())
@settings(deadline=None, max_examples=100)
@example((b"[]", []))
@example((rb'["\ud800",1]', [rb'"\ud800"', b"1"]))
@example((rb'["\\ud800","\\\ud800"]', [rb'"\\ud800"', rb'"\\\ud800"']))
@example((BYTE_ORDER_MARK + rb' [ "\ud800" , "\ud800" ] ', [rb'"\ud800"', rb'"\ud800"']))
@example((rb'["\ufffd","\ud800",["\ufffd"]]', [rb'"\ufffd"', rb'"\ud800"', rb'["\ufffd"]']))
def test_each_element_is_exactly_the_bytes_that_were_received(body_and_elements: tuple[bytes, list[bytes]]) -> None:
    body, elements = body_and_elements
    assert split_elements(body) == elements


@given(_bodies())
@settings(deadline=None, max_examples=50)
def test_the_elements_decode_to_the_items_of_the_array(body_and_elements: tuple[bytes, list[bytes]]) -> None:
    body, _ = body_and_elements
    assert [decode_with_json(element) for element in split_elements(body)] == decode_with_json(body)


@given(_noise)
@settings(deadline=None, max_examples=500)
@example(b"[NaN]")
@example(b"[Infinity]")
@example(b"[-Infinity]")
@example(b'["a\x00b"]')
@example(b'["a\nb"]')
@example(b"[01]")
@example(b"[1.]")
@example(b"[.5]")
@example(b"[+1]")
@example(b"[1,]")
@example(b"[,]")
@example(b"[1 2]")
@example(b"[1]]")
@example(b"[1}")
@example(b'["\xff"]')
@example(rb'["\x41"]')
@example(rb'["\u12"]')
@example(b"[1]\x00")
@example(b"[\x0c1]")
@example(b"[\xa01]")
@example(b"['a']")
@example(b"[1]//")
def test_any_bytes_are_split_as_json_defines_or_refused(body: bytes) -> None:
    try:
        expected = decode_with_json(body)
    except ValueError:
        expected = None
    if isinstance(expected, list):
        assert [decode_with_json(element) for element in split_elements(body)] == expected
    else:
        with pytest.raises((NotJsonError, NotAnArrayError)):
            list(split_array(body))


@given(_bodies(), st.data())
@settings(deadline=None, max_examples=50)
def test_a_truncated_body_is_refused(body_and_elements: tuple[bytes, list[bytes]], data: st.DataObject) -> None:
    body = body_and_elements[0].rstrip()
    with pytest.raises(NotJsonError):
        list(split_array(body[: data.draw(st.integers(0, len(body) - 1))]))


def test_the_vendors_example_is_refused_as_it_is_printed() -> None:
    with pytest.raises(NotJsonError, match=r"^the endpoint answered 200 with 1,416 bytes that are not complete JSON"):
        list(split_array((SAMPLES / "documented-truncated.json").read_bytes()))


def test_the_vendors_example_with_its_array_closed_has_two_elements() -> None:
    body = (SAMPLES / "documented.json").read_bytes()
    assert [json.loads(element)["id"] for element in split_elements(body)] == [250, 256]
    assert split_elements(body)[0] == body[body.index(b"{") : body.index(b"},\n    {") + 1]


@pytest.mark.parametrize("body", [b"{}", b'{"id": 250}', b"null", b"true", b"1", b'"[]"', b' {"error": []} '])
def test_json_that_is_not_an_array_raises_its_own_error(body: bytes) -> None:
    with pytest.raises(NotAnArrayError) as caught:
        list(split_array(body))
    assert caught.value.response_bytes == len(body)
    assert re.fullmatch(
        r"the endpoint answered with JSON that is not an array \(Expected `array`, got `[a-z]+`\): "
        "nothing was changed; check SYNCER_API_URL, and ask the vendor if it is right",
        str(caught.value),
    )


def test_an_html_page_is_named_in_the_error() -> None:
    body = b"\n<!DOCTYPE html><html><body>[1]</body></html>"
    with pytest.raises(NotJsonError, match=r"^the endpoint answered 200 with an HTML page") as caught:
        list(split_array(body))
    assert caught.value.response_bytes == len(body)


NOT_JSON: Final = {
    b"[1 2]": "JSON is malformed: expected ',' or ']' (byte 3)",
    rb'["\ud800" 2]': "JSON is malformed: expected ',' or ']' (byte 10)",
    b'[{"a":"' + b"x" * 2**20 + b'"},]': "no element between the last comma and the end",
    b"[" + DEEP: "brackets do not match",
    b"[" + DEEP + b"}": "brackets do not match",
    b"[" + DEEP + b"]]": "brackets do not match",
    b"[" + DEEP + b',"a]': "a string has no end",
    b"[" + DEEP + b" 1]": "unexpected text between two elements",
    b"[" + DEEP + b",01]": "JSON is malformed: invalid number (byte 1)",
}


@pytest.mark.parametrize(("body", "reason"), NOT_JSON.items(), ids=range(len(NOT_JSON)))
def test_the_error_for_invalid_json_states_its_length_and_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        list(split_array(body))
    assert caught.value.response_bytes == len(body)
    assert str(caught.value) == (
        f"the endpoint answered 200 with {len(body):,} bytes that are not complete JSON ({reason}): "
        "nothing was changed, the next poll tries again"
    )


@pytest.mark.parametrize("body", [b"", b" ", b"\n", BYTE_ORDER_MARK, "[1]".encode("utf-16"), b"\x1f\x8b\x08"])
def test_an_empty_body_and_other_encodings_are_not_json(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        list(split_array(body))


@pytest.mark.parametrize(
    "body", [b"[1]", rb'["\ud800"]', b"[" + DEEP + b"]"], ids=["plain", "with a lone surrogate", "deep"]
)
def test_one_byte_order_mark_is_dropped_and_two_are_not_json(body: bytes) -> None:
    assert split_elements(BYTE_ORDER_MARK + body) == split_elements(body)
    with pytest.raises(NotJsonError):
        list(split_array(BYTE_ORDER_MARK + BYTE_ORDER_MARK + body))


@pytest.mark.parametrize(
    "neighbour",
    [b'{"id": 250}', b'"]},{["', rb'"\"]"', rb'"\\"', b"1", b"[[]]", b'"\xff"', rb'"\ud800"', rb'{"\u0000": "\udc00"}'],
)
@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK])
def test_an_element_nested_too_deep_does_not_affect_its_neighbours(neighbour: bytes, mark: bytes) -> None:
    for elements in ([DEEP], [DEEP, neighbour], [neighbour, DEEP], [neighbour, DEEP, neighbour, DEEP, neighbour]):
        assert split_elements(mark + b" [ " + b" ,\n".join(elements) + b" ]\n") == elements


def test_brackets_in_strings_do_not_end_an_element_nested_too_deep() -> None:
    inner = rb'{"a]": "}\"]", "b\\": ["]"]}'
    element = b"[" * DEPTH + inner + b"]" * DEPTH
    assert split_elements(b"[" + element + b',{"id":250}]') == [element, b'{"id":250}']


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" + DEEP, id="not closed"),
        pytest.param(b"[" + DEEP + b"}", id="closed by a brace"),
        pytest.param(b"[" + DEEP + b",]", id="a comma at the end"),
        pytest.param(b"[," + DEEP + b"]", id="a comma at the start"),
        pytest.param(b"[" + DEEP + b",,1]", id="two commas"),
        pytest.param(b"[" + DEEP + b" 1]", id="no comma before the next"),
        pytest.param(b"[1 " + DEEP + b"]", id="no comma after the one before"),
        pytest.param(b"[" + DEEP + DEEP + b"]", id="no comma between two"),
        pytest.param(b"[" + DEEP + b"X]", id="a letter after it"),
        pytest.param(b"[" + DEEP + b"\x0b]", id="a vertical tab after it"),
        pytest.param(b"[" + b"[" * DEPTH + b"}" * DEPTH + b"]", id="closed by braces inside"),
        pytest.param(b"[" + DEEP + b"]]", id="closed twice"),
        pytest.param(b"[" + DEEP + b"]X", id="more after the array"),
        pytest.param(b"[" + DEEP + b"]\x0b", id="a vertical tab after the array"),
        pytest.param(b"[" + DEEP + b",", id="truncated after a comma"),
        pytest.param(b"[" + DEEP + b',{"id":1', id="truncated in another"),
        pytest.param(b"[" + DEEP + b',"a]', id="truncated in a string"),
        pytest.param(b"[" + DEEP + b',{"id":01}]', id="another that is malformed"),
        pytest.param(b"[" * DEPTH, id="opened only"),
    ],
)
def test_a_malformed_body_is_refused_even_if_one_of_its_elements_is_nested_too_deep(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        list(split_array(body))


@pytest.mark.parametrize("body", [b'{"a":' + DEEP + b"}", b' {"a":[' + DEEP + b"]}"], ids=["array", "array of one"])
def test_an_object_nested_too_deep_is_not_an_array(body: bytes) -> None:
    with pytest.raises(NotAnArrayError):
        list(split_array(body))


@pytest.mark.parametrize("end", [b"", b"\\\n]"], ids=["the end", "a backslash at the end of a line"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"[" + DEEP, b"]"), (b"[[" + b"0," * 2**20 + b"0", b"]]")],
    ids=["nested too deep", "of commas"],
)
def test_an_unterminated_string_is_refused_in_linear_time(before: bytes, after: bytes, end: bytes) -> None:
    """It takes no longer than a terminated one. A search that goes on from each of the quotes takes seconds more."""
    string = b',"' + rb"\"" * 30_000
    times = [time.process_time()]
    list(split_array(before + string + b'"' + after))
    times.append(time.process_time())
    with pytest.raises(NotJsonError):
        list(split_array(before + string + end))
    times.append(time.process_time())
    assert (times[2] - times[1]) - (times[1] - times[0]) < 0.5


TINY_ELEMENTS = {
    "numbers": b"0",
    "empty objects": b"{}",
    "empty arrays": b"[]",
    "strings with brackets": rb'"[,\"{"',
    "objects with a list": b'{"a":[0,0]}',
}


@pytest.mark.parametrize("element", TINY_ELEMENTS.values(), ids=TINY_ELEMENTS)
def test_more_than_ten_thousand_tiny_elements_are_refused_before_they_take_memory(
    element: bytes,
) -> None:
    body = b"[" + b",".join([element] * (2**21 // len(element))) + b"]"
    tracemalloc.start()
    with pytest.raises(NotAnArrayError, match=r"with an array of [0-9,]+ elements in [0-9,]+ bytes, and at most "):
        for _ in split_array(body, min_element_bytes=33):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**18


def test_up_to_ten_thousand_tiny_elements_are_split_next_to_any_number_of_records() -> None:
    record = b'{"id":1,"number":"1","state":""}'
    tiny, records = [b"0"] * (MAX_TINY_ELEMENTS - 700), [record] * 100_000
    pieces = split_array(b"[" + b",".join(tiny + records) + b"]", min_element_bytes=33)
    assert sum(len(elements) for _, elements in pieces) == MAX_TINY_ELEMENTS - 700 + 100_000


@pytest.mark.parametrize(
    ("element", "max_count"), [(b"0", 10_645), (b"{}", 11_000)], ids=["in one piece", "in several pieces"]
)
def test_ten_thousand_elements_more_than_would_fit_as_records_are_allowed(element: bytes, max_count: int) -> None:
    assert len(split_elements(b"[" + b",".join([element] * max_count) + b"]", min_element_bytes=33)) == max_count
    body = b"[" + b",".join([element] * (max_count + 1)) + b"]"
    with pytest.raises(
        NotAnArrayError, match=f"of {max_count + 1:,} elements in {len(body):,} bytes, and at most {max_count:,} are"
    ):
        split_elements(body, min_element_bytes=33)


@pytest.mark.parametrize("element", [b"0", b"[[[0],0]]", b'[{"a":[0,0]}]', rb'"[,\"{"'])
@pytest.mark.parametrize("records", [0, 1000])
def test_a_dense_body_is_read_up_to_the_comma_after_the_first_excess_element(element: bytes, records: int) -> None:
    before = b" [" + b'{"id":1,"number":"1","state":""},' * records
    lengths = enumerate(range(len(before), 2**20, len(element) + 1), start=records)
    elements, length = next((n, length) for n, length in lengths if n > MAX_TINY_ELEMENTS + length // 33)
    with pytest.raises(NotAnArrayError, match=f"with an array of {elements:,} elements in {length:,} bytes, and at "):
        split_elements(before + b",".join([element] * (2**21 // len(element))) + b"]", min_element_bytes=33)


def test_a_body_split_in_pieces_is_read_up_to_the_piece_with_the_first_excess_element() -> None:
    with pytest.raises(NotAnArrayError) as caught:
        split_elements(b"[" + b"{}," * 2**20 + b"{}]", min_element_bytes=33)
    found = re.search(r"an array of ([0-9,]+) elements in ([0-9,]+) bytes", str(caught.value))
    assert found is not None
    elements, length = (int(number.replace(",", "")) for number in found.groups())
    assert 11_000 < elements < 20_000
    assert length == len(b"{},") * elements


def test_commas_in_strings_and_inner_arrays_do_not_count_as_elements() -> None:
    full = b'{"id":1,"number":"1","state":"' + b"," * 2**20 + b'","x":[' + b"0," * 2**20 + b"0]}"
    assert list(split_array(b"[" + full + b"]", min_element_bytes=33)) == [(1, [Raw(full)])]


@pytest.mark.parametrize(
    "tail", [b"", b"]]", b'"', b"]0"], ids=["no end", "two ends", "an unterminated string", "more text"]
)
def test_a_malformed_array_of_commas_is_not_json(tail: bytes) -> None:
    body = b"[[" + b"0," * 2**20 + b"0]" + tail
    with pytest.raises(NotJsonError):
        list(split_array(body, min_element_bytes=33))


def replace_unstorable_characters(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub("[\x00\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list | tuple):
        return type(value)(map(replace_unstorable_characters, value))
    return value


@given(_values)
@settings(deadline=None, max_examples=100)
@example(r'"\ud83d\ud83d\ude00\ude00"')
@example(r'"\\\ud83d\ude00"')
@example(r'"\ud83d\\ude00"')
@example(r'"\ud83d\u0041\ude00"')
@example(r'{"\u0000": "\\u0000"}')
@example(r'"\\\\u0000\\\u0000"')
def test_only_nul_and_lone_surrogates_change_when_escapes_are_replaced(element: str) -> None:
    repaired = bytes(replace_unstorable_escapes(element.encode()))
    assert decode_with_json(repaired, object_pairs_hook=list) == replace_unstorable_characters(
        decode_with_json(element.encode(), object_pairs_hook=list)
    )


@given(_values.map(str.encode) | _noise)
@settings(deadline=None, max_examples=100)
def test_replacing_escapes_keeps_the_length_and_is_idempotent(element: bytes) -> None:
    repaired = bytes(replace_unstorable_escapes(element))
    assert len(repaired) == len(element)
    assert bytes(replace_unstorable_escapes(repaired)) == repaired


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\uDBFFx"', rb'"\ufffdx"'),
        (rb'"\udc00\ud800"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\u0000"', rb'"\ufffd"'),
        (rb'"\\\u0000"', rb'"\\\ufffd"'),
        (rb'{"\u0000":"\udfff"}', rb'{"\ufffd":"\ufffd"}'),
    ],
)
def test_nul_and_lone_surrogates_become_the_replacement_character(element: bytes, expected: bytes) -> None:
    assert bytes(replace_unstorable_escapes(element)) == expected
    assert bytes(replace_unstorable_escapes(Raw(element))) == expected


@pytest.mark.parametrize(
    "element",
    [
        rb'"\ud83d\ude00"',
        rb'"\uD83D\uDE00"',
        rb'"\\u0000"',
        rb'"\\ud800"',
        rb'"\\\\ud800"',
        rb'"\ue000\ud7ff"',
        b'"u0000"',
    ],
)
def test_escapes_that_only_look_like_them_are_not_replaced(element: bytes) -> None:
    assert bytes(replace_unstorable_escapes(element)) == element


_LONG_ELEMENTS: Final = [
    rb'{"id":1,"comment":"' + b"x" * 2**22 + rb'"}',
    rb'{"id":2,"comment":"ends },{ here' + b"},{" * 2**21 + rb'","x":[{"a":[{}]},{}]}',
    rb'{"id":3}',
    rb'{"id":4,"comment":"' + b"y" * 2**22 + rb'\\"}',
    rb'{"id":5,"comment":"\ud800"}',
    rb'{"id":6,"x":' + DEEP + b"}",
    rb'{"id":7,"comment":"' + b"z" * 2**22 + rb'"}',
    b"8",
]


@pytest.mark.parametrize("last", range(1, len(_LONG_ELEMENTS) + 1))
@pytest.mark.parametrize("between", [b",", b" ,", b",\n ", b" , "])
def test_a_long_array_is_split_between_elements_wherever_its_pieces_end(last: int, between: bytes) -> None:
    assert split_elements(b" [" + between.join(_LONG_ELEMENTS[:last]) + b"]") == _LONG_ELEMENTS[:last]


@pytest.mark.parametrize("end", [b",]", b"", b",", b"}]", b",1", b"]]", b',{"id":1}', b'],{"id":1}', b"] ,[]"])
def test_a_long_array_whose_end_is_malformed_is_refused(end: bytes) -> None:
    whole = b"[" + b",".join(_LONG_ELEMENTS[::3])
    assert len(list(split_array(whole + b"]"))) > 1
    with pytest.raises(NotJsonError, match=rf"{len(whole + end):,} bytes that are not complete JSON"):
        list(split_array(whole + end))


def test_a_long_array_whose_opening_bracket_is_missing_is_refused() -> None:
    with pytest.raises((NotJsonError, NotAnArrayError)):
        list(split_array(b",".join(_LONG_ELEMENTS[::3]) + b"]"))
