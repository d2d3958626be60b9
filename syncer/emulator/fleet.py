"""The numbers of one account and how they live: the same seed and the same calls give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncer.emulator.record import Maker, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What happens in one step, each as a fraction, 0 to 1, of the numbers it can happen to.

    Attributes:
        troubles: Of the active numbers: they stop being active.
        recoveries: Of those not active: they move on, in the end to active.
        comments: Of all: the comment is edited.
        redirects: Of all: the list of redirects changes.
        employees: Of all: the number goes to another employee or to none.
        arrivals: Of as many as there were at first: so many new numbers come.
        removals: Of all: they are listed no longer.
        returns: Of those removed: they are listed again, as they were.
        farewells: Of those removed: they are gone for good.
    """

    troubles: float = 0.004
    recoveries: float = 0.05
    comments: float = 0.002
    redirects: float = 0.002
    employees: float = 0.001
    arrivals: float = 0.00000125
    removals: float = 0.001
    returns: float = 0.05
    farewells: float = 0.0000625


REALISTIC: Final = Rates()
"""One number in a hundred changes in a step; nine in ten are active. One in fifty is off the list, for a while.

Few come and go for good, as many as each other, so that the list keeps its length; within a day of steps of two seconds
each, fewer go than SYNCER_REMOVAL_GUARD_RATIO.
"""

STILL: Final = Rates(
    troubles=0, recoveries=0, comments=0, redirects=0, employees=0, arrivals=0, removals=0, returns=0, farewells=0
)  # fmt: skip
"""Nothing changes by itself."""


class Fleet:
    """The numbers of one account.

    A number is kept as the bytes it is served as, and only those that change are decoded: a hundred thousand numbers
    cost little memory, and the response is a join.
    """

    def __init__(self, *, numbers: int, seed: int | str, app_id: int, rates: Rates = REALISTIC) -> None:
        self.app_id = app_id
        self.rates = rates
        self.steps = 0
        self._random = Random(seed)  # noqa: S311 - emulation has to be repeatable, not unpredictable
        self._maker = Maker(self._random, app_id)
        self._listed: dict[int, bytes] = {}
        self._removed: dict[int, bytes] = {}
        self._not_active: dict[int, None] = {}  # a set that keeps its order, as the draws depend on it
        self._body: bytes | None = None
        self._at_first = numbers
        self.arrive(numbers)

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def maker(self) -> Maker:
        """What makes up its numbers, and changes to them."""
        return self._maker

    def body(self) -> bytes:
        """Return the JSON array as it is served."""
        if self._body is None:
            self._body = b"[%b]" % b",".join(self._listed.values())
        return self._body

    def records(self) -> list[dict[str, Any]]:
        """Return what is served, decoded."""
        return msgspec.json.decode(self.body(), type=list[dict[str, Any]])

    def step(self) -> None:
        """Let one tick pass."""
        self.steps += 1
        rates = self.rates
        recovering = self._some(self._not_active, rates.recoveries)
        active = [number_id for number_id in self._listed if number_id not in self._not_active]
        self._change(self._some(active, rates.troubles), self._maker.move_on)
        self._change(recovering, self._maker.move_on)
        self._change(self._some(self._listed, rates.comments), self._maker.edit_comment)
        self._change(self._some(self._listed, rates.redirects), self._maker.swap_redirects)
        self._change(self._some(self._listed, rates.employees), self._maker.reassign)
        returning = self._some(self._removed, rates.returns)
        leaving = self._some(self._listed, rates.removals)
        self.bring_back(returning)
        for number_id in self._some(self._removed, rates.farewells):
            del self._removed[number_id]
        self._remove(leaving)
        self.arrive(self._count(self._at_first, rates.arrivals))

    def change(self, fraction: float) -> int:
        """Make exactly this fraction of the numbers differ, a quarter each in state, comment, redirects and employee.

        Returns:
            How many changed.
        """
        chosen = self._random.sample(list(self._listed), round(fraction * len(self._listed)))
        maker = self._maker
        for start, change in enumerate((maker.move_on, maker.edit_comment, maker.swap_redirects, maker.reassign)):
            self._change(chosen[start::4], change)
        return len(chosen)

    def remove(self, fraction: float) -> int:
        """Take exactly this fraction of the numbers off the list.

        Returns:
            How many went.
        """
        chosen = self._random.sample(list(self._listed), round(fraction * len(self._listed)))
        self._remove(chosen)
        return len(chosen)

    def arrive(self, numbers: int) -> list[int]:
        """List so many new numbers.

        Returns:
            Their ids.
        """
        arrived = []
        for _ in range(numbers):
            number = self._maker.number()
            self._list(number)
            arrived.append(number.id)
        return arrived

    def alter(self, number_ids: Iterable[int], change: Callable[[Number], None]) -> None:
        """Change these numbers, as far as they are listed."""
        self._change([number_id for number_id in number_ids if number_id in self._listed], change)

    def take_off(self, number_ids: Iterable[int]) -> None:
        """Take these numbers off the list, as far as they are on it."""
        self._remove([number_id for number_id in number_ids if number_id in self._listed])

    def bring_back(self, number_ids: Iterable[int]) -> None:
        """List these numbers again, as they were, as far as they were taken off."""
        for number_id in number_ids:
            if number_id in self._removed:
                self._list(_decode(self._removed.pop(number_id)))

    def shuffle(self) -> None:
        """List the same numbers in another order."""
        items = list(self._listed.items())
        self._random.shuffle(items)
        self._listed = dict(items)
        self._body = None

    def _some(self, number_ids: Collection[int], rate: float) -> list[int]:
        """Return this share of them, drawn at random."""
        return self._random.sample(list(number_ids), self._count(len(number_ids), rate)) if rate else []

    def _count(self, numbers: int, rate: float) -> int:
        """Return how many that is; of a fraction of one, the chance decides, so that small fleets live too."""
        whole, rest = divmod(numbers * rate, 1)
        return int(whole) + (self._random.random() < rest)

    def _change(self, number_ids: list[int], change: Callable[[Number], None]) -> None:
        for number_id in number_ids:
            number = _decode(self._listed[number_id])
            change(number)
            self._list(number)

    def _list(self, number: Number) -> None:
        """List the number, at the place where it is listed already or else at the end."""
        self._listed[number.id] = _encode(number)
        if number.state == "active":
            self._not_active.pop(number.id, None)
        else:
            self._not_active[number.id] = None
        self._body = None

    def _remove(self, number_ids: list[int]) -> None:
        for number_id in number_ids:
            self._removed[number_id] = self._listed.pop(number_id)
            self._not_active.pop(number_id, None)
            self._body = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Number).decode
