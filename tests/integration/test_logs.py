"""What is logged of a poll: one line that tells all, and further ones only for what a person should look at."""

from __future__ import annotations

import json
import logging
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncer.emulator import faults
from syncer.telemetry.logs import configure_logging, report_poll_crash
from syncer.telemetry.metrics import Metrics
from tests.builders import record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.builders import PolledAccount

    AccountScenario = Callable[[], list[dict[str, Any]]]

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# What the line of every poll of these tests has, and those of polls that were answered.
POLL = {"event": "poll_finished", "account": "default", "trigger": "schedule"}
ANSWERED = POLL | {"http_status": 200, "attempts": 1}


def size(*records: dict[str, Any]) -> int:
    return len(json.dumps(records, ensure_ascii=False).encode())


@pytest.fixture
def told() -> Iterator[AccountScenario]:
    """The JSON lines logged since the last look, without what differs each time."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with redirect_stderr(StringIO()) as stream:
        configure_logging("debug", "json")

    def look() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        for line in lines:
            assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is UTC
            if line["event"] == "poll_finished":
                assert line.pop("duration_seconds") > 0
        return lines

    yield look
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


async def test_a_poll_that_changed_something_is_one_line_that_tells_all(
    account: PolledAccount, told: AccountScenario
) -> None:
    await account.poll(record(1), record(2, from_redirect_numbers=[redirect(1, "79000000001")]))
    told()

    records = [record(1, state="debt_lock", reason="долг"), without(record(2), "comment"), record(3)]
    await account.poll(*records)

    (line,) = told()
    assert line == ANSWERED | {
        "level": "info",
        "run_id": 2,
        "outcome": "applied",
        "received": 3,
        "created": 1,
        "changed": 2,
        "state_changes": 1,
        "redirects_closed": 1,
        "absent_keys": {"comment": 1},
        "response_bytes": size(*records),
    }


async def test_an_unchanged_poll_is_told_at_debug_and_repeats_no_warning(
    account: PolledAccount, told: AccountScenario
) -> None:
    records = [record(1), record(2, state=None)]
    await account.poll(*records, trigger="command")
    assert [(line["event"], line["level"]) for line in told()] == [
        ("poll_finished", "info"),
        ("records_rejected", "warning"),
    ]

    result = await account.poller.poll(account.account, "schedule", lateness=timedelta(seconds=1.23456))

    assert result.outcome == "unchanged"
    (line,) = told()
    assert line == ANSWERED | {
        "level": "debug",
        "run_id": 2,
        "outcome": "unchanged",
        "received": 2,
        "unchanged": 1,
        "rejected": 1,
        "response_bytes": size(*records),
        "lateness_seconds": 1.235,
    }


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (faults.Status(status=401), {"http_status": 401, "error_kind": "unauthorized"}),
        (
            faults.Body(body="[{}"),
            {"http_status": 200, "attempts": 1, "response_bytes": 3, "error_kind": "not_json"},
        ),
        (faults.Reset(), {"error_kind": "network"}),
    ],
)
async def test_a_failed_poll_is_one_warning_with_its_kind_and_what_to_do(
    account: PolledAccount, told: AccountScenario, fault: Any, found: dict[str, Any]
) -> None:
    account.emulator.fault = fault

    result = await account.poll_again()

    (line,) = told()
    assert line.pop("error") == result.error
    assert line == POLL | {
        "level": "warning",
        "run_id": 1,
        "outcome": "failed",
        **found,
    }


async def test_an_empty_list_is_told_as_nothing_received_and_what_is_held_as_a_warning(
    account: PolledAccount, told: AccountScenario
) -> None:
    await account.poll(record(1), record(2))
    told()

    await account.poll()

    assert told() == [
        ANSWERED
        | {
            "level": "info",
            "run_id": 2,
            "outcome": "applied",
            "received": 0,
            "held": 2,
            "response_bytes": 2,
        },
        {
            "event": "removals_held",
            "level": "warning",
            "account": "default",
            "run_id": 2,
            "held": 2,
            "todo": "if they are really gone: syncer sync --account default --accept-removals",
        },
    ]


async def test_a_poll_that_a_later_one_overtook_says_so(account: PolledAccount, told: AccountScenario) -> None:
    await account.poll(record(1))
    await account.sql.execute("update syncer.account set success_run_id = 100")
    told()

    await account.poll(record(1, state="freeze"))

    (line,) = told()
    assert line == ANSWERED | {
        "level": "info",
        "run_id": 2,
        "outcome": "superseded",
        "response_bytes": size(record(1, state="freeze")),
    }


async def test_what_a_person_should_look_at_has_a_line_of_its_own(
    account: PolledAccount, told: AccountScenario
) -> None:
    await account.poll_at(T0, *(record(number) for number in range(1, 11)))
    told()

    await account.poll_at(
        T0 - timedelta(hours=1),
        *(record(number, comment="новый" if number < 4 else None) for number in range(1, 10)),
        record(10, state="parked", type="esim"),
    )

    same = {"account": "default", "run_id": 2, "level": "warning"}
    ahead = timedelta(hours=1) + timedelta(microseconds=2)
    assert told()[1:] == [
        {"event": "unknown_values", "type": ["esim"], "state": ["parked"], **same},
        {"event": "mass_column_change", "comment": 3, **same},
        {"event": "database_clock_behind", "seconds": ahead.total_seconds(), **same},
    ]


async def test_of_words_without_end_the_first_twenty_are_told(account: PolledAccount, told: AccountScenario) -> None:
    await account.poll(*(record(number, state=f"word {number}") for number in range(100, 200)))

    (line,) = [line for line in told() if line["event"] == "unknown_values"]
    assert line["state"] == [f"word {number}" for number in range(100, 120)]


def test_a_crash_of_the_program_is_told_with_its_traceback_and_no_local_variable(told: AccountScenario) -> None:
    metrics = Metrics()
    metrics.set_accounts(["default"])
    token = "s3cr3t"  # noqa: F841 - what must not be told

    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        report_poll_crash("default", error, metrics)

    (line,) = told()
    (exception,) = line.pop("exception")
    assert line == {"event": "poll_crashed", "level": "error", "account": "default"}
    assert exception["exc_type"] == "JSONDecodeError"
    assert "s3cr3t" not in json.dumps(exception["frames"])
    assert metrics.registry.get_sample_value("syncer_runs_total", {"account": "default", "outcome": "failed"}) == 1
    assert metrics.registry.get_sample_value("syncer_failures_total", {"error_kind": "crash"}) == 1
