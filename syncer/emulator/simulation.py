"""A simulation of one account over months: debt locks, arrivals, removals and faults, each with a plausible cause.

Changes follow a calendar: debts are collected after the 10th and the 20th of each month, employees change on working
days, and one-time events, such as an office that closes and reopens, have a fixed place in the period. The same seed
and the same number of days give the same result.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final

from syncer.emulator import vendor_values
from syncer.emulator.faults import BrokenRecords, PartialList, Status, Truncated
from syncer.emulator.rates import STATIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from syncer.emulator.fault import Fault
    from syncer.emulator.fleet import Fleet
    from syncer.emulator.record import Number

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WORKING_DAYS: Final = range(5)
_DEBT_LOCK_SHARES: Final = {11: 0.04, 12: 0.02, 13: 0.01, 21: 0.025, 22: 0.01, 23: 0.005}
"""The share of the active numbers that is locked on each of these days of the month."""

_NO_MONEY, _OLD_DEBT, _ = vendor_values.REASONS["debt_lock"]
_OLD_DEBT_DAYS: Final = 30
_POOR_PAYER_MODULUS: Final = 8
"""Numbers whose id is a multiple of this are locked much more often than the others."""

_UNKNOWN_STATE: Final = "porting"

_NAME_CHANGES_PER_DAY: Final = replace(
    STATIC, renames=0.001, position_changes=0.002, departures=0.02, group_renames=0.002, target_changes=0.003
)


class Simulation:
    """Changes a fleet and its lists of names over time, and says which fault the endpoint has at which time.

    Args:
        fleet: The numbers to change.
        seed: The seed of the changes.
        start: The first day, at midnight in the account's time zone.
        days: How many days to simulate.
    """

    def __init__(self, fleet: Fleet, *, seed: int, start: datetime, days: int) -> None:
        self._fleet = fleet
        self._random = Random(f"story:{seed}")  # noqa: S311 - it has to be repeatable, not unpredictable
        self._start = start
        self._days = days
        self._sequence = count()  # orders events that are scheduled for the same moment
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._faults: list[tuple[datetime, datetime, Fault]] = []
        self._now = start
        self._plan()

    def advance_to(self, moment: datetime) -> None:
        """Applies all changes that are scheduled before the moment."""
        while self._events and self._events[0][0] < moment:
            self._now, _, event = heapq.heappop(self._events)
            event()

    def fault_at(self, moment: datetime) -> Fault | None:
        """Returns the fault of the endpoint at the moment, if any."""
        return next((fault for start, end, fault in self._faults if start <= moment < end), None)

    def is_poller_on(self, moment: datetime) -> bool:
        """Returns whether the machine that polls is on: it is off once, for thirty hours."""
        outage_start = self._moment(0.25, 16)
        return not outage_start <= moment < outage_start + 30 * _HOUR

    # Schedule

    def _plan(self) -> None:
        office = self._choose_office()
        for share, numbers in ((0.15, 12), (0.45, 14), (0.75, 10)):
            self._schedule(self._moment(share, 11), partial(self._add_numbers, numbers))
        self._schedule(self._moment(0.33, 18), partial(self._fleet.delist, office))
        self._schedule(self._moment(0.55, 9), partial(self._reopen_office, office))
        self._schedule(self._moment(0.5, 12), self._start_porting)
        self._schedule_fault(self._moment(0.6, 0), 26, Status(status=503))
        self._schedule_fault(self._moment(0.8, 10), 14, PartialList(share=0.7))
        self._schedule_fault(self._moment(0.4, 8), 20, BrokenRecords(count=3))
        self._schedule_fault(self._moment(1, -30), 60, BrokenRecords(field="state", value=None))
        for record in self._fleet.records():
            if record["state"] != "active":
                self._reactivate_later(record["id"], record["state"], self._random.uniform(1, 12))
        for day in range(self._days + 1):
            self._schedule(self._start + day * _DAY, self._plan_day)

    def _plan_day(self) -> None:
        """Schedules the changes of the day that starts now."""
        today = self._now.date()
        self._fleet.change_names(_NAME_CHANGES_PER_DAY)
        self._lock_debtors(_DEBT_LOCK_SHARES.get(today.day, 0.0007))
        self._maybe_today(0.25, self._freeze_one)
        self._maybe_today(0.06, self._remove_one)
        self._maybe_today(0.08, partial(self._add_numbers, 1))
        if today.weekday() in _WORKING_DAYS:
            self._maybe_today(0.5, self._reassign_one)
            self._maybe_today(0.4, self._edit_one_comment)
        if self._chance(0.05):
            fault = Truncated() if self._chance(0.4) else Status(status=502)
            self._schedule_fault(self._in_office_hours(), 5.9, fault)

    # Changes

    def _lock_debtors(self, share: float) -> None:
        active = [record["id"] for record in self._records_in_state("active")]
        number = int(share * len(active) + self._random.random())
        weights = [8 if number_id % _POOR_PAYER_MODULUS == 0 else 1 for number_id in active]
        for number_id in dict.fromkeys(self._random.choices(active, weights, k=number)):
            self._schedule(self._in_office_hours(), partial(self._lock, number_id))

    def _lock(self, number_id: int) -> None:
        reason = None if self._chance(0.1) else _NO_MONEY
        self._fleet.update_numbers([number_id], _state_setter("debt_lock", reason))
        days = self._random.uniform(32, 70) if self._chance(0.05) else 0.2 + self._random.expovariate(1 / 4)
        if days > _OLD_DEBT_DAYS:
            set_old_debt = _state_setter("debt_lock", _OLD_DEBT, only_from="debt_lock")
            self._schedule(
                self._now + _OLD_DEBT_DAYS * _DAY, partial(self._fleet.update_numbers, [number_id], set_old_debt)
            )
            if self._chance(0.3):
                self._schedule(self._now + days * _DAY, partial(self._disconnect_debtor, number_id))
                return
        self._reactivate_later(number_id, "debt_lock", days)

    def _disconnect_debtor(self, number_id: int) -> None:
        """Switches off a number whose debt was not paid, and removes it later."""
        self._fleet.update_numbers([number_id], _state_setter("inactive", vendor_values.REASONS["inactive"][0]))
        self._schedule(self._now + self._random.uniform(8, 20) * _DAY, partial(self._fleet.delist, [number_id]))

    def _freeze_one(self) -> None:
        for number_id in self._sample_active(1):
            self._fleet.update_numbers(
                [number_id], _state_setter("freeze", self._random.choice(vendor_values.REASONS["freeze"]))
            )
            self._reactivate_later(number_id, "freeze", self._random.uniform(5, 40))

    def _remove_one(self) -> None:
        """Removes a number; about one in three returns."""
        removed = self._sample_active(1)
        self._fleet.delist(removed)
        if self._chance(0.35):
            self._schedule(self._now + self._random.uniform(3, 35) * _DAY, partial(self._fleet.relist, removed))

    def _add_numbers(self, numbers: int) -> None:
        """Adds numbers that become active within two days; some must be confirmed first."""
        for number_id in self._fleet.add_numbers(numbers):
            state = "unconfirmed" if self._chance(0.25) else "activation"
            self._fleet.update_numbers([number_id], _state_setter(state, None))
            self._reactivate_later(number_id, state, self._random.uniform(0.2, 2))

    def _reassign_one(self) -> None:
        """Assigns a number to another employee, with other redirects."""
        reassigned = self._sample_active(1)
        self._fleet.update_numbers(reassigned, self._fleet.generator.reassign)
        self._fleet.update_numbers(reassigned, self._fleet.generator.change_redirects)

    def _edit_one_comment(self) -> None:
        self._fleet.update_numbers(self._sample_active(1), self._fleet.generator.edit_comment)

    def _reopen_office(self, office: Iterable[int]) -> None:
        """Lists the numbers of the office again, with a new comment."""

        def reset(number: Number) -> None:
            number.state, number.reason = "active", None
            number.comment = "Офис после ремонта"

        self._fleet.relist(office)
        self._fleet.update_numbers(office, reset)

    def _start_porting(self) -> None:
        """Puts a number into a state that the vendor does not document."""
        for number_id in self._sample_active(1):
            self._fleet.update_numbers([number_id], _state_setter(_UNKNOWN_STATE, "Перенос от другого оператора"))
            self._reactivate_later(number_id, _UNKNOWN_STATE, min(5, 0.3 * self._days))

    def _reactivate_later(self, number_id: int, state: str, days: float) -> None:
        activate = _state_setter("active", None, only_from=state)
        self._schedule(self._now + days * _DAY, partial(self._fleet.update_numbers, [number_id], activate))

    # Selection of numbers and times

    def _choose_office(self) -> list[int]:
        """Returns the numbers of the largest region other than the two capitals."""
        listed = [record for record in self._fleet.records() if (record["region_name"] or "").endswith(("ь", "й"))]
        ((region, _),) = Counter(record["region_name"] for record in listed).most_common(1)
        return [record["id"] for record in listed if record["region_name"] == region]

    def _records_in_state(self, state: str) -> list[dict[str, Any]]:
        return [record for record in self._fleet.records() if record["state"] == state]

    def _sample_active(self, number: int) -> list[int]:
        """Returns a random sample of the active numbers."""
        active = [record["id"] for record in self._records_in_state("active")]
        return self._random.sample(active, min(number, len(active)))

    def _moment(self, share: float, hour: int) -> datetime:
        """Returns the given hour of the day at which this share of all days has passed."""
        return self._start + int(share * self._days) * _DAY + hour * _HOUR

    def _in_office_hours(self) -> datetime:
        """Returns a random time in office hours of the day that starts now."""
        return self._now + self._random.uniform(9, 19) * _HOUR

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _maybe_today(self, share: float, event: Callable[[], None]) -> None:
        """Schedules an event for today, on this share of all days."""
        if self._chance(share):
            self._schedule(self._in_office_hours(), event)

    def _schedule(self, moment: datetime, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._sequence), event))

    def _schedule_fault(self, start: datetime, hours: float, fault: Fault) -> None:
        self._faults.append((start, start + hours * _HOUR, fault))


def _state_setter(state: str, reason: str | None, *, only_from: str | None = None) -> Callable[[Number], None]:
    def change(number: Number) -> None:
        if only_from is None or number.state == only_from:
            number.state, number.reason = state, reason

    return change
