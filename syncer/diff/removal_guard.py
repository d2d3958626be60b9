"""Decides which missing numbers are removed now and which removals wait. Pure: no I/O, no clock.

A response that lacks numbers may be wrong, so a loss is not applied at once:

- Only a believable response (`syncer.diff.response`) removes numbers. It does so once as many believable responses in a
  row have missed a number as are required, the `confirmations`; until then its removal is *unconfirmed*.
- That suffices up to a share of the account's numbers, the removal guard's `ratio`.
- A larger loss is *held*: its numbers are removed once believable responses have missed them for the hold time, or once
  the returned numbers have made the loss small enough.
- A response that is not believable is no evidence: it removes and confirms nothing, and no time passes because of it.
  All numbers that are missing then are held. It does not begin the row of misses anew either.
- An operator may accept the removals: then every missing number is removed, whatever the response is.

A removal is dated when the number was first missed, by a believable response or not, so that waiting does not change
the recorded times.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from syncer.diff.changeset import PresenceUpdate
from syncer.diff.stored import UnreadNumber

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.diff.changeset import ChangeSet
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StoredAccount


@dataclass(frozen=True, slots=True)
class RemovalGuard:
    """The limits of removals.

    Attributes:
        ratio: The share of the numbers, 0 to 1, that may be removed without a hold.
        hold: The hold time: how long believable responses must have missed numbers if the loss is larger.
        confirmations: How many believable responses in a row must have missed a number before it is removed.
        accept_removals: Whether an operator has accepted the removal of all missing numbers.
    """

    ratio: float
    hold: timedelta
    confirmations: int
    accept_removals: bool = False


def decide_removals(
    changes: ChangeSet, parsed: ParsedResponse, stored_account: StoredAccount, guard: RemovalGuard
) -> None:
    """Adds to `changes` the numbers that are removed now, and what is stored about those that stay missing."""
    is_believable = parsed.is_believable
    believable_count = stored_account.believable_count + is_believable
    absences = {
        number_id: _absence(number_id, stored_account, believable_count if is_believable else None)
        for number_id in sorted(parsed.missing_ids)
    }
    past_hold = {
        number_id
        for number_id, absence in absences.items()
        if absence.is_past_hold(stored_account.observed_at, guard.hold)
    }
    # Small losses add up: what was removed within the hold time counts too, even if it has returned. A number that
    # disappears twice counts once. Numbers past the hold time are removed anyway and do not count.
    suspicious = (absences.keys() - past_hold) | stored_account.removed_in_hold | stored_account.returned_in_hold
    listed = stored_account.listed_count - len(past_hold) + len(stored_account.removed_in_hold)
    # Numbers that were missing before are compared with the numbers that were listed before the loss. If numbers added
    # with or after the loss counted, polling the same response again would release the removals that the first poll had
    # held. An added number that is lost itself counts on both sides, whether it is still missing or already removed. So
    # only time and returning numbers can release a held removal.
    listed_before_loss = listed - len(stored_account.added_since_first_missing - suspicious)
    ratio = Decimal(str(guard.ratio))
    is_new_loss_small = len(suspicious) <= ratio * listed
    is_older_loss_small = len(suspicious) <= ratio * listed_before_loss
    for number_id, absence in absences.items():
        is_loss_small = (
            is_new_loss_small if absence.missing_since == stored_account.observed_at else is_older_loss_small
        )
        if guard.accept_removals:
            fate = "removed"
        elif not is_believable or not (number_id in past_hold or is_loss_small):
            fate = "held"
        else:
            assert absence.believable_missing_from is not None  # noqa: S101 - this response has missed it
            misses = believable_count - absence.believable_missing_from + 1
            fate = "removed" if misses >= guard.confirmations else "unconfirmed"
        changes.counters[fate] += 1
        if fate == "removed" or absence != stored_account.unread.get(number_id):
            changes.presence_updates.append(
                PresenceUpdate(
                    number_id,
                    last_read_at=absence.last_read_at,
                    missing_since=absence.missing_since,
                    removed_at=absence.missing_since if fate == "removed" else None,
                    believable_missing_since=absence.believable_missing_since,
                    believable_missing_from=absence.believable_missing_from,
                )
            )


def _absence(number_id: int, stored_account: StoredAccount, position: int | None) -> UnreadNumber:
    """Returns what is to be stored about a missing number, unless it is removed.

    Args:
        number_id: The number.
        stored_account: The stored state of the account.
        position: Which of the account's believable responses this one is; None if it is not believable.
    """
    absence = stored_account.unread.get(number_id)
    if absence is None:
        assert stored_account.success_started_at is not None  # noqa: S101 - a stored number was read by a success
        absence = UnreadNumber(stored_account.success_started_at, None)
    if absence.missing_since is None:
        absence = replace(absence, missing_since=stored_account.observed_at)
    if position is not None and absence.believable_missing_since is None:
        absence = replace(
            absence, believable_missing_since=stored_account.observed_at, believable_missing_from=position
        )
    return absence
