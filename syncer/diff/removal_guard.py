"""Decides which missing numbers are removed now and which removals are held. Pure: no I/O, no clock.

A response that lacks many numbers may be wrong, so a large loss is not applied at once:

- Up to a share of the account's numbers, the removal guard's `ratio`, missing numbers are removed in the same poll.
- A larger loss is held: its numbers are removed once they have been missing for the hold time, or once the returned
  numbers have made the loss small enough, or when an operator accepts the removals.
- Nothing is removed because of an empty list, unless an operator accepts it.
- Nothing is removed while the response has an element whose id cannot be read: it may be any of the missing numbers.

A removal is dated when the number was first missed, so that holding it does not change the recorded times.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from syncer.diff.changeset import PresenceUpdate

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.diff.changeset import ChangeSet
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StoredAccount


@dataclass(frozen=True, slots=True)
class RemovalGuard:
    """The limits of removals.

    Attributes:
        ratio: The share of the numbers, 0 to 1, that may be removed at once.
        hold: The hold time: how long numbers must have been missing if the loss is larger.
        accept_removals: Whether an operator has accepted the removal of all missing numbers.
    """

    ratio: float
    hold: timedelta
    accept_removals: bool = False


def decide_removals(
    changes: ChangeSet, parsed: ParsedResponse, stored_account: StoredAccount, guard: RemovalGuard
) -> None:
    """Adds to `changes` the numbers that are removed now, and those that are missing for the first time."""
    missing_since = {
        number_id: stored_account.missing_since(number_id) or stored_account.observed_at
        for number_id in sorted(parsed.missing_ids)
    }
    past_hold = {
        number_id for number_id, since in missing_since.items() if stored_account.observed_at - since >= guard.hold
    }
    # Small losses add up: what was removed within the hold time counts too, even if it has returned. A number that
    # disappears twice counts once. Numbers past the hold time are removed anyway and do not count.
    suspicious = (missing_since.keys() - past_hold) | stored_account.removed_in_hold | stored_account.returned_in_hold
    listed = stored_account.listed_count - len(past_hold) + len(stored_account.removed_in_hold)
    # Held removals are compared with the numbers that were listed before the loss. If numbers added with or after the
    # loss counted, polling the same response again would release the removals that the first poll had held. An added
    # number that is lost itself counts on both sides, whether it is still missing or already removed. So only time and
    # returning numbers can release a held removal.
    listed_before_loss = listed - len(stored_account.added_since_first_missing - suspicious)
    ratio = Decimal(str(guard.ratio))
    release_new = len(suspicious) <= ratio * listed
    release_held = len(suspicious) <= ratio * listed_before_loss
    has_unreadable_id = any(rejection.virtual_number_id is None for rejection in parsed.rejections)
    for number_id, since in missing_since.items():
        is_newly_missing = stored_account.missing_since(number_id) is None
        if has_unreadable_id:
            is_removed = False
        elif guard.accept_removals:
            is_removed = True
        else:
            within_ratio = release_new if is_newly_missing else release_held
            is_removed = parsed.received > 0 and (number_id in past_hold or within_ratio)
        if is_removed or is_newly_missing:
            unread = stored_account.unread.get(number_id)
            last_read_at = stored_account.success_started_at if unread is None else unread.last_read_at
            changes.presence_updates.append(
                PresenceUpdate(number_id, last_read_at, since, since if is_removed else None)
            )
        changes.counters["removed" if is_removed else "held"] += 1
