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

CURRENT: Final = r"""
select count(*) || ' ' || coalesce(
       md5(string_agg(id || ' ' || number || ' ' || state || ' ' || coalesce(comment, ''), E'\n' order by id)), '')
  from ({}) as current
"""
"""Given a query of the id, number, state and comment of current numbers: their fingerprint."""


def take_turns(
    work: Callable[[int], None], current: Callable[[], str], *, prepare: Callable[[int], None] = lambda _: None
) -> None:
    """Works at each step that is asked for, and says how long it took and what is current then.

    Args:
        work: Does one step, by its position.
        current: The fingerprint of what is current, not part of the time.
        prepare: What has to be done before a step, not part of the time either.
    """
    for line in sys.stdin:
        prepare(int(line))
        begun, used = time.perf_counter(), time.process_time()
        work(int(line))
        told = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - used}
        told["peak_bytes"] = _peak_bytes()
        sys.stdout.write(json.dumps(told | {"current": current()}) + "\n")
        sys.stdout.flush()


def _peak_bytes() -> int:
    """The most memory that the process has had resident so far; `getrusage` would tell the parent's too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0
