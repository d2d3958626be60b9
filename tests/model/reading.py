"""What a response says, read with Python's own `json` and the contract's words: nothing of the program is used here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

_BIGINT: Final = 2**63
_LONGEST_WORD: Final = 200

TEXTS: Final = ("comment", "reason", "dgn_number", "redirect_number", "sip_uri")
WORDS: Final = ("type", "purpose", "nc_type", "region_name")
INTEGERS: Final = ("scenario_id", "group_scenario_id", "group_id", "employee_id", "app_id")
BOOLEANS: Final = ("is_scenario_active", "is_group_scenario_active")
COLUMNS: Final = ("number", "state", *TEXTS, *WORDS, *INTEGERS, *BOOLEANS)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_BETWEEN: Final = re.compile(r"[\s,]*")
_NOT_FOR_POSTGRESQL: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """A record that can be taken: the values of the keys that were told; redirects are None if theirs was not."""

    id: int
    told: dict[str, Any]
    redirects: frozenset[tuple[int, str]] | None
    extra: dict[str, Any]

    def says_the_same(self, other: Record) -> bool:
        """Whether both mean the same, however they are spelled."""
        return (
            self.told == other.told
            and self.redirects == other.redirects
            and meaning(self.extra) == meaning(other.extra)
        )


@dataclass(frozen=True)
class Element:
    """One element of the array: its bytes, its record if it can be taken, and what else can be read of it."""

    payload: bytes
    record: Record | None
    id: int | None
    app_id: int | None


class UnreadableError(Exception):
    """The response as a whole cannot be taken; its text is the contract's `error_kind`."""


def read(body: bytes) -> list[Element]:
    """The elements of a response, or UnreadableError."""
    text = body.decode(errors="surrogateescape")
    try:
        whole = _DECODER.decode(text)
    except ValueError:
        raise UnreadableError("not_json") from None
    if not isinstance(whole, list):
        raise UnreadableError("not_an_array")
    elements = []
    position = 0
    for _ in whole:
        start = _skip(text, position)
        value, position = _DECODER.raw_decode(text, start)
        elements.append(_element(value, text[start:position].encode(errors="surrogateescape")))
    return elements


def _skip(text: str, position: int) -> int:
    """Where the next element begins: beyond white space, the comma and, before the first one, the bracket."""
    if position == 0:
        position = text.index("[") + 1
    found = _BETWEEN.match(text, position)
    assert found is not None
    return found.end()


def _element(value: Any, payload: bytes) -> Element:
    fields = value if isinstance(value, dict) else {}
    identifier = fields.get("id") if _is_integer(fields.get("id"), lowest=1) else None
    app_id = fields.get("app_id") if _is_integer(fields.get("app_id"), lowest=1) else None
    record = _record(fields) if identifier is not None and _is_utf8(payload) and _can_be_taken(fields) else None
    return Element(payload, record, identifier, app_id)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _can_be_taken(fields: dict[str, Any]) -> bool:
    redirects = fields.get("from_redirect_numbers")
    return (
        _is_word(fields.get("number"))
        and fields["number"] != ""
        and _is_word(fields.get("state"))
        and all(fields.get(name) is None or isinstance(fields[name], str) for name in TEXTS)
        and all(fields.get(name) is None or _is_word(fields[name]) for name in WORDS)
        and all(fields.get(name) is None or _is_integer(fields[name]) for name in INTEGERS)
        and all(fields.get(name) is None or isinstance(fields[name], bool) for name in BOOLEANS)
        and (redirects is None or (isinstance(redirects, list) and all(map(_is_redirect, redirects))))
    )


def _is_redirect(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_integer(value.get("id"))
        and _is_word(value.get("number"))
        and value["number"] != ""
    )


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_WORD


def _is_integer(value: Any, *, lowest: int = -_BIGINT) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value < _BIGINT


def _record(fields: dict[str, Any]) -> Record:
    told: dict[str, Any] = {name: mended(fields[name]) for name in COLUMNS if name in fields}
    if told.get("purpose") == "сompany":  # the vendor's page spells it with a Cyrillic first letter
        told["purpose"] = "company"
    listed = fields.get("from_redirect_numbers") or []
    redirects = frozenset((one["id"], mended(one["number"])) for one in listed)
    known = {"id", "from_redirect_numbers", *COLUMNS}
    return Record(
        id=fields["id"],
        told=told,
        redirects=redirects if "from_redirect_numbers" in fields else None,
        extra=mended({name: value for name, value in fields.items() if name not in known}),
    )


def mended(value: Any) -> Any:
    """A JSON value with U+FFFD in place of what PostgreSQL's text cannot hold."""
    match value:
        case str():
            return _NOT_FOR_POSTGRESQL.sub("\ufffd", value)
        case list():
            return [mended(one) for one in value]
        case dict():
            return {mended(name): mended(one) for name, one in value.items()}
        case _:
            return value


def meaning(value: Any) -> Any:
    """A JSON value in a form that is equal for equal meanings: 1 and 1.0 are the same, 1 and true are not."""
    match value:
        case bool() | None:
            return (type(value).__name__, value)
        case int() | float():
            return Fraction(str(value))
        case list():
            return [meaning(one) for one in value]
        case dict():
            return {name: meaning(one) for name, one in value.items()}
        case _:
            return value
