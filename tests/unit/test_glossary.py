"""docs/glossary.md gives each term one meaning, and the Russian words of the page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

from syncer.store.tables import sync_run
from syncer.web.translations import TEXTS

PAGE: Final = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS: Final = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if re.match(r"\| (?!term \|)", line)]


def test_every_term_has_a_meaning_and_none_has_two() -> None:
    terms = Counter(term for row in ROWS for term in row[0].replace("`", "").split(", "))

    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []
    assert [term for term, times in terms.items() if times > 1] == []


def test_the_outcomes_of_a_run_are_explained_in_the_words_of_the_page() -> None:
    outcomes = set(re.findall(r"\w+", str(sync_run.c.outcome.comment))) - {"or"}
    russian = {term.strip("`"): word for term, word, _ in ROWS if term.strip("`") in outcomes}

    assert russian == {outcome: TEXTS[outcome].ru for outcome in outcomes}


def test_the_states_of_a_number_in_a_poll_are_explained() -> None:
    terms = {row[0].strip("`") for row in ROWS}

    assert terms >= {"missing", "held", "removed", "restored", "rejected", "fence", "fencing token", "fingerprint"}
    assert "SCD type 2" in terms
