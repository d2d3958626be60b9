"""What came of mutants, as the page docs/mutants.md says it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.mutation.mutant import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.mutation.trial import Verdict

_PAGE: Final = Path(__file__).parents[2] / "docs" / "mutants.md"
_COLUMNS: Final = ("mutants", "killed", "live")


def table(verdicts: Sequence[Verdict]) -> str:
    """How many there were of each module, and what became of them."""
    return _table({module: _counts(those) for module, those in _by_module(verdicts).items()})


def publish(verdicts: Sequence[Verdict], modules: Iterable[str]) -> None:
    """Writes the page: of modules that were tried what came of it, of the others what it says already.

    Args:
        verdicts: Of all mutants of one module or more.
        modules: All that the page may speak of, in its order.
    """
    page = _PAGE.read_text("utf-8")
    counts = {
        module: Counter(dict(zip(_COLUMNS, (int(count.replace(",", "")) for count in row.split(" | ")), strict=True)))
        for module, row in re.findall(r"^\| (syncer\S+) \| (.+) \|$", page, re.MULTILINE)
    }
    living = dict(re.findall(r"^### (\S+)\n\n(.+?)\n(?=\n###|\Z)", page, re.MULTILINE | re.DOTALL))
    for module, those in _by_module(verdicts).items():
        counts[module], living[module] = _counts(those), _explanations(those)
    told = "\n".join(f"\n### {module}\n\n{living[module]}" for module in modules if living.get(module))
    _PAGE.write_text(
        f"{_HEAD}\n{_table({module: counts[module] for module in modules if module in counts})}\n\n{_LIVING}{told}\n",
        "utf-8",
    )


def _by_module(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    found: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.mutant.module].append(verdict)
    return found


def _counts(verdicts: Sequence[Verdict]) -> Counter[str]:
    live = sum(verdict.killer is None for verdict in verdicts)
    return Counter(mutants=len(verdicts), killed=len(verdicts) - live, live=live)


def _table(counts: Mapping[str, Counter[str]]) -> str:
    whole = sum(counts.values(), Counter[str]())
    rows = [["", *_COLUMNS], ["---", *["---:"] * len(_COLUMNS)]]
    rows += [
        [name, *(f"{count[column]:,}" for column in _COLUMNS)]
        for name, count in (*counts.items(), ("all of them", whole))
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _explanations(verdicts: Sequence[Verdict]) -> str:
    """Who lives, by the reason why."""
    reasons = explained()
    living: defaultdict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.killer is None:
            living[reasons.get(str(verdict.mutant), "**A test is missing.**")].append(str(verdict.mutant))
    return "\n\n".join(
        f"- {why}\n\n" + "\n".join(f"  - `{mutant.replace('`', '')}`" for mutant in mutants)
        for why, mutants in living.items()
    )


_HEAD: Final = """# What the tests would notice

`make mutants` changes one thing in the program, runs tests until one of them fails, and goes on with the next thing;
then it writes this page, or the part of it that is about the modules it was given. A mutant, the program with one such
change, that no test can tell from the program shows that a test is missing, or code that does nothing.

Changed are, in Python, the rooms that decide, by the operators of [mutmut](https://github.com/boxed/mutmut) and some
more: conditions are turned, sides of an expression and calls left out. In SQL, the statements that read and write what
a poll is about: conditions, assignments, arguments and locks are left out, columns and values change places.
"""
_LIVING: Final = """## Those that live

Each of them does what the program does, or what no test should fix.
"""
