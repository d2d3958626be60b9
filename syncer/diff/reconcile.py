"""Compares parsed records with stored numbers and decides what changed. Pure: no I/O, no clock.

The current row of a number is updated, and each change of a state, reason, redirect or other field adds to its history
(SCD type 2). `reconcile` handles the records of one batch, `reconcile_absences` the numbers without a valid record.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from syncer.diff.changeset import MAX_KEY_CHARS, MAX_RECORD_KEYS, ChangeSet, NewVersion, PresenceUpdate, RedirectChange
from syncer.diff.json_values import equal_as_jsonb
from syncer.diff.record import COLUMNS
from syncer.diff.removal_guard import decide_removals
from syncer.diff.response import MAX_STORED_REJECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.diff.record import ParsedRecord, RedirectKey
    from syncer.diff.removal_guard import RemovalGuard
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StartedRun, StoredAccount, StoredNumber, StoredNumbers

_STATE: Final = COLUMNS.index("state")
_REASON: Final = COLUMNS.index("reason")


def reconcile(
    records: Mapping[int, ParsedRecord], stored_numbers: StoredNumbers, stored_account: StoredAccount
) -> ChangeSet:
    """Decides what changes because of some records.

    Args:
        records: The records of unmatched elements, by `virtual_number_id`.
        stored_numbers: The stored numbers of these records.
        stored_account: The stored state of the account.
    """
    changes = ChangeSet()
    for number_id, received in records.items():
        record = stored_account.erasures.mask(received)
        stored = stored_numbers.by_id.get(number_id)
        if stored is None:
            # If only rejected records of it were received before, it is not known since when it has been as it is now.
            was_rejected = number_id in stored_numbers.rejected_by
            last_absence = None if was_rejected else stored_account.believable_run
            _create(changes, record, None if last_absence is None else last_absence.started_at)
        elif stored.removal is not None:
            rejected_by = stored_numbers.rejected_by.get(number_id)
            _restore(changes, record, stored, _last_absence(stored.removal, rejected_by, stored_account.believable_run))
        else:
            _compare(changes, record, stored, stored_account)
        changes.fingerprints[number_id] = record.fingerprint
        if record.extra and len(changes.extra_keys) < MAX_RECORD_KEYS:
            changes.extra_keys.update(key[:MAX_KEY_CHARS] for key in islice(record.extra, MAX_RECORD_KEYS))
    changes.counters["redirects_opened"] = len(changes.opened_redirects)
    changes.counters["redirects_closed"] = len(changes.closed_redirects)
    return changes


def reconcile_absences(parsed: ParsedResponse, stored_account: StoredAccount, guard: RemovalGuard) -> ChangeSet:
    """Decides what changes for numbers that are missing, rejected, or listed again with a known element."""
    changes = ChangeSet()
    _update_presence(changes, parsed, stored_account)
    decide_removals(changes, parsed, stored_account, guard)
    counters = changes.counters
    counters["received"] = parsed.received
    counters["rejected"] = len(parsed.rejections)
    counters["unchanged"] = parsed.known_count
    rejected_fingerprints = {rejection.fingerprint for rejection in parsed.rejections[:MAX_STORED_REJECTIONS]}
    changes.is_first_or_rejections_changed = (
        stored_account.success_started_at is None or rejected_fingerprints != stored_account.rejected_fingerprints
    )
    return changes


def _create(changes: ChangeSet, record: ParsedRecord, changed_after: datetime | None) -> None:
    number_id = record.virtual_number_id
    values = _fill_absent_keys(changes, record, stored=None)
    changes.created.append(NewVersion(number_id, values, record.extra, changed_after))
    if record.redirects:
        changes.opened_redirects += _redirect_changes(number_id, record.redirects, changed_after)
    changes.counters["created"] += 1


def _last_absence(removal: StartedRun, rejected_by: int | None, believable_run: StartedRun | None) -> datetime:
    """Returns the start of the last poll that is known not to have listed a number which was removed and returns.

    A believable response later than the removal did not list the number, or it would have been restored then, unless
    its record was rejected.
    """
    was_rejected = rejected_by is not None and rejected_by > removal.run_id
    if was_rejected or believable_run is None or believable_run.run_id < removal.run_id:
        return removal.started_at
    return believable_run.started_at


def _restore(changes: ChangeSet, record: ParsedRecord, stored: StoredNumber, changed_after: datetime) -> None:
    number_id = record.virtual_number_id
    values = _fill_absent_keys(changes, record, stored)
    redirects = stored.redirects if record.redirects is UNSET else record.redirects
    changes.replaced.append(NewVersion(number_id, values, record.extra, changed_after))
    changes.opened_redirects += _redirect_changes(number_id, redirects, changed_after)
    changes.counters["restored"] += 1


def _compare(changes: ChangeSet, record: ParsedRecord, stored: StoredNumber, stored_account: StoredAccount) -> None:
    number_id = record.virtual_number_id
    values = _fill_absent_keys(changes, record, stored)
    redirects = stored.redirects if record.redirects is UNSET else record.redirects
    changed_after = stored.last_read_at or stored_account.success_started_at
    if values != stored.values:
        changes.replaced.append(NewVersion(number_id, values, record.extra, changed_after))
        # Not by Counter.update, which takes longer than the comparison itself.
        for column, new, old in zip(COLUMNS, values, stored.values, strict=True):
            if new != old:
                changes.column_changes[column] += 1
        if (values[_STATE], values[_REASON]) != (stored.values[_STATE], stored.values[_REASON]):
            changes.counters["state_changes"] += 1
    else:
        if not equal_as_jsonb(stored.extra, record.extra):
            changes.extra_updates.append((number_id, record.extra))
        if number_id in stored_account.unread:
            changes.presence_updates.append(PresenceUpdate(number_id))
    if redirects != stored.redirects:
        changes.opened_redirects += _redirect_changes(number_id, redirects - stored.redirects, changed_after)
        changes.closed_redirects += _redirect_changes(number_id, stored.redirects - redirects, changed_after)
        changes.column_changes["from_redirect_numbers"] += 1
    is_changed = values != stored.values or redirects != stored.redirects
    changes.counters["changed" if is_changed else "unchanged"] += 1


def _fill_absent_keys(changes: ChangeSet, record: ParsedRecord, stored: StoredNumber | None) -> tuple[Any, ...]:
    """Returns the record's values, with the stored value for each absent key, or None for a new number.

    The vendor sends null for an empty field, so an absent key does not mean that the field is empty.
    """
    if record.redirects is UNSET:
        changes.absent_keys["from_redirect_numbers"] += 1
    if UNSET not in record.values:
        return record.values
    absent = [index for index, value in enumerate(record.values) if value is UNSET]
    changes.absent_keys.update([COLUMNS[index] for index in absent])
    values = list(record.values)
    for index in absent:
        values[index] = None if stored is None else stored.values[index]
    return tuple(values)


def _redirect_changes(
    number_id: int, redirects: AbstractSet[RedirectKey], changed_after: datetime | None
) -> list[RedirectChange]:
    return [
        RedirectChange(number_id, redirect_number_id, number, changed_after)
        for redirect_number_id, number in sorted(redirects)
    ]


def _update_presence(changes: ChangeSet, parsed: ParsedResponse, stored_account: StoredAccount) -> None:
    """Adds the numbers that are read again with a known element, and those that are listed but newly rejected."""
    rejected_ids = {rejection.virtual_number_id for rejection in parsed.rejections}
    for number_id, unread in stored_account.unread.items():
        if number_id in parsed.missing_ids or number_id in parsed.records:
            continue
        if number_id not in rejected_ids:
            changes.presence_updates.append(PresenceUpdate(number_id))
        elif unread.missing_since is not None:
            changes.presence_updates.append(PresenceUpdate(number_id, unread.last_read_at))
    for number_id in sorted(stored_account.listed_and_rejected - stored_account.unread.keys()):
        changes.presence_updates.append(PresenceUpdate(number_id, stored_account.success_started_at))
