"""The daemon logs each reason for which it is not ready, and never floods the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from syncer.daemon.readiness import Readiness
from syncer.errors import DatabaseError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import Any

    Logs = list[MutableMapping[str, Any]]


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged."""
    with capture_logs() as captured:
        yield captured


def logged(logs: Logs) -> list[str]:
    """Returns the reasons that were logged, and `ready` where the daemon was ready again."""
    return [entry.get("error", entry["event"]) for entry in logs]


def test_a_reason_is_logged_once_and_a_different_one_of_the_same_class_too(logs: Logs) -> None:
    readiness = Readiness(Clock())
    for reason in ("network", "network", "password", "password"):
        readiness.report(DatabaseError(reason))
    readiness.report(SchemaError("older"))
    readiness.report(None)
    readiness.report(None)
    readiness.report(DatabaseError("network"))

    assert logged(logs) == ["network", "password", "older", "ready", "network"]


def test_reasons_that_alternate_are_logged_once_a_minute(logs: Logs) -> None:
    clock = Clock()
    readiness = Readiness(clock)
    for _ in range(240):  # two minutes
        readiness.report(DatabaseError("network"))
        readiness.report(DatabaseError("password"))
        clock.now += 0.5

    assert len(logged(logs)) == 2 + 1


def test_reasons_that_are_different_each_time_are_logged_once_a_minute_after_the_first_ten(logs: Logs) -> None:
    clock = Clock()
    readiness = Readiness(clock)
    for attempt in range(241):
        readiness.report(DatabaseError(f"process {attempt} was killed"))
        clock.now += 0.5

    assert len(logged(logs)) == 10 + 1


def test_an_earlier_reason_that_is_back_for_good_is_logged_within_a_minute(logs: Logs) -> None:
    clock = Clock()
    readiness = Readiness(clock)
    for reason in ("network", "password", *["network"] * 121):
        readiness.report(DatabaseError(reason))
        clock.now += 0.5

    assert logged(logs) == ["network", "password", "network"]


def test_a_change_of_the_reason_is_reported_to_the_caller() -> None:
    readiness = Readiness(Clock())
    assert readiness.report(None)
    assert not readiness.report(None)
    assert readiness.report(DatabaseError("network"))
    assert not readiness.report(DatabaseError("network"))
    assert readiness.report(DatabaseError("password"))
    assert readiness.report(None)
