"""How often the numbers of an account change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often each kind of change happens in one step, as a fraction from 0 to 1 of the numbers it applies to.

    Attributes:
        deactivations: Of the active numbers: the state changes to one that is not active.
        reactivations: Of the numbers that are not active: the state changes to the next one, in the end to active.
        comment_edits: Of all numbers: the comment is edited.
        redirect_changes: Of all numbers: the list of redirects changes.
        reassignments: Of all numbers: the number goes to another employee or to none.
        arrivals: Of the initial number of numbers: this many new numbers are added.
        removals: Of all numbers: they are no longer listed.
        returns: Of the removed numbers: they are listed again, unchanged.
        permanent_removals: Of the removed numbers: they can no longer return.
        renames: Of the employees: the last name changes.
        position_changes: Of the employees: the position changes.
        departures: Of the employees who have lost their last number and did not leave at once: they leave the list.
        group_renames: Of the groups of numbers and of employees: the name changes.
        target_changes: Of the scenarios: they lead to another employee or employee group.
    """

    deactivations: float = 0.004
    reactivations: float = 0.05
    comment_edits: float = 0.002
    redirect_changes: float = 0.002
    reassignments: float = 0.001
    arrivals: float = 0.00000125
    removals: float = 0.001
    returns: float = 0.05
    permanent_removals: float = 0.0000625
    renames: float = 0.00002
    position_changes: float = 0.00002
    departures: float = 0.0005
    group_renames: float = 0.00002
    target_changes: float = 0.00002


REALISTIC: Final = Rates()
"""One number in a hundred changes per step, nine in ten are active, and one in fifty is temporarily not listed.

Arrivals and permanent removals are rare and equally frequent, so that the length of the list is stable. In a day of
two-second steps, fewer numbers are removed than SYNCER_REMOVAL_GUARD_RATIO allows.
"""

STATIC: Final = Rates(
    deactivations=0, reactivations=0, comment_edits=0, redirect_changes=0, reassignments=0,
    arrivals=0, removals=0, returns=0, permanent_removals=0,
    renames=0, position_changes=0, departures=0, group_renames=0, target_changes=0,
)  # fmt: skip
"""Nothing changes in a step."""
