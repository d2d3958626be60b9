"""The vendor's record in the vendor's spelling: bytes → a record, or a rejection with a reason.

The endpoint answers with one JSON array of objects. Their fields are those of the vendor's page of
`GET /numbers/virtual-number`, and of the vendor's other pages where they show the same entity in another shape.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from syncer.diff.json_array import repair

DECODER_VERSION: Final = 1
"""Raised when the same bytes come to mean something else, so that every record is looked at once more."""

MAX_BIGINT: Final = 2**63 - 1
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""How many bytes of a rejected element are kept."""

MIN_RECORD_BYTES: Final = len(b'{"id":1,"number":"1","state":""},')
"""Bytes of the shortest record that can be taken, with the comma after it."""

MAX_RECORD_CHARS: Final = 16 * 2**20
"""How many characters a record may have; decoded, it may take thirty times as many bytes."""

MAX_DEPTH: Final = 100
"""How many levels of arrays and objects an unknown field may have."""

Identifier = Annotated[int, Meta(ge=1, le=MAX_BIGINT)]
Integer = Annotated[int, Meta(ge=-MAX_BIGINT - 1, le=MAX_BIGINT)]
# Bounded because PostgreSQL refuses an index entry beyond a third of a page, and with it the whole statement.
PhoneNumber = Annotated[str, Meta(min_length=1, max_length=200)]
ShortText = Annotated[str, Meta(max_length=200)]

# A key that is absent was not told; null is an empty value. Hence three states: a value, None, UNSET.
OptionalInteger = Integer | UnsetType | None
OptionalText = str | UnsetType | None
OptionalShortText = ShortText | UnsetType | None
OptionalBoolean = bool | UnsetType | None


class Redirect(Struct, frozen=True, gc=False):
    """A number whose calls are redirected to the record's number."""

    id: Integer
    number: PhoneNumber


class Record(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One virtual number as the endpoint tells it. UNSET is a key that was absent, None an empty value."""

    id: Identifier
    number: PhoneNumber
    state: ShortText
    comment: OptionalText = UNSET
    type: OptionalShortText = UNSET
    purpose: OptionalShortText = UNSET
    reason: OptionalText = UNSET
    scenario_id: OptionalInteger = UNSET
    group_scenario_id: OptionalInteger = UNSET
    group_id: OptionalInteger = UNSET
    is_scenario_active: OptionalBoolean = UNSET
    is_group_scenario_active: OptionalBoolean = UNSET
    employee_id: OptionalInteger = UNSET
    dgn_number: OptionalText = UNSET
    redirect_number: OptionalText = UNSET
    region_name: OptionalShortText = UNSET
    app_id: OptionalInteger = UNSET
    nc_type: OptionalShortText = UNSET
    sip_uri: OptionalText = UNSET
    from_redirect_numbers: list[Redirect] | UnsetType | None = UNSET


COLUMNS: Final = (
    "number",
    "comment",
    "type",
    "purpose",
    "state",
    "reason",
    "scenario_id",
    "group_scenario_id",
    "group_id",
    "is_scenario_active",
    "is_group_scenario_active",
    "employee_id",
    "dgn_number",
    "redirect_number",
    "region_name",
    "app_id",
    "nc_type",
    "sip_uri",
)
"""The fields of one value each, in the order in which `Arrived.values` holds them."""

_FIELDS: Final = frozenset(Record.__struct_fields__)
_values_of = attrgetter(*COLUMNS)
_REDIRECTS: Final = "from_redirect_numbers"
# The vendor's page spells the first letter of this purpose in Cyrillic, its examples in Latin.
_CYRILLIC_COMPANY: Final = "сompany"
_NO_REDIRECTS: Final[frozenset[tuple[int, str]]] = frozenset()

_record_decoder = msgspec.json.Decoder(Record)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


class ParsedRecord(Struct, frozen=True, gc=False):
    """A record, decoded.

    Attributes:
        virtual_number_id: The record's `id`.
        values: The fields of one value each, in the order of `COLUMNS`; UNSET where the key was absent.
        redirects: (id, number) of each of `from_redirect_numbers`; UNSET where the key was absent.
        extra: The fields that no column is made for.
        digest: Of the bytes as received, 16 bytes.
    """

    virtual_number_id: int
    values: tuple[Any, ...]
    redirects: frozenset[tuple[int, str]] | UnsetType
    extra: dict[str, Any]
    fingerprint: bytes

    def same_content(self, other: ParsedRecord) -> bool:
        """Whether both say the same, however it is spelled."""
        return self.values == other.values and self.redirects == other.redirects and same_json(self.extra, other.extra)


class Rejection(Struct, frozen=True):
    """An element that cannot be taken.

    Attributes:
        virtual_number_id: The element's `id`, where it can be read.
        app_id: The element's `app_id`, where it can be read.
        error: Why, in one line.
        payload: The bytes as received, the first 64 KiB.
        digest: Of the bytes as received, all of them, 16 bytes: the identity of what was rejected.
    """

    virtual_number_id: int | None
    app_id: int | None
    error: str
    payload: bytes
    fingerprint: bytes


def decode(element: bytes, fingerprint: bytes) -> ParsedRecord | Rejection:
    """One element of the array, decoded, or rejected alone; `fingerprint` is that of its bytes."""
    validated = validate(element, fingerprint)
    return validated if isinstance(validated, Rejection) else _parsed_record(*validated, fingerprint)


def decode_trusted(element: bytes, fingerprint: bytes) -> ParsedRecord:
    """One element that could be taken before: what costs time and was found right is not looked at again."""
    return _parsed_record(*_decode(element), fingerprint)


def _parsed_record(record: Record, extra: dict[str, Any], fingerprint: bytes) -> ParsedRecord:
    told = record.from_redirect_numbers
    redirects: frozenset[tuple[int, str]] | UnsetType = _NO_REDIRECTS
    if told:
        redirects = frozenset([(redirect.id, redirect.number) for redirect in told])
    elif told is UNSET:
        redirects = UNSET
    return ParsedRecord(record.id, _values_of(record), redirects, extra, fingerprint)


def validate(element: bytes, fingerprint: bytes) -> tuple[Record, dict[str, Any]] | Rejection:
    """One element as the record that it is and its fields without a column, or rejected alone."""
    try:
        if len(str(element, "utf-8")) > MAX_RECORD_CHARS:  # msgspec does not look at the text of what it skips
            return reject(element, fingerprint, f"longer than {MAX_RECORD_CHARS:,} characters")
        return _decode(element)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return reject(element, fingerprint, _reason(error))


def reject(element: bytes, fingerprint: bytes, error: str) -> Rejection:
    """Keeps an element that cannot be taken, with what can still be read of it."""
    return Rejection(
        virtual_number_id=read_field(element, "id"),
        app_id=read_field(element, "app_id"),
        error=error,
        payload=bytes(element)[:MAX_PAYLOAD_BYTES],
        fingerprint=fingerprint,
    )


def _decode(element: bytes) -> tuple[Record, dict[str, Any]]:
    record, extra = _decode_repaired(repair(element))
    if record.purpose == _CYRILLIC_COMPANY:
        record = msgspec.structs.replace(record, purpose="company")
    return record, extra


def _decode_repaired(element: Raw | bytes) -> tuple[Record, dict[str, Any]]:
    try:
        return _record_decoder.decode(element), {}
    except msgspec.ValidationError:
        # Unknown fields are rare, and so are keys told twice, of which the last counts: only now is it looked for them.
        # What is really wrong is raised by the last line.
        fields = _fields_decoder.decode(element)
        extra = {name: _decode_extra(name, fields.pop(name)) for name in sorted(fields.keys() - _FIELDS)}
        if _REDIRECTS in fields:
            fields[_REDIRECTS] = Raw(msgspec.json.encode(msgspec.json.decode(fields[_REDIRECTS])))
        return _record_decoder.decode(msgspec.json.encode(fields)), extra


def _decode_extra(name: str, text: Raw) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = msgspec.json.decode(text)
    except msgspec.ValidationError as error:
        problem = str(error)
    else:
        if not _is_deep(value):
            return value
        problem = "nested too deep"
    raise msgspec.ValidationError(f"{problem} - in the unknown field {name[:80]!r}")


def _is_deep(value: object) -> bool:
    """Whether arrays and objects are nested deeper than anybody means, and recursive code can follow."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def read_field(element: bytes, name: Literal["id", "app_id"]) -> int | None:
    """One number of an element, which may be beyond reading otherwise; None if not even that can be read."""
    kind: Any = Identifier if name == "id" else Integer
    try:
        number: int = msgspec.json.decode(_fields_decoder.decode(repair(element))[name], type=kind)
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return number


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the bytes are not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error)


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values are equal as PostgreSQL's jsonb compares them: 1 and 1.0 are, 1 and true are not."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(same_json, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case (float(), int() | float()) | (int(), float()):
            return Decimal(repr(one)) == Decimal(repr(other))
        case _:
            return one == other
