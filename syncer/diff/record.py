"""Decodes one element of the response: into a `ParsedRecord`, or into a `Rejection` that says what is wrong.

The endpoint returns one JSON array of objects, each of which describes one virtual number. `VendorRecord` lists their
fields as the vendor spells them: those documented for `GET /numbers/virtual-number`, and those that the vendor's other
pages show for the same entity.

A record is invalid, and rejected alone, if a field has the wrong type or if PostgreSQL could not store it. Fields that
`VendorRecord` does not know are kept in `extra`.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from syncer.diff.json_array import replace_unstorable_escapes

DECODER_VERSION: Final = 1
"""Incremented when the same bytes decode to something else; every record is then decoded once more."""

MAX_BIGINT: Final = 2**63 - 1
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""The bytes of a rejected element that are kept: the first 64 KiB."""

MIN_RECORD_BYTES: Final = len(b'{"id":1,"number":"1","state":""},')
"""The length of the shortest valid record, with the comma that follows it."""

MAX_RECORD_CHARS: Final = 16 * 2**20
"""The maximum length of a record. Decoded, a record can take thirty times as many bytes."""

MAX_DEPTH: Final = 100
"""The maximum nesting of arrays and objects in an unknown field."""

Identifier = Annotated[int, Meta(ge=1, le=MAX_BIGINT)]
Integer = Annotated[int, Meta(ge=-MAX_BIGINT - 1, le=MAX_BIGINT)]
# These have a maximum length because PostgreSQL rejects a statement with an index entry larger than a third of a page.
PhoneNumber = Annotated[str, Meta(min_length=1, max_length=200)]
ShortText = Annotated[str, Meta(max_length=200)]

# An absent key and null differ: null is an empty value, an absent key says nothing about the value. Hence three states:
# a value, None for null, UNSET for an absent key.
OptionalInteger = Integer | UnsetType | None
OptionalText = str | UnsetType | None
OptionalShortText = ShortText | UnsetType | None
OptionalBoolean = bool | UnsetType | None

RedirectKey = tuple[int, str]
"""The `id` and the `number` of one element of `from_redirect_numbers`."""


class VendorRedirect(Struct, frozen=True, gc=False):
    """An element of `from_redirect_numbers`: a number whose calls are redirected to the record's number."""

    id: Integer
    number: PhoneNumber


class VendorRecord(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """One virtual number as the endpoint returns it, its fields in the order of the columns.

    UNSET stands for an absent key, None for null.
    """

    id: Identifier
    number: PhoneNumber
    comment: OptionalText = UNSET
    type: OptionalShortText = UNSET
    purpose: OptionalShortText = UNSET
    state: ShortText
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
    from_redirect_numbers: list[VendorRedirect] | UnsetType | None = UNSET


COLUMNS: Final = tuple(name for name in VendorRecord.__struct_fields__ if name not in {"id", "from_redirect_numbers"})
"""The fields that hold one value each, in the order of `ParsedRecord.values`: all but `id` and the redirects."""

_KNOWN_FIELDS: Final = frozenset(VendorRecord.__struct_fields__)
_column_values = attrgetter(*COLUMNS)
_REDIRECTS_FIELD: Final = "from_redirect_numbers"
# The vendor's page spells the first letter of this purpose in Cyrillic, the vendor's examples in Latin.
_CYRILLIC_COMPANY: Final = "сompany"
_NO_REDIRECTS: Final[frozenset[RedirectKey]] = frozenset()

_record_decoder = msgspec.json.Decoder(VendorRecord)
_object_decoder = msgspec.json.Decoder(dict[str, Raw])


class ParsedRecord(Struct, frozen=True, gc=False):
    """A valid record.

    Attributes:
        virtual_number_id: The record's `id`.
        values: The values of the fields in `COLUMNS`, in that order; UNSET for an absent key.
        redirects: The `id` and `number` of each element of `from_redirect_numbers`; UNSET for an absent key.
        extra: The fields that have no column, by name.
        fingerprint: The 16-byte content hash (XXH3) of the record's bytes as received.
    """

    virtual_number_id: int
    values: tuple[Any, ...]
    redirects: frozenset[RedirectKey] | UnsetType
    extra: dict[str, Any]
    fingerprint: bytes

    def has_same_content(self, other: ParsedRecord) -> bool:
        """Returns whether both have equal fields. Formatting and the order of keys and redirects do not matter."""
        return (
            self.values == other.values
            and self.redirects == other.redirects
            and equal_as_jsonb(self.extra, other.extra)
        )


class Rejection(Struct, frozen=True):
    """An element that is not a valid record.

    Attributes:
        virtual_number_id: The element's `id`; None if it cannot be read.
        app_id: The element's `app_id`; None if it cannot be read.
        error: What is wrong, in one line.
        payload: The first 64 KiB of the element's bytes as received.
        fingerprint: The 16-byte content hash of all of its bytes; it identifies the rejected element.
    """

    virtual_number_id: int | None
    app_id: int | None
    error: str
    payload: bytes
    fingerprint: bytes


def decode(element: bytes, fingerprint: bytes) -> ParsedRecord | Rejection:
    """Decodes one element of the array, or rejects it if it is not a valid record.

    Args:
        element: The element's bytes as received.
        fingerprint: The content hash of these bytes.
    """
    validated = validate(element, fingerprint)
    return validated if isinstance(validated, Rejection) else _parsed_record(*validated, fingerprint)


def decode_trusted(element: bytes, fingerprint: bytes) -> ParsedRecord:
    """Decodes an element that `validate` has accepted, without repeating the checks that take time."""
    return _parsed_record(*_decode_element(element), fingerprint)


def validate(element: bytes, fingerprint: bytes) -> tuple[VendorRecord, dict[str, Any]] | Rejection:
    """Returns an element's known fields and its unknown ones, or rejects it if it is not a valid record."""
    try:
        # The whole text is decoded because msgspec does not check the UTF-8 of values that it skips.
        if len(str(element, "utf-8")) > MAX_RECORD_CHARS:
            return reject(element, fingerprint, f"longer than {MAX_RECORD_CHARS:,} characters")
        return _decode_element(element)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return reject(element, fingerprint, _error_text(error))


def reject(element: bytes, fingerprint: bytes, error: str) -> Rejection:
    """Builds the rejection of an element, with its `id` and `app_id` if they can be read."""
    return Rejection(
        virtual_number_id=read_field(element, "id"),
        app_id=read_field(element, "app_id"),
        error=error,
        payload=bytes(element)[:MAX_PAYLOAD_BYTES],
        fingerprint=fingerprint,
    )


def _parsed_record(record: VendorRecord, extra: dict[str, Any], fingerprint: bytes) -> ParsedRecord:
    redirects: frozenset[RedirectKey] | UnsetType = _NO_REDIRECTS
    if record.from_redirect_numbers:
        redirects = frozenset([(redirect.id, redirect.number) for redirect in record.from_redirect_numbers])
    elif record.from_redirect_numbers is UNSET:
        redirects = UNSET
    return ParsedRecord(record.id, _column_values(record), redirects, extra, fingerprint)


def _decode_element(element: bytes) -> tuple[VendorRecord, dict[str, Any]]:
    record, extra = _decode_fields(replace_unstorable_escapes(element))
    if record.purpose == _CYRILLIC_COMPANY:
        record = msgspec.structs.replace(record, purpose="company")
    return record, extra


def _decode_fields(element: Raw | bytes) -> tuple[VendorRecord, dict[str, Any]]:
    try:
        return _record_decoder.decode(element), {}
    except msgspec.ValidationError:
        # The record is invalid, or it has unknown fields or a repeated key whose first value is invalid. The last two
        # are rare, so only now are the fields decoded one by one, which keeps the last value of a repeated key. If the
        # record is invalid, the last line raises the error again.
        fields = _object_decoder.decode(element)
        extra = {name: _decode_extra(name, fields.pop(name)) for name in sorted(fields.keys() - _KNOWN_FIELDS)}
        if _REDIRECTS_FIELD in fields:
            fields[_REDIRECTS_FIELD] = Raw(msgspec.json.encode(msgspec.json.decode(fields[_REDIRECTS_FIELD])))
        return _record_decoder.decode(msgspec.json.encode(fields)), extra


def _decode_extra(name: str, text: Raw) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = msgspec.json.decode(text)
    except msgspec.ValidationError as error:
        problem = str(error)
    else:
        if not _exceeds_max_depth(value):
            return value
        problem = "nested too deep"
    raise msgspec.ValidationError(f"{problem} - in the unknown field {name[:80]!r}")


def _exceeds_max_depth(value: object) -> bool:
    """Returns whether a value has more than `MAX_DEPTH` levels; recursive code is safe on the others."""
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
    """Reads one integer field of an element, whether or not the element is a valid record.

    Returns:
        None if the field is absent or cannot be read.
    """
    expected_type: Any = Identifier if name == "id" else Integer
    try:
        fields = _object_decoder.decode(replace_unstorable_escapes(element))
        value: int = msgspec.json.decode(fields[name], type=expected_type)
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value


def _error_text(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the bytes are not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error)


def equal_as_jsonb(one: object, other: object) -> bool:
    """Returns whether two JSON values are equal as PostgreSQL's jsonb: 1 equals 1.0, but 1 does not equal true."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(equal_as_jsonb(value, other[key]) for key, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(equal_as_jsonb, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case (float(), int() | float()) | (int(), float()):
            return Decimal(repr(one)) == Decimal(repr(other))
        case _:
            return one == other
