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

from syncer.diff.changeset import PresenceUpdate

if TYPE_CHECKING:
    from datetime import datetime, timedelta

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


@dataclass(frozen=True, slots=True)
class _Absence:
    """A missing number.

    Attributes:
        is_new: Whether this response is the first that missed it.
        missing_since: When it was first missed.
        believable_missing_since: When it was first missed by a believable response; None if it was not yet.
        believable_missing_from: Which of the account's believable responses that was.
        is_update: Whether anything of this differs from what is stored.
    """

    is_new: bool
    missing_since: datetime
    believable_missing_since: datetime | None
    believable_missing_from: int | None
    is_update: bool


def decide_removals(
    changes: ChangeSet, parsed: ParsedResponse, stored_account: StoredAccount, guard: RemovalGuard
) -> None:
    """Adds to `changes` the numbers that are removed now, and what is stored about those that stay missing."""
    believable_count = stored_account.believable_count + parsed.is_believable
    absences = {
        number_id: _absence(number_id, parsed, stored_account, believable_count)
        for number_id in sorted(parsed.missing_ids)
    }
    past_hold = {
        number_id
        for number_id, absence in absences.items()
        if absence.believable_missing_since is not None
        and stored_account.observed_at - absence.believable_missing_since >= guard.hold
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
        is_loss_small = is_new_loss_small if absence.is_new else is_older_loss_small
        if guard.accept_removals:
            fate = "removed"
        elif not parsed.is_believable or not (number_id in past_hold or is_loss_small):
            fate = "held"
        else:
            assert absence.believable_missing_from is not None  # noqa: S101 - this response has missed it
            misses = believable_count - absence.believable_missing_from + 1
            fate = "removed" if misses >= guard.confirmations else "unconfirmed"
        changes.counters[fate] += 1
        if fate == "removed" or absence.is_update:
            unread = stored_account.unread.get(number_id)
            changes.presence_updates.append(
                PresenceUpdate(
                    number_id,
                    last_read_at=stored_account.success_started_at if unread is None else unread.last_read_at,
                    missing_since=absence.missing_since,
                    removed_at=absence.missing_since if fate == "removed" else None,
                    believable_missing_since=absence.believable_missing_since,
                    believable_missing_from=absence.believable_missing_from,
                )
            )


def _absence(number_id: int, parsed: ParsedResponse, stored_account: StoredAccount, believable_count: int) -> _Absence:
    unread = stored_account.unread.get(number_id)
    missing_since = None if unread is None else unread.missing_since
    believable_missing_since = None if unread is None else unread.believable_missing_since
    believable_missing_from = None if unread is None else unread.believable_missing_from
    is_first_believable_miss = parsed.is_believable and believable_missing_since is None
    return _Absence(
        is_new=missing_since is None,
        missing_since=missing_since or stored_account.observed_at,
        believable_missing_since=stored_account.observed_at if is_first_believable_miss else believable_missing_since,
        believable_missing_from=believable_count if is_first_believable_miss else believable_missing_from,
        is_update=missing_since is None or is_first_believable_miss,
    )
