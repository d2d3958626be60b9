"""A response, told apart from what the database knows: which elements stand, which are to be looked at.

An element whose bytes the database knows by their digest is not even decoded, so a response costs a pass over its
bytes plus work in proportion to what is new in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from syncer.errors import WrongAccountError
from syncer.json_array import split
from syncer.wire import SHORTEST_RECORD, Arrived, Rejection, decode, peek, reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from msgspec import Raw


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of an account's numbers that are not removed.

    Attributes:
        digests: The digest of the bytes that each number's current record was read from → `virtual_number_id`.
        undigested: The numbers without a digest that counts.
    """

    digests: Mapping[bytes, int] = field(default_factory=dict)
    undigested: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.digests) + len(self.undigested)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A response, told apart from what stands.

    Attributes:
        received: Elements of the array.
        repeated: Elements that say what another element of the same response says.
        standing: Elements whose digest stands: their numbers are listed and unchanged.
        records: The records to look at, by `virtual_number_id`.
        rejections: The elements that cannot be taken, one per distinct content.
        unlisted: Numbers that the database knows and the response does not list.
        app_id: The one that most of the elements looked at carry.
    """

    received: int
    repeated: int
    standing: int
    records: Mapping[int, Arrived]
    rejections: tuple[Rejection, ...]
    unlisted: frozenset[int]
    app_id: int | None


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
    elements = split(body, SHORTEST_RECORD)
    slices = dict(zip(map(xxh3_128_digest, elements), elements, strict=True))
    fresh = slices.keys() - standing.digests.keys()
    gone = standing.digests.keys() - slices.keys()
    content = _decode_all((key, slices[key]) for key in slices if key in fresh)
    if app_id is not None and app_id not in content.app_ids and (fresh or gone):
        _require_app_id(app_id, content, (slices[key] for key in slices if key not in fresh))
    absent = {standing.digests[key] for key in gone}
    rivals = _standing_rivals(content, standing, absent, slices) if fresh else {}
    repeated = _settle(content, rivals, slices)
    rejected = {rejection.virtual_number_id for rejection in content.rejections}
    return Arrival(
        received=len(elements),
        repeated=len(elements) - len(slices) + repeated,
        standing=len(slices) - len(fresh) - len(rivals.keys() & rejected),
        records=content.records,
        rejections=tuple(content.rejections),
        unlisted=frozenset((absent | standing.undigested) - content.records.keys() - rejected),
        app_id=min(content.app_ids, key=lambda carried: (-content.app_ids[carried], carried), default=None),
    )


@dataclass(slots=True)
class _Content:
    """The elements that are looked at, sorted; `rivals` are further records with the id of one in `records`."""

    records: dict[int, Arrived] = field(default_factory=dict)
    rivals: defaultdict[int, list[Arrived]] = field(default_factory=lambda: defaultdict(list))
    rejections: list[Rejection] = field(default_factory=list)
    app_ids: Counter[int] = field(default_factory=Counter)


def _decode_all(slices: Iterable[tuple[bytes, Raw]]) -> _Content:
    content = _Content()
    for key, element in slices:
        decoded = decode(element, key)
        if isinstance(decoded, Rejection):
            content.rejections.append(decoded)
        elif content.records.setdefault(decoded.virtual_number_id, decoded) is not decoded:
            content.rivals[decoded.virtual_number_id].append(decoded)
        if decoded.app_id is not None:
            content.app_ids[decoded.app_id] += 1
    return content


def _require_app_id(app_id: int, content: _Content, standing: Iterable[Raw]) -> None:
    """Refuses a response if records carry an `app_id` and none of them this one; those that stand are asked last."""
    others = set(content.app_ids)
    for element in standing:
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
    content: _Content, standing: Standing, absent: set[int], slices: Mapping[bytes, Raw]
) -> dict[int, Arrived | Rejection]:
    """The elements that stand, decoded after all where another element of the same response has their id."""
    ids = content.records.keys() | {rejection.virtual_number_id for rejection in content.rejections}
    both = (ids - absent) & set(standing.digests.values())
    if not both:
        return {}
    return {number: decode(slices[key], key) for key, number in standing.digests.items() if number in both}


def _settle(content: _Content, standing: Mapping[int, Arrived | Rejection], slices: Mapping[bytes, Raw]) -> int:
    """Of the elements with one id, keeps one if they all mean the same, and else rejects them all.

    Returns:
        How many were dropped because they mean what another one means.
    """
    repeated = 0
    rejected = {rejection.virtual_number_id for rejection in content.rejections}
    for number in sorted(content.rivals.keys() | standing.keys() | (content.records.keys() & rejected)):
        first = content.records.pop(number, None)
        fresh = [] if first is None else [first, *content.rivals[number]]
        told: list[Arrived | Rejection] = [standing[number]] if number in standing else []
        told += fresh
        if number not in rejected and _all_mean_the_same(told):
            if number not in standing:
                content.records[number] = fresh.pop(0)
            repeated += len(fresh)
        else:
            error = f"another element of the same response has the id {number} and says something else"
            content.rejections += [reject(slices[one.digest], one.digest, error) for one in told]
    return repeated


def _all_mean_the_same(told: list[Arrived | Rejection]) -> bool:
    first = told[0]
    return isinstance(first, Arrived) and all(isinstance(one, Arrived) and first.means_the_same(one) for one in told)
