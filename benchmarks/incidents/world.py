"""The truth: the numbers of an account as they live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from benchmarks.incidents.chances import happens, log_uniform
from benchmarks.incidents.moments import DAY, T0
from syncer.diff.record import COLUMNS
from syncer.emulator.record import Maker, Number
from syncer.emulator.vendor_values import CYRILLIC_COMPANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from random import Random

UNKNOWN_WORDS: Final = ("porting", "satellite", "custom+6g")
APP_ID: Final = 1200054
_encode: Final = msgspec.json.Encoder().encode


def told_by(number: Number) -> tuple[Any, ...]:
    """The values that a number truly has, in the order of `COLUMNS`; a key that it never has is null."""
    values = [getattr(number, column) for column in COLUMNS]
    return tuple(None if value is UNSET else "company" if value == CYRILLIC_COMPANY else value for value in values)


class World:
    """The numbers of an account as they truly are, and since when each thing is so."""

    def __init__(self, random: Random, numbers: int) -> None:
        self._random = random
        self._maker = Maker(random, APP_ID)
        self.listed: dict[int, Number] = {}
        self.gone: dict[int, Number] = {}
        self.encoded: dict[int, bytes] = {}
        self.values: dict[int, tuple[Any, ...]] = {}
        self.redirects: dict[int, frozenset[tuple[int, str]]] = {}
        self.changed: dict[tuple[int, str], datetime] = {}
        self.redirect_changed: dict[tuple[int, int, str], datetime] = {}
        self.appeared: dict[int, datetime] = {}
        self.left: dict[int, datetime] = {}
        self._body: bytes | None = None
        for _ in range(numbers):
            self._arrive(T0 - DAY)
        self.next_event = T0
        self._schedule(T0)

    def body(self) -> bytes:
        """The whole list as it is served when nothing is wrong."""
        if self._body is None:
            self._body = b"[%b]" % b",".join(self.encoded.values())
        return self._body

    def live(self, until: datetime) -> None:
        """Lets happen what happens until then."""
        while self.next_event <= until:
            moment = self.next_event
            self._random.choices(*self._events)[0](moment)
            self._schedule(moment)

    def put(self, number: Number, moment: datetime) -> None:
        """Takes a number as it is from now on."""
        before, values = self.values.get(number.id), told_by(number)
        if before is not None:
            for column, old, new in zip(COLUMNS, before, values, strict=True):
                if old != new:
                    self.changed[number.id, column] = moment
        redirects = frozenset((one.id, one.number) for one in number.from_redirect_numbers or ())
        for redirect in redirects ^ self.redirects.get(number.id, frozenset()):
            self.redirect_changed[number.id, *redirect] = moment
        self.values[number.id], self.redirects[number.id] = values, redirects
        self.listed[number.id], self.encoded[number.id] = number, _encode(number)
        self._body = None

    def since(self, key: int, column: str) -> datetime:
        """Since when a number has the value of a column."""
        return self.changed.get((key, column), T0 - DAY)

    def _schedule(self, moment: datetime) -> None:
        """When something happens next; even in a small account something does now and then."""
        size = len(self.listed) + 10
        rates: dict[Callable[[datetime], None], float] = {
            self._trouble: 0.006 * size,
            self._recover: 0.4 * sum(number.state != "active" for number in self.listed.values()),
            self._comment: 0.003 * size,
            self._redirect: 0.003 * size,
            self._reassign: 0.002 * size,
            self._arrive: 0.003 * size,
            self._remove: 0.003 * size,
            self._return: 0.03 * len(self.gone),
            self._many: 0.15,
        }
        self._events = list(rates), list(rates.values())
        self.next_event = moment + self._random.expovariate(sum(rates.values())) * DAY

    def _any(self, among: Iterable[int] | None = None) -> int:
        return self._random.choice(list(self.listed if among is None else among))

    def _change(self, key: int, change: Callable[[Number], None], moment: datetime) -> None:
        number = self.listed[key]
        if number.state == UNKNOWN_WORDS[0]:
            number.state = "active"
        change(number)
        self.put(number, moment)

    def _trouble(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.move_on, moment)

    def _recover(self, moment: datetime) -> None:
        among = [key for key, number in self.listed.items() if number.state != "active"]
        if among:
            self._change(self._any(among), self._maker.move_on, moment)

    def _comment(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.edit_comment, moment)

    def _redirect(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.swap_redirects, moment)

    def _reassign(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.reassign, moment)

    def _arrive(self, moment: datetime) -> None:
        number = self._maker.number()
        self.appeared[number.id] = moment
        self.put(number, moment)

    def _remove(self, moment: datetime, key: int | None = None) -> None:
        if len(self.listed) > 1:  # an empty list is believed of no one
            key = self._any() if key is None else key
            self.gone[key] = self.listed.pop(key)
            del self.encoded[key]
            self.left[key] = moment
            self._body = None

    def _return(self, moment: datetime) -> None:
        """Comes back as it was, or, after all that time, in another state and with other redirects."""
        key = self._any(self.gone)
        number = self.gone.pop(key)
        self.appeared[key] = moment
        number.state = "active" if number.state == UNKNOWN_WORDS[0] else number.state
        if happens(self._random, 0.5):
            self._maker.move_on(number)
            self._maker.swap_redirects(number)
        self.put(number, moment)

    def _many(self, moment: datetime) -> None:
        """Somebody changes many numbers at once."""
        chosen = self._random.sample(
            list(self.listed), math.ceil(log_uniform(self._random, 0.01, 0.3) * len(self.listed))
        )
        changes: tuple[Callable[[int], None], ...] = (
            lambda key: self._change(key, self._maker.move_on, moment),
            lambda key: self._change(key, self._maker.edit_comment, moment),
            lambda key: self._remove(moment, key),
            lambda _: self._arrive(moment),
        )
        change = self._random.choice(changes)
        for key in chosen:
            change(key)
