"""What happens to an account's numbers at the vendor, and to the vendor's responses: events, each with a name.

An event is given two small integers, which choose whom it befalls and how; it tells whether it had anything to befall.
That makes a sequence of events plain data, which hypothesis can shrink: an event left out leaves the others possible.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.builders import APP_ID, record, redirect

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST: Final = 2**63 - 1
MANY: Final = 50

VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "number": ("79000000001", "79000000002", "74950000003", "1", "88009966666"),
    "comment": (None, "", "note", "a\x00b", "a\ufffdb", "\ud83d alone", "заметка \U0001f4de"),
    "type": ("def", "abc", "toll_free", "satellite", None),
    "purpose": ("company", "employee", "robot", None),
    "scenario_id": (None, 7, 0, -1, LARGEST),
    "group_scenario_id": (None, 7, -LARGEST - 1),
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


class World:
    """What the vendor knows of one account, and how it answers now."""

    def __init__(self, size: int) -> None:
        self.present: dict[int, Fields] = {number: _first_record(number) for number in range(1, size + 1)}
        self.gone: dict[int, Fields] = {}
        self.style = 0
        self.styles: dict[int, int] = {}
        self.order = 0
        self.lasting: list[Callable[[list[bytes]], list[bytes]]] = []
        self.edits: list[Callable[[list[bytes]], list[bytes]]] = []
        self.whole: Callable[[bytes], bytes] | None = None
        self.http_error: int | None = None
        self.last_body = b"[]"

    def body(self) -> bytes:
        """The response of this step, whose own faults end with it."""
        elements = self.elements()
        if self.order:
            shift = self.order % max(1, len(elements))
            elements = [*elements[shift:], *elements[:shift]][:: -1 if self.order % 2 else 1]
        for edit in (*self.lasting, *self.edits):
            elements = edit(elements)
        body = b"[" + b", ".join(elements) + b"]"
        if self.whole is not None:
            body = self.whole(body)
        self.edits, self.whole = [], None
        self.last_body = body
        return body

    def elements(self) -> list[bytes]:
        """The records, as they are and are spelled now."""
        return [spell(fields, self.styles.get(number, self.style)) for number, fields in self.present.items()]

    def pick(self, position: int) -> Fields | None:
        """One of the numbers that are there."""
        keys = sorted(self.present)
        return self.present[keys[position % len(keys)]] if keys else None

    def absent_id(self) -> int | None:
        """The smallest id that was never seen."""
        return next((number for number in range(1, MANY + 1) if number not in self.present | self.gone), None)


def _first_record(number: int) -> Fields:
    """A record as it is at first; every other one has redirects."""
    return record(number, from_redirect_numbers=[dict(REDIRECTS[number % len(REDIRECTS)])] if number % 2 else [])


# How one record may be spelled without meaning anything else.


def _dump(fields: Any, *, ensure_ascii: bool = False, **options: Any) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=ensure_ascii, **options).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be written escaped
        return json.dumps(fields, **options).encode()


def _keys_twice(fields: Fields) -> bytes:
    """The last of several equal keys counts, whatever those before it say."""
    told_before = {"comment": "before", "dgn_number": 5, "number": None, "app_id": "x", "state": "freeze"}
    before = {name: value for name, value in told_before.items() if name in fields}
    return _dump(before)[:-1] + b", " + _dump(fields)[1:]


def _redirects_twice(fields: Fields) -> bytes:
    listed = fields.get("from_redirect_numbers")
    return _dump(fields | ({"from_redirect_numbers": [*listed[::-1], *listed[:1]]} if listed else {}))


def _company_in_cyrillic(fields: Fields) -> bytes:
    return _dump(fields | ({"purpose": "сompany"} if fields.get("purpose") == "company" else {}))


def _null_for_no_redirects(fields: Fields) -> bytes:
    return _dump(fields | ({"from_redirect_numbers": None} if fields.get("from_redirect_numbers") == [] else {}))


def _needless_escapes(fields: Fields) -> bytes:
    return _dump(fields).replace(b'"a', rb'"\u0061')


_SPELLINGS: Final[tuple[Callable[[Fields], bytes], ...]] = (
    _dump,
    lambda fields: _dump(fields, indent=2),
    lambda fields: _dump(fields, ensure_ascii=True),
    lambda fields: _dump(dict(reversed(fields.items()))),
    lambda fields: _dump(fields, separators=(",", ":")),
    _company_in_cyrillic,
    _null_for_no_redirects,
    _keys_twice,
    _needless_escapes,
    _redirects_twice,
)
STYLES: Final = len(_SPELLINGS)


def spell(fields: Fields, style: int = 0) -> bytes:
    """A record as JSON, in one of the spellings."""
    return _SPELLINGS[style % STYLES](fields)
