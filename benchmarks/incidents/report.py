"""What came of the incidents, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from benchmarks.incidents.account import ORDINARY

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN: Final = {
    "incidents": "incidents",
    "polls": "polls while they last",
    "failed": "polls that failed",
    "held": "polls that held removals",
    "rows": "rows written since they began",
    "within the share": "numbers removed that never went: believed at once, as no more than the share was missing",
    "incidents with false removals": "incidents that did so",
    "more than the share in all": "incidents that removed more than the share so, one poll after another",
    "beyond the share": "numbers removed that never went: believed at once though more than the share was missing",
    "matured": "numbers removed that never went: after the hold time",
    "false rows": "rows that say what was told and not true",
    "untold": "rows that go on saying what was true, or null, as a key was absent",
    "appeared unseen": "new or returned numbers that came before their window began: answers had hidden them",
    "changed untold": "changes that happened before their window began: a key had been absent",
    "in time": "numbers that went, and were removed with a window that holds the moment",
    "early": "numbers that went, dated before: they were missing already when they went",
    "late": "numbers that went, dated with a window that begins later",
    "missed": "numbers that went and are not removed at the end",
    "wrong at the end": "numbers whose record, redirects or presence are not right at the end",
}
UNEXPECTED: Final = ("beyond the share", "matured", "false rows", "late", "missed", "wrong at the end")
"""What must not be, of incidents below the hold time."""


def table_of(lasts: str, score: Mapping[tuple[str, str], int]) -> Table:
    """What came of the incidents of one class, a column a kind, so that the rows can say in full what they count."""
    kinds = sorted({kind for kind, _ in score}, key=lambda kind: (kind == ORDINARY, kind))
    table = Table(title=f"incidents of {lasts}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=60)
    for kind in (*kinds, "all"):
        table.add_column(kind, justify="right", max_width=11)
    for name, title in SHOWN.items():
        counts = [score.get((kind, name), 0) for kind in kinds]
        table.add_row(title, *(str(count or "-") for count in (*counts, sum(counts))))
    return table
