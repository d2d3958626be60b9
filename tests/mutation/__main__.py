"""Changes one thing at a time in the SQL of a poll, and checks that a test fails each time.

    python -m tests.mutation [MODULE...] [--jobs N]

Prints each mutant that survives although docs/mutants.md does not explain it, and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import pytest
from rich.progress import track

from tests.conftest import running_server
from tests.mutation.statements import Mutant, mutants, render, statements

_EXPLANATIONS: Final = (Path(__file__).parents[2] / "docs" / "mutants.md").read_text("utf-8")
_TESTS: Final = {
    "syncer.store.poll.apply": ("neighbours", "columns", "cost", "poll", "guard", "time"),
    "syncer.store.poll.staged": ("cost", "concurrency"),
    "syncer.store.poll.load": ("neighbours", "columns", "cost", "poll", "guard"),
    "syncer.store.poll.fingerprints": ("neighbours", "cost", "poll"),
    "syncer.store.poll.runs": ("neighbours", "cost", "poll", "concurrency", "time"),
}
"""The modules, and the files of tests/integration that must notice a change in them."""


def _passes(server: str, module: str, replaced: dict[str, str]) -> bool:
    """Runs the tests of a module with some of its statements replaced, in a process of its own."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--exitfirst", "-p", "tests.mutation.plugin", "-p", "no:cacheprovider"),
        *(f"tests/integration/test_{file}.py" for file in _TESTS[module]),
    ]
    mutant = json.dumps({"module": module, "statements": replaced})
    environment = {**os.environ, "SQL_MUTANT": mutant, "SQL_MUTANT_SERVER": server}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        sys.exit(f"{module}: the tests did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == pytest.ExitCode.OK


def _survivors(servers: list[str], module: str) -> list[Mutant]:
    """Tries all mutants of a module, one at a time on each server; returns those that no test notices."""
    if not _passes(servers[0], module, {name: render(tree) for name, tree in statements(module).items()}):
        sys.exit(f"{module}: the tests fail although nothing is changed")
    idle = SimpleQueue[str]()
    for server in servers:
        idle.put(server)

    def passes(mutant: Mutant) -> bool:
        server = idle.get()
        try:
            return _passes(server, module, {mutant.name: mutant.sql})
        finally:
            idle.put(server)

    tried = list(mutants(module))
    with ThreadPoolExecutor(len(servers)) as pool:
        results = pool.map(passes, tried)
        passed = list(track(results, description=module, total=len(tried)))
    survivors = [mutant for mutant, has_passed in zip(tried, passed, strict=True) if has_passed]
    sys.stdout.write(f"| {module} | {len(tried)} | {len(tried) - len(survivors)} | {len(survivors)} |\n")
    return survivors


def main() -> int:
    """Tries the mutants; returns 1 if one survives that docs/mutants.md does not explain."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=[*_TESTS])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants tried in parallel")
    arguments = parser.parse_args()
    unexplained = 0
    with ExitStack() as stack:
        # One for each job: some tests measure what their server writes.
        servers = [stack.enter_context(running_server()).url for _ in range(arguments.jobs)]
        for module in arguments.modules:
            for mutant in _survivors(servers, module):
                line = f"`{mutant.name}: {mutant.change}`"
                if line not in _EXPLANATIONS:
                    unexplained += 1
                    sys.stdout.write(f"survived: {line}\n")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
