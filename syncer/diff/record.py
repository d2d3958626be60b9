"""Decodes one element of the response: into a `ParsedRecord`, or into a `Rejection` that says what is wrong.

The endpoint returns one JSON array of objects, each of which describes one virtual number. `VendorRecord` lists their
fields as the vendor spells them: those documented for `GET /numbers/virtual-number`, and those that the vendor's other
pages show for the same entity.

A record is invalid, and rejected alone, if a field has the wrong type or if PostgreSQL could not store it. Fields that
`VendorRecord` does not know are kept in `extra`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from syncer.diff.json_array import replace_unstorable_escapes
from syncer.diff.json_values import encode_json, equal_as_jsonb, read_integer, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

DECODER_VERSION: Final = 2
"""Incremented when the same bytes decode to something else; every record is then decoded once more."""

MAX_BIGINT: Final = 2**63 - 1
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""The bytes of a rejected element that are kept: at most the first 64 KiB, cut between two characters."""

MIN_RECORD_BYTES: Final = len(b'{"id":1,"number":"1","state":"1"},')
"""The length of the shortest valid record, with the comma that follows it."""

MAX_RECORD_CHARS: Final = 4 * 2**20
"""The maximum length of a record. Decoded, a record can take thirty times as many bytes, whatever a body may have."""

MAX_SEPARATORS: Final = 200_000
"""The maximum number of commas and opening brackets in a record, since each can be a value of sixty bytes and more."""

MAX_DEPTH: Final = 100
"""The maximum nesting of arrays and objects in an unknown field."""

Identifier = Annotated[int, Meta(ge=1, le=MAX_BIGINT)]
Integer = Annotated[int, Meta(ge=-MAX_BIGINT - 1, le=MAX_BIGINT)]
# These have a maximum length because PostgreSQL rejects a statement with an index entry larger than a third of a page.
PhoneNumber = Annotated[str, Meta(min_length=1, max_length=200)]
ShortText = Annotated[str, Meta(max_length=200)]
State = Annotated[str, Meta(min_length=1, max_length=200)]

# An absent key and null differ: null is an empty value, an absent key says nothing about the value. Hence three states:
# a value, None for null, UNSET for an absent key.
OptionalInteger = Integer | UnsetType | None
OptionalText = str | UnsetType | None
OptionalShortText = ShortText | UnsetType | None
OptionalBoolean = bool | UnsetType | None

RedirectKey = tuple[int, str]
"""The `id` and the `number` of one element of `from_redirect_numbers`."""


class VendorRedirect(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
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
    state: State
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


class _Identity(Struct, gc=False):
    """The two fields that identify a record and its Личный кабинет, as JSON; the decoder skips all others."""

    id: Raw | UnsetType = UNSET
    app_id: Raw | UnsetType = UNSET


COLUMNS: Final = tuple(name for name in VendorRecord.__struct_fields__ if name not in {"id", "from_redirect_numbers"})
"""The fields that hold one value each, in the order of `ParsedRecord.values`: all but `id` and the redirects."""

FIELDS: Final = frozenset(VendorRecord.__struct_fields__)
"""The fields that have a column or a table."""
_INTEGER_FIELDS: Final = frozenset(
    name for name, kind in VendorRecord.__annotations__.items() if kind in {"Identifier", "OptionalInteger"}
)
_REDIRECT_FIELDS: Final = VendorRedirect.__struct_fields__
_column_values = attrgetter(*COLUMNS)
_REDIRECTS_FIELD: Final = "from_redirect_numbers"
# The vendor's page spells the first letter of this purpose in Cyrillic, the vendor's examples in Latin.
_CYRILLIC_COMPANY: Final = "сompany"
_CHUNK_BYTES: Final = 2**20
_FURTHER_BYTES: Final = range(0b1000_0000, 0b1100_0000)
"""The bytes of a character in UTF-8 other than its first."""
_NO_REDIRECTS: Final[frozenset[RedirectKey]] = frozenset()

_record_decoder = msgspec.json.Decoder(VendorRecord)
_records_decoder = msgspec.json.Decoder(list[VendorRecord])
_identity_decoder = msgspec.json.Decoder(_Identity)
_object_decoder = msgspec.json.Decoder(dict[str, Raw])
_redirects_decoder = msgspec.json.Decoder(list[dict[str, Raw]] | None)


class ParsedRecord(Struct, frozen=True, gc=False):
    """A valid record.

    Attributes:
        virtual_number_id: The record's `id`.
        values: The values of the fields in `COLUMNS`, in that order; UNSET for an absent key.
        redirects: The `id` and `number` of each element of `from_redirect_numbers`; UNSET for an absent key.
        extra: The fields that have no column, by name. For `from_redirect_numbers`, the redirects that have unknown
            fields: the `id` and these fields of each.
        fingerprint: The 16-byte content hash of the record's bytes as received.
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
        payload: The first 64 KiB of the element's bytes as received, cut between two characters.
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
        size = len(memoryview(element))
        if size > MAX_RECORD_CHARS and _count_characters(element) > MAX_RECORD_CHARS:
            return reject(element, fingerprint, f"longer than {MAX_RECORD_CHARS:,} characters")
        if size > MAX_SEPARATORS and _count_separators(element) > MAX_SEPARATORS:
            error = f"more than {MAX_SEPARATORS:,} commas and opening brackets"
            return reject(element, fingerprint, error)
        str(element, "utf-8")  # because msgspec does not check the UTF-8 of values that it skips
        return _decode_element(element)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return reject(element, fingerprint, _error_text(error))


def validate_together(elements: bytes) -> list[VendorRecord] | None:
    """Decodes consecutive elements at once, with the commas between them, in half the time of `validate` for each.

    Returns:
        None if `validate` must look at each of them, since one of them may be invalid, or has unknown fields or escapes
        that cannot be stored.
    """
    if len(elements) > MAX_SEPARATORS:
        return None
    if b"\\" in elements and replace_unstorable_escapes(elements) is not elements:
        return None
    try:
        # This also checks the UTF-8, since it skips no value: a record with an unknown field is refused.
        records = _records_decoder.decode(b"[%b]" % elements)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [_spell_purpose(record) if record.purpose == _CYRILLIC_COMPANY else record for record in records]


def _count_characters(element: Raw | bytes) -> int:
    """Counts the characters of a text without decoding it: the bytes that are the first of one."""
    return sum(len(chunk.translate(None, bytes(_FURTHER_BYTES))) for chunk in _chunks(element))


def _count_separators(element: Raw | bytes) -> int:
    return sum(chunk.count(separator) for chunk in _chunks(element) for separator in b",[{")


def _chunks(element: Raw | bytes) -> Iterator[bytes]:
    view = memoryview(element)
    return (bytes(view[start : start + _CHUNK_BYTES]) for start in range(0, len(view), _CHUNK_BYTES))


def reject(element: bytes, fingerprint: bytes, error: str) -> Rejection:
    """Builds the rejection of an element, with its `id` and `app_id` if they can be read."""
    identity = _read_identity(element)
    return Rejection(
        virtual_number_id=_read_identifier(identity.id, Identifier),
        app_id=_read_identifier(identity.app_id, Integer),
        error=error,
        payload=first_characters(element),
        fingerprint=fingerprint,
    )


def first_characters(element: Raw | bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """Returns the first bytes of an element, without the beginning of a character that would be cut."""
    view = memoryview(element)
    if len(view) <= max_bytes:
        return bytes(view)
    # A character has up to three further bytes. More of them in a row are not UTF-8, and can be cut anywhere.
    possible_ends = range(max_bytes, max_bytes - 4, -1)
    end = next((end for end in possible_ends if view[end] not in _FURTHER_BYTES), max_bytes)
    return bytes(view[:end])


def _parsed_record(record: VendorRecord, extra: dict[str, Any], fingerprint: bytes) -> ParsedRecord:
    redirects: frozenset[RedirectKey] | UnsetType = _NO_REDIRECTS
    if record.from_redirect_numbers:
        redirects = frozenset([(redirect.id, redirect.number) for redirect in record.from_redirect_numbers])
    elif record.from_redirect_numbers is UNSET:
        redirects = UNSET
    return ParsedRecord(record.id, _column_values(record), redirects, extra, fingerprint)


def _decode_element(element: bytes) -> tuple[VendorRecord, dict[str, Any]]:
    record, extra = _decode_fields(replace_unstorable_escapes(element))
    return _spell_purpose(record), extra


def _spell_purpose(record: VendorRecord) -> VendorRecord:
    return msgspec.structs.replace(record, purpose="company") if record.purpose == _CYRILLIC_COMPANY else record


def _decode_fields(element: Raw | bytes | bytearray) -> tuple[VendorRecord, dict[str, Any]]:
    try:
        return _record_decoder.decode(element), {}
    except msgspec.ValidationError:
        # The record is invalid, or it has unknown fields, a repeated key whose first value is invalid, or an integer
        # that is written as 125.0. All but the first are rare, so only now are the fields decoded one by one, which
        # keeps the last value of a repeated key. If the record is invalid, the last line raises the error again.
        fields = _object_decoder.decode(element)
        extra = {name: _decode_extra(name, fields.pop(name)) for name in sorted(fields.keys() - FIELDS)}
        for name in fields.keys() & _INTEGER_FIELDS:
            fields[name] = read_integer(fields[name])
        if _REDIRECTS_FIELD in fields:
            fields[_REDIRECTS_FIELD], unknown = _split_redirects(fields[_REDIRECTS_FIELD])
            if unknown:
                extra[_REDIRECTS_FIELD] = unknown
        return _record_decoder.decode(msgspec.json.encode(fields)), extra


def _split_redirects(text: Raw) -> tuple[Raw, list[dict[str, Any]]]:
    """Splits redirects into their known fields, as JSON, and those that have unknown fields.

    The order of redirects has no meaning, so those that have unknown fields are sorted, and repeated ones count once.
    """
    try:
        redirects = _redirects_decoder.decode(text)
    except msgspec.ValidationError:
        return text, []  # decoding them with their types raises the error again
    known: list[dict[str, Raw]] = []
    with_unknown_fields: dict[tuple[bytes, ...], dict[str, Any]] = {}
    for redirect in redirects or ():
        fields = {name: redirect.pop(name) for name in _REDIRECT_FIELDS if name in redirect}
        if "id" in fields:
            fields["id"] = read_integer(fields["id"])
        known.append(fields)
        if redirect:
            unknown = {name: _decode_extra(name, redirect[name]) for name in sorted(redirect)}
            key = *map(bytes, fields.values()), encode_json(unknown)
            with_unknown_fields[key] = {name: read_json(fields[name]) for name in ("id",) if name in fields} | unknown
    encoded = text if redirects is None else Raw(msgspec.json.encode(known))
    return encoded, [with_unknown_fields[key] for key in sorted(with_unknown_fields)]


def _decode_extra(name: str, text: Raw) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = read_json(text)
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


def read_app_id(element: bytes) -> int | None:
    """Reads the `app_id` of an element, whether or not it is a valid record; None if it is absent or invalid."""
    return _read_identifier(_read_identity(element).app_id, Integer)


def _read_identity(element: Raw | bytes) -> _Identity:
    try:
        return _identity_decoder.decode(replace_unstorable_escapes(element))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Identity()


def _read_identifier(text: Raw | UnsetType, expected_type: Any) -> int | None:  # noqa: ANN401 - an annotated type
    try:
        value: int | None = None if text is UNSET else msgspec.json.decode(read_integer(text), type=expected_type)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return value


def read_keys(element: bytes) -> AbstractSet[str]:
    """Returns the keys of an element that is a record."""
    return _object_decoder.decode(replace_unstorable_escapes(element)).keys()


def _error_text(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the bytes are not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error)
