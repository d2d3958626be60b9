"""What the database knew and what arrived → what changed. Pure: no I/O, no clock.

The removal guard lives here too: absence must be believable before a number is taken for removed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct

from syncer.wire import COLUMNS, same_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime, timedelta

    from syncer.arrival import Arrival
    from syncer.wire import Arrived

_STATE: Final = COLUMNS.index("state")
_REASON: Final = COLUMNS.index("reason")
Redirect = tuple[int, str]
"""`id` and `number` of one of `from_redirect_numbers`."""


class StoredNumber(Struct, frozen=True, gc=False):
    """A number as the database knows it.

    Attributes:
        values: In the order of `syncer.wire.COLUMNS`.
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
        came_since_loss: Those listed that were created or restored since the first number went missing that is held
            and has not waited for the hold time yet.
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


@dataclass(frozen=True, slots=True)
class RemovalGuard:
    """How much absence is believed at once.

    Attributes:
        ratio: The share of the numbers, 0 to 1, that may go at once.
        hold: How long those beyond it must stay missing.
        accepted: An operator's word that what is missing is gone.
    """

    ratio: float
    hold: timedelta
    accepted: bool = False


class NewVersion(Struct, frozen=True, gc=False):
    """A record to write: of a new number, or in place of the one that is stored.

    Attributes:
        values: In the order of `syncer.wire.COLUMNS`, absent keys filled in.
        changed_after: The start of the last poll that read the number before; None if the account's first one found it.
    """

    virtual_number_id: int
    values: tuple[Any, ...]
    extra: Mapping[str, Any]
    changed_after: datetime | None


class NewState(Struct, frozen=True, gc=False):
    """A period of one state and one reason that begins."""

    virtual_number_id: int
    state: str
    reason: str | None
    changed_after: datetime | None


class RedirectChange(Struct, frozen=True, gc=False):
    """A redirect that begins or ends; `changed_after` is the lower end of the window in which it did."""

    virtual_number_id: int
    redirect_number_id: int
    number: str
    changed_after: datetime | None


class Presence(Struct, frozen=True, gc=False):
    """Whether a number is read, missing or removed, where that changes and its version does not."""

    virtual_number_id: int
    last_read_at: datetime | None
    missing_since: datetime | None
    removed_at: datetime | None


@dataclass(slots=True)
class Decision:
    """What some of a response's records, or what the rest of it says, changes.

    Attributes:
        created: Numbers never seen before.
        superseded: Numbers whose stored version gives way to another, restored ones among them.
        closed_states: Numbers whose open period of state ends, but for removals, with the window's lower end.
        opened_states: Periods that begin; of created and restored numbers too.
        opened_redirects: Redirects that begin; of created and restored numbers too.
        closed_redirects: Redirects that end, but for removals.
        extras: Numbers of which the fields without a column alone differ.
        presences: Numbers that are missing, removed, rejected, or read again.
        digests: The digest that stands for each number that was looked at and can be.
        is_news: It is the first response of all that counts, or others of its elements are rejected than before.
        counters: Of the contract's, those known before anything is written.
        absent_keys: How many of the records looked at lacked each key.
        column_changes: In how many numbers each column changed.
    """

    created: list[NewVersion] = field(default_factory=list)
    superseded: list[NewVersion] = field(default_factory=list)
    closed_states: list[tuple[int, datetime]] = field(default_factory=list)
    opened_states: list[NewState] = field(default_factory=list)
    opened_redirects: list[RedirectChange] = field(default_factory=list)
    closed_redirects: list[RedirectChange] = field(default_factory=list)
    extras: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    digests: dict[int, bytes] = field(default_factory=dict)
    is_news: bool = False
    counters: Counter[str] = field(default_factory=Counter)
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether it means what is stored already: digests are a cache."""
        return not (
            self.created
            or self.superseded
            or self.extras
            or self.presences
            or self.opened_redirects
            or self.closed_redirects
            or self.is_news
        )

    @property
    def removed(self) -> list[Presence]:
        """Those whose removal is applied now."""
        return [presence for presence in self.presences if presence.removed_at is not None]


@dataclass(slots=True)
class Total:
    """What the decisions of one poll come to, once they are written.

    Attributes:
        standing: The digests that stand anew, with their numbers.
        removed: Numbers that were removed.
        is_unchanged: The response means what was stored already.
    """

    counters: Counter[str] = field(default_factory=Counter)
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)
    standing: dict[bytes, int] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    is_unchanged: bool = True

    def add(self, decision: Decision) -> None:
        """Adds a decision that was written."""
        self.counters.update(decision.counters)
        self.absent_keys.update(decision.absent_keys)
        self.column_changes.update(decision.column_changes)
        self.standing.update((digest, number) for number, digest in decision.digests.items())
        self.removed.update(presence.virtual_number_id for presence in decision.removed)
        self.is_unchanged = self.is_unchanged and decision.is_empty

    @property
    def changes_standing(self) -> bool:
        """Whether other digests stand afterwards than before."""
        return bool(self.standing or self.removed)


def reconcile(records: Mapping[int, Arrived], numbers: KnownNumbers, known: Known) -> Decision:
    """Decides what some records change."""
    decision = Decision()
    for number, arrived in records.items():
        stored = numbers.stored.get(number)
        if stored is None:
            # It was listed before it could be read for the first time: nobody knows since when it has been so.
            after = None if number in numbers.rejected_before else known.success_started_at
            _create(decision, arrived, after)
        else:
            _compare(decision, known, arrived, stored)
        decision.digests[number] = arrived.digest
    decision.counters["redirects_opened"] = len(decision.opened_redirects)
    decision.counters["redirects_closed"] = len(decision.closed_redirects)
    return decision


def settle(arrival: Arrival, known: Known, guard: RemovalGuard) -> Decision:
    """Decides what a response changes beside its records: who is missing, gone, rejected, or back as before."""
    decision = Decision()
    _settle_presence(decision, arrival, known)
    _settle_absence(decision, arrival, known, guard)
    counters = decision.counters
    counters["received"] = arrival.received
    counters["rejected"] = len(arrival.rejections)
    counters["unchanged"] = arrival.standing
    rejected = {rejection.digest for rejection in arrival.rejections}
    decision.is_news = known.success_started_at is None or rejected != known.rejected
    return decision


def _create(decision: Decision, arrived: Arrived, after: datetime | None) -> None:
    number = arrived.virtual_number_id
    values = _filled(decision, arrived, stored=None)
    decision.created.append(NewVersion(number, values, arrived.extra, after))
    decision.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
    if arrived.redirects:
        _open(decision, number, arrived.redirects, after)
    decision.counters["created"] += 1


def _compare(decision: Decision, known: Known, arrived: Arrived, stored: StoredNumber) -> None:
    number = arrived.virtual_number_id
    values = _filled(decision, arrived, stored)
    redirects = stored.redirects if arrived.redirects is UNSET else arrived.redirects
    after = stored.last_read_at or known.success_started_at
    if stored.removed_at is not None:
        decision.superseded.append(NewVersion(number, values, arrived.extra, after))
        decision.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
        _open(decision, number, redirects, after)
        decision.counters["restored"] += 1
        return
    if values != stored.values:
        decision.superseded.append(NewVersion(number, values, arrived.extra, after))
        decision.column_changes.update(
            column for column, new, old in zip(COLUMNS, values, stored.values, strict=True) if new != old
        )
        if (values[_STATE], values[_REASON]) != (stored.values[_STATE], stored.values[_REASON]):
            assert after is not None  # noqa: S101 - a stored number was read by a successful poll
            decision.closed_states.append((number, after))
            decision.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
            decision.counters["state_changes"] += 1
    else:
        if not same_json(stored.extra, arrived.extra):
            decision.extras.append((number, arrived.extra))
        if number in known.unread:
            decision.presences.append(Presence(number, None, None, None))
    if redirects != stored.redirects:
        _open(decision, number, redirects - stored.redirects, after)
        decision.closed_redirects += _redirect_changes(number, stored.redirects - redirects, after)
        decision.column_changes["from_redirect_numbers"] += 1
    differs = values != stored.values or redirects != stored.redirects
    decision.counters["changed" if differs else "unchanged"] += 1


def _filled(decision: Decision, arrived: Arrived, stored: StoredNumber | None) -> tuple[Any, ...]:
    """The record's values, with the last known one where a key was absent: it was not told, so it is not null."""
    if arrived.redirects is UNSET:
        decision.absent_keys["from_redirect_numbers"] += 1
    if UNSET not in arrived.values:
        return arrived.values
    decision.absent_keys.update(column for column, value in zip(COLUMNS, arrived.values, strict=True) if value is UNSET)
    last = stored.values if stored is not None else (None,) * len(COLUMNS)
    return tuple(old if new is UNSET else new for new, old in zip(arrived.values, last, strict=True))


def _open(decision: Decision, number: int, redirects: AbstractSet[Redirect], after: datetime | None) -> None:
    decision.opened_redirects += _redirect_changes(number, redirects, after)


def _redirect_changes(number: int, redirects: AbstractSet[Redirect], after: datetime | None) -> list[RedirectChange]:
    return [RedirectChange(number, key, redirect, after) for key, redirect in sorted(redirects)]


def _settle_presence(decision: Decision, arrival: Arrival, known: Known) -> None:
    """Numbers that are listed with bytes that stand, and read again; or listed, and rejected."""
    rejected = {rejection.virtual_number_id for rejection in arrival.rejections}
    for number, unread in known.unread.items():
        if number in arrival.unlisted or number in arrival.records:
            continue
        if number not in rejected:
            decision.presences.append(Presence(number, None, None, None))
        elif unread.missing_since is not None:
            decision.presences.append(Presence(number, unread.last_read_at, None, None))
    for number in sorted(known.listed_rejected - known.unread.keys()):
        decision.presences.append(Presence(number, known.success_started_at, None, None))


def _settle_absence(decision: Decision, arrival: Arrival, known: Known, guard: RemovalGuard) -> None:
    """Numbers that are not listed: removed as far as the guard believes it, held beyond that."""
    since = {number: known.missing_since(number) or known.observed_at for number in sorted(arrival.unlisted)}
    waited = {number for number, moment in since.items() if known.observed_at - moment >= guard.hold}
    # What was believed for its time is out of the question. Nobody counts twice who goes twice.
    lost = (since.keys() - waited) | known.lately_removed | known.lately_returned
    listed = known.listed - len(waited) + len(known.lately_removed)
    # What came after a loss was not listed before it: were it counted, the same response, polled again, would be
    # believed for the numbers it brought along. Where it is lost itself it counts on both sides, whether it is missing
    # or removed by now: so nothing but time and what returns can make those believable that are held.
    listed_before_loss = listed - len(known.came_since_loss - lost)
    ratio = Decimal(str(guard.ratio))
    believable = len(lost) <= ratio * listed
    held_is_believable = len(lost) <= ratio * listed_before_loss
    unreadable = any(rejection.virtual_number_id is None for rejection in arrival.rejections)
    for number, missing_since in since.items():
        if unreadable:
            removed = False  # the element that cannot be read may be any of them
        elif guard.accepted:
            removed = True
        else:
            is_new = known.missing_since(number) is None
            removed = arrival.received > 0 and (number in waited or (believable if is_new else held_is_believable))
        if removed or known.missing_since(number) is None:
            unread = known.unread.get(number)
            last_read_at = known.success_started_at if unread is None else unread.last_read_at
            decision.presences.append(Presence(number, last_read_at, missing_since, missing_since if removed else None))
        decision.counters["removed" if removed else "held"] += 1
