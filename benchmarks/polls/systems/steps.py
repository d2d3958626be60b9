"""The steps of the benchmark, and the protocol by which a system receives requests to run them.

A line on standard input has the position of a step; after the step, the system writes a line of JSON to standard
output. This module must run in every environment, so it imports only the standard library.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


STEPS: Final = ("first load", "unchanged", "shuffled", "1 % changed", "1 % changed, restarted", "all changed")
"""In this order; each starts from the result of the one before. Before `restarted`, syncer clears its memory."""
GZIP: Final = "/gzip"
"""Before the path of a step: the response is sent compressed."""
LINK: Final = "/link"
"""Before the path of a step, and before `GZIP`: the response is sent as a link of 100 Mbit/s delivers it."""


def run_steps(work: Callable[[int], None], *, prepare: Callable[[int], None] = lambda _: None) -> None:
    """Runs each requested step, and reports its duration, its processor time and the peak memory of the process.

    Args:
        work: Runs the step at a position.
        prepare: Does what a step needs beforehand; its time is not counted.
    """
    for line in sys.stdin:
        prepare(int(line))
        begun, processor_begun = time.perf_counter(), time.process_time()
        work(int(line))
        report = {
            "seconds": time.perf_counter() - begun,
            "processor_seconds": time.process_time() - processor_begun,
            "peak_bytes": _peak_bytes(),
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def _peak_bytes() -> int:
    """Returns the peak resident memory of this process; `getrusage` would include its parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
