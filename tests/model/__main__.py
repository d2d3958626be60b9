"""Runs long profiles of the model's tests.

    python -m tests.model [EXAMPLES]                       plans that hypothesis chooses
    python -m tests.model --polls 1000000 --seed 7         plans that a seed chooses, in several processes
    python -m tests.model --replay 81985529216486895       one of these plans alone; if it fails, makes it shorter

Statistics are printed at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from tests.model.campaign import replay, run_campaign


def main() -> int:
    """Runs what is asked for, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("examples", nargs="?", default="2000")
    parser.add_argument("--polls", type=int, help="polls until so many were made")
    parser.add_argument("--seed", type=int, default=1, help="chooses all plans")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="goes on with the seed where it was interrupted")
    parser.add_argument("--replay", type=int, metavar="PLAN", help="runs the plan of this number alone")
    given = parser.parse_args()
    if given.replay is not None:
        return replay(given.replay)
    if given.polls:
        return run_campaign(given.seed, given.polls, processes=given.processes, resume=given.resume)
    os.environ["SYNCER_MODEL_EXAMPLES"] = given.examples
    return int(pytest.main([str(Path(__file__).parent), "-q", "--show-capture=no", "-p", "no:cacheprovider"]))


if __name__ == "__main__":
    sys.exit(main())
