"""A response, told apart from what the database knows: which elements stand, which are to be looked at.

An element whose bytes the database knows by their digest is not even decoded, so a response costs a pass over its
bytes plus work in proportion to what is new in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import accumulate, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct
from xxhash import xxh3_128_digest

from syncer.diff.json_array import split
from syncer.diff.record import SHORTEST_RECORD, Arrived, Rejection, decode, decode_again, peek, reject, take
from syncer.diff.stored import Elements
from syncer.errors import WrongAccountError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from msgspec import Raw

    from syncer.diff.stored import Standing

VOCABULARIES: Final = ("type", "purpose", "state", "region_name")
"""The fields whose words have tables of their own."""
_words_of = attrgetter(*VOCABULARIES)
_SORTED_AT_ONCE: Final = 100_000
"""How many ids: while they are sorted no other thread runs, the event loop's neither."""


class Place(Struct, frozen=True, gc=False):
    """Where an element lies in a body, in bytes."""

    start: int
    end: int

    def of(self, body: bytes) -> bytes:
        """The element."""
        return body[self.start : self.end]


class Fresh(Mapping[int, Arrived]):
    """Records to look at, by `virtual_number_id`: left where they lie, and decoded whenever one is asked for.

    Taken out of the body, all of them together would take its memory once more, and decoded several times more.
    """

    def __init__(self, body: bytes, places: dict[int, Place]) -> None:
        """Takes over the places of what can be decoded, by its number."""
        self._body = body
        self._places = places

    def __getitem__(self, number: int) -> Arrived:
        element = self._places[number].of(self._body)
        return decode_again(element, xxh3_128_digest(element))

    def __contains__(self, number: object) -> bool:
        return number in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def taken_out(self, size: int) -> Iterator[Fresh]:
        """Empties it, so many at a time: what was taken out takes no memory any longer than its batch.

        They come by their ids, so that PostgreSQL finds the rows of a batch beside each other, and so that those of two
        batches do not mix.
        """
        numbers = list(self._places)
        parts = [sorted(numbers[start : start + _SORTED_AT_ONCE]) for start in range(0, len(numbers), _SORTED_AT_ONCE)]
        return self._batches(merge(*parts), size)

    def _batches(self, numbers: Iterator[int], size: int) -> Iterator[Fresh]:
        while places := {number: self._places.pop(number) for number in islice(numbers, size)}:
            yield Fresh(self._body, places)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A response, told apart from what stands.

    Attributes:
        received: Elements of the array.
        repeated: Elements that say what another element of the same response says.
        standing: Elements whose digest stands: their numbers are listed and unchanged.
        records: The records to look at, by `virtual_number_id`.
        rejections: The elements that cannot be taken, one per distinct content.
        gone: The standing digests that no element has: their numbers changed, were respelled, or are unlisted.
        unlisted: Numbers that the database knows and the response does not list.
        app_id: The one that most of the elements looked at carry.
        elements: All of them, in their order.
        words: The words that the elements looked at have in each of the fields of `VOCABULARIES`.
    """

    received: int
    repeated: int
    standing: int
    records: Fresh
    rejections: tuple[Rejection, ...]
    unlisted: frozenset[int]
    app_id: int | None
    elements: Elements = field(default_factory=Elements, compare=False)
    gone: Mapping[bytes, int] = field(default_factory=dict, compare=False)
    words: Mapping[str, AbstractSet[str]] = field(default_factory=dict, compare=False)


def digest(body: bytes) -> bytes:
    """The 16 bytes that stand for a whole response: XXH3, 128 bits."""
    return xxh3_128_digest(body)


def read(body: bytes, standing: Standing, app_id: int | None) -> Arrival:
    """Tells the elements of a response apart: standing by their digest, to be looked at, rejected.

    Args:
        body: The response, without any content encoding.
        standing: What the database knows of the account's numbers.
        app_id: The account's; None before the first record that carried one.

    Raises:
        NotJsonError: It is not JSON, or was cut short.
        NotAnArrayError: It is JSON, but not an array, or one of elements too short for records.
        WrongAccountError: Records carry an `app_id`, and none of them this one.
    """
    content = _Content(body)
    elements = Elements()
    for start, slices in split(body, SHORTEST_RECORD):
        digests = list(map(xxh3_128_digest, slices))
        numbers = standing.numbers_of(digests, place=len(elements))
        elements.add(digests, numbers)
        if None in numbers:
            starts = list(accumulate(map(len, slices), initial=start))
            for commas in [place for place, number in enumerate(numbers) if number is None]:
                content.look_at(slices[commas], digests[commas], earliest=starts[commas] + commas)
    listed = set(elements.numbers)
    listed.discard(None)
    gone = {}
    if len(listed) < len(standing.digests):
        gone = {key: number for key, number in standing.digests.items() if number not in listed}
    absent = set(gone.values())
    if app_id is not None and app_id not in content.app_ids and (content.fresh or absent):
        _require_app_id(app_id, content, body, standing)
    rivals = _standing_rivals(content, standing, listed, body) if content.fresh else {}
    repeated = content.settle(rivals)
    rejected = {rejection.virtual_number_id for rejection in content.rejections}
    return Arrival(
        received=len(elements),
        repeated=len(elements) - len(listed) - len(content.fresh) + repeated,
        standing=len(listed) - len(rivals.keys() & rejected),
        records=Fresh(body, content.places),
        rejections=tuple(content.rejections),
        elements=elements,
        gone=gone,
        unlisted=frozenset((absent | standing.undigested) - content.places.keys() - rejected),
        app_id=min(content.app_ids, key=lambda carried: (-content.app_ids[carried], carried), default=None),
        words={
            name: {words[place] for words in content.words} - {None, UNSET} for place, name in enumerate(VOCABULARIES)
        },
    )


@dataclass(slots=True)
class _Content:
    """The elements that are looked at, sorted.

    Attributes:
        body: Where they lie.
        fresh: The digests of all of them.
        places: The place of each that is a record, by its id; of several with one id, the first.
        rivals: Further records with the id of one in `places`.
        words: Those that were told together in the fields of `VOCABULARIES`.
        end: Where the last record ends.
    """

    body: bytes
    fresh: set[bytes] = field(default_factory=set)
    places: dict[int, Place] = field(default_factory=dict)
    rivals: defaultdict[int, list[Place]] = field(default_factory=lambda: defaultdict(list))
    rejections: list[Rejection] = field(default_factory=list)
    app_ids: Counter[int] = field(default_factory=Counter)
    words: set[tuple[Any, ...]] = field(default_factory=set)
    end: int = 0

    def look_at(self, element: Raw, key: bytes, *, earliest: int) -> None:
        """Sorts an element, which begins there, or later if more than a comma stands between it and those before."""
        if key in self.fresh:
            return
        self.fresh.add(key)
        taken = take(element, key)
        if isinstance(taken, Rejection):
            self.rejections.append(taken)
            app_id = taken.app_id
        else:
            record, _ = taken
            place = self._place(element, earliest)
            if self.places.setdefault(record.id, place) is not place:
                self.rivals[record.id].append(place)
            self.words.add(_words_of(record))
            app_id = None if record.app_id is UNSET else record.app_id
        if app_id is not None:
            self.app_ids[app_id] += 1

    def _place(self, element: Raw, earliest: int) -> Place:
        start = earliest
        if not self.body.startswith(element, start):
            start = self.body.index(element, max(start, self.end))
        self.end = start + len(element)
        return Place(start, self.end)

    def settle(self, standing: Mapping[int, bytes]) -> int:
        """Of the elements with one id, keeps one if they all mean the same, and else rejects them all.

        Args:
            standing: The elements that stand, of numbers that others are about too.

        Returns:
            How many were dropped because they mean what another one means.
        """
        repeated = 0
        rejected = {rejection.virtual_number_id for rejection in self.rejections}
        for number in sorted(self.rivals.keys() | standing.keys() | (self.places.keys() & rejected)):
            first = self.places.pop(number, None)
            fresh = [] if first is None else [first, *self.rivals[number]]
            told = [place.of(self.body) for place in fresh]
            if number in standing:
                told.insert(0, standing[number])
            if number not in rejected and _all_mean_the_same(told):
                if number not in standing:
                    self.places[number] = fresh.pop(0)
                repeated += len(fresh)
            else:
                error = f"another element of the same response has the id {number} and says something else"
                self.rejections += [reject(element, xxh3_128_digest(element), error) for element in told]
        return repeated


def _standing_elements(body: bytes, standing: Standing) -> Iterator[tuple[int, bytes]]:
    """The elements of a response that stand: number and bytes."""
    for _, elements in split(body):
        for element in elements:
            number = standing.digests.get(xxh3_128_digest(element))
            if number is not None:
                yield number, bytes(element)


def _require_app_id(app_id: int, content: _Content, body: bytes, standing: Standing) -> None:
    """Refuses a response if records carry an `app_id` and none of them this one; those that stand are asked last."""
    others = set(content.app_ids)
    for _, element in _standing_elements(body, standing):
        carried = peek(element, "app_id")
        if carried == app_id:
            return
        if carried is not None:
            others.add(carried)
    if others:
        raise WrongAccountError(
            f"the records carry app_id {min(others)}, this account's is {app_id}: the token is of another "
            "Личный кабинет; nothing was changed; put the right token back, or give the new one an account name of its "
            "own"
        )


def _standing_rivals(
    content: _Content, standing: Standing, listed: AbstractSet[int | None], body: bytes
) -> dict[int, bytes]:
    """The elements that stand where another element of the same response has their id."""
    ids = content.places.keys() | {rejection.virtual_number_id for rejection in content.rejections}
    both = ids & listed
    if not both:
        return {}
    return {number: element for number, element in _standing_elements(body, standing) if number in both}


def _all_mean_the_same(elements: list[bytes]) -> bool:
    """Whether they do: the first may be one that stands, the others could all be taken."""
    first, *others = elements
    told = decode(first, xxh3_128_digest(first))
    return isinstance(told, Arrived) and all(
        told.means_the_same(decode_again(other, xxh3_128_digest(other))) for other in others
    )
