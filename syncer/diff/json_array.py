"""Splits a JSON array into its elements, each as the bytes that were received, without decoding them.

Also replaces the escapes that PostgreSQL's text and jsonb types cannot store.

msgspec does the splitting. Three kinds of body need more than one call of it:

- a large one, which is split in pieces, because one call would block every other thread while it runs;
- one of very many tiny elements, which are counted first, because each takes more memory than its bytes;
- one with an element that msgspec refuses (a lone surrogate, deep nesting), which must be rejected alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from syncer.errors import NotAnArrayError, NotJsonError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_array_decoder = msgspec.json.Decoder(list[Raw])
_raw_decoder = msgspec.json.Decoder(Raw)

# Cheap to search for: an escaped NUL, or any escaped surrogate, whether lone or one of a pair.
_SUSPICIOUS_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Runs of pairs of surrogates, or of lone ones. Not possessive: before Python 3.11.5, a possessive repetition of
# alternatives finds wrong ends. Only chunks are searched, so that the memory for each round stays small.
_LONE_SURROGATES: Final = re.compile(
    rb"(?:%(high)b%(low)b)+|(?P<lone>(?:%(high)b(?!%(low)b)|%(low)b)+)" % {b"high": _HIGH, b"low": _LOW}
)
_INCOMPLETE_ESCAPE: Final = re.compile(
    rb"(?:%(high)b(?:\\(?:u[0-9a-fA-F]{0,3})?)?|\\(?:u[0-9a-fA-F]{0,3})?)\Z" % {b"high": _HIGH}
)
_PAIR_LENGTH: Final = len(rb"\ud83d\ude00")
_CHUNK_BYTES: Final = 2**18
_REPLACEMENT: Final = rb"\ufffd"
_CONTROL_CHARACTERS: Final = tuple(bytes([code]) for code in range(32) if code not in b"\t\n\r")
# A string that never ends matches up to the end of the body. Otherwise the search would go on from each of its quotes,
# in time that grows with the square of the length.
# The repetitions are possessive, since each round of another one would take memory.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<end>"|\Z)'
_TOKEN: Final = re.compile(_STRING + rb"|[\[\]{},]", re.DOTALL)
_TOKEN_INSIDE_ELEMENT: Final = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_CLOSING_OF: Final = {b"[": b"]", b"{": b"}"}
_CLOSING: Final = frozenset(_CLOSING_OF.values())
_ARRAY_START: Final = re.compile(rb"[ \t\r\n]*\[")
_END: Final = re.compile(rb"[ \t\r\n]*\Z")
_SPACE: Final = b" \t\r\n"

MAX_NESTING: Final = 1_000_000
"""The maximum nesting of arrays and objects. An element within it that msgspec cannot read is rejected alone."""
MAX_TINY_ELEMENTS: Final = 10_000
"""Elements that may be shorter than the shortest valid one. Split, a tiny element takes 64 bytes of memory."""
MAX_SHORT_ELEMENTS: Final = 200_000
"""Elements that may be shorter than is typical. A new record takes 550 bytes until it is written, however short."""
_TYPICAL_RECORD_BYTES: Final = 300
_FIRST_PIECE_BYTES: Final = 2**12
_MAX_PIECE_BYTES: Final = 2**16
_ELEMENTS_PER_PIECE: Final = 128
"""Elements to split in one call, if they fit into the largest piece."""
_MIN_BYTES_PER_COMMA: Final = 12
"""Arrays with fewer bytes per comma are counted before they are split. The vendor's records have 20; to count them too
would take 1.6 s for 40 MB."""


def replace_unstorable_escapes(element: Raw | bytes | bytearray) -> Raw | bytes | bytearray:
    r"""Replaces the escapes of NUL and of lone surrogates by `\ufffd`: PostgreSQL's text and jsonb cannot store them.

    The length does not change, so an offset into the result is also an offset into `element`. However many escapes
    there are, this takes one copy of the element, and blocks every other thread for no longer than one chunk takes.
    """
    if _SUSPICIOUS_ESCAPE.search(element) is None:
        return element
    text = bytearray(element)
    start = 0
    while start < len(text):
        chunk = bytes(text[start : start + _CHUNK_BYTES])
        replaced = _replace_in_chunk(chunk, is_last=start + len(chunk) == len(text))
        text[start : start + len(replaced)] = replaced
        start += len(replaced)
    return text


def _replace_in_chunk(chunk: bytes, *, is_last: bool) -> bytes:
    """Replaces the escapes in a part of a text that begins between two escapes.

    Returns:
        The beginning of the chunk, without an escape or a pair of surrogates that is incomplete at its end.
    """
    # Escaped backslashes are masked, so that each other backslash begins an escape. JSON has no raw control characters.
    mask = next((character * 2 for character in _CONTROL_CHARACTERS if character not in chunk), None)
    if mask is None:
        return chunk
    chunk = chunk.replace(rb"\\", mask)
    if not is_last and (incomplete := _INCOMPLETE_ESCAPE.search(chunk, len(chunk) - _PAIR_LENGTH)):
        chunk = chunk[: incomplete.start()]
    chunk = _LONE_SURROGATES.sub(_replacement, chunk.replace(rb"\u0000", _REPLACEMENT))
    return chunk.replace(mask, rb"\\")


def _replacement(surrogates: re.Match[bytes]) -> bytes:
    return _REPLACEMENT * (len(surrogates["lone"]) // len(_REPLACEMENT)) if surrogates["lone"] else surrogates[0]


def split_array(body: bytes, min_element_bytes: int = 1) -> Iterator[tuple[int, list[Raw]]]:
    """Splits a JSON array into its elements, one piece of the array after another.

    Splitting 250 MB in one call would block the other threads, the event loop's among them, for 107 ms and take 37 MiB
    for the elements. In pieces it takes the same total time, blocks for 8 ms and needs 0.2 MiB.

    An error may be raised after some pieces were yielded: the caller must then discard them.

    Args:
        body: The array.
        min_element_bytes: The length of the shortest valid element, with the comma after it. The array may have
            `MAX_TINY_ELEMENTS` more elements than would fit if each had this length.

    Yields:
        The offset of a piece in the body, and the elements of the piece, each as the bytes that were received. There
        may be white space between the offset and the first element.

    Raises:
        NotJsonError: The body is not JSON, or was cut short.
        NotAnArrayError: The body is JSON but not an array, or has too many tiny elements.
    """
    array = body.removeprefix(_BYTE_ORDER_MARK)
    array_offset = len(body) - len(array)
    opening = _ARRAY_START.match(array)
    count = 0
    start = first = opening.end() if opening else 0
    size = _FIRST_PIECE_BYTES
    while opening and len(array) - start > size and (end := array.find(b"},", start + size) + 1):
        # `end` is the offset of a comma. All before `start` has been split, so if the bytes between `start` and `end`
        # are the elements of an array, then this comma separates two elements.
        try:
            elements = _array_decoder.decode(b"[%b]" % array[start:end])
        except (msgspec.DecodeError, RecursionError):
            size *= 2  # the comma is inside an element, or the array is malformed: try a longer piece, at last the rest
            continue
        count += len(elements)
        _require_few_tiny_elements(count, end, array, min_element_bytes)
        yield array_offset + start, elements
        size = min(_ELEMENTS_PER_PIECE * (end - start) // len(elements), _MAX_PIECE_BYTES)
        start = end + 1
    rest = b"".join((b"[", memoryview(array)[start:])) if start > first else array
    if rest.count(b",") * _MIN_BYTES_PER_COMMA > len(rest):
        _count_elements(rest, count, array, min_element_bytes)
    elements = _split_rest(rest, array)
    if start > first and not elements:
        raise _not_json(array, "no element between the last comma and the end")
    _require_few_tiny_elements(count + len(elements), len(array), array, min_element_bytes)
    yield array_offset + start, elements


def _count_elements(rest: bytes, count: int, body: bytes, min_element_bytes: int) -> None:
    """Refuses a rest that has too many tiny elements before they are split, which could take 32 times its bytes.

    `count` elements precede the rest. A malformed rest is not an error here: splitting it will raise one.
    """
    for match, depth in _tokens(rest):
        if depth == 1 and match[0] == b",":
            count += 1
            _require_few_tiny_elements(count, len(body) - len(rest) + match.end(), body, min_element_bytes)


def _require_few_tiny_elements(count: int, length: int, body: bytes, min_element_bytes: int) -> None:
    _require_few(count, MAX_TINY_ELEMENTS + length // min_element_bytes, length, body)


def require_few_short_elements(count: int, length: int, body: bytes) -> None:
    """Refuses a body whose first `length` bytes have too many elements that are shorter than the vendor's records.

    Raises:
        NotAnArrayError: There are too many.
    """
    _require_few(count, MAX_SHORT_ELEMENTS + length // _TYPICAL_RECORD_BYTES, length, body)


def _require_few(count: int, maximum: int, length: int, body: bytes) -> None:
    if count > maximum:
        raise NotAnArrayError(
            f"the endpoint answered with an array of {count:,} elements in {length:,} bytes, and at most {maximum:,} "
            "are accepted in so few, since the vendor's records are longer: nothing was changed; check SYNCER_API_URL, "
            "and ask the vendor if it is right",
            response_bytes=len(body),
        )


def _tokens(text: Raw | bytes | bytearray) -> Iterator[tuple[re.Match[bytes], int]]:
    """Yields the strings and brackets of a JSON text and the commas at depth 1, each with its depth.

    The depth of a token is the number of brackets that are open there. A bracket is open at itself.
    """
    depth = position = 0
    while match := (_TOKEN if depth == 1 else _TOKEN_INSIDE_ELEMENT).search(text, position):
        position = match.end()
        depth += match[0] in _CLOSING_OF
        yield match, depth
        depth -= match[0] in _CLOSING


def _split_rest(array: bytes | bytearray, body: bytes) -> list[Raw]:
    """Splits an array in one call. Errors describe the `body` that it is the rest of."""
    try:
        return _array_decoder.decode(array)
    except msgspec.ValidationError as error:
        raise _not_an_array(body, str(error)) from None
    except msgspec.DecodeError as error:
        return _split_with_replaced_escapes(array, body, error)
    except RecursionError:
        return _split_deeply_nested(array, body)


def _split_with_replaced_escapes(array: bytes | bytearray, body: bytes, error: msgspec.DecodeError) -> list[Raw]:
    """Splits an array that msgspec refuses if that is because of a lone surrogate.

    Python's `json.dumps` writes a lone surrogate as an escape that is valid JSON, and one record must not fail the
    others. With the escapes replaced msgspec accepts it, and the elements are at the same offsets.
    """
    replaced = replace_unstorable_escapes(array)
    assert not isinstance(replaced, Raw)  # noqa: S101 - for the type checker: only Raw is returned as Raw
    if replaced == array:
        raise _not_json(body, str(error))
    elements = []
    view = memoryview(array)
    end = 0
    for element in _split_rest(replaced, body):
        start = replaced.index(element, end)
        end = start + len(element)
        elements.append(Raw(view[start:end]))
    return elements


def _split_deeply_nested(array: bytes | bytearray, body: bytes) -> list[Raw]:
    """Splits an array that msgspec refuses because an element is nested deeper than its limit.

    One such record must not fail the others. Matching the brackets takes 1.6 s for 40 MB, against 0.02 s by msgspec.
    """
    elements: list[Raw] = []
    expected = bytearray()
    start = 0
    for match, depth in _tokens(array):
        token = match[0]
        if token in _CLOSING_OF:
            if depth > MAX_NESTING:
                raise _not_json(body, f"more than {MAX_NESTING:,} levels of brackets")
            expected += _CLOSING_OF[token]
            start = match.end() if depth == 1 else start
        elif token in _CLOSING:
            if not expected or token[0] != expected.pop():
                raise _not_json(body, "brackets do not match")
        elif match["end"] == b"":
            raise _not_json(body, "a string has no end")
        if (token == b"," and depth == 1) or not expected:
            elements.append(_validated_element(_stripped(memoryview(array), start, match.start()), body))
            start = match.end()
        if not expected:
            break
    if expected or _END.match(array, start) is None:
        raise _not_json(body, "brackets do not match")
    return elements


def _stripped(view: memoryview, start: int, end: int) -> Raw:
    """Returns a part of a text without the white space around it, and without copying it."""
    while start < end and view[start] in _SPACE:
        start += 1
    while start < end and view[end - 1] in _SPACE:
        end -= 1
    return Raw(view[start:end])


def _validated_element(element: Raw, body: bytes) -> Raw:
    """Returns an element whose brackets match, if it is one JSON value."""
    try:
        _raw_decoder.decode(replace_unstorable_escapes(element))
    except RecursionError:
        # This is the element nested too deep. The caller's decoder rejects it alone, so it must be one value.
        closing = next(match for match, depth in _tokens(element) if depth == 1 and match[0] in _CLOSING)
        if closing.end() != len(memoryview(element)):
            raise _not_json(body, "unexpected text between two elements") from None
    except msgspec.DecodeError as error:
        raise _not_json(body, str(error)) from None
    return element


def _not_an_array(body: bytes, what: str) -> NotAnArrayError:
    return NotAnArrayError(
        f"the endpoint answered with JSON that is not an array ({what}): nothing was changed; "
        "check SYNCER_API_URL, and ask the vendor if it is right",
        response_bytes=len(body),
    )


def _not_json(body: bytes, reason: str) -> NotJsonError:
    what = "an HTML page" if body.lstrip()[:1] == b"<" else f"{len(body):,} bytes that are not complete JSON"
    return NotJsonError(
        f"the endpoint answered 200 with {what} ({reason}): nothing was changed, the next poll tries again",
        response_bytes=len(body),
    )
