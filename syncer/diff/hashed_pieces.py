"""Splits a response into pieces and hashes the elements of each, which needs nothing that is stored."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from syncer.diff.json_array import require_few_short_elements, split_array
from syncer.diff.record import MIN_RECORD_BYTES
from syncer.errors import PollError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.diff.content_hash import ContentHash

HashedPiece = tuple[int, list[Raw], list[bytes]]
"""A piece of a body as `split_array` yields it, its offset and its elements, and the hash of each element."""
MAX_BYTES_AHEAD: Final = 32 * 2**20
"""Pieces that begin before this offset are hashed ahead, and one more. The elements of a piece are slices of a copy of
it, so they take as much memory again."""


def hash_pieces(body: bytes, content_hash: ContentHash) -> Iterator[HashedPiece]:
    """Splits a body into pieces and hashes the elements of each.

    An error may be raised after some pieces were yielded: the caller must then discard them.

    Raises:
        NotJsonError: The body is not JSON, or was cut short.
        NotAnArrayError: The body is JSON but not an array, or its elements are too short for records.
    """
    count = 0
    for start, elements in split_array(body, MIN_RECORD_BYTES):
        require_few_short_elements(count, start, body)
        yield start, elements, content_hash.of_each(elements)
        count += len(elements)
    require_few_short_elements(count, len(body), body)


def hash_ahead(
    body: bytes, content_hash: ContentHash, max_bytes: int = MAX_BYTES_AHEAD
) -> Iterator[HashedPiece] | None:
    """Hashes the pieces of a body up to the first one that begins at `max_bytes` or later.

    Returns:
        All pieces, of which the others are hashed when their turn comes. None if the body begins with something that
        cannot be split, for which `hash_pieces` raises the error.
    """
    pieces = hash_pieces(body, content_hash)
    ahead: deque[HashedPiece] = deque()
    try:
        for piece in pieces:
            ahead.append(piece)
            if piece[0] >= max_bytes:
                break
    except PollError:
        return None
    return chain(_remove_each(ahead), pieces)


def _remove_each(pieces: deque[HashedPiece]) -> Iterator[HashedPiece]:
    """Yields the pieces and removes them, so that the memory of each is freed once it was looked at."""
    while pieces:
        yield pieces.popleft()
