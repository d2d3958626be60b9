"""The records of a response whose fingerprints are not stored, decoded only when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import merge
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.record import COLUMNS, MAX_SEPARATORS, ParsedRecord, decode_trusted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

_SORT_CHUNK: Final = 100_000
"""Ids that are sorted in one call, which blocks every other thread, the event loop's among them."""


_MAX_BATCH_BYTES: Final = 4 * 2**20
"""The bytes of a batch's records: decoded, they take five times as many, unless they consist of many short values."""
_MAX_BATCH_SEPARATORS: Final = MAX_SEPARATORS
"""The commas and opening brackets of a batch's records: each can be a value of a hundred bytes when decoded. As many of
the vendor's records as `poll.BATCH_SIZE` have half of it."""


class Span(Struct, frozen=True, gc=False):
    """The position of an element in a body: the offsets of its first byte and of the byte after its last."""

    start: int
    end: int

    def slice_of(self, body: bytes) -> bytes:
        """Returns the element's bytes."""
        return body[self.start : self.end]

    def count_separators(self, body: bytes) -> int:
        """Returns how many commas and opening brackets the element has, in its strings too."""
        element = self.slice_of(body)
        return len(element) - len(element.translate(None, b",[{"))  # much faster than counting each


class UnmatchedRecords(Mapping[int, ParsedRecord]):
    """The records of unmatched elements, by `virtual_number_id`. Each is decoded from the body when it is looked up.

    Copies of all elements could take as much memory as the body, and decoded records several times as much.
    """

    def __init__(self, body: bytes, spans: dict[int, Span], content_hash: ContentHash = UNKEYED) -> None:
        """Takes the spans of valid records in the body, by `virtual_number_id`, and the hash for fingerprints."""
        self.body: Final = body
        self._spans = spans
        self.content_hash: Final = content_hash

    def __getitem__(self, number_id: int) -> ParsedRecord:
        element = self._spans[number_id].slice_of(self.body)
        return decode_trusted(element, self.content_hash(element))

    def __contains__(self, number_id: object) -> bool:
        return number_id in self._spans

    def __iter__(self) -> Iterator[int]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def find_words(self, words: Mapping[str, AbstractSet[str]]) -> Iterator[tuple[int, str]]:
        """Yields the `virtual_number_id` of each record that has one of some words, by field, and that word's field."""
        indexed = [(name, COLUMNS.index(name), words[name]) for name in COLUMNS if name in words]
        for number_id, record in self.items():
            found = next((name for name, index, refused in indexed if record.values[index] in refused), None)
            if found is not None:
                yield number_id, found

    def pop_element(self, number_id: int) -> bytes:
        """Removes a record and returns its bytes."""
        return self._spans.pop(number_id).slice_of(self.body)

    def pop_batches(
        self, size: int, max_bytes: int = _MAX_BATCH_BYTES, *, first_size: int | None = None
    ) -> Iterator[UnmatchedRecords]:
        """Removes all records and returns them in batches, so that the memory of a batch is freed when it is done.

        The batches are sorted by id: PostgreSQL finds the rows of one batch close together, and no two batches touch
        the same range.

        Args:
            size: How many records a batch has at most.
            max_bytes: How many bytes the records of a batch have at most, unless it is a single one. The number of
                their values is limited, too.
            first_size: How many records the first batch has at most, if fewer; each further one has up to twice as
                many as the one before.
        """
        ids = list(self._spans)
        chunks = [sorted(ids[start : start + _SORT_CHUNK]) for start in range(0, len(ids), _SORT_CHUNK)]
        return self._batches(merge(*chunks), size, max_bytes, min(first_size or size, size))

    def _batches(
        self, sorted_ids: Iterator[int], size: int, max_bytes: int, next_size: int
    ) -> Iterator[UnmatchedRecords]:
        spans: dict[int, Span] = {}
        length = separators = 0
        for number_id in sorted_ids:
            span = self._spans[number_id]
            length += span.end - span.start
            separators += (added := span.count_separators(self.body))
            if spans and (len(spans) == next_size or length > max_bytes or separators > _MAX_BATCH_SEPARATORS):
                yield UnmatchedRecords(self.body, spans, self.content_hash)
                next_size = min(2 * next_size, size)
                spans, length, separators = {}, span.end - span.start, added
            spans[number_id] = self._spans.pop(number_id)
        if spans:
            yield UnmatchedRecords(self.body, spans, self.content_hash)
