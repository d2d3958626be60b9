"""Keeps erased personal data from being stored again, though the vendor goes on listing the number. Pure, no I/O.

A number that was erased keeps its state, type and region, so that its history and all counts go on. What says whose it
is, is replaced or left out, in each record before it is compared with what is stored. Of an erased phone number only a
keyed hash is known, by which it is recognised in the records of other numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.json_values import encode_json
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
_DIGIT_BYTES: Final = re.compile(rb"[0-9]{5,}")
_EMPLOYEE_BYTES: Final = re.compile(rb'"employee_id"\s*:\s*([0-9]+)')
_SUFFIX_BYTES: Final = 6


def mask_of(erasure_id: int) -> str:
    """Returns the text that replaces an erased phone number."""
    return f"erased-{erasure_id}"


def hash_number(number: str, content_hash: ContentHash) -> bytes:
    """Returns the hash by which an erased phone number is recognised: that of its digits."""
    return content_hash("".join(_DIGIT.findall(number)).encode())


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
            mask = self.by_hash.get(hash_number(record.values[_NUMBER], self.content_hash))
        if mask is not None:
            return self._mask_all(record, mask)
        if self.silent_ids:
            record = self._mask_comment(record)
        return self._mask_mentions(record) if self.by_hash else record

    def mask_name(self, text: str) -> str:
        """Returns the name of an employee, or of a group, without the erased phone numbers that it mentions."""
        return self._mask_text(text) if self.by_hash else text

    def mask_rejection(self, rejection: Rejection) -> Rejection:
        """Returns a rejection without its payload if that has anything that was erased."""
        is_erased = rejection.virtual_number_id in self.by_id or (
            bool(self.silent_ids)
            and any(int(found) in self.silent_ids for found in _EMPLOYEE_BYTES.findall(rejection.payload))
        )
        if is_erased or any(self.content_hash(found) in self.by_hash for found in self._digits_in(rejection.payload)):
            return replace(rejection, payload=b"")
        return rejection

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
        is_known = isinstance(comment, str) and hash_comment(comment, self.content_hash) in self.comment_hashes
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
        if extra and any(self.content_hash(found) in self.by_hash for found in self._digits_in(encode_json(extra))):
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
        return _DIGITS.sub(lambda found: self.by_hash.get(self.content_hash(found[0].encode()), found[0]), text)

    def _digits_in(self, content: bytes) -> Sequence[bytes]:
        return _DIGIT_BYTES.findall(content) if self.by_hash else []


NOTHING_ERASED: Final = Erasures()
