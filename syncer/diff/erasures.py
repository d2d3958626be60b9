"""Keeps erased personal data from being stored again, though the vendor goes on listing the number. Pure, no I/O.

A number that was erased keeps its state, type and region, so that its history and all counts go on. What says whose it
is, is replaced or left out, in each record before it is compared with what is stored. Of an erased phone number only a
keyed hash is known, by which it is recognised in the records of other numbers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Raw
from msgspec.structs import replace

from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.json_array import replace_unstorable_escapes
from syncer.diff.json_values import encode_json, read_integer
from syncer.diff.record import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.diff.record import ParsedRecord, Rejection

PERSONAL_COLUMNS: Final = ("comment", "employee_id", "dgn_number", "redirect_number", "sip_uri")
"""The columns that an erased number does not have any more, besides its phone number and its redirects."""
TEXT_COLUMNS: Final = ("number", "comment", "reason", "dgn_number", "redirect_number", "sip_uri")
"""The columns in which a phone number can be."""
_NUMBER: Final = COLUMNS.index("number")
_COMMENT: Final = COLUMNS.index("comment")
_EMPLOYEE: Final = COLUMNS.index("employee_id")
_PERSONAL: Final = frozenset(map(COLUMNS.index, PERSONAL_COLUMNS))
_TEXTS: Final = frozenset(map(COLUMNS.index, TEXT_COLUMNS))
_DIGIT: Final = re.compile(r"[0-9]")
_DIGITS: Final = re.compile(r"[0-9]{5,}")
_RUSSIAN: Final = re.compile(r"[78]?([0-9]{10})")
_SUFFIX_BYTES: Final = 6


def mask_of(erasure_id: int) -> str:
    """Returns the text that replaces an erased phone number."""
    return f"erased-{erasure_id}"


def hash_number(number: str, content_hash: ContentHash) -> bytes:
    """Returns the hash by which an erased phone number is recognised: that of its digits."""
    return content_hash(digits_of(number).encode())


def digits_of(number: str) -> str:
    """Returns the digits of a phone number, without what is between them."""
    return "".join(_DIGIT.findall(number))


def hash_spellings(number: str, content_hash: ContentHash) -> list[bytes]:
    """Returns the hashes of a phone number and its other spellings: of a Russian one, with 7, with 8, and without."""
    digits = digits_of(number)
    russian = _RUSSIAN.fullmatch(digits)
    spellings = (digits,) if russian is None else (digits, f"7{russian[1]}", russian[1], f"8{russian[1]}")
    return [content_hash(spelling.encode()) for spelling in spellings]


def hash_comment(comment: str, content_hash: ContentHash) -> bytes:
    """Returns the hash by which a comment that was erased with an employee is recognised."""
    return content_hash(comment.encode())


def redirect_mask(mask: str, number: str, content_hash: ContentHash) -> str:
    """Returns the text that replaces a number whose calls go to an erased one: a different text for each number."""
    return f"{mask}-{content_hash(number.encode())[:_SUFFIX_BYTES].hex()}"


@dataclass(frozen=True, slots=True)
class Erasures:
    """What was erased of an account and must not be stored again.

    Attributes:
        by_id: The mask of each erased number, by `virtual_number_id`.
        by_hash: The mask of each erased phone number, by the hash of its digits.
        content_hash: The hash function.
        employee_ids: The employees whose names were erased.
        silent_ids: Those of them whose numbers' comments were erased, too, since people write names there.
        comment_hashes: The comments that were erased with an employee, by their hashes: a number keeps its comment when
            it gets another employee.
    """

    by_id: Mapping[int, str] = field(default_factory=dict)
    by_hash: Mapping[bytes, str] = field(default_factory=dict)
    content_hash: ContentHash = UNKEYED
    employee_ids: AbstractSet[int] = frozenset()
    silent_ids: AbstractSet[int] = frozenset()
    comment_hashes: AbstractSet[bytes] = frozenset()

    def mask(self, record: ParsedRecord) -> ParsedRecord:
        """Returns a record without what was erased; the same record if nothing of it was."""
        mask = self.by_id.get(record.virtual_number_id)
        if mask is None and self.by_hash:
            mask = self.mask_number(digits_of(record.values[_NUMBER]))
        if mask is not None:
            return self._mask_all(record, mask)
        if self.silent_ids:
            record = self._mask_comment(record)
        return self._mask_mentions(record) if self.by_hash else record

    def mask_number(self, number: str) -> str | None:
        """Returns the text that replaces a phone number; None if it was erased in no spelling.

        Each spelling has a text of its own: two of them can be redirects of one number, at the same time or one after
        the other, and have to remain two.
        """
        if mask := self.by_hash.get(self.content_hash(number.encode())):
            return mask
        hashes = hash_spellings(number, self.content_hash)
        mask = next((self.by_hash[one] for one in hashes if one in self.by_hash), None)
        return mask and redirect_mask(mask, number, self.content_hash)

    def mask_name(self, text: str) -> str:
        """Returns the name of an employee, or of a group, without the erased phone numbers that it mentions."""
        return self._mask_text(text) if self.by_hash else text

    def mask_rejection(self, rejection: Rejection) -> Rejection:
        """Returns a rejection without its payload if that has anything that was erased, or may have."""
        is_erased = rejection.virtual_number_id in self.by_id or self.is_in_payload(rejection.payload)
        return replace(rejection, payload=b"") if is_erased else rejection

    def is_in_payload(self, payload: bytes) -> bool:
        """Whether the bytes of a rejected record have anything that was erased, or may have.

        An erased employee may have the number of a record that cannot be read, or does not say who has the number.
        """
        if not (self.silent_ids or self.by_hash):
            return False
        fields: list[tuple[str, Any]] = []
        try:
            # Every field, also of a key that is given twice, and numbers as they are written.
            content = json.loads(
                replace_unstorable_escapes(payload).decode(),
                parse_int=str,
                parse_float=str,
                object_pairs_hook=fields.extend,
            )
            texts = [str(content), *(str(value) for _, value in fields)]
        except (ValueError, RecursionError):
            return bool(self.silent_ids) or self._has_erased_number(payload.decode(errors="replace"))
        has_number = any(map(self._has_erased_number, texts))
        return has_number or (bool(self.silent_ids) and self._is_of_silent_employee(fields))

    def _is_of_silent_employee(self, fields: Sequence[tuple[str, Any]]) -> bool:
        """Whether a rejected record is of a number of such an employee, or has a comment that was erased."""
        silent_ids = {b"%d" % one for one in self.silent_ids}
        employee_ids = [str(value).strip().encode() for name, value in fields if name == "employee_id"]
        return (
            not employee_ids
            or any(bytes(read_integer(Raw(one))) in silent_ids for one in employee_ids)
            or any(self._is_erased_comment(value) for _, value in fields if isinstance(value, str))
        )

    def _is_erased_comment(self, comment: str) -> bool:
        """Whether a comment was erased with an employee; a phone number in it may have been erased before."""
        texts = {comment, self._mask_text(comment)}
        return any(hash_comment(text, self.content_hash) in self.comment_hashes for text in texts)

    def _has_erased_number(self, text: str) -> bool:
        return bool(self.by_hash) and any(self.mask_number(found) for found in _DIGITS.findall(text))

    def _mask_all(self, record: ParsedRecord, mask: str) -> ParsedRecord:
        values = [
            mask if index == _NUMBER else None if index in _PERSONAL and value is not UNSET else value
            for index, value in enumerate(self._mask_texts(record.values))
        ]
        redirects = record.redirects
        if redirects is not UNSET:
            redirects = frozenset((id_, redirect_mask(mask, number, self.content_hash)) for id_, number in redirects)
        return replace(record, values=tuple(values), redirects=redirects, extra={})

    def _mask_comment(self, record: ParsedRecord) -> ParsedRecord:
        """Returns a record without its comment and its unknown fields, if an erased employee has the number."""
        comment = record.values[_COMMENT]
        is_silent = record.values[_EMPLOYEE] in self.silent_ids
        is_known = isinstance(comment, str) and self._is_erased_comment(comment)
        if not (is_silent or is_known):
            return record
        values = list(record.values)
        if comment is not UNSET:
            values[_COMMENT] = None
        return replace(record, values=tuple(values), extra={} if is_silent else record.extra)

    def _mask_mentions(self, record: ParsedRecord) -> ParsedRecord:
        """Returns a record of another number without the erased phone numbers that it mentions."""
        redirects = record.redirects
        if redirects is not UNSET:
            redirects = frozenset((id_, self._mask_text(number)) for id_, number in redirects)
        extra = record.extra
        if extra and self._has_erased_number(encode_json(extra).decode()):
            extra = {}
        return replace(record, values=self._mask_texts(record.values), redirects=redirects, extra=extra)

    def _mask_texts(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self.by_hash:
            return values
        return tuple(
            self._mask_text(value) if index in _TEXTS and isinstance(value, str) else value
            for index, value in enumerate(values)
        )

    def _mask_text(self, text: str) -> str:
        return _DIGITS.sub(lambda found: self.mask_number(found[0]) or found[0], text)


NOTHING_ERASED: Final = Erasures()
