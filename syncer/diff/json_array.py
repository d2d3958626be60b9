"""Cuts a JSON array into its elements without decoding them, and mends what PostgreSQL's text cannot hold."""

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

# An escaped NUL or an escaped surrogate, lone or one of a pair: what makes a closer look necessary.
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Every escape, pairs of surrogates as one: only so is it known where the next one begins.
_ESCAPE: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")
_LONGEST_CODE_UNIT: Final = len(rb"\u0000")
# A string without an end is taken to the end of the body: looked for from each of its quotes, it would cost the square.
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"|\Z)|[\[\]{},]', re.DOTALL)
# The same without the comma: inside an element none is looked at.
_BRACKET: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[\[\]{}]', re.DOTALL)
_CLOSING: Final = {b"[": b"]", b"{": b"}"}
_OPENING: Final = re.compile(rb"[ \t\r\n]*\[")
_SPACE: Final = b" \t\r\n"

MAX_TINY_ELEMENTS: Final = 10_000
"""How many elements of an array may be too short for what it should hold: each costs fifty times its bytes."""
_SMALL: Final = 2**20
"""Up to how many bytes an array is split whatever it holds."""
_FIRST_PIECE: Final = 2**12
_MAX_PIECE: Final = 2**16
_ELEMENTS_PER_PIECE: Final = 128
"""How many elements, about, are split in one go, if that is no more than the largest piece: such pieces stay in the
processor's cache, and other threads need not wait for them."""
_MIN_AVERAGE_BYTES: Final = 12
"""Bytes from comma to comma, on average, below which the elements are counted before they are split."""


def repair(element: Raw | bytes) -> Raw | bytes:
    r"""Replaces escapes of NUL and of lone surrogates, which PostgreSQL's text and jsonb refuse, by `\ufffd`.

    The length stays, so what lies at one offset of the repaired bytes lies at the same offset of the given ones.
    """
    if _SUSPECT.search(element) is None:
        return element
    return _ESCAPE.sub(_repaired_escape, bytes(element))


def _repaired_escape(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    if len(escape) == _LONGEST_CODE_UNIT and _SUSPECT.match(escape):
        return rb"\ufffd"
    return escape


def split(body: bytes, shortest: int = 1) -> Iterator[tuple[int, list[Raw]]]:
    """The elements of a JSON array, each as the bytes it was written with, a piece of the array at a time.

    With them comes where in the body the piece begins, whose first element may have space before it.

    What is wrong may be found in the last piece only: whoever has begun must throw away what came before.

    Args:
        body: The array.
        shortest: Bytes that an element takes at least, its comma included, if it is what the array should hold. Of
            shorter ones there may be `MAX_TINY_ELEMENTS`; more are refused, and before they take any memory.

    Raises:
        NotJsonError: It is not JSON, or was cut short.
        NotAnArrayError: It is JSON, but not an array, or one of crumbs.
    """
    array = body.removeprefix(_BYTE_ORDER_MARK)
    mark = len(body) - len(array)
    opening = _OPENING.match(array)
    found = 0
    start = first = opening.end() if opening else 0
    size = _FIRST_PIECE
    while opening and len(array) - start > size and (end := array.find(b"},", start + size) + 1):
        # If the bytes from one comma to another make an array, both are commas between elements: up to the first one
        # everything is known, and what follows can be read in one way only.
        try:
            elements = _array_decoder.decode(b"[%b]" % array[start:end])
        except (msgspec.DecodeError, RecursionError):
            size *= 2  # the comma stands inside an element, or something is wrong: in the end all is looked at at once
            continue
        found += len(elements)
        _check_element_size(found, end, array, shortest)
        yield mark + start, elements
        size = min(_ELEMENTS_PER_PIECE * (end - start) // len(elements), _MAX_PIECE)
        start = end + 1
    rest = b"[" + array[start:] if start > first else array
    if len(rest) > _SMALL and rest.count(b",") * _MIN_AVERAGE_BYTES > len(rest):
        _count(rest, found, array, shortest)
    elements = _split(rest, array)
    if start > first and not elements:
        raise _not_json(array, "nothing stands between a comma and the end")
    _check_element_size(found + len(elements), len(array), array, shortest)
    yield mark + start, elements


def _count(rest: bytes, found: int, body: bytes, shortest: int) -> None:
    """Counts elements without splitting them, beside those found before; what is no array is for others to refuse."""
    depth = position = 0
    while match := (_TOKEN if depth == 1 else _BRACKET).search(rest, position):
        position = match.end()
        token = match[0]
        if token == b",":
            found += 1
            _check_element_size(found, len(body) - len(rest) + position, body, shortest)
        elif token in _CLOSING:
            depth += 1
        elif token in {b"]", b"}"}:
            depth -= 1


def _check_element_size(elements: int, length: int, body: bytes, shortest: int) -> None:
    if elements > MAX_TINY_ELEMENTS + length // shortest:
        raise _not_an_array(body, f"of records: it has {elements:,} elements in its first {length:,} bytes")


def _split(array: bytes, body: bytes) -> list[Raw]:
    """Splits at once what may be the rest of a body, which is named if it cannot be."""
    try:
        return _array_decoder.decode(array)
    except msgspec.ValidationError as error:
        raise _not_an_array(body, str(error)) from None
    except msgspec.DecodeError as error:
        return _split_repaired(array, body, error)
    except RecursionError:
        return _split_deep(array, body)


def _split_repaired(array: bytes, body: bytes, error: msgspec.DecodeError) -> list[Raw]:
    """Splits what msgspec refuses as a whole for one lone surrogate."""
    repaired = bytes(repair(array))
    if repaired == array:
        raise _not_json(body, str(error))
    elements = []
    end = 0
    for element in _split(repaired, body):
        start = repaired.index(element, end)
        end = start + len(bytes(element))
        elements.append(Raw(array[start:end]))
    return elements


def _split_deep(array: bytes, body: bytes) -> list[Raw]:
    """Splits what msgspec refuses as a whole because one element is nested deeper than it goes."""
    inside = array.strip(_SPACE)
    elements: list[Raw] = []
    expected: list[bytes] = []
    start = 0
    for match in _TOKEN.finditer(inside):
        token = match[0]
        if token in _CLOSING:
            expected.append(_CLOSING[token])
            start = match.end() if len(expected) == 1 else start
        elif token in {b"]", b"}"}:
            if not expected or token != expected.pop():
                raise _not_json(body, "brackets do not match")
        elif match["end"] == b"":
            raise _not_json(body, "a string has no end")
        if (token == b"," and len(expected) == 1) or not expected:
            elements.append(_element(body, inside[start : match.start()].strip(_SPACE)))
            start = match.end()
        if not expected:
            break
    if expected or start != len(inside):
        raise _not_json(body, "brackets do not match")
    return elements


def _element(body: bytes, element: bytes) -> Raw:
    try:
        _raw_decoder.decode(repair(element))
    except RecursionError:
        # The one that is too deep: whoever decodes it rejects it alone, if it is one value and not more.
        if not _is_one_value(element):
            raise _not_json(body, "something stands between two elements") from None
    except msgspec.DecodeError as error:
        raise _not_json(body, str(error)) from None
    return Raw(element)


def _is_one_value(element: bytes) -> bool:
    """Whether an element whose brackets match ends where the bracket closes that it begins with."""
    depth = 0
    for match in _TOKEN.finditer(element):
        depth += match[0] in _CLOSING
        depth -= match[0] in {b"]", b"}"}
        if depth == 0:
            return match.end() == len(element)
    return False


def _not_an_array(body: bytes, what: str) -> NotAnArrayError:
    return NotAnArrayError(
        f"the endpoint answered with JSON that is not an array ({what}): nothing was changed; "
        "check SYNCER_API_URL, and ask the vendor if it is right",
        response_bytes=len(body),
    )


def _not_json(body: bytes, reason: str) -> NotJsonError:
    what = "an HTML page" if body.lstrip()[:1] == b"<" else f"{len(body):,} bytes that are not whole JSON"
    return NotJsonError(
        f"the endpoint answered 200 with {what} ({reason}): nothing was changed, the next poll asks again",
        response_bytes=len(body),
    )
