"""Absence must be believable before a number is taken for removed. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from syncer.diff.changeset import PresenceUpdate

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.diff.changeset import ChangeSet
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StoredState


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


def decide_removals(changes: ChangeSet, parsed: ParsedResponse, known: StoredState, guard: RemovalGuard) -> None:
    """Numbers that are not listed: removed as far as the guard believes it, held beyond that."""
    since = {number: known.missing_since(number) or known.observed_at for number in sorted(parsed.missing_ids)}
    past_hold = {number for number, moment in since.items() if known.observed_at - moment >= guard.hold}
    # What was believed for its time is out of the question. Nobody counts twice who goes twice.
    suspicious = (since.keys() - past_hold) | known.removed_in_hold | known.returned_in_hold
    listed = known.listed - len(past_hold) + len(known.removed_in_hold)
    # What came after a loss was not listed before it: were it counted, the same response, polled again, would be
    # believed for the numbers it brought along. Where it is lost itself it counts on both sides, whether it is missing
    # or removed by now: so nothing but time and what returns can make those believable that are held.
    listed_before_loss = listed - len(known.added_since_first_missing - suspicious)
    ratio = Decimal(str(guard.ratio))
    believable = len(suspicious) <= ratio * listed
    held_is_believable = len(suspicious) <= ratio * listed_before_loss
    unreadable = any(rejection.virtual_number_id is None for rejection in parsed.rejections)
    for number, missing_since in since.items():
        is_new = known.missing_since(number) is None
        if unreadable:
            removed = False  # the element that cannot be read may be any of them
        elif guard.accepted:
            removed = True
        else:
            removed = parsed.received > 0 and (number in past_hold or (believable if is_new else held_is_believable))
        if removed or is_new:
            unread = known.unread.get(number)
            last_read_at = known.success_started_at if unread is None else unread.last_read_at
            changes.presence_updates.append(
                PresenceUpdate(number, last_read_at, missing_since, missing_since if removed else None)
            )
        changes.counters["removed" if removed else "held"] += 1
