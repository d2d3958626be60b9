"""The records of a response whose fingerprints are not stored, decoded only when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from xxhash import xxh3_128_digest

from syncer.diff.record import ParsedRecord, decode_trusted

if TYPE_CHECKING:
    from collections.abc import Iterator

_SORT_CHUNK: Final = 100_000
"""Ids that are sorted in one call, which blocks every other thread, the event loop's among them."""


class Span(Struct, frozen=True, gc=False):
    """The position of an element in a body: the offsets of its first byte and of the byte after its last."""

    start: int
    end: int

    def slice_of(self, body: bytes) -> bytes:
        """Returns the element's bytes."""
        return body[self.start : self.end]


class UnmatchedRecords(Mapping[int, ParsedRecord]):
    """The records of unmatched elements, by `virtual_number_id`. Each is decoded from the body when it is looked up.

    Copies of all elements could take as much memory as the body, and decoded records several times as much.
    """

    def __init__(self, body: bytes, spans: dict[int, Span]) -> None:
        """Takes the spans of valid records in the body, by `virtual_number_id`."""
        self._body = body
        self._spans = spans

    def __getitem__(self, number_id: int) -> ParsedRecord:
        element = self._spans[number_id].slice_of(self._body)
        return decode_trusted(element, xxh3_128_digest(element))

    def __contains__(self, number_id: object) -> bool:
        return number_id in self._spans

    def __iter__(self) -> Iterator[int]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def pop_batches(self, size: int) -> Iterator[UnmatchedRecords]:
        """Removes all records and returns them in batches, so that the memory of a batch is freed when it is done.

        The batches are sorted by id: PostgreSQL finds the rows of one batch close together, and no two batches touch
        the same range.
        """
        ids = list(self._spans)
        chunks = [sorted(ids[start : start + _SORT_CHUNK]) for start in range(0, len(ids), _SORT_CHUNK)]
        return self._batches(merge(*chunks), size)

    def _batches(self, sorted_ids: Iterator[int], size: int) -> Iterator[UnmatchedRecords]:
        while spans := {number_id: self._spans.pop(number_id) for number_id in islice(sorted_ids, size)}:
            yield UnmatchedRecords(self._body, spans)
