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
from syncer.diff.record import (
    MIN_RECORD_BYTES,
    ParsedRecord,
    Rejection,
    decode,
    decode_trusted,
    read_field,
    reject,
    validate,
)
from syncer.diff.stored import Elements
from syncer.errors import WrongAccountError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from msgspec import Raw

    from syncer.diff.stored import Fingerprints

LOOKUP_FIELDS: Final = ("type", "purpose", "state", "region_name")
"""The fields whose words have tables of their own."""
_lookup_values_of = attrgetter(*LOOKUP_FIELDS)
_SORT_CHUNK: Final = 100_000
"""How many ids: while they are sorted no other thread runs, the event loop's neither."""


class Span(Struct, frozen=True, gc=False):
    """Where an element lies in a body, in bytes."""

    start: int
    end: int

    def of(self, body: bytes) -> bytes:
        """The element."""
        return body[self.start : self.end]


class UnseenRecords(Mapping[int, ParsedRecord]):
    """Records to look at, by `virtual_number_id`: left where they lie, and decoded whenever one is asked for.

    Taken out of the body, all of them together would take its memory once more, and decoded several times more.
    """

    def __init__(self, body: bytes, places: dict[int, Span]) -> None:
        """Takes over the places of what can be decoded, by its number."""
        self._body = body
        self._places = places

    def __getitem__(self, number: int) -> ParsedRecord:
        element = self._places[number].of(self._body)
        return decode_trusted(element, xxh3_128_digest(element))

    def __contains__(self, number: object) -> bool:
        return number in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def pop_batches(self, size: int) -> Iterator[UnseenRecords]:
        """Empties it, so many at a time: what was taken out takes no memory any longer than its batch.

        They come by their ids, so that PostgreSQL finds the rows of a batch beside each other, and so that those of two
        batches do not mix.
        """
        numbers = list(self._places)
        parts = [sorted(numbers[start : start + _SORT_CHUNK]) for start in range(0, len(numbers), _SORT_CHUNK)]
        return self._batches(merge(*parts), size)

    def _batches(self, numbers: Iterator[int], size: int) -> Iterator[UnseenRecords]:
        while places := {number: self._places.pop(number) for number in islice(numbers, size)}:
            yield UnseenRecords(self._body, places)


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """A response, told apart from what stands.

    Attributes:
        received: Elements of the array.
        repeated: Elements that say what another element of the same response says.
        known_count: Elements whose digest stands: their numbers are listed and unchanged.
        records: The records to look at, by `virtual_number_id`.
        rejections: The elements that cannot be taken, one per distinct content.
        gone: The standing digests that no element has: their numbers changed, were respelled, or are unlisted.
        unlisted: Numbers that the database knows and the response does not list.
        app_id: The one that most of the elements looked at carry.
        elements: All of them, in their order.
        words: The words that the elements looked at have in each of the fields of `LOOKUP_FIELDS`.
    """

    received: int
    repeated: int
    known_count: int
    records: UnseenRecords
    rejections: tuple[Rejection, ...]
    missing_ids: frozenset[int]
    app_id: int | None
    elements: Elements = field(default_factory=Elements, compare=False)
    vanished_fingerprints: Mapping[bytes, int] = field(default_factory=dict, compare=False)
    lookup_values: Mapping[str, AbstractSet[str]] = field(default_factory=dict, compare=False)


def digest(body: bytes) -> bytes:
    """The 16 bytes that stand for a whole response: XXH3, 128 bits."""
    return xxh3_128_digest(body)


def read(body: bytes, known: Fingerprints, app_id: int | None) -> ParsedResponse:
    """Tells the elements of a response apart: standing by their digest, to be looked at, rejected.

    Args:
        body: The response, without any content encoding.
        known: What the database knows of the account's numbers.
        app_id: The account's; None before the first record that carried one.

    Raises:
        NotJsonError: It is not JSON, or was cut short.
        NotAnArrayError: It is JSON, but not an array, or one of elements too short for records.
        WrongAccountError: Records carry an `app_id`, and none of them this one.
    """
    classifier = _Classifier(body)
    elements = Elements()
    for start, slices in split(body, MIN_RECORD_BYTES):
        fingerprints = list(map(xxh3_128_digest, slices))
        numbers = known.numbers_of(fingerprints, place=len(elements))
        elements.add(fingerprints, numbers)
        if None in numbers:
            starts = list(accumulate(map(len, slices), initial=start))
            for commas in [place for place, number in enumerate(numbers) if number is None]:
                classifier.classify(slices[commas], fingerprints[commas], earliest=starts[commas] + commas)
    listed = set(elements.numbers)
    listed.discard(None)
    vanished_fingerprints = {}
    if len(listed) < len(known.by_fingerprint):
        vanished_fingerprints = {key: number for key, number in known.by_fingerprint.items() if number not in listed}
    absent = set(vanished_fingerprints.values())
    if app_id is not None and app_id not in classifier.app_ids and (classifier.unseen or absent):
        _require_app_id(app_id, classifier, body, known)
    conflicting_duplicates = _known_conflicts(classifier, known, listed, body) if classifier.unseen else {}
    repeated = classifier.resolve_duplicates(conflicting_duplicates)
    rejected = {rejection.virtual_number_id for rejection in classifier.rejections}
    return ParsedResponse(
        received=len(elements),
        repeated=len(elements) - len(listed) - len(classifier.unseen) + repeated,
        known_count=len(listed) - len(conflicting_duplicates.keys() & rejected),
        records=UnseenRecords(body, classifier.places),
        rejections=tuple(classifier.rejections),
        elements=elements,
        vanished_fingerprints=vanished_fingerprints,
        missing_ids=frozenset((absent | known.without_fingerprint) - classifier.places.keys() - rejected),
        app_id=min(classifier.app_ids, key=lambda carried: (-classifier.app_ids[carried], carried), default=None),
        lookup_values={
            name: {lookup_values[place] for lookup_values in classifier.lookup_values} - {None, UNSET}
            for place, name in enumerate(LOOKUP_FIELDS)
        },
    )


@dataclass(slots=True)
class _Classifier:
    """The elements that are looked at, sorted.

    Attributes:
        body: Where they lie.
        fresh: The digests of all of them.
        places: The place of each that is a record, by its id; of several with one id, the first.
        rivals: Further records with the id of one in `places`.
        words: Those that were told together in the fields of `LOOKUP_FIELDS`.
        end: Where the last record ends.
    """

    body: bytes
    unseen: set[bytes] = field(default_factory=set)
    places: dict[int, Span] = field(default_factory=dict)
    conflicting_duplicates: defaultdict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    rejections: list[Rejection] = field(default_factory=list)
    app_ids: Counter[int] = field(default_factory=Counter)
    lookup_values: set[tuple[Any, ...]] = field(default_factory=set)
    end: int = 0

    def classify(self, element: Raw, key: bytes, *, earliest: int) -> None:
        """Sorts an element, which begins there, or later if more than a comma stands between it and those before."""
        if key in self.unseen:
            return
        self.unseen.add(key)
        validated = validate(element, key)
        if isinstance(validated, Rejection):
            self.rejections.append(validated)
            app_id = validated.app_id
        else:
            record, _ = validated
            place = self._place(element, earliest)
            if self.places.setdefault(record.id, place) is not place:
                self.conflicting_duplicates[record.id].append(place)
            self.lookup_values.add(_lookup_values_of(record))
            app_id = None if record.app_id is UNSET else record.app_id
        if app_id is not None:
            self.app_ids[app_id] += 1

    def _place(self, element: Raw, earliest: int) -> Span:
        start = earliest
        if not self.body.startswith(element, start):
            start = self.body.index(element, max(start, self.end))
        self.end = start + len(element)
        return Span(start, self.end)

    def resolve_duplicates(self, known: Mapping[int, bytes]) -> int:
        """Of the elements with one id, keeps one if they all mean the same, and else rejects them all.

        Args:
            known: The elements that stand, of numbers that others are about too.

        Returns:
            How many were dropped because they mean what another one means.
        """
        repeated = 0
        rejected = {rejection.virtual_number_id for rejection in self.rejections}
        for number in sorted(self.conflicting_duplicates.keys() | known.keys() | (self.places.keys() & rejected)):
            first = self.places.pop(number, None)
            unseen = [] if first is None else [first, *self.conflicting_duplicates[number]]
            candidates = [place.of(self.body) for place in unseen]
            if number in known:
                candidates.insert(0, known[number])
            if number not in rejected and _all_same_content(candidates):
                if number not in known:
                    self.places[number] = unseen.pop(0)
                repeated += len(unseen)
            else:
                error = f"another element of the same response has the id {number} and says something else"
                self.rejections += [reject(element, xxh3_128_digest(element), error) for element in candidates]
        return repeated


def _known_elements(body: bytes, known: Fingerprints) -> Iterator[tuple[int, bytes]]:
    """The elements of a response that stand: number and bytes."""
    for _, elements in split(body):
        for element in elements:
            number = known.by_fingerprint.get(xxh3_128_digest(element))
            if number is not None:
                yield number, bytes(element)


def _require_app_id(app_id: int, classifier: _Classifier, body: bytes, known: Fingerprints) -> None:
    """Refuses a response if records carry an `app_id` and none of them this one; those that stand are asked last."""
    others = set(classifier.app_ids)
    for _, element in _known_elements(body, known):
        carried = read_field(element, "app_id")
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


def _known_conflicts(
    classifier: _Classifier, known: Fingerprints, listed: AbstractSet[int | None], body: bytes
) -> dict[int, bytes]:
    """The elements that stand where another element of the same response has their id."""
    ids = classifier.places.keys() | {rejection.virtual_number_id for rejection in classifier.rejections}
    both = ids & listed
    if not both:
        return {}
    return {number: element for number, element in _known_elements(body, known) if number in both}


def _all_same_content(elements: list[bytes]) -> bool:
    """Whether they do: the first may be one that stands, the others could all be taken."""
    first, *others = elements
    candidates = decode(first, xxh3_128_digest(first))
    return isinstance(candidates, ParsedRecord) and all(
        candidates.same_content(decode_trusted(other, xxh3_128_digest(other))) for other in others
    )
