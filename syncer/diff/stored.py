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

    digests: list[bytes] = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.digests)

    def add(self, digests: list[bytes], numbers: list[int | None]) -> None:
        """Goes on with those that come next."""
        self.digests.extend(digests)
        self.numbers.extend(numbers)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of an account's numbers that are not removed.

    Attributes:
        digests: The digest of the bytes that each number's current record was read from → `virtual_number_id`.
        undigested: The numbers without a digest that counts.
        last: The last response that was read, if that is remembered: what it says of numbers is true of `digests` too.
    """

    digests: Mapping[bytes, int] = field(default_factory=dict)
    undigested: frozenset[int] = frozenset()
    last: Elements = field(default_factory=Elements, compare=False)

    def __len__(self) -> int:
        return len(self.digests) + len(self.undigested)

    def numbers_of(self, digests: list[bytes], *, place: int) -> list[int | None]:
        """The numbers that stand by some digests, which a response has from a place on; None of those that do not."""
        here = slice(place, place + len(digests))
        before = self.last.digests[here]
        if before[:1] != digests[:1]:
            return list(map(self.digests.get, digests))
        # The response goes on here as the last one did. To look a digest up takes several times longer than to compare
        # it: what lies at random in memory is waited for.
        return [
            number if number is not None and digest == last else self.digests.get(digest)
            for digest, last, number in zip_longest(digests, before, self.last.numbers[here])
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


class Unread(Struct, frozen=True):
    """A number whose record the last successful poll did not read: it was missing, or rejected."""

    last_read_at: datetime
    missing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
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
        rejected: The digests of the rejected elements that stand.
        listed_rejected: Numbers that are not removed and whose element is rejected now.
    """

    observed_at: datetime
    success_started_at: datetime | None
    unread: Mapping[int, Unread]
    listed: int
    lately_removed: AbstractSet[int]
    lately_returned: AbstractSet[int]
    came_since_loss: AbstractSet[int]
    rejected: AbstractSet[bytes]
    listed_rejected: AbstractSet[int] = frozenset()

    def missing_since(self, number: int) -> datetime | None:
        """Since when a number is known to be missing; None if it was not missing at the last successful poll."""
        unread = self.unread.get(number)
        return None if unread is None else unread.missing_since


@dataclass(frozen=True, slots=True)
class KnownNumbers:
    """What the database knew of the numbers that some records speak of.

    Attributes:
        stored: By `virtual_number_id`, those it knew.
        rejected_before: Those of which only rejected records were ever received.
        regions: `region_id` of each region that they belong to, by its name.
    """

    stored: Mapping[int, StoredNumber] = field(default_factory=dict)
    rejected_before: AbstractSet[int] = frozenset()
    regions: Mapping[str, int] = field(default_factory=dict)
