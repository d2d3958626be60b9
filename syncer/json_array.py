"""Cuts a JSON array into its elements without decoding them, and mends what PostgreSQL's text cannot hold."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from syncer.errors import NotAnArrayError, NotJsonError

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_array_decoder = msgspec.json.Decoder(list[Raw])
_raw_decoder = msgspec.json.Decoder(Raw)

# An escaped NUL or an escaped surrogate, lone or one of a pair: what makes a closer look necessary.
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Every escape, pairs of surrogates as one: only so is it known where the next one begins.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL
)
_LONGEST_CODE_UNIT: Final = len(rb"\u0000")
_STRING_OR_STRUCTURE: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


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


def split(body: bytes) -> list[Raw]:
    """The elements of a JSON array, each as the bytes it was written with.

    Raises:
        NotJsonError: It is not JSON, or was cut short.
        NotAnArrayError: It is JSON, but not an array.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return _array_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise NotAnArrayError(
            f"the endpoint answered with JSON that is not an array ({error}): nothing was changed; "
            "check SYNCER_API_URL, and ask the vendor if it is right",
            response_bytes=len(body),
        ) from None
    except msgspec.DecodeError as error:
        return _split_repaired(body, error)
    except RecursionError:
        return _split_deep(body)


def _split_repaired(body: bytes, error: msgspec.DecodeError) -> list[Raw]:
    """Splits what msgspec refuses as a whole for one lone surrogate."""
    repaired = bytes(repair(body))
    if repaired == body:
        raise _not_json(body, str(error))
    elements = []
    end = 0
    for element in split(repaired):
        start = repaired.index(element, end)
        end = start + len(bytes(element))
        elements.append(Raw(body[start:end]))
    return elements


def _split_deep(body: bytes) -> list[Raw]:
    """Splits what msgspec refuses as a whole because one element is nested deeper than it goes."""
    if body.strip(b" \t\r\n")[:1] != b"[":
        raise NotAnArrayError(
            "the endpoint answered with JSON that is not an array but something deeply nested: nothing was changed; "
            "check SYNCER_API_URL",
            response_bytes=len(body),
        )
    elements = []
    depth = 0
    start = end = 0
    for match in _STRING_OR_STRUCTURE.finditer(body):
        match match[0]:
            case b"[" | b"{":
                depth += 1
                start = match.end() if depth == 1 else start
            case b"]" | b"}":
                depth -= 1
            case b",":
                pass
            case _:
                continue
        if depth == 0 or (depth == 1 and match[0] == b","):
            elements.append(_element(body, start, match.start()))
            start = end = match.end()
        if depth == 0:
            break
    if depth or body[end:].strip(b" \t\r\n"):
        raise _not_json(body, "brackets do not match")
    return elements


def _element(body: bytes, start: int, end: int) -> Raw:
    element = Raw(body[start:end].strip(b" \t\r\n"))
    try:
        _raw_decoder.decode(element)
    except RecursionError:
        pass  # the one that is too deep: whoever decodes it rejects it alone
    except msgspec.DecodeError as error:
        raise _not_json(body, str(error)) from None
    return element


def _not_json(body: bytes, reason: str) -> NotJsonError:
    what = "an HTML page" if body.lstrip()[:1] == b"<" else f"{len(body):,} bytes that are not whole JSON"
    return NotJsonError(
        f"the endpoint answered 200 with {what} ({reason}): nothing was changed, the next poll asks again",
        response_bytes=len(body),
    )
