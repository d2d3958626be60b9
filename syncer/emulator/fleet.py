"""The numbers of one account and their random changes; the same seed and the same calls give the same bytes."""

from __future__ import annotations

from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncer.emulator.name_lists import ID_FIELDS, NameLists, NumberIds
from syncer.emulator.name_record import NameChanges, NameGenerator
from syncer.emulator.rates import REALISTIC, Rates
from syncer.emulator.record import Number, NumberGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


class Fleet:
    """The numbers of one account.

    Each number is stored as the bytes of its JSON, and decoded only to change it: a hundred thousand numbers need
    little memory, and the response is built by joining the bytes.
    """

    def __init__(self, *, numbers: int, seed: int | str, app_id: int, rates: Rates = REALISTIC) -> None:
        self.app_id = app_id
        self.rates = rates
        self.steps = 0
        self._random = Random(seed)  # noqa: S311 - emulation has to be repeatable, not unpredictable
        self._generator = NumberGenerator(self._random, app_id)
        self._listed: dict[int, bytes] = {}
        self._removed: dict[int, bytes] = {}
        self._not_active: dict[int, None] = {}  # an ordered set, because the random draws depend on the order
        self._body: bytes | None = None
        self._seed = seed
        self._name_changes = NameChanges()
        self._former_ids: dict[str, dict[int, float]] = {}
        self._initial_numbers = numbers
        self.add_numbers(numbers)

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def generator(self) -> NumberGenerator:
        """The generator of its numbers and their changes."""
        return self._generator

    def body(self) -> bytes:
        """Returns the JSON array that is served."""
        if self._body is None:
            self._body = b"[%b]" % b",".join(self._listed.values())
        return self._body

    def records(self) -> list[dict[str, Any]]:
        """Returns the records that are served, decoded."""
        return msgspec.json.decode(self.body(), type=list[dict[str, Any]])

    def name_lists(self) -> NameLists:
        """Returns the lists of names as they are now, made for this call: they change nothing, and take no memory."""
        generator = NameGenerator(self._seed, self.app_id, self._name_changes)
        numbers = _decode_ids(b"[%b]" % b",".join([*self._listed.values(), *self._removed.values()]))
        return NameLists(generator, numbers, self._former_ids)

    def step(self) -> None:
        """Applies the random changes of one step."""
        self.steps += 1
        rates = self.rates
        self.change_names(rates)
        recovering = self._sample(self._not_active, rates.reactivations)
        active = [number_id for number_id in self._listed if number_id not in self._not_active]
        self._change(self._sample(active, rates.deactivations), self._generator.change_state)
        self._change(recovering, self._generator.change_state)
        self._change(self._sample(self._listed, rates.comment_edits), self._generator.edit_comment)
        self._change(self._sample(self._listed, rates.redirect_changes), self._generator.change_redirects)
        self._change(self._sample(self._listed, rates.reassignments), self._generator.reassign)
        returning = self._sample(self._removed, rates.returns)
        leaving = self._sample(self._listed, rates.removals)
        self.relist(returning)
        for number_id in self._sample(self._removed, rates.permanent_removals):
            self._keep_former_ids(_ids(_decode(self._removed.pop(number_id))))
        self._remove(leaving)
        self.add_numbers(self._count(self._initial_numbers, rates.arrivals))

    def change_names(self, rates: Rates) -> None:
        """Applies the changes of names of one step."""
        self._name_changes.add(rates)

    def change_fraction(self, fraction: float) -> int:
        """Changes exactly this fraction of the numbers: a quarter each in state, comment, redirects and employee.

        Returns:
            How many numbers changed.
        """
        chosen = self._random.sample(list(self._listed), round(fraction * len(self._listed)))
        generator = self._generator
        for start, change in enumerate(
            (generator.change_state, generator.edit_comment, generator.change_redirects, generator.reassign)
        ):
            self._change(chosen[start::4], change)
        return len(chosen)

    def remove_fraction(self, fraction: float) -> int:
        """Removes exactly this fraction of the numbers from the list.

        Returns:
            How many numbers were removed.
        """
        chosen = self._random.sample(list(self._listed), round(fraction * len(self._listed)))
        self._remove(chosen)
        return len(chosen)

    def add_numbers(self, numbers: int) -> list[int]:
        """Adds new numbers to the list.

        Returns:
            Their ids.
        """
        added = []
        for _ in range(numbers):
            number = self._generator.number()
            self._list(number)
            added.append(number.id)
        return added

    def update_numbers(self, number_ids: Iterable[int], change: Callable[[Number], None]) -> None:
        """Changes those of these numbers that are listed."""
        self._change([number_id for number_id in number_ids if number_id in self._listed], change)

    def delist(self, number_ids: Iterable[int]) -> None:
        """Removes these numbers from the list; those that are not listed are ignored."""
        self._remove([number_id for number_id in number_ids if number_id in self._listed])

    def relist(self, number_ids: Iterable[int]) -> None:
        """Lists these removed numbers again, unchanged; those that were not removed are ignored."""
        for number_id in number_ids:
            if number_id in self._removed:
                self._list(_decode(self._removed.pop(number_id)))

    def shuffle(self) -> None:
        """Puts the list into a random order."""
        items = list(self._listed.items())
        self._random.shuffle(items)
        self._listed = dict(items)
        self._body = None

    def _sample(self, number_ids: Collection[int], rate: float) -> list[int]:
        """Returns a random sample of this fraction of the numbers."""
        return self._random.sample(list(number_ids), self._count(len(number_ids), rate)) if rate else []

    def _count(self, numbers: int, rate: float) -> int:
        """Returns `rate` of `numbers`, rounded up or down at random, so that small fleets change too."""
        whole, rest = divmod(numbers * rate, 1)
        return int(whole) + (self._random.random() < rest)

    def _change(self, number_ids: list[int], change: Callable[[Number], None]) -> None:
        for number_id in number_ids:
            number = _decode(self._listed[number_id])
            before = _ids(number)
            change(number)
            if _ids(number) != before:
                self._keep_former_ids(before)
            self._list(number)

    def _keep_former_ids(self, ids: Iterable[int | None]) -> None:
        """Keeps the ids that a number had, for the lists of names."""
        for field, lost in zip(ID_FIELDS, ids, strict=True):
            if lost is not None:
                self._former_ids.setdefault(field, {})[lost] = self._name_changes.departures

    def _list(self, number: Number) -> None:
        """Stores the number in the list: at its present position, or else at the end."""
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
_decode_ids: Final = msgspec.json.Decoder(list[NumberIds]).decode
_ids: Final[Callable[[Number], tuple[int | None, ...]]] = attrgetter(*ID_FIELDS)
