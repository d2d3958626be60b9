"""What the database knew and what arrived → what changed. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from syncer.diff.changeset import ChangeSet, NewState, NewVersion, PresenceUpdate, RedirectChange
from syncer.diff.record import COLUMNS, same_json
from syncer.diff.removal_guard import decide_removals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.diff.record import ParsedRecord
    from syncer.diff.removal_guard import RemovalGuard
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import Redirect, StoredNumber, StoredNumbers, StoredState

_STATE: Final = COLUMNS.index("state")
_REASON: Final = COLUMNS.index("reason")


def reconcile(records: Mapping[int, ParsedRecord], numbers: StoredNumbers, known: StoredState) -> ChangeSet:
    """Decides what some records change."""
    changes = ChangeSet()
    for number, record in records.items():
        stored = numbers.stored.get(number)
        if stored is None:
            # It was listed before it could be read for the first time: nobody knows since when it has been so.
            after = None if number in numbers.rejected_before else known.success_started_at
            _create(changes, record, after)
        else:
            _compare(changes, known, record, stored)
        changes.fingerprints[number] = record.fingerprint
    changes.counters["redirects_opened"] = len(changes.opened_redirects)
    changes.counters["redirects_closed"] = len(changes.closed_redirects)
    return changes


def reconcile_absences(parsed: ParsedResponse, known: StoredState, guard: RemovalGuard) -> ChangeSet:
    """Decides what a response changes beside its records: who is missing, gone, rejected, or back as before."""
    changes = ChangeSet()
    _update_presence(changes, parsed, known)
    decide_removals(changes, parsed, known, guard)
    counters = changes.counters
    counters["received"] = parsed.received
    counters["rejected"] = len(parsed.rejections)
    counters["unchanged"] = parsed.known_count
    rejected = {rejection.fingerprint for rejection in parsed.rejections}
    changes.is_first_or_rejections_changed = known.success_started_at is None or rejected != known.rejected_fingerprints
    return changes


def _create(changes: ChangeSet, record: ParsedRecord, after: datetime | None) -> None:
    number = record.virtual_number_id
    values = _with_last_values(changes, record, stored=None)
    changes.created.append(NewVersion(number, values, record.extra, after))
    changes.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
    if record.redirects:
        _open(changes, number, record.redirects, after)
    changes.counters["created"] += 1


def _compare(changes: ChangeSet, known: StoredState, record: ParsedRecord, stored: StoredNumber) -> None:
    number = record.virtual_number_id
    values = _with_last_values(changes, record, stored)
    redirects = stored.redirects if record.redirects is UNSET else record.redirects
    after = stored.last_read_at or known.success_started_at
    if stored.removed_at is not None:
        changes.replaced.append(NewVersion(number, values, record.extra, after))
        changes.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
        _open(changes, number, redirects, after)
        changes.counters["restored"] += 1
        return
    if values != stored.values:
        changes.replaced.append(NewVersion(number, values, record.extra, after))
        changes.column_changes.update(
            column for column, new, old in zip(COLUMNS, values, stored.values, strict=True) if new != old
        )
        if (values[_STATE], values[_REASON]) != (stored.values[_STATE], stored.values[_REASON]):
            assert after is not None  # noqa: S101 - a stored number was read by a successful poll
            changes.closed_states.append((number, after))
            changes.opened_states.append(NewState(number, values[_STATE], values[_REASON], after))
            changes.counters["state_changes"] += 1
    else:
        if not same_json(stored.extra, record.extra):
            changes.extra_updates.append((number, record.extra))
        if number in known.unread:
            changes.presence_updates.append(PresenceUpdate(number, None, None, None))
    if redirects != stored.redirects:
        _open(changes, number, redirects - stored.redirects, after)
        changes.closed_redirects += _redirect_changes(number, stored.redirects - redirects, after)
        changes.column_changes["from_redirect_numbers"] += 1
    differs = values != stored.values or redirects != stored.redirects
    changes.counters["changed" if differs else "unchanged"] += 1


def _with_last_values(changes: ChangeSet, record: ParsedRecord, stored: StoredNumber | None) -> tuple[Any, ...]:
    """The record's values, with the last known one where a key was absent: it was not told, so it is not null."""
    if record.redirects is UNSET:
        changes.absent_keys["from_redirect_numbers"] += 1
    if UNSET not in record.values:
        return record.values
    absent = [place for place, value in enumerate(record.values) if value is UNSET]
    changes.absent_keys.update([COLUMNS[place] for place in absent])
    values = list(record.values)
    for place in absent:
        values[place] = None if stored is None else stored.values[place]
    return tuple(values)


def _open(changes: ChangeSet, number: int, redirects: AbstractSet[Redirect], after: datetime | None) -> None:
    changes.opened_redirects += _redirect_changes(number, redirects, after)


def _redirect_changes(number: int, redirects: AbstractSet[Redirect], after: datetime | None) -> list[RedirectChange]:
    return [RedirectChange(number, key, redirect, after) for key, redirect in sorted(redirects)]


def _update_presence(changes: ChangeSet, parsed: ParsedResponse, known: StoredState) -> None:
    """Numbers that are listed with bytes that stand, and read again; or listed, and rejected."""
    rejected = {rejection.virtual_number_id for rejection in parsed.rejections}
    for number, unread in known.unread.items():
        if number in parsed.missing_ids or number in parsed.records:
            continue
        if number not in rejected:
            changes.presence_updates.append(PresenceUpdate(number, None, None, None))
        elif unread.missing_since is not None:
            changes.presence_updates.append(PresenceUpdate(number, unread.last_read_at, None, None))
    for number in sorted(known.listed_and_rejected - known.unread.keys()):
        changes.presence_updates.append(PresenceUpdate(number, known.success_started_at, None, None))
