"""Decodes a list of names: only the fields that are stored become Python objects.

The vendor's records of employees also have logins, e-mail addresses and, by its documentation, passwords. msgspec skips
the fields that no struct below has; no error repeats a value, and nothing is kept of a record that cannot be stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from syncer.diff.json_array import replace_unstorable_escapes, require_few_short_elements, split_array
from syncer.diff.json_values import read_integer
from syncer.errors import NotAnArrayError, NotJsonError, PollError
from syncer.name_list import MAX_NAME_CHARS, Named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.name_list import NameList

_MIN_RECORD_BYTES: Final = len(b'{"id":1},')
_MAX_VARIANTS: Final = 10
"""How many different records of one id are compared with what is stored."""
_VARIES: Final = "varies"
_SHIFTS: Final = ("working_shift1", "working_shift2", "working_shift3", "default_working_shift")
_Text = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_integer_decoder = msgspec.json.Decoder(_Integer)


class _Employee(Struct, gc=False):
    id: Raw
    full_name: _Text
    position_name: _Text | None = None


class _Group(Struct, gc=False):
    id: Raw
    name: _Text


class _WorkingShift(Struct, gc=False):
    scenario_type: _Text | None = None
    employee_id: Raw = Raw(b"null")
    employee_group_id: Raw = Raw(b"null")


class _Scenario(Struct, gc=False):
    id: Raw
    working_shift1: _WorkingShift | None = None
    working_shift2: _WorkingShift | None = None
    working_shift3: _WorkingShift | None = None
    default_working_shift: _WorkingShift | None = None


@dataclass(frozen=True, slots=True)
class DecodedList:
    """A list of names, decoded.

    Attributes:
        received: How many records it has.
        skipped: Those of them that cannot be stored, or have the id of an earlier one.
        candidates: What its records say about each id; more than one if they differ, in their order.
    """

    received: int = 0
    skipped: int = 0
    candidates: dict[int, list[Named]] = field(default_factory=dict)


def decode_list(name_list: NameList, body: bytes) -> DecodedList:
    """Decodes a response.

    Raises:
        NotJsonError: It is not JSON, or was cut short.
        NotAnArrayError: It is JSON, but not an array of records.
    """
    decode = _DECODERS[name_list.name]
    received = skipped = 0
    candidates: dict[int, list[Named]] = {}
    try:
        for _, elements in split_array(body, _MIN_RECORD_BYTES):
            received += len(elements)
            require_few_short_elements(received, len(body), body)
            for element in elements:
                try:
                    object_id, named = decode(replace_unstorable_escapes(element))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    skipped += 1
                    continue
                found = candidates.setdefault(object_id, [])
                skipped += bool(found)
                if len(found) < _MAX_VARIANTS and named not in found:
                    found.append(named)
    except NotJsonError:
        what = "an HTML page" if body.lstrip()[:1] == b"<" else f"{len(body):,} bytes that are not complete JSON"
        failure: PollError = NotJsonError(
            f"{name_list.path} was answered with {what}: the names stay as they are, and the list is asked for again",
            response_bytes=len(body),
        )
    except NotAnArrayError:
        failure = NotAnArrayError(
            f"{name_list.path} was answered with JSON that is not an array of records: the names stay as they are; "
            "check SYNCER_API_URL, and ask the vendor if it is right",
            response_bytes=len(body),
        )
    else:
        return DecodedList(received, skipped, candidates)
    raise failure


_Element = Raw | bytes | bytearray


def _decode_employee(element: _Element) -> tuple[int, Named]:
    record = _employee_decoder.decode(element)
    return _read_id(record.id), Named(name=_required(record.full_name), position=_optional(record.position_name))


def _decode_group(element: _Element) -> tuple[int, Named]:
    record = _group_decoder.decode(element)
    return _read_id(record.id), Named(name=_required(record.name))


def _decode_scenario(element: _Element) -> tuple[int, Named]:
    record = _scenario_decoder.decode(element)
    targets = {_target(shift) for name in _SHIFTS if (shift := getattr(record, name)) is not None}
    if len(targets) > 1:
        return _read_id(record.id), Named(scenario_type=_VARIES)
    scenario_type, target_list, target_id = next(iter(targets), (None, None, None))
    return _read_id(record.id), Named(scenario_type=scenario_type, target_list=target_list, target_id=target_id)


def _target(shift: _WorkingShift) -> tuple[str | None, str | None, int | None]:
    """Returns what a working shift does with a call, and to whom it leads it. An external number is not looked at."""
    scenario_type = _optional(shift.scenario_type)
    for target_list, text in (("employees", shift.employee_id), ("employee_groups", shift.employee_group_id)):
        if bytes(text) != b"null":
            return scenario_type, target_list, _read_id(text)
    return scenario_type, None, None


def _read_id(text: Raw) -> int:
    return _integer_decoder.decode(read_integer(text))


def _required(text: str) -> str:
    """Refuses a blank name, which would look as if it had been erased."""
    if not text.strip():
        raise msgspec.ValidationError("the name is blank")
    return text


def _optional(text: str | None) -> str | None:
    """Returns a text, or None if it is blank."""
    return text if text and text.strip() else None


_employee_decoder = msgspec.json.Decoder(_Employee)
_group_decoder = msgspec.json.Decoder(_Group)
_scenario_decoder = msgspec.json.Decoder(_Scenario)
_DECODERS: Final[Mapping[str, Callable[[_Element], tuple[int, Named]]]] = {
    "employees": _decode_employee,
    "groups": _decode_group,
    "employee_groups": _decode_group,
    "scenarios": _decode_scenario,
    "group_scenarios": _decode_scenario,
}
