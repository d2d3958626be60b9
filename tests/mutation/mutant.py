"""What a mutant is, and which of them no test can tell from the program."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EXPLAINED: Final = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module in which one thing is changed.

    Attributes:
        module: Its name.
        place: The function, class, constant or statement in which it differs.
        change: How, in one line.
        source: The whole module as it then reads.
    """

    module: str
    place: str
    change: str
    source: str = field(repr=False)

    def __str__(self) -> str:
        """Its name, which stays what it is where the code is moved to another module."""
        return f"{self.place}: {self.change}"


def explained() -> dict[str, str]:
    """Why a mutant is none: by its name, what it does as the program does it, or why that must not be tested."""
    reasons = tomllib.loads(_EXPLAINED.read_text("utf-8")).get("reason", [])
    return {mutant: one["why"] for one in reasons for mutant in one["mutants"]}


def numbered(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """The same, of those that one line describes all but the first with a number."""
    seen: Counter[str] = Counter()
    for mutant in mutants:
        seen[str(mutant)] += 1
        count = seen[str(mutant)]
        yield mutant if count == 1 else replace(mutant, change=f"{mutant.change} ({count})")
