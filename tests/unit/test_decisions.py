"""Each record in docs/decisions has its place in the index, its sections, and tests that hold it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "docs" / "decisions"
INDEX: Final = (FOLDER / "README.md").read_text(encoding="utf-8")
RECORDS: Final = {
    path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md")) if path.name != "README.md"
}
SECTIONS: Final = ["Context", "Decision", "Rejected", "Consequences", "Held by"]


def test_the_records_are_numbered_without_a_gap() -> None:
    assert [int(file[:4]) for file in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_index_has_every_record_once_with_its_title() -> None:
    indexed = re.findall(r"^\| \[(\d+)\]\((.+?)\) \| (.+) \|$", INDEX, re.MULTILINE)
    titles = {file: re.fullmatch(r"# (\d+)\. (.+)", text.partition("\n")[0]) for file, text in RECORDS.items()}

    assert sorted((file, number, title) for number, file, title in indexed) == [
        (file, *title.groups()) for file, title in titles.items() if title is not None
    ]
    assert None not in titles.values()


@pytest.mark.parametrize("file", RECORDS)
def test_a_record_has_every_section_in_order(file: str) -> None:
    headings = re.findall(r"^## (.+)$", RECORDS[file], re.MULTILINE)

    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS


@pytest.mark.parametrize("file", RECORDS)
def test_a_record_names_a_test_that_holds_it(file: str) -> None:
    """`test_pages.py` verifies that each of them exists."""
    held_by = RECORDS[file].partition("## Held by\n")[2]

    assert re.findall(r"^- `tests/\S+\.py::test_\w+`$", held_by, re.MULTILINE)
