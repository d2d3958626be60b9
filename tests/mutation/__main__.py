"""Changes one thing in the program after another, and looks whether a test fails for each.

    python -m tests.mutation [MODULE...] [--place NAME] [--jobs N] [--publish]

Who lives although nobody has explained it shows that a test is missing, and has this end with 1. `--publish` writes
into docs/mutants.md what came of the modules it was given.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Final

import hypothesis
import pytest
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID

from tests.conftest import running_server
from tests.mutation import python, report, statements
from tests.mutation.mutant import explained, numbered
from tests.mutation.trial import OPTIONS, Trials

if TYPE_CHECKING:
    from tests.mutation.trial import Verdict


def _integration(*files: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_{file}.py" for file in files)


_PYTHON: Final = {
    "syncer.diff.reconcile": ("tests/unit/test_reconcile.py",),
    "syncer.diff.removal_guard": ("tests/unit/test_reconcile.py",),
    "syncer.diff.changeset": ("tests/unit/test_reconcile.py",),
    "syncer.diff.stored": ("tests/unit/test_response.py", "tests/unit/test_reconcile.py"),
    "syncer.diff.record": ("tests/unit/test_record.py", "tests/unit/test_response.py"),
    "syncer.diff.response": ("tests/unit/test_response.py", "tests/unit/test_reconcile.py"),
    "syncer.diff.json_array": ("tests/unit/test_json_array.py", "tests/unit/test_response.py"),
    "syncer.store.poll.copy_format": _integration("copy_format"),
    "syncer.store.poll.copy_rows": _integration("neighbours", "columns", "cost", "poll"),
}
_STATEMENTS: Final = {
    "syncer.store.poll.apply": _integration("neighbours", "columns", "cost", "poll", "guard", "time"),
    "syncer.store.poll.staged": _integration("cost", "concurrency"),
    "syncer.store.poll.load": _integration("neighbours", "columns", "cost", "poll", "guard"),
    "syncer.store.poll.fingerprints": _integration("neighbours", "cost", "poll"),
    "syncer.store.poll.runs": _integration("neighbours", "cost", "poll", "concurrency", "time"),
}
TESTS: Final = _PYTHON | _STATEMENTS
"""The modules, and the tests that are to tell, the quickest first; in some it is the statements that are changed."""


class Hunt:
    """One run.

    Args:
        given: What was said on the command line.
        console: Where it is told.
    """

    def __init__(self, given: argparse.Namespace, console: Console) -> None:
        self._given = given
        self._console = console
        self._reasons = explained()
        self.verdicts: list[Verdict] = []

    def run(self) -> None:
        """Tries all mutants of the modules that are asked for."""
        hypothesis.settings.load_profile("mutation")
        with ExitStack() as stack:
            servers = [stack.enter_context(running_server()) for _ in range(self._given.jobs)]
            progress = stack.enter_context(
                Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=self._console)
            )
            for module in self._given.modules:
                kind = statements if module in _STATEMENTS else python
                mutants = [one for one in numbered(kind.mutants_of(module)) if self._given.place in {None, one.place}]
                task = progress.add_task(module, total=len(mutants))

                def tell(verdict: Verdict, task: TaskID = task) -> None:
                    self._tell(verdict, progress)
                    progress.advance(task)

                trials = Trials(kind.unchanged(module), mutants, servers, tell)
                with redirect_stdout(StringIO()) as said:
                    code = pytest.main([*OPTIONS, *TESTS[module]], plugins=[trials])
                if code != pytest.ExitCode.OK:
                    sys.exit(f"{module}: its tests could not be collected:\n{said.getvalue()}")

    def _tell(self, verdict: Verdict, progress: Progress) -> None:
        self.verdicts.append(verdict)
        if self.is_missed(verdict):
            progress.console.print(f"lives: {verdict.mutant}", markup=False, highlight=False, soft_wrap=True)

    def is_missed(self, verdict: Verdict) -> bool:
        """Whether it shows that a test is missing."""
        return verdict.killer is None and str(verdict.mutant) not in self._reasons


def main() -> int:
    """Hunts them; 1 if one lives that nobody has explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=[*TESTS])
    parser.add_argument("--place", help="only what is changed in this function, constant or statement")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once; default: %(default)s")
    parser.add_argument("--publish", action="store_true", help="write docs/mutants.md")
    given = parser.parse_args()
    if given.publish and given.place:
        parser.error("what is published is of whole modules: leave out --publish or --place")
    hunt = Hunt(given, Console(stderr=True))
    hunt.run()
    sys.stdout.write(f"{report.table(hunt.verdicts)}\n")
    if given.publish:
        report.publish(hunt.verdicts, TESTS)
    return int(any(map(hunt.is_missed, hunt.verdicts)))


if __name__ == "__main__":
    sys.exit(main())
