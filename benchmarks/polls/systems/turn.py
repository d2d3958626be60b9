"""What the systems have in common: the steps, and how they are asked to take them.

A step's position comes as a line on standard input; when it is done, a line of JSON goes back. Nothing is imported
here that an environment might lack.
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
"""In this order; what is changed stays changed. Before `restarted` the program forgets what it holds in memory."""


def take_turns(work: Callable[[int], None], *, prepare: Callable[[int], None] = lambda _: None) -> None:
    """Works at each step that is asked for, and says how long it took and how much memory there was at most.

    Args:
        work: Does one step, by its position.
        prepare: What has to be done before a step, not part of the time.
    """
    for line in sys.stdin:
        prepare(int(line))
        begun = time.perf_counter()
        work(int(line))
        told = {"seconds": time.perf_counter() - begun, "peak_bytes": _peak_bytes()}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _peak_bytes() -> int:
    """The most memory that the process has had resident so far; `getrusage` would tell the parent's too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
