"""Parses a response with Python's `json`, following the contract's text; it shares no code with the program."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

_BIGINT: Final = 2**63
_MAX_LOOKUP_CHARS: Final = 200

TEXTS: Final = ("comment", "reason", "dgn_number", "redirect_number", "sip_uri")
LOOKUPS: Final = ("type", "purpose", "nc_type", "region_name")
INTEGERS: Final = ("scenario_id", "group_scenario_id", "group_id", "employee_id", "app_id")
BOOLEANS: Final = ("is_scenario_active", "is_group_scenario_active")
COLUMNS: Final = ("number", "state", *TEXTS, *LOOKUPS, *INTEGERS, *BOOLEANS)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_reject_constant)
_SEPARATORS: Final = re.compile(r"[\s,]*")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """A valid record: the values of the keys that are present; redirects are None if their key is missing."""

    id: int
    values: dict[str, Any]
    redirects: frozenset[tuple[int, str]] | None
    extra: dict[str, Any]

    def same_content(self, other: Record) -> bool:
        """Returns whether both records are equal, however they are formatted."""
        return (
            self.values == other.values
            and self.redirects == other.redirects
            and canonical(self.extra) == canonical(other.extra)
        )


@dataclass(frozen=True)
class Element:
    """One element of the array: its bytes, its record if that is valid, and its ids if they can be read."""

    payload: bytes
    record: Record | None
    id: int | None
    app_id: int | None


class InvalidResponseError(Exception):
    """The response as a whole is invalid; the message is the contract's `error_kind`."""


def read(body: bytes) -> list[Element]:
    """Returns the elements of a response, or raises InvalidResponseError."""
    text = body.decode(errors="surrogateescape")
    try:
        whole = _DECODER.decode(text)
    except ValueError:
        raise InvalidResponseError("not_json") from None
    if not isinstance(whole, list):
        raise InvalidResponseError("not_an_array")
    elements = []
    position = 0
    for _ in whole:
        start = _skip(text, position)
        _, position = _DECODER.raw_decode(text, start)
        elements.append(_element(text[start:position]))
    return elements


def _skip(text: str, position: int) -> int:
    """Returns the start of the next element: after white space, the comma and, before the first one, the bracket."""
    if position == 0:
        position = text.index("[") + 1
    found = _SEPARATORS.match(text, position)
    assert found is not None
    return found.end()


@lru_cache(maxsize=4096)
def _element(text: str) -> Element:
    """Parses an element; most elements of a response are those of the response before."""
    value, payload = _DECODER.decode(text), text.encode(errors="surrogateescape")
    fields = value if isinstance(value, dict) else {}
    identifier = fields.get("id") if _is_integer(fields.get("id"), lowest=1) else None
    app_id = fields.get("app_id") if _is_integer(fields.get("app_id"), lowest=1) else None
    record = _record(fields) if identifier is not None and _is_utf8(payload) and _is_valid(fields) else None
    return Element(payload, record, identifier, app_id)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_valid(fields: dict[str, Any]) -> bool:
    redirects = fields.get("from_redirect_numbers")
    return (
        _is_lookup_value(fields.get("number"))
        and fields["number"] != ""
        and _is_lookup_value(fields.get("state"))
        and fields["state"] != ""
        and all(fields.get(name) is None or isinstance(fields[name], str) for name in TEXTS)
        and all(fields.get(name) is None or _is_lookup_value(fields[name]) for name in LOOKUPS)
        and all(fields.get(name) is None or _is_integer(fields[name]) for name in INTEGERS)
        and all(fields.get(name) is None or isinstance(fields[name], bool) for name in BOOLEANS)
        and (redirects is None or (isinstance(redirects, list) and all(map(_is_redirect, redirects))))
    )


def _is_redirect(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_integer(value.get("id"))
        and _is_lookup_value(value.get("number"))
        and value["number"] != ""
    )


def _is_lookup_value(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_LOOKUP_CHARS


def _is_integer(value: Any, *, lowest: int = -_BIGINT) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and lowest <= value < _BIGINT and value == int(value)


def _record(fields: dict[str, Any]) -> Record:
    values: dict[str, Any] = {name: replace_unstorable(fields[name]) for name in COLUMNS if name in fields}
    if values.get("purpose") == "сompany":  # on the vendor's page, the first letter is Cyrillic
        values["purpose"] = "company"
    listed = fields.get("from_redirect_numbers") or []
    redirects = frozenset((one["id"], replace_unstorable(one["number"])) for one in listed)
    known = {"id", "from_redirect_numbers", *COLUMNS}
    extra = {name: value for name, value in fields.items() if name not in known}
    unknown = [{name: one[name] for name in one if name != "number"} for one in listed if one.keys() - {"id", "number"}]
    if unknown:
        extra["from_redirect_numbers"] = unknown
    return Record(
        id=fields["id"],
        values=values,
        redirects=redirects if "from_redirect_numbers" in fields else None,
        extra=replace_unstorable(extra),
    )


def replace_unstorable(value: Any) -> Any:
    """Replaces the characters that PostgreSQL cannot store by U+FFFD in a JSON value."""
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case list():
            return [replace_unstorable(one) for one in value]
        case dict():
            return {replace_unstorable(name): replace_unstorable(one) for name, one in value.items()}
        case _:
            return value


def canonical(value: Any) -> Any:
    """Converts a JSON value so that equal JSON is equal in Python: 1 and 1.0 are equal, 1 and true are not."""
    match value:
        case bool() | None:
            return (type(value).__name__, value)
        case int() | float():
            return Fraction(str(value))
        case list():
            return [canonical(one) for one in value]
        case dict():
            return {name: canonical(one) for name, one in value.items()}
        case _:
            return value
