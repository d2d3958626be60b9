"""How often what happened: events, pairs of events in consecutive polls, and what they led to."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Tally:
    """Counts over all plays of a session.

    Attributes:
        pairs: (event of one poll, event of the next poll).
        consequences: By name, as the model tells them.
    """

    plays: int = 0
    polls: int = 0
    most_numbers: int = 0
    events: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    consequences: Counter[str] = field(default_factory=Counter)
    _before: Sequence[str] = ()

    def play(self) -> None:
        """A play begins."""
        self.plays += 1
        self._before = ()

    def step(self, happened: Sequence[str]) -> None:
        """These events come before one poll."""
        self.events.update(happened)
        self.pairs.update(itertools.product(set(self._before), set(happened)))
        self._before = happened

    def missing_pairs(self, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """The pairs that never happened."""
        return [pair for pair in itertools.product(kinds, kinds) if pair not in self.pairs]

    def lines(self, kinds: Sequence[str]) -> list[str]:
        """The tally, for people."""
        missing = self.missing_pairs(kinds)
        return [
            f"{self.plays} plays, {self.polls} polls compared, up to {self.most_numbers} numbers in an account",
            f"{len(kinds)} kinds of events, {sum(name not in self.events for name in kinds)} of them never: "
            + ", ".join(f"{name} {self.events[name]}" for name in sorted(kinds, key=lambda name: self.events[name])),
            f"{len(kinds) ** 2} ordered pairs, {len(missing)} of them never"
            + (f", such as {', '.join(map(' then '.join, missing[:5]))}" if missing else ""),
            "consequences: " + ", ".join(f"{name} {count}" for name, count in sorted(self.consequences.items())),
        ]
