"""How the program's time and memory grow with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log
from statistics import linear_regression
from typing import TYPE_CHECKING, Final

from benchmarks.polls.contenders import PROGRAM
from benchmarks.polls.systems.turn import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.polls.results import Results

CONSTANT_BYTES: Final = 128 * 2**20
"""What a daemon may take whatever it polls."""


@dataclass(frozen=True, slots=True)
class Growth:
    """By what power of the numbers a step's time grows: 1 is as they do.

    Attributes:
        exponent: Over all sizes: the slope of the line that is nearest to the logarithms (least squares).
        between: From each size to the next.
    """

    step: str
    exponent: float
    between: tuple[float, ...]


def growths(results: Results) -> list[Growth]:
    """That of each step, where two sizes at least were measured."""
    found = []
    for step in STEPS:
        points = [(size, results.polls.seconds(size, PROGRAM, step)) for size in results.sizes]
        logs = [(log(size), log(seconds)) for size, seconds in points if seconds]
        if len(logs) > 1:
            found.append(Growth(step, _slope(logs), tuple(_slope(pair) for pair in pairwise(logs))))
    return found


def _slope(points: Sequence[tuple[float, float]]) -> float:
    return linear_regression([x for x, _ in points], [y for _, y in points]).slope


@dataclass(frozen=True, slots=True)
class Memory:
    """The most memory that the program had in any step, beside the response's body."""

    numbers: int
    body_bytes: int
    peak_bytes: float

    @property
    def bodies(self) -> float:
        """How many times the body it was beyond `CONSTANT_BYTES`."""
        return max(0.0, self.peak_bytes - CONSTANT_BYTES) / self.body_bytes


def memory(results: Results) -> list[Memory]:
    """That of each size."""
    return [
        Memory(size, results.body_bytes[size], peak)
        for size in results.sizes
        if (peak := results.polls.peak_bytes(size, PROGRAM))
    ]
