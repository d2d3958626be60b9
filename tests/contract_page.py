"""The tables of docs/contract.md, for the tests that compare them with the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = (Path(__file__).parents[1] / "docs" / "contract.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[list[str]]:
    """The rows of the tables whose first column has this title, a list of cells each.

    Raises:
        AssertionError: The page has no such table.
    """
    pattern = rf"^\| {re.escape(first_column)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)"
    bodies = re.findall(pattern, PAGE, re.MULTILINE)
    assert bodies, f"docs/contract.md has no table of {first_column!r}"
    return [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for body in bodies
        for line in body.splitlines()
    ]


def section(heading: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    return re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1].partition("\n#")[0]


def names(cell: str) -> list[str]:
    """The names in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def name(cell: str) -> str:
    """The one name in backticks.

    Raises:
        ValueError: There is none, or more than one.
    """
    (found,) = names(cell)
    return found


def first_names(first_column: str) -> list[str]:
    """The name in the first cell of each row of a table."""
    return [name(cells[0]) for cells in table(first_column)]
