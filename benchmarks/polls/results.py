"""What a run of the benchmark found: every figure, and where it was measured."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

FILE: Final = Path(__file__).with_name("results.json")
"""The figures that docs/benchmarks.md tells."""


class Figure(msgspec.Struct):
    """What one system took for one step.

    Attributes:
        seconds: Of each time it took the step.
        wal_bytes: That PostgreSQL wrote to its log meanwhile.
        peak_bytes: The most memory that the process had had by then.
        written: By table, how many rows were written; where that was counted.
    """

    numbers: int
    system: str
    step: str
    seconds: list[float] = []
    wal_bytes: list[int] = []
    peak_bytes: list[int] = []
    written: list[dict[str, int]] = []


class Figures(msgspec.Struct):
    """Figures by the number of numbers, system and step."""

    all: list[Figure] = []

    def of(self, numbers: int, system: str, step: str) -> Figure:
        """The one of a system's step; a new one if there is none yet."""
        found = self.find(numbers, system, step)
        if found is None:
            found = Figure(numbers, system, step)
            self.all.append(found)
        return found

    def find(self, numbers: int, system: str, step: str) -> Figure | None:
        """The one of a system's step; None if it was not measured."""
        return next((one for one in self.all if (one.numbers, one.system, one.step) == (numbers, system, step)), None)

    def seconds(self, numbers: int, system: str, step: str) -> float | None:
        """The median; None if it was not measured."""
        found = self.find(numbers, system, step)
        return median(found.seconds) if found else None

    def peak_bytes(self, numbers: int, system: str) -> float | None:
        """The median of the most memory that a system had in any step; None if it was not measured."""
        found = [one.peak_bytes for one in self.all if (one.numbers, one.system) == (numbers, system)]
        return max((median(peaks) for peaks in found if peaks), default=None)


class Results(msgspec.Struct):
    """All figures of a run.

    Attributes:
        machine: What it ran on, by name.
        body_bytes: By the number of numbers, how long the response is.
        polls: Inside a process that has long been running.
        processes: Whole processes, their start included.
        startup: By command, seconds.
        stalls: By the number of numbers, for each round, by step: the longest wait for /livez in seconds.
    """

    begun: datetime
    machine: dict[str, str]
    minutes: float = 0.0
    body_bytes: dict[int, int] = {}
    polls: Figures = msgspec.field(default_factory=Figures)
    processes: Figures = msgspec.field(default_factory=Figures)
    startup: dict[str, list[float]] = {}
    stalls: dict[int, list[dict[str, float]]] = {}

    @classmethod
    def begin(cls, postgres: str) -> Results:
        """Results of a run that begins now."""
        machine = {
            "processor": f"{_processor()}, {os.cpu_count()} cores",
            "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
            "system": platform.system(),
            "Python": platform.python_version(),
            "PostgreSQL": postgres.partition(" ")[0],
        }
        return cls(datetime.now(UTC), machine)

    @classmethod
    def load(cls, file: Path) -> Results:
        """Those of a run that has ended."""
        return msgspec.json.decode(file.read_bytes(), type=cls)

    def save(self, file: Path) -> None:
        """Writes them as JSON, in lines that differ where figures do."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @property
    def sizes(self) -> list[int]:
        """How many numbers there were."""
        return sorted(self.body_bytes)


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
