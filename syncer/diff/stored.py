"""What the database knew before a response arrived. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

Redirect = tuple[int, str]
"""`id` and `number` of one of `from_redirect_numbers`."""


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a response, in its order.

    Attributes:
        digests: Of the bytes of each.
        numbers: The `virtual_number_id` of each that stood by its digest; None of the others.
    """

    fingerprints: list[bytes] = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.fingerprints)

    def add(self, fingerprints: list[bytes], numbers: list[int | None]) -> None:
        """Goes on with those that come next."""
        self.fingerprints.extend(fingerprints)
        self.numbers.extend(numbers)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What the database knows of an account's numbers that are not removed.

    Attributes:
        by_fingerprint: The fingerprint of the bytes that each number's current record was read from → `virtual_number_id`.
        undigested: The numbers without a digest that counts.
        last: The last response that was read, if that is remembered: what it says of numbers is true of `fingerprints` too.
    """

    by_fingerprint: Mapping[bytes, int] = field(default_factory=dict)
    without_fingerprint: frozenset[int] = frozenset()
    last: Elements = field(default_factory=Elements, compare=False)

    def __len__(self) -> int:
        return len(self.by_fingerprint) + len(self.without_fingerprint)

    def numbers_of(self, fingerprints: list[bytes], *, place: int) -> list[int | None]:
        """The numbers that stand by some digests, which a response has from a place on; None of those that do not."""
        here = slice(place, place + len(fingerprints))
        before = self.last.fingerprints[here]
        if before[:1] != fingerprints[:1]:
            return list(map(self.by_fingerprint.get, fingerprints))
        # The response goes on here as the last one did. To look a digest up takes several times longer than to compare
        # it: what lies at random in memory is waited for.
        return [
            number if number is not None and fingerprint == last else self.by_fingerprint.get(fingerprint)
            for fingerprint, last, number in zip_longest(fingerprints, before, self.last.numbers[here])
        ]


class StoredNumber(Struct, frozen=True, gc=False):
    """A number as the database knows it.

    Attributes:
        values: In the order of `syncer.diff.record.COLUMNS`.
        redirects: The open ones; of a removed number, those that its removal closed.
        extra: The latest fields that no column is made for.
        last_read_at: Null while each successful poll reads the record, else the start of the last one that did.
        removed_at: When it was removed, if it is.
    """

    values: tuple[Any, ...]
    redirects: frozenset[Redirect]
    extra: Mapping[str, Any]
    last_read_at: datetime | None
    removed_at: datetime | None


class UnreadNumber(Struct, frozen=True):
    """A number whose record the last successful poll did not read: it was missing, or rejected."""

    last_read_at: datetime
    missing_since: datetime | None


@dataclass(frozen=True, slots=True)
class StoredState:
    """What the database knew of an account, as far as this arrival needs it.

    Attributes:
        observed_at: The moment that everything of this poll is recorded under.
        success_started_at: The start of the last successful poll; None if there was none.
        unread: Those that the last successful poll did not read, and that are not removed.
        listed: How many numbers are not removed.
        lately_removed: Those removed within the guard's hold time that have not returned, but for those an operator
            accepted.
        lately_returned: Those likewise removed that have returned.
        came_since_loss: Those created or restored, and perhaps lost again, since the first number went missing that is
            held and has not waited for the hold time yet.
        rejected_fingerprints: The fingerprints of the rejected elements that stand.
        listed_rejected: Numbers that are not removed and whose element is rejected now.
    """

    observed_at: datetime
    success_started_at: datetime | None
    unread: Mapping[int, UnreadNumber]
    listed: int
    removed_in_hold: AbstractSet[int]
    returned_in_hold: AbstractSet[int]
    added_since_first_missing: AbstractSet[int]
    rejected_fingerprints: AbstractSet[bytes]
    listed_and_rejected: AbstractSet[int] = frozenset()

    def missing_since(self, number: int) -> datetime | None:
        """Since when a number is known to be missing; None if it was not missing at the last successful poll."""
        unread = self.unread.get(number)
        return None if unread is None else unread.missing_since


@dataclass(frozen=True, slots=True)
class StoredNumbers:
    """What the database knew of the numbers that some records speak of.

    Attributes:
        stored: By `virtual_number_id`, those it knew.
        rejected_before: Those of which only rejected records were ever received.
        regions: `region_id` of each region that they belong to, by its name.
    """

    stored: Mapping[int, StoredNumber] = field(default_factory=dict)
    rejected_before: AbstractSet[int] = frozenset()
    regions: Mapping[str, int] = field(default_factory=dict)
