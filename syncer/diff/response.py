"""Parses a response: finds the records that differ from those stored, and decodes only these.

Terms used here and in `syncer.diff.reconcile`:

element            One item of the response's JSON array, as the bytes that were received.
fingerprint        The keyed hash of an element's bytes (`syncer.diff.content_hash`).
known element      Its fingerprint is stored: it is the record that its number was last read from, and is not decoded.
unmatched element  Its fingerprint is not stored: it is new, changed or formatted differently, and is decoded.
missing number     It is stored, is not removed, and the response does not list it.
believable         Said of a response whose silence about a number is evidence that the number is gone: it is not empty,
                   the id of each element can be read, and no header says that it is a part of a longer list.

Parsing a response therefore takes one pass over its bytes, and work in proportion to the elements that are unmatched.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from syncer.diff.changeset import MAX_KEY_CHARS, MAX_RECORD_KEYS
from syncer.diff.declared_length import NOTHING_DECLARED, DeclaredLength
from syncer.diff.hashed_pieces import hash_pieces
from syncer.diff.json_array import split_array
from syncer.diff.record import (
    ParsedRecord,
    Rejection,
    VendorRecord,
    decode,
    decode_trusted,
    first_characters,
    read_app_id,
    read_keys,
    reject,
    validate,
    validate_together,
)
from syncer.diff.stored import Elements, hash_start
from syncer.diff.unmatched_records import Span, UnmatchedRecords
from syncer.errors import WrongAccountError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from msgspec import Raw

    from syncer.diff.content_hash import ContentHash
    from syncer.diff.hashed_pieces import HashedPiece
    from syncer.diff.stored import Fingerprints

LOOKUP_FIELDS: Final = ("type", "purpose", "state", "region_name")
"""The fields whose values are stored in lookup tables."""
MAX_STORED_REJECTIONS: Final = 1_000
"""How many rejected elements of one response are stored. Of the others only the number is known."""
MAX_STORED_PAYLOAD_BYTES: Final = 4 * 2**20
"""How many bytes the payloads of one response may have before those of further elements are cut to 4 KiB."""
MAX_WORD_COMBINATIONS: Final = 10_000
"""How many combinations of values in `LOOKUP_FIELDS` the unmatched records of a response may have."""
MAX_NEW_REDIRECTS: Final = 20_000
"""How many redirects the unmatched records of a response may have, and one more for every 100 bytes of the response."""
_BYTES_PER_REDIRECT: Final = 100
_SHORT_PAYLOAD_BYTES: Final = 4 * 1024
_lookup_values = attrgetter(*LOOKUP_FIELDS)
_app_id = attrgetter("app_id")


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """The content of a response, compared with the stored fingerprints.

    `received` equals `known_count` + `repeated` + the number of `records` + the number of `rejections`.

    Attributes:
        received: How many elements the array has.
        repeated: How many elements were dropped because another element of the response has the same content.
        known_count: How many known elements there are: their numbers are listed and unchanged.
        records: The valid records of the unmatched elements, by `virtual_number_id`.
        rejections: The elements that are not valid records or contradict another one, one per distinct bytes. Only the
            first `MAX_STORED_REJECTIONS` have an error and a payload, and are stored.
        missing_ids: The stored numbers that the response does not list, by `virtual_number_id`.
        app_id: The `app_id` that most records of the unmatched elements have, the smallest if several are as frequent;
            None if none has one. Rejected elements do not count.
        elements: All elements, in their order.
        vanished_fingerprints: The stored fingerprints that no element has → `virtual_number_id`. These numbers are
            missing, changed or formatted differently.
        lookup_values: The values that the unmatched elements have in each of `LOOKUP_FIELDS`.
        has_deferred: Whether a record was rejected because the others have very many new words or redirects. The same
            response can have another effect later, since records that were accepted do not count again.
        partial_reason: The sentence that says why the response is a part of the list only; None if no header says so.
    """

    received: int
    repeated: int
    known_count: int
    records: UnmatchedRecords
    rejections: tuple[Rejection, ...]
    missing_ids: frozenset[int]
    app_id: int | None
    elements: Elements = field(default_factory=Elements, compare=False)
    vanished_fingerprints: Mapping[bytes, int] = field(default_factory=dict, compare=False)
    lookup_values: Mapping[str, AbstractSet[str]] = field(default_factory=dict, compare=False)
    has_deferred: bool = False
    partial_reason: str | None = None

    @property
    def unreadable_count(self) -> int:
        """How many distinct elements have an id that cannot be read."""
        return sum(rejection.virtual_number_id is None for rejection in self.rejections)

    @property
    def is_believable(self) -> bool:
        """Whether the response is evidence that the numbers that it does not list are gone."""
        return self.received > 0 and self.unreadable_count == 0 and self.partial_reason is None


def parse_response(
    body: bytes,
    stored: Fingerprints,
    app_id: int | None,
    declared_length: DeclaredLength = NOTHING_DECLARED,
    *,
    hashed: Iterator[HashedPiece] | None = None,
    account: str = "NAME",
) -> ParsedResponse:
    """Splits a response into known elements, records to compare with the database, and rejected elements.

    Args:
        body: The response, without any content encoding.
        stored: The fingerprints of the account's stored numbers.
        app_id: The account's `app_id`; None until a record had one.
        declared_length: What the response's headers say about the length of the list.
        hashed: What `hash_ahead` returned for this body and the hash of these fingerprints, if some of it was hashed.
        account: The account's name, for messages.

    Raises:
        NotJsonError: The body is not JSON, or was cut short.
        NotAnArrayError: The body is JSON but not an array, or its elements are too short for records.
        WrongAccountError: Records have an `app_id`, and none of them has this one.
    """
    classifier = _Classifier(body, stored.content_hash)
    elements = Elements(start_hash=hash_start(body, stored.content_hash))
    pieces = hash_pieces(body, stored.content_hash) if hashed is None else hashed
    for piece_start, piece, fingerprints in pieces:
        number_ids = stored.look_up(fingerprints, position=len(elements))
        elements.add(fingerprints, number_ids)
        if not any(number_ids) and classifier.classify_together(piece, fingerprints, piece_start):
            continue
        if None in number_ids:
            # `offsets` counts the lengths of the elements alone; in the body a comma precedes each one but the first.
            offsets = list(accumulate(map(len, piece), initial=piece_start))
            for index in [index for index, number_id in enumerate(number_ids) if number_id is None]:
                classifier.classify(piece[index], fingerprints[index], min_start=offsets[index] + index)
    known_ids = set(elements.number_ids)
    known_ids.discard(None)
    vanished_fingerprints = _vanished_fingerprints(stored, known_ids)
    not_known_ids = set(vanished_fingerprints.values()) | stored.without_fingerprint
    contested = _contested_known_elements(classifier, body, stored, known_ids) if classifier.fingerprints else {}
    repeated = classifier.resolve_duplicates(contested)
    app_ids = +classifier.app_ids
    rejected_ids = {rejection.virtual_number_id for rejection in classifier.rejections}
    if app_id is not None and app_id not in app_ids:
        _require_app_id(app_id, set(app_ids), body, stored, rejected_ids, account)
    return ParsedResponse(
        received=len(elements),
        repeated=len(elements) - len(known_ids) - len(classifier.fingerprints) + repeated,
        known_count=len(known_ids) - len(contested.keys() & rejected_ids),
        records=UnmatchedRecords(body, classifier.spans, stored.content_hash),
        rejections=tuple(classifier.rejections),
        elements=elements,
        vanished_fingerprints=vanished_fingerprints,
        missing_ids=frozenset(not_known_ids - classifier.spans.keys() - rejected_ids),
        app_id=min(app_ids, key=lambda carried: (-app_ids[carried], carried), default=None),
        lookup_values=classifier.lookup_values_by_field(),
        has_deferred=classifier.has_deferred,
        partial_reason=declared_length.partial_reason(len(elements)),
    )


@dataclass(slots=True)
class _Classifier:
    """Sorts the unmatched elements of a body into records and rejections.

    Attributes:
        body: The response that contains the elements.
        content_hash: The hash for fingerprints.
        fingerprints: Those of all elements that were classified; elements with identical bytes are classified once.
        spans: The first valid record of each `virtual_number_id`.
        duplicates: The further valid records of a `virtual_number_id` in `spans`.
        rejections: The elements that are not valid records.
        app_ids: How many valid records have each `app_id`.
        lookup_values: The distinct combinations of values that records have in `LOOKUP_FIELDS`.
        redirect_count: How many redirects the records have.
        has_deferred: As in `ParsedResponse`.
        end: The end of the last valid record.
    """

    body: bytes
    content_hash: ContentHash
    fingerprints: set[bytes] = field(default_factory=set)
    spans: dict[int, Span] = field(default_factory=dict)
    duplicates: defaultdict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    rejections: list[Rejection] = field(default_factory=list)
    app_ids: Counter[int] = field(default_factory=Counter)
    lookup_values: set[tuple[Any, ...]] = field(default_factory=set)
    redirect_count: int = 0
    has_deferred: bool = False
    end: int = 0

    def classify_together(self, elements: list[Raw], fingerprints: list[bytes], start: int) -> bool:
        """Adds consecutive elements to the records, if they are valid, unlike all others, and within the bounds.

        Args:
            elements: The elements.
            fingerprints: The content hash of each.
            start: The offset of the first, unless there is white space before it.

        Returns:
            Whether they were added. If not, `classify` must be called for each.
        """
        joined = b",".join(elements)
        if not self.body.startswith(joined, start) or (records := validate_together(joined)) is None:
            return False
        new_fingerprints = set(fingerprints)
        ends = accumulate(len(element) + 1 for element in elements)
        spans = {
            record.id: Span(start + end - 1 - len(element), start + end - 1)
            for record, element, end in zip(records, elements, ends, strict=True)
        }
        words = set(map(_lookup_values, records))
        redirects = sum([len(record.from_redirect_numbers) for record in records if record.from_redirect_numbers])
        is_exceptional = (
            len(new_fingerprints) < len(elements)
            or len(spans) < len(elements)
            or not self.fingerprints.isdisjoint(new_fingerprints)
            or not self.spans.keys().isdisjoint(spans)
            or len(self.lookup_values) + len(words) > MAX_WORD_COMBINATIONS
            or self.redirect_count + redirects > self._max_redirects
        )
        if is_exceptional:
            return False
        self.fingerprints |= new_fingerprints
        self.spans |= spans
        self.lookup_values |= words
        self.redirect_count += redirects
        self.app_ids.update([app_id for app_id in map(_app_id, records) if app_id is not UNSET and app_id is not None])
        self.end = start + len(joined)
        return True

    def classify(self, element: Raw, fingerprint: bytes, *, min_start: int) -> None:
        """Adds an element to the records or to the rejections.

        Args:
            element: The element's bytes.
            fingerprint: Their content hash.
            min_start: The least possible offset of the element: its own, unless there is white space around the commas
                before it.
        """
        if fingerprint in self.fingerprints:
            return
        self.fingerprints.add(fingerprint)
        validated = validate(element, fingerprint)
        if isinstance(validated, Rejection):
            self.add_rejection(validated)
            return
        record, _ = validated
        if error := self._find_exceeded_bound(record):
            self.has_deferred = True
            self.add_rejection(reject(element, fingerprint, error))
        else:
            span = self._find(element, min_start)
            if self.spans.setdefault(record.id, span) is not span:
                self.duplicates[record.id].append(span)
            if record.app_id is not UNSET and record.app_id is not None:
                self.app_ids[record.app_id] += 1

    @property
    def _max_redirects(self) -> int:
        return MAX_NEW_REDIRECTS + len(self.body) // _BYTES_PER_REDIRECT

    def _find_exceeded_bound(self, record: VendorRecord) -> str | None:
        """Adds a record's words and redirects to those of the response; returns what is wrong if they are too many."""
        redirects = len(record.from_redirect_numbers or ())
        if self.redirect_count + redirects > self._max_redirects:
            return f"with its {redirects:,} redirects, the response has too many that are new"
        self.lookup_values.add(words := _lookup_values(record))
        if len(self.lookup_values) > MAX_WORD_COMBINATIONS:
            self.lookup_values.remove(words)
            return f"its {', '.join(LOOKUP_FIELDS)} are one of too many combinations that are new in this response"
        self.redirect_count += redirects
        return None

    def add_rejection(self, rejection: Rejection) -> None:
        """Adds a rejection, in a form that bounds what a run stores."""
        self.rejections.append(_bounded(rejection, self.rejections))

    def _find(self, element: Raw, min_start: int) -> Span:
        start = min_start
        if not self.body.startswith(element, start):
            start = self.body.index(element, max(start, self.end))
        self.end = start + len(element)
        return Span(start, self.end)

    def lookup_values_by_field(self) -> dict[str, set[str]]:
        """Returns the values of each of `LOOKUP_FIELDS`, without null and absent ones."""
        return {
            name: {values[index] for values in self.lookup_values} - {None, UNSET}
            for index, name in enumerate(LOOKUP_FIELDS)
        }

    def resolve_duplicates(self, known_elements: Mapping[int, bytes]) -> int:
        """Keeps one of the elements with the same id if all have the same content, and else rejects all of them.

        Args:
            known_elements: The known elements whose id an unmatched element has too, by `virtual_number_id`.

        Returns:
            How many elements were dropped because another one has the same content.
        """
        repeated = 0
        rejected_ids = {rejection.virtual_number_id for rejection in self.rejections}
        ambiguous_ids = self.duplicates.keys() | known_elements.keys() | (self.spans.keys() & rejected_ids)
        for number_id in sorted(ambiguous_ids):
            first = self.spans.pop(number_id, None)
            spans = [] if first is None else [first, *self.duplicates[number_id]]
            candidates = [span.slice_of(self.body) for span in spans]
            if number_id in known_elements:
                candidates.insert(0, known_elements[number_id])
            if number_id not in rejected_ids and _have_same_content(candidates, self.content_hash):
                if number_id not in known_elements:
                    self.spans[number_id] = spans.pop(0)
                repeated += len(spans)
            else:
                carried = [read_app_id(span.slice_of(self.body)) for span in spans]
                self.app_ids.subtract([app_id for app_id in carried if app_id is not None])
                error = f"another element of the same response has the id {number_id} and different content"
                for element in candidates:
                    self.add_rejection(reject(element, self.content_hash(element), error))
        return repeated


def _vanished_fingerprints(stored: Fingerprints, known_ids: AbstractSet[int | None]) -> dict[bytes, int]:
    """Returns the stored fingerprints that no element has → `virtual_number_id`."""
    if len(known_ids) >= len(stored.by_fingerprint):
        return {}
    return {
        fingerprint: number_id for fingerprint, number_id in stored.by_fingerprint.items() if number_id not in known_ids
    }


def _known_elements(body: bytes, stored: Fingerprints) -> Iterator[tuple[int, bytes]]:
    """Yields the known elements of a response: the `virtual_number_id` and the bytes of each."""
    for _, elements in split_array(body):
        for element in elements:
            number_id = stored.by_fingerprint.get(stored.content_hash(element))
            if number_id is not None:
                yield number_id, bytes(element)


def reject_words(parsed: ParsedResponse, refused: Mapping[str, AbstractSet[str]]) -> ParsedResponse:
    """Rejects the records that have a word which is not stored because the response has too many new ones.

    Args:
        parsed: The response; the records are removed from it.
        refused: The words that are not stored, by field.
    """
    rejections = list(parsed.rejections)
    for number_id, field_name in list(parsed.records.find_words(refused)):
        element = parsed.records.pop_element(number_id)
        error = f"its {field_name} is one of too many that are new in this response: the next polls store more of them"
        rejection = reject(element, parsed.records.content_hash(element), error)
        rejections.append(_bounded(rejection, rejections))
    return dataclasses.replace(parsed, rejections=tuple(rejections))


def _bounded(rejection: Rejection, earlier: Sequence[Rejection]) -> Rejection:
    """Returns a rejection without its texts if enough earlier ones are stored, and with less if these are large."""
    if len(earlier) >= MAX_STORED_REJECTIONS:
        return replace(rejection, error="", payload=b"")
    if sum(len(stored.payload) for stored in earlier) >= MAX_STORED_PAYLOAD_BYTES:
        return replace(rejection, payload=first_characters(rejection.payload, _SHORT_PAYLOAD_BYTES))
    return rejection


def read_record_keys(
    parsed: ParsedResponse, stored: Fingerprints, compared: Collection[bytes], wanted: AbstractSet[str] | None
) -> set[str]:
    """Returns the keys that the records of a response have; it stops when all wanted ones are found.

    Args:
        parsed: The response.
        stored: The fingerprints of the account's stored numbers.
        compared: The fingerprints of the records that were compared.
        wanted: The keys to look for, cut to `MAX_KEY_CHARS`; None for any, up to `MAX_RECORD_KEYS`.
    """
    found: set[str] = set()
    fingerprints = iter(parsed.elements.fingerprints)
    for _, elements in split_array(parsed.records.body):
        for element, fingerprint in zip(elements, fingerprints, strict=False):
            if fingerprint in compared or fingerprint in stored.by_fingerprint:
                found.update(key[:MAX_KEY_CHARS] for key in read_keys(bytes(element)))
                if wanted is None and len(found) >= MAX_RECORD_KEYS:
                    return found
                if wanted is not None:
                    found &= wanted
                    if found == wanted:
                        return found
    return found


def _require_app_id(
    app_id: int,
    other_app_ids: set[int],
    body: bytes,
    stored: Fingerprints,
    rejected_ids: AbstractSet[int | None],
    account: str,
) -> None:
    """Raises WrongAccountError if records have an `app_id` and none has this one.

    No unmatched record has it, but these others, so the known elements are searched for it. A known element counts as
    rejected, and not as a record, if another element contradicts it.
    """
    for number_id, element in _known_elements(body, stored):
        if number_id in rejected_ids:
            continue
        carried = read_app_id(element)
        if carried == app_id:
            return
        if carried is not None:
            other_app_ids.add(carried)
    if other_app_ids:
        raise WrongAccountError(account, app_id, min(other_app_ids))


def _contested_known_elements(
    classifier: _Classifier, body: bytes, stored: Fingerprints, known_ids: AbstractSet[int | None]
) -> dict[int, bytes]:
    """Returns the known elements whose id an unmatched element has too, by `virtual_number_id`."""
    unmatched_ids = classifier.spans.keys() | {rejection.virtual_number_id for rejection in classifier.rejections}
    contested_ids = unmatched_ids & known_ids
    if not contested_ids:
        return {}
    return {number_id: element for number_id, element in _known_elements(body, stored) if number_id in contested_ids}


def _have_same_content(elements: list[bytes], content_hash: ContentHash) -> bool:
    """Returns whether all elements have the same content.

    All but the first must be valid. The first may be a known element that is not valid.
    """
    first, *others = elements
    decoded = decode(first, content_hash(first))
    return isinstance(decoded, ParsedRecord) and all(
        decoded.has_same_content(decode_trusted(other, content_hash(other))) for other in others
    )
