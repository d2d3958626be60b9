"""Counts what the plans contained: actions, pairs of actions in consecutive polls, and their consequences."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

# Parts of the names of actions that are faults of the endpoint, of its response, of the clock, or of processes.
_FAULTS: Final = (
    *("killed", "restarts", "fingerprints", "clock_", "empty", "another_account", "invalid", "truncated", "comma"),
    *("_not_", "error", "same_id", "says", "of_another"),
)
_COUNTED: Final = {
    "records received": ("records received",),
    "numbers created": ("created",),
    "numbers changed": ("changed",),
    "fields changed": ("fields changed",),
    "changes of state": ("state_changes",),
    "redirects opened and closed": ("redirects_opened", "redirects_closed"),
    "removals": ("removed",),
    "removals held": ("held",),
    "restores": ("restored",),
    "records rejected": ("rejected",),
    "runs deleted by retention": ("runs deleted",),
}


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

    def add(self, other: ActionStatistics) -> None:
        """Adds the counts of other plans."""
        self.runs += other.runs
        self.polls += other.polls
        self.max_numbers = max(self.max_numbers, other.max_numbers)
        self.actions.update(other.actions)
        self.pairs.update(other.pairs)
        self.consequences.update(other.consequences)

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as what JSON can represent."""
        pairs = [[*pair, count] for pair, count in self.pairs.items()]
        return {name: value for name, value in vars(self).items() if name[0] != "_"} | {"pairs": pairs}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Returns the counts that `to_json` returned."""
        counters = {name: Counter(stored[name]) for name in ("actions", "consequences")}
        pairs = Counter({(before, after): count for before, after, count in stored["pairs"]})
        return cls(**{**stored, **counters, "pairs": pairs})

    def table(self, seconds: float) -> list[str]:
        """Returns what the polls came to, as lines of text."""
        counts = self.consequences
        failed = {name: count for name, count in counts.items() if name.startswith("failed: ")}
        faults = sum(count for name, count in self.actions.items() if any(part in name for part in _FAULTS))
        rows = {
            "polls": self.polls,
            "plans": self.runs,
            **{f"  {outcome}": counts[f"outcome: {outcome}"] for outcome in ("applied", "unchanged")},
            "  superseded": counts["superseded"],
            "  failed": sum(failed.values()),
            **{f"    {name.removeprefix('failed: ')}": failed[name] for name in sorted(failed)},
            "runs whose process was killed": counts["abandoned"],
            **{title: sum(counts[name] for name in names) for title, names in _COUNTED.items()},
            "faults injected": faults,
            "sessions killed": self.actions["transaction_is_killed"],
            "comparisons of an account's rows": counts["rows compared"],
            "comparisons of an account's views": counts["views compared"],
            "seconds": round(seconds),
            "polls per second": round(self.polls / seconds),
        }
        return [f"{title:<34} {value:>12,}" for title, value in rows.items()]

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
