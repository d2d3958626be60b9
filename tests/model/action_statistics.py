"""Counts what the plans contained: actions, pairs of actions in consecutive polls, and their consequences."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class ActionStatistics:
    """The counts of all plans of a session.

    Attributes:
        pairs: An action before one poll, and an action before the next poll.
        consequences: What the model counted, by name.
    """

    runs: int = 0
    polls: int = 0
    max_numbers: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    consequences: Counter[str] = field(default_factory=Counter)
    _previous: Sequence[str] = ()

    def begin_run(self) -> None:
        """Begins to count a plan."""
        self.runs += 1
        self._previous = ()

    def add_step(self, actions: Sequence[str]) -> None:
        """Counts the actions before one poll."""
        self.actions.update(actions)
        self.pairs.update(itertools.product(set(self._previous), set(actions)))
        self._previous = actions

    def missing_pairs(self, actions: Sequence[str]) -> list[tuple[str, str]]:
        """Returns the pairs that did not occur."""
        return [pair for pair in itertools.product(actions, actions) if pair not in self.pairs]

    def summary(self, actions: Sequence[str]) -> list[str]:
        """Returns the counts as lines of text."""
        missing = self.missing_pairs(actions)
        return [
            f"{self.runs} plans, {self.polls} polls compared, up to {self.max_numbers} numbers in an account",
            f"{len(actions)} actions, {sum(name not in self.actions for name in actions)} of them never: "
            + ", ".join(
                f"{name} {self.actions[name]}" for name in sorted(actions, key=lambda name: self.actions[name])
            ),
            f"{len(actions) ** 2} ordered pairs, {len(missing)} of them never"
            + (f", such as {', '.join(map(' then '.join, missing[:5]))}" if missing else ""),
            "consequences: " + ", ".join(f"{name} {count}" for name, count in sorted(self.consequences.items())),
        ]
