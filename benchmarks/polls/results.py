"""The results of a benchmark run: every measurement, and the machine."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from math import isnan, log, nan
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

import msgspec

FILE: Final = Path(__file__).with_name("results.json")
"""The results in docs/benchmarks.md."""
BASE_MEMORY_BYTES: Final = 128 * 2**20
"""Memory that a daemon may use independently of the size of the response."""


class Measurement(msgspec.Struct):
    """What one system needed for one step.

    Attributes:
        seconds: The duration of each repetition.
        processor_seconds: The processor time of the process in each, in all its threads.
        wal_bytes: The write-ahead log that PostgreSQL wrote in each.
        peak_bytes: The peak memory of the process until then.
        written: The number of rows written per table, for the steps where this is counted.
    """

    numbers: int
    system: str
    step: str
    seconds: list[float] = []
    processor_seconds: list[float] = []
    wal_bytes: list[int] = []
    peak_bytes: list[int] = []
    written: list[dict[str, int]] = []


class Measurements(msgspec.Struct):
    """Measurements by number of numbers, system and step. Functions return NaN for what was not measured."""

    all: list[Measurement] = []

    def get_or_add(self, numbers: int, system: str, step: str) -> Measurement:
        """Returns the measurement of a system's step, a new one if there is none yet."""
        found = self.find(numbers, system, step)
        if found is None:
            found = Measurement(numbers, system, step)
            self.all.append(found)
        return found

    def find(self, numbers: int, system: str, step: str) -> Measurement | None:
        """Returns the measurement of a system's step; None if it was not measured."""
        return next((one for one in self.all if (one.numbers, one.system, one.step) == (numbers, system, step)), None)

    def seconds(self, numbers: int, system: str, step: str) -> float:
        """Returns the median duration."""
        found = self.find(numbers, system, step)
        return median(found.seconds) if found else nan

    def processor_seconds(self, numbers: int, system: str, step: str) -> float:
        """Returns the median processor time."""
        found = self.find(numbers, system, step)
        return median(found.processor_seconds) if found and found.processor_seconds else nan

    def wal_bytes(self, numbers: int, system: str, step: str) -> float:
        """Returns the median size of the write-ahead log."""
        found = self.find(numbers, system, step)
        return median(found.wal_bytes) if found else nan

    def peak_bytes(self, numbers: int, system: str) -> float:
        """Returns the peak memory of a system in any step, as the median of the rounds."""
        peaks = [one.peak_bytes for one in self.all if (one.numbers, one.system) == (numbers, system)]
        return max((median(rounds) for rounds in peaks if rounds), default=nan)


class Results(msgspec.Struct):
    """All results of a run.

    Attributes:
        machine: The properties of the machine, by name.
        body_bytes: The size of the response by number of numbers.
        gzip_bytes: Its size compressed.
        polls: Polls in a process that is already running.
        processes: Whole processes, including their start.
        startup: Seconds by command.
        stalls: The longest wait for /livez in seconds, by number of numbers, and for each round by step.
    """

    begun: datetime
    machine: dict[str, str]
    minutes: float = 0.0
    body_bytes: dict[int, int] = {}
    gzip_bytes: dict[int, int] = {}
    polls: Measurements = msgspec.field(default_factory=Measurements)
    processes: Measurements = msgspec.field(default_factory=Measurements)
    startup: dict[str, list[float]] = {}
    stalls: dict[int, list[dict[str, float]]] = {}

    @classmethod
    def begin(cls, postgres: str) -> Results:
        """Returns empty results with the properties of this machine."""
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
        """Reads the results of an earlier run."""
        return msgspec.json.decode(file.read_bytes(), type=cls)

    def save(self, file: Path) -> None:
        """Writes the results as indented JSON, so that versions can be compared line by line."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @property
    def sizes(self) -> list[int]:
        """The measured numbers of numbers, in ascending order."""
        return sorted(self.body_bytes)

    def growth_exponent(self, system: str, step: str) -> float:
        """Returns the exponent with which the duration of a step grows with the size: 1 is linear, less is sublinear.

        It is the slope of the least-squares line through the logarithms.
        """
        points = {size: self.polls.seconds(size, system, step) for size in self.sizes}
        logarithms = {log(size): log(seconds) for size, seconds in points.items() if not isnan(seconds)}
        return linear_regression([*logarithms], [*logarithms.values()]).slope if len(logarithms) > 1 else nan

    def memory_multiple(self, system: str) -> float:
        """Returns the peak memory beyond `BASE_MEMORY_BYTES` as a multiple of the response body, at the worst size."""
        peaks = {size: self.polls.peak_bytes(size, system) for size in self.sizes}
        multiples = [(peak - BASE_MEMORY_BYTES) / self.body_bytes[size] for size, peak in peaks.items() if peak > 0]
        return max(0.0, *multiples) if multiples else nan


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
