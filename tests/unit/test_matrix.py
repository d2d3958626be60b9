"""Which runs the matrix has by default, and what a release lacks."""

from __future__ import annotations

from tests.matrix.results import default_pairs


def test_each_server_is_tested_with_the_oldest_python_and_each_python_with_the_newest_server() -> None:
    assert default_pairs(["3.13", "3.11", "3.12"]) == [
        ("15", "3.11"),
        ("16", "3.11"),
        ("17", "3.11"),
        ("18", "3.11"),
        ("18", "3.12"),
        ("18", "3.13"),
    ]


def test_with_one_python_the_default_runs_are_those_of_each_server() -> None:
    assert default_pairs(["3.14"]) == [("15", "3.14"), ("16", "3.14"), ("17", "3.14"), ("18", "3.14")]
