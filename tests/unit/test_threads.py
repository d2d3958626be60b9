"""CPU-bound work in threads."""

from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from syncer.threads import run_side_by_side


def test_work_that_runs_side_by_side_returns_both_results() -> None:
    both_run = threading.Barrier(2)

    def run(result: str) -> str:
        both_run.wait(timeout=60)
        return result

    assert run_side_by_side(lambda: run("one"), lambda: run("other")) == ("one", "other")


def test_an_error_is_raised_once_the_other_work_has_ended() -> None:
    is_failing, ended = threading.Event(), []

    def fail() -> NoReturn:
        is_failing.set()
        raise ValueError("first")

    def wait_for_it() -> None:
        assert is_failing.wait(timeout=60)
        ended.append(True)

    with pytest.raises(ValueError, match="first"):
        run_side_by_side(fail, wait_for_it)
    assert ended == [True]


def test_an_error_of_the_other_work_is_raised() -> None:
    def fail() -> NoReturn:
        raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        run_side_by_side(lambda: None, fail)
