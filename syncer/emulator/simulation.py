"""A believable stretch of an account's life: who is locked for debt and when, what comes and goes, what goes wrong.

Nothing here happens by chance alone. Debts are collected after the 10th and the 20th of each month, people are moved on
working days, and what happens once, such as an office that closes and returns, has its place in the whole. The same
seed and the same days tell the same story.
"""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final

from syncer.emulator import vendor_values
from syncer.emulator.faults import BrokenRecords, PartialList, Status, Truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from syncer.emulator.fault import Fault
    from syncer.emulator.fleet import Fleet
    from syncer.emulator.record import Number

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WORKING_DAYS: Final = range(5)
_DEBTS: Final = {11: 0.04, 12: 0.02, 13: 0.01, 21: 0.025, 22: 0.01, 23: 0.005}
"""Which share of the active numbers is locked on that day of a month."""

_NO_MONEY, _OLD_DEBT, _ = vendor_values.REASONS["debt_lock"]
_OLD_DEBT_DAYS: Final = 30
_POOR_PAYERS: Final = 8
"""One number in so many is locked much more often than the others."""

_UNKNOWN_STATE: Final = "porting"


class Simulation:
    """What happens to a fleet from `begins` on, and what is wrong with the endpoint meanwhile.

    Args:
        begins: Midnight where the account is.
    """

    def __init__(self, fleet: Fleet, *, seed: int, begins: datetime, days: int) -> None:
        self._fleet = fleet
        self._random = Random(f"story:{seed}")  # noqa: S311 - it has to be repeatable, not unpredictable
        self._begins = begins
        self._days = days
        self._order = count()
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._faults: list[tuple[datetime, datetime, Fault]] = []
        self._now = begins
        self._plan()

    def live_until(self, moment: datetime) -> None:
        """Lets everything happen that happens before the moment."""
        while self._agenda and self._agenda[0][0] < moment:
            self._now, _, happens = heapq.heappop(self._agenda)
            happens()

    def fault_at(self, moment: datetime) -> Fault | None:
        """What is wrong with the endpoint at the moment, if anything."""
        return next((fault for begins, ends, fault in self._faults if begins <= moment < ends), None)

    def is_anyone_looking(self, moment: datetime) -> bool:
        """False while the machine that polls is switched off: once, for thirty hours."""
        off = self._when(0.25, 16)
        return not off <= moment < off + 30 * _HOUR

    # The plan

    def _plan(self) -> None:
        office = self._office()
        for share, numbers in ((0.15, 12), (0.45, 14), (0.75, 10)):
            self._then(self._when(share, 11), partial(self._welcome, numbers))
        self._then(self._when(0.33, 18), partial(self._fleet.take_off, office))
        self._then(self._when(0.55, 9), partial(self._reopen, office))
        self._then(self._when(0.5, 12), self._port_one)
        self._goes_wrong(self._when(0.6, 0), 26, Status(status=503))
        self._goes_wrong(self._when(0.8, 10), 14, PartialList(share=0.7))
        self._goes_wrong(self._when(0.4, 8), 20, BrokenRecords(count=3))
        self._goes_wrong(self._when(1, -30), 60, BrokenRecords(field="state", value=None))
        for record in self._fleet.records():
            if record["state"] != "active":
                self._recover_later(record["id"], record["state"], self._random.uniform(1, 12))
        for day in range(self._days + 1):
            self._then(self._begins + day * _DAY, self._begin_day)

    def _begin_day(self) -> None:
        """Decides what happens on the day that begins now."""
        today = self._now.date()
        self._lock_debtors(_DEBTS.get(today.day, 0.0007))
        self._sometimes(0.25, self._freeze_one)
        self._sometimes(0.06, self._give_one_up)
        self._sometimes(0.08, partial(self._welcome, 1))
        if today.weekday() in _WORKING_DAYS:
            self._sometimes(0.5, self._move_an_employee)
            self._sometimes(0.4, self._edit_a_comment)
        if self._happens(0.05):
            fault = Truncated() if self._happens(0.4) else Status(status=502)
            self._goes_wrong(self._in_office_hours(), 5.9, fault)

    # What happens

    def _lock_debtors(self, share: float) -> None:
        active = [record["id"] for record in self._listed("active")]
        number = int(share * len(active) + self._random.random())
        weights = [8 if number_id % _POOR_PAYERS == 0 else 1 for number_id in active]
        for number_id in dict.fromkeys(self._random.choices(active, weights, k=number)):
            self._then(self._in_office_hours(), partial(self._lock, number_id))

    def _lock(self, number_id: int) -> None:
        reason = None if self._happens(0.1) else _NO_MONEY
        self._fleet.alter([number_id], _in_state("debt_lock", reason))
        days = self._random.uniform(32, 70) if self._happens(0.05) else 0.2 + self._random.expovariate(1 / 4)
        if days > _OLD_DEBT_DAYS:
            grown_old = _in_state("debt_lock", _OLD_DEBT, only_from="debt_lock")
            self._then(self._now + _OLD_DEBT_DAYS * _DAY, partial(self._fleet.alter, [number_id], grown_old))
            if self._happens(0.3):
                self._then(self._now + days * _DAY, partial(self._give_up, number_id))
                return
        self._recover_later(number_id, "debt_lock", days)

    def _give_up(self, number_id: int) -> None:
        """A debt is not paid: the number is switched off, and goes."""
        self._fleet.alter([number_id], _in_state("inactive", vendor_values.REASONS["inactive"][0]))
        self._then(self._now + self._random.uniform(8, 20) * _DAY, partial(self._fleet.take_off, [number_id]))

    def _freeze_one(self) -> None:
        for number_id in self._some(1):
            self._fleet.alter([number_id], _in_state("freeze", self._random.choice(vendor_values.REASONS["freeze"])))
            self._recover_later(number_id, "freeze", self._random.uniform(5, 40))

    def _give_one_up(self) -> None:
        """A number goes; one in three comes back."""
        gone = self._some(1)
        self._fleet.take_off(gone)
        if self._happens(0.35):
            self._then(self._now + self._random.uniform(3, 35) * _DAY, partial(self._fleet.bring_back, gone))

    def _welcome(self, numbers: int) -> None:
        """New numbers are activated within two days, some only once they are confirmed."""
        for number_id in self._fleet.arrive(numbers):
            state = "unconfirmed" if self._happens(0.25) else "activation"
            self._fleet.alter([number_id], _in_state(state, None))
            self._recover_later(number_id, state, self._random.uniform(0.2, 2))

    def _move_an_employee(self) -> None:
        """Somebody else gets the number, and other calls are led to it."""
        moved = self._some(1)
        self._fleet.alter(moved, self._fleet.maker.reassign)
        self._fleet.alter(moved, self._fleet.maker.swap_redirects)

    def _edit_a_comment(self) -> None:
        self._fleet.alter(self._some(1), self._fleet.maker.edit_comment)

    def _reopen(self, office: Iterable[int]) -> None:
        """The office returns, with another note on each number."""

        def renew(number: Number) -> None:
            number.state, number.reason = "active", None
            number.comment = "Офис после ремонта"

        self._fleet.bring_back(office)
        self._fleet.alter(office, renew)

    def _port_one(self) -> None:
        """A number is in a state that the vendor's page does not have."""
        for number_id in self._some(1):
            self._fleet.alter([number_id], _in_state(_UNKNOWN_STATE, "Перенос от другого оператора"))
            self._recover_later(number_id, _UNKNOWN_STATE, min(5, 0.3 * self._days))

    def _recover_later(self, number_id: int, state: str, days: float) -> None:
        recover = _in_state("active", None, only_from=state)
        self._then(self._now + days * _DAY, partial(self._fleet.alter, [number_id], recover))

    # Who, and when

    def _office(self) -> list[int]:
        """The numbers of the largest region that is no capital."""
        listed = [record for record in self._fleet.records() if (record["region_name"] or "").endswith(("ь", "й"))]
        ((region, _),) = Counter(record["region_name"] for record in listed).most_common(1)
        return [record["id"] for record in listed if record["region_name"] == region]

    def _listed(self, state: str) -> list[dict[str, Any]]:
        return [record for record in self._fleet.records() if record["state"] == state]

    def _some(self, number: int) -> list[int]:
        """So many active numbers."""
        active = [record["id"] for record in self._listed("active")]
        return self._random.sample(active, min(number, len(active)))

    def _when(self, share: float, hour: int) -> datetime:
        """The hour of the day at which this share of all days has passed."""
        return self._begins + int(share * self._days) * _DAY + hour * _HOUR

    def _in_office_hours(self) -> datetime:
        """Some time of the day that begins now."""
        return self._now + self._random.uniform(9, 19) * _HOUR

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def _sometimes(self, share: float, happens: Callable[[], None]) -> None:
        """Lets something happen today, on this share of all days."""
        if self._happens(share):
            self._then(self._in_office_hours(), happens)

    def _then(self, moment: datetime, happens: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._order), happens))

    def _goes_wrong(self, begins: datetime, hours: float, fault: Fault) -> None:
        self._faults.append((begins, begins + hours * _HOUR, fault))


def _in_state(state: str, reason: str | None, *, only_from: str | None = None) -> Callable[[Number], None]:
    def change(number: Number) -> None:
        if only_from is None or number.state == only_from:
            number.state, number.reason = state, reason

    return change
