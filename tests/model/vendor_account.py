"""The vendor's side of an account: its numbers, and the responses that list them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.builders import APP_ID, record, redirect

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BIGINT: Final = 2**63 - 1
MAX_NUMBERS: Final = 50

VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "number": ("79000000001", "79000000002", "74950000003", "1", "88009966666"),
    "comment": (None, "", "note", "a\x00b", "a\ufffdb", "\ud83d alone", "заметка \U0001f4de"),
    "type": ("def", "abc", "toll_free", "satellite", None),
    "purpose": ("company", "employee", "robot", None),
    "scenario_id": (None, 7, 0, -1, MAX_BIGINT),
    "group_scenario_id": (None, 7, -MAX_BIGINT - 1),
    "group_id": (None, 1, 2),
    "is_scenario_active": (None, True, False),
    "is_group_scenario_active": (False, None, True),
    "employee_id": (125, None, 126),
    "dgn_number": (None, "74954789551", ""),
    "redirect_number": (None, "74994088157", "74954789551"),
    "region_name": ("регион Москва", "Луна", None, "Брянская область"),
    "app_id": (APP_ID, None),
    "nc_type": ("custom", "custom+fmc", None),
    "sip_uri": (None, "sip:a@b", "sip:c@d"),
    "state": ("active", "freeze", "debt_lock", "porting"),
    "reason": (None, "долг", "manual", ""),
}
COLUMNS: Final = tuple(name for name in VALUES if name not in {"state", "reason"})
OPTIONAL: Final = tuple(name for name in VALUES if name not in {"number", "state"})
EXTRA: Final[tuple[Any, ...]] = (
    *(1, 2, None, True, False, "текст", "a\x00b", 0.5, 10**30),
    *([1, {"a": None}], {"name": "новый", "price": 1.5}),
)
REDIRECTS: Final = tuple(
    redirect(number_id, number) for number_id in (1, 2, 249) for number in ("74994088157", "74950000003")
)

Fields = dict[str, Any]


class VendorAccount:
    """The numbers of one account at the vendor, and how the next responses are formatted and distorted."""

    def __init__(self, size: int) -> None:
        self.listed: dict[int, Fields] = {number: _first_record(number) for number in range(1, size + 1)}
        self.unlisted: dict[int, Fields] = {}
        self.style = 0
        self.style_by_id: dict[int, int] = {}
        self.order = 0
        self.persistent_edits: list[Callable[[list[bytes]], list[bytes]]] = []
        self.edits: list[Callable[[list[bytes]], list[bytes]]] = []
        self.transform_body: Callable[[bytes], bytes] | None = None
        self.http_error: int | None = None
        self.headers: dict[str, str] = {}
        self.spaces_before = self.spaces_after = b""
        self.last_body = b"[]"

    def response(self) -> tuple[bytes, dict[str, str]]:
        """Returns the body and the headers of this step's response, and clears what applies to it only."""
        headers, self.headers = self.headers, {}
        return self._body(), headers

    def _body(self) -> bytes:
        elements = self.elements()
        if self.order:
            shift = self.order % max(1, len(elements))
            elements = [*elements[shift:], *elements[:shift]][:: -1 if self.order % 2 else 1]
        for edit in (*self.persistent_edits, *self.edits):
            elements = edit(elements)
        body = b"[" + self.spaces_before + b", ".join(elements) + self.spaces_after + b"]"
        if self.transform_body is not None:
            body = self.transform_body(body)
        self.edits, self.transform_body = [], None
        self.last_body = body
        return body

    def elements(self) -> list[bytes]:
        """Returns the listed records as JSON, each in its current style."""
        return [encode(fields, self.style_by_id.get(number, self.style)) for number, fields in self.listed.items()]

    def pick_listed(self, position: int) -> Fields | None:
        """Returns one of the listed numbers; None if there are none."""
        keys = sorted(self.listed)
        return self.listed[keys[position % len(keys)]] if keys else None

    def unused_id(self) -> int | None:
        """Returns the smallest id that was never listed; None if all are used."""
        return next((number for number in range(1, MAX_NUMBERS + 1) if number not in self.listed | self.unlisted), None)


def _first_record(number: int) -> Fields:
    """Returns the initial record of a number; every second one has redirects."""
    return record(number, from_redirect_numbers=[dict(REDIRECTS[number % len(REDIRECTS)])] if number % 2 else [])


# Different JSON texts for the same record


def _dump(fields: Any, *, ensure_ascii: bool = False, **options: Any) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=ensure_ascii, **options).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be written escaped
        return json.dumps(fields, **options).encode()


def _with_repeated_keys(fields: Fields) -> bytes:
    """Repeats keys: the last of several equal keys counts, whatever the values of those before it."""
    ignored = {"comment": "before", "dgn_number": 5, "number": None, "app_id": "x", "state": "freeze"}
    first = {name: value for name, value in ignored.items() if name in fields}
    return _dump(first)[:-1] + b", " + _dump(fields)[1:]


def _with_repeated_redirects(fields: Fields) -> bytes:
    listed = fields.get("from_redirect_numbers")
    return _dump(fields | ({"from_redirect_numbers": [*listed[::-1], *listed[:1]]} if listed else {}))


def _with_cyrillic_company(fields: Fields) -> bytes:
    return _dump(fields | ({"purpose": "сompany"} if fields.get("purpose") == "company" else {}))


def _with_null_redirects(fields: Fields) -> bytes:
    return _dump(fields | ({"from_redirect_numbers": None} if fields.get("from_redirect_numbers") == [] else {}))


def _with_unnecessary_escapes(fields: Fields) -> bytes:
    return _dump(fields).replace(b'"a', rb'"\u0061')


_ENCODERS: Final[tuple[Callable[[Fields], bytes], ...]] = (
    _dump,
    lambda fields: _dump(fields, indent=2),
    lambda fields: _dump(fields, ensure_ascii=True),
    lambda fields: _dump(dict(reversed(fields.items()))),
    lambda fields: _dump(fields, separators=(",", ":")),
    _with_cyrillic_company,
    _with_null_redirects,
    _with_repeated_keys,
    _with_unnecessary_escapes,
    _with_repeated_redirects,
)
STYLE_COUNT: Final = len(_ENCODERS)


def encode(fields: Fields, style: int = 0) -> bytes:
    """Encodes a record as JSON, in one of the styles."""
    return _ENCODERS[style % STYLE_COUNT](fields)
