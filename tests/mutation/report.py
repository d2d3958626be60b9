"""What came of mutants, as the page docs/mutants.md says it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.mutation.mutant import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutation.trial import Verdict

_PAGE: Final = Path(__file__).parents[2] / "docs" / "mutants.md"


def table(verdicts: Sequence[Verdict]) -> str:
    """How many there were of each module, and what became of them."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        fate = "live" if verdict.killer is None else "killed"
        for name in (verdict.mutant.module, "all of them"):
            counts[name].update(["mutants", fate])
    rows = [["", "mutants", "killed", "live"], ["---", "---:", "---:", "---:"]]
    rows += [
        [name, *(f"{counts[name][column]:,}" for column in rows[0][1:])]
        for name in sorted(counts, key=lambda name: name == "all of them")
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def publish(verdicts: Sequence[Verdict]) -> None:
    """Writes the page."""
    reasons = explained()
    living: defaultdict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.killer is None:
            living[reasons.get(str(verdict.mutant), "**A test is missing.**")].append(str(verdict.mutant))
    explanations = "\n\n".join(
        f"- {why}\n\n" + "\n".join(f"  - `{mutant.replace('`', '')}`" for mutant in mutants)
        for why, mutants in living.items()
    )
    _PAGE.write_text(f"{_HEAD}\n{table(verdicts)}\n\n{_LIVING}\n{explanations}\n", "utf-8")


_HEAD: Final = """# What the tests would notice

`make mutants` changes one thing in the program, runs tests until one of them fails, and goes on with the next thing;
then it writes this page. A mutant, the program with one such change, that no test can tell from the program shows that
a test is missing, or code that does nothing.

Changed are, in Python, the rooms that decide, by the operators of [mutmut](https://github.com/boxed/mutmut) and some
more: conditions are turned, sides of an expression and calls left out. In SQL, the statements that read and write what
a poll is about: conditions, assignments, arguments and locks are left out, columns and values change places.
"""
_LIVING: Final = """## Those that live

Each of them does what the program does, or what no test should fix.
"""
