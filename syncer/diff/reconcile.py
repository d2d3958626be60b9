"""What the database knew and what arrived → what changed. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from syncer.diff.changeset import Decision, NewState, NewVersion, Presence, RedirectChange
from syncer.diff.record import COLUMNS, same_json
from syncer.diff.removal_guard import settle_absence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.diff.record import Arrived
    from syncer.diff.removal_guard import RemovalGuard
    from syncer.diff.response import Arrival
    from syncer.diff.stored import Known, KnownNumbers, Redirect, StoredNumber

_STATE: Final = COLUMNS.index("state")
_REASON: Final = COLUMNS.index("reason")


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
    settle_absence(decision, arrival, known, guard)
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
    absent = [place for place, value in enumerate(arrived.values) if value is UNSET]
    decision.absent_keys.update([COLUMNS[place] for place in absent])
    values = list(arrived.values)
    for place in absent:
        values[place] = None if stored is None else stored.values[place]
    return tuple(values)


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
