"""What the database contains before a response is applied, as far as the comparison needs it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from syncer.diff.content_hash import UNKEYED, ContentHash
from syncer.diff.erasures import NOTHING_ERASED, Erasures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime, timedelta

    from syncer.diff.record import RedirectKey


_START_BYTES: Final = 4096


def hash_start(body: bytes, content_hash: ContentHash) -> bytes:
    """Returns the hash of the first bytes of a response."""
    return content_hash(body[:_START_BYTES])


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a response, in their order.

    Attributes:
        fingerprints: The fingerprint of each.
        number_ids: The `virtual_number_id` of each known element; None for the others.
        start_hash: The hash of the first bytes of the response; empty if it is not known.
    """

    fingerprints: list[bytes] = field(default_factory=list)
    number_ids: list[int | None] = field(default_factory=list)
    start_hash: bytes = field(default=b"", compare=False)

    def __len__(self) -> int:
        return len(self.fingerprints)

    def add(self, fingerprints: list[bytes], number_ids: list[int | None]) -> None:
        """Appends the elements that come next."""
        self.fingerprints.extend(fingerprints)
        self.number_ids.extend(number_ids)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The fingerprints of an account's numbers that are not removed.

    Attributes:
        by_fingerprint: The fingerprint of the bytes that each number was last read from → `virtual_number_id`.
        without_fingerprint: The numbers that have no fingerprint, or one of another decoder version.
        last_response: The elements of the last response, if this process still has them. Its ids agree with
            `by_fingerprint`.
        content_hash: The function that all fingerprints were made with.
    """

    by_fingerprint: Mapping[bytes, int] = field(default_factory=dict)
    without_fingerprint: frozenset[int] = frozenset()
    last_response: Elements = field(default_factory=Elements, compare=False)
    content_hash: ContentHash = UNKEYED

    def __len__(self) -> int:
        return len(self.by_fingerprint) + len(self.without_fingerprint)

    def look_up(self, fingerprints: list[bytes], *, position: int) -> list[int | None]:
        """Returns the `virtual_number_id` of each fingerprint; None if the fingerprint is not stored.

        Args:
            fingerprints: Those of consecutive elements of a response.
            position: The index of the first of these elements in the response.
        """
        same_positions = slice(position, position + len(fingerprints))
        last_fingerprints = self.last_response.fingerprints[same_positions]
        if last_fingerprints[:1] != fingerprints[:1]:
            return list(map(self.by_fingerprint.get, fingerprints))
        # The first element is where the last response had it, so most others will be too. Comparing two fingerprints is
        # several times faster than a dictionary lookup, which waits for memory at a random address.
        return [
            number_id if number_id is not None and fingerprint == last else self.by_fingerprint.get(fingerprint)
            for fingerprint, last, number_id in zip_longest(
                fingerprints, last_fingerprints, self.last_response.number_ids[same_positions]
            )
        ]


class StartedRun(Struct, frozen=True, gc=False):
    """A run, and when it started."""

    run_id: int
    started_at: datetime


class StoredNumber(Struct, frozen=True, gc=False):
    """A number's row.

    Attributes:
        values: In the order of `syncer.diff.record.COLUMNS`.
        redirects: The open redirects; for a removed number, those that its removal closed.
        extra: The latest fields that have no column.
        last_read_at: None if the last successful poll read the number's record, else the start of the last successful
            poll that did.
        removal: The run that removed it; None if it is not removed.
    """

    values: tuple[Any, ...]
    redirects: frozenset[RedirectKey]
    extra: Mapping[str, Any]
    last_read_at: datetime | None
    removal: StartedRun | None


class UnreadNumber(Struct, frozen=True):
    """A number whose record the last successful poll did not read, because it was missing or rejected.

    Attributes:
        last_read_at: The start of the last successful poll that read the record.
        missing_since: When the number was first missed; None if its record was rejected.
        believable_missing_since: When it was first missed by a believable response; None if it was not yet.
        believable_missing_from: Which of the account's believable responses that was, counted from 1.
    """

    last_read_at: datetime
    missing_since: datetime | None
    believable_missing_since: datetime | None = None
    believable_missing_from: int | None = None

    def is_past_hold(self, observed_at: datetime, hold: timedelta) -> bool:
        """Returns whether believable responses have missed the number for the hold time."""
        since = self.believable_missing_since
        return since is not None and observed_at - since >= hold


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """What the database contains about an account, as far as one response needs it.

    "Within the hold time" means: less than the removal guard's hold time before `observed_at`.

    Attributes:
        observed_at: The time under which this poll's changes are recorded.
        success_started_at: The start of the last successful poll; None if there was none.
        believable_run: The last successful poll whose response was believable; None if there was none.
        believable_count: How many responses were believable so far.
        unread: The numbers, not removed, that the last successful poll did not read, by `virtual_number_id`.
        listed_count: How many numbers are not removed.
        removed_in_hold: The numbers removed within the hold time that have not returned, except those whose removal an
            operator accepted.
        returned_in_hold: The numbers removed within the hold time that have returned, with the same exception.
        added_since_first_missing: The numbers created or restored since the oldest held removal was first missed,
            including any that have been lost again. A removal held for the whole hold time is not considered.
        rejected_fingerprints: The fingerprints of the elements that the last applied response had rejected.
        listed_and_rejected: The numbers, not removed, whose element is rejected now.
        erasures: What was erased and must not be stored again.
    """

    observed_at: datetime
    success_started_at: datetime | None
    unread: Mapping[int, UnreadNumber]
    listed_count: int
    removed_in_hold: AbstractSet[int]
    returned_in_hold: AbstractSet[int]
    added_since_first_missing: AbstractSet[int]
    rejected_fingerprints: AbstractSet[bytes]
    listed_and_rejected: AbstractSet[int] = frozenset()
    believable_run: StartedRun | None = None
    believable_count: int = 0
    erasures: Erasures = NOTHING_ERASED


@dataclass(frozen=True, slots=True)
class StoredNumbers:
    """What the database contains about the numbers of some records.

    Attributes:
        by_id: The stored numbers, by `virtual_number_id`.
        rejected_by: For each number that is removed or not stored, the newest applied run that rejected a record of it,
            if there was one.
        regions: The `region_id` of each region that the stored numbers have, by name.
    """

    by_id: Mapping[int, StoredNumber] = field(default_factory=dict)
    rejected_by: Mapping[int, int] = field(default_factory=dict)
    regions: Mapping[str, int] = field(default_factory=dict)
