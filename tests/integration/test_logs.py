"""What is logged about a poll: one line with its result, and more lines only for things that need attention."""

from __future__ import annotations

import json
import logging
import re
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncer.emulator import faults
from syncer.outcome import Conclusion, PollResult
from syncer.telemetry.logs import PollStats, configure_logging, log, report_poll
from syncer.telemetry.metrics import Metrics
from tests.builders import record, redirect, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.builders import PolledAccount

    ReadLogLines = Callable[[], list[dict[str, Any]]]

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# Fields that every poll logs in these tests, and those of polls that got a response.
POLL = {"event": "poll_finished", "account": "default", "trigger": "schedule"}
RESPONDED = POLL | {"http_status": 200, "attempts": 1}


def body_size(*records: dict[str, Any]) -> int:
    return len(json.dumps(records, ensure_ascii=False).encode())


@pytest.fixture
def log_lines() -> Iterator[ReadLogLines]:
    """Returns a function that reads the JSON lines logged since its last call, without timestamps and durations."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with redirect_stderr(StringIO()) as stream:
        configure_logging("debug", "json")

    def read_new_lines() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        for line in lines:
            assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is UTC
            if line["event"] == "poll_finished":
                assert line.pop("duration_seconds") > 0
        return lines

    yield read_new_lines
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


async def test_a_poll_with_changes_logs_one_line_with_its_counters(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll(record(1), record(2, from_redirect_numbers=[redirect(1, "79000000001")]))
    log_lines()

    records = [record(1, state="debt_lock", reason="долг"), without(record(2), "comment"), record(3)]
    await account.poll(*records)

    (line,) = log_lines()
    assert line == RESPONDED | {
        "level": "info",
        "run_id": 2,
        "outcome": "applied",
        "received": 3,
        "created": 1,
        "changed": 2,
        "state_changes": 1,
        "redirects_closed": 1,
        "absent_keys": {"comment": 1},
        "response_bytes": body_size(*records),
    }


async def test_an_unchanged_poll_is_logged_at_debug_level_and_repeats_no_warning(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    records = [record(1), record(2, state=None)]
    await account.poll(*records, trigger="command")
    assert [(line["event"], line["level"]) for line in log_lines()] == [
        ("poll_finished", "info"),
        ("records_rejected", "warning"),
    ]

    result = await account.poller.poll(account.account, "schedule", lateness=timedelta(seconds=1.23456))

    assert result.outcome == "unchanged"
    (line,) = log_lines()
    assert line == RESPONDED | {
        "level": "debug",
        "run_id": 2,
        "outcome": "unchanged",
        "received": 2,
        "unchanged": 1,
        "rejected": 1,
        "response_bytes": body_size(*records),
        "lateness_seconds": 1.235,
    }


@pytest.mark.parametrize(
    ("fault", "expected_fields"),
    [
        (faults.Status(status=401), {"http_status": 401, "error_kind": "unauthorized"}),
        (
            faults.Body(body="[{}"),
            {"http_status": 200, "attempts": 1, "response_bytes": 3, "error_kind": "not_json"},
        ),
        (faults.Reset(), {"error_kind": "network"}),
    ],
)
async def test_a_failed_poll_logs_one_warning_with_its_kind_and_what_to_do(
    account: PolledAccount, log_lines: ReadLogLines, fault: Any, expected_fields: dict[str, Any]
) -> None:
    account.emulator.fault = fault

    result = await account.poll_again()

    (line,) = log_lines()
    assert line.pop("error") == result.error
    assert line == POLL | {
        "level": "warning",
        "run_id": 1,
        "outcome": "failed",
        **expected_fields,
    }


async def test_an_empty_list_logs_zero_received_and_a_warning_for_held_removals(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll(record(1), record(2))
    log_lines()

    await account.poll()

    assert log_lines() == [
        RESPONDED
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


async def test_a_superseded_poll_is_logged_as_superseded(account: PolledAccount, log_lines: ReadLogLines) -> None:
    await account.poll(record(1))
    log_lines()

    await account.poll_superseded(record(1, state="freeze"))

    (line,) = log_lines()
    assert line == RESPONDED | {
        "level": "info",
        "run_id": 2,
        "outcome": "superseded",
        "response_bytes": body_size(record(1, state="freeze")),
    }


async def test_each_thing_that_needs_attention_logs_its_own_line(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll_at(T0, *(record(number) for number in range(1, 11)))
    log_lines()

    await account.poll_at(
        T0 - timedelta(hours=1),
        *(record(number, comment="новый" if number < 4 else None) for number in range(1, 10)),
        record(10, state="parked", type="esim"),
    )

    common = {"account": "default", "run_id": 2, "level": "warning"}
    clock_ahead = timedelta(hours=1) + timedelta(microseconds=2)
    assert log_lines()[1:] == [
        {"event": "unknown_values", "type": ["esim"], "state": ["parked"], **common},
        {"event": "mass_column_change", "comment": 3, **common},
        {"event": "database_clock_behind", "seconds": clock_ahead.total_seconds(), **common},
    ]


async def test_at_most_twenty_unknown_values_are_logged(account: PolledAccount, log_lines: ReadLogLines) -> None:
    await account.poll(*(record(number, state=f"state {number}") for number in range(100, 200)))

    (line,) = [line for line in log_lines() if line["event"] == "unknown_values"]
    assert line["state"] == [f"state {number}" for number in range(100, 120)]


async def test_a_value_that_contains_the_token_or_a_phone_number_is_counted_and_not_logged(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    token = account.account.token.get_secret_value()
    states = [
        "+7 (916) 123-45-67",
        "79161234567",
        "7_916/123\N{EN DASH}45\N{NO-BREAK SPACE}67",
        "\N{FULLWIDTH DIGIT SEVEN}٩١٦١٢٣٤٥٦٧",
        f"a {token.upper()} b",
        "".join(f"%{ord(character):02x}" for character in token),
        "".join(f"%25{ord(character):02x}" for character in token),
    ]

    await account.poll(*(record(key, state=state) for key, state in enumerate([*states, "parked 24"], start=1)))

    (line,) = [line for line in log_lines() if line["event"] == "unknown_values"]
    assert sorted(line["state"]) == [*["***"] * 7, "parked 24"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_log_line_carries_a_character_that_commands_a_terminal_or_forges_a_line(log_format: str) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hostile = "a\nb\x1b[31m\x9b1m\u202ec\u2028d\x7f"
    with redirect_stderr(StringIO()) as stream:
        configure_logging("debug", log_format)
        log.warning("unknown_values", state=[hostile], mapping={hostile: hostile}, error=hostile)
        logging.getLogger("asyncio").error("callback of %s", hostile)
        log.error("poll_crashed", account="default", exc_info=ValueError(hostile.replace("\n", "")))
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)

    text = stream.getvalue()
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text) == []
    assert "a\nb" not in text
    assert text.count("\\u001b[31m") == 6
    if log_format == "json":
        events = [json.loads(line) for line in text.splitlines()]
        assert (events[0]["state"], events[0]["mapping"], events[0]["error"]) == (
            [hostile],
            {hostile: hostile},
            hostile,
        )


def test_an_unexpected_exception_is_logged_with_its_traceback_and_no_local_variables(log_lines: ReadLogLines) -> None:
    metrics = Metrics()
    metrics.set_accounts(["default"])
    token = "s3cr3t"  # noqa: F841 - must not be logged
    stats = PollStats("schedule", lateness=None)

    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        failure = stats.add_crash(error)
    result = PollResult.of("default", 7, Conclusion("failed", {}), failure, seconds=1)
    report_poll(result, stats, metrics)

    line, finished = log_lines()
    (exception,) = line.pop("exception")
    assert line == {"event": "poll_crashed", "level": "error", "account": "default", "run_id": 7}
    assert (finished["event"], finished["error_kind"]) == ("poll_finished", "internal")
    assert exception["exc_type"] == "JSONDecodeError"
    assert "s3cr3t" not in json.dumps(exception["frames"])
    assert metrics.registry.get_sample_value("syncer_runs_total", {"account": "default", "outcome": "failed"}) == 1
    assert metrics.registry.get_sample_value("syncer_failures_total", {"error_kind": "internal"}) == 1


async def test_a_key_that_all_records_lack_is_a_warning_once(account: PolledAccount, log_lines: ReadLogLines) -> None:
    """Number 3 never had a comment, and its bytes do not change."""
    comments = [record(1, comment="один"), record(2, comment="два"), without(record(3), "comment")]
    await account.poll(*comments)
    log_lines()

    lacking = [without(element, "comment") for element in comments]
    await account.poll(*lacking)
    assert [(line["event"], line["level"], line.get("keys")) for line in log_lines()] == [
        ("poll_finished", "debug", None),
        ("keys_vanished", "warning", ["comment"]),
    ]

    await account.poll(*lacking)
    await account.poll(lacking[0] | {"state": "freeze"}, *lacking[1:])
    assert [line["event"] for line in log_lines()] == ["poll_finished", "poll_finished"]


async def test_a_key_without_a_column_that_all_records_lack_is_a_warning_once(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll(record(1, tariff="a", vip=True), record(2, tariff="b"), record(3))
    log_lines()

    await account.poll(record(1, tariff="a"), record(2), record(3))
    await account.poll(record(1), record(2), record(3, state="freeze"))
    await account.poll(record(1), record(2), record(3))

    assert [line["keys"] for line in log_lines() if line["event"] == "keys_vanished"] == [["vip"], ["tariff"]]


async def test_a_key_that_all_records_lack_is_logged_in_part_and_never_with_a_secret(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    token = account.account.token.get_secret_value()
    await account.poll(record(1, **{f"x-{token}": 1, "y" * 1000: 2, "of 79161234567": 3}))
    log_lines()

    await account.poll(record(1))

    assert [line["keys"] for line in log_lines() if line["event"] == "keys_vanished"] == [["***", "***", "y" * 100]]


async def test_of_many_keys_that_all_records_lack_some_are_logged(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll(record(1, **{f"k{number}": 1 for number in range(1000)}))
    log_lines()

    await account.poll(record(1))

    assert [len(line["keys"]) for line in log_lines() if line["event"] == "keys_vanished"] == [20]


async def test_redirects_that_all_records_lack_are_a_warning(account: PolledAccount, log_lines: ReadLogLines) -> None:
    await account.poll(record(1, from_redirect_numbers=[redirect(1, "7")]), record(2))
    log_lines()

    await account.poll(without(record(1), "from_redirect_numbers"), without(record(2), "from_redirect_numbers"))

    assert [line["keys"] for line in log_lines() if line["event"] == "keys_vanished"] == [["from_redirect_numbers"]]


async def test_a_key_that_only_ever_held_null_is_a_warning_when_all_records_lack_it(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    """Also if the process has been restarted, and if no record has another value."""
    records = [record(1, vip=None), record(2), record(3)]
    await account.poll(*records)
    log_lines()
    account.restart()

    lacking = [without(element, "vip", "sip_uri", "from_redirect_numbers") for element in records]
    await account.poll(*lacking[:2], records[2])
    await account.poll(*lacking)
    await account.poll(*reversed(lacking))

    assert [(line["run_id"], line["keys"]) for line in log_lines() if line["event"] == "keys_vanished"] == [
        (2, ["vip"]),
        (3, ["from_redirect_numbers", "sip_uri"]),
    ]


async def test_keys_are_stored_if_they_are_not_those_of_the_last_response(account: PolledAccount) -> None:
    """A response without accepted records has none to compare."""
    stored = "select record_keys from syncer.account_fence"
    for response in ([record(1, x=1)], [], [{"id": 1}], [record(1, x=1)], [record(1, x=1), {"id": 2, "y": 1}]):
        await account.poll(*response)
        assert await account.row(stored) == ([*sorted(record()), "x"],)

    await account.poll(record(1, a=1), without(record(2), "comment"))
    assert await account.row(stored) == ([*sorted(record()), "a"],)


async def test_without_stored_keys_those_of_all_records_are_stored(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    await account.poll(record(1, x=1), record(2))
    await account.sql.execute("update syncer.account_fence set record_keys = null")
    log_lines()

    await account.poll(record(2), record(1, x=1))
    await account.poll(record(2), record(1))

    assert [(line["run_id"], line["keys"]) for line in log_lines() if line["event"] == "keys_vanished"] == [(3, ["x"])]


async def test_of_very_many_keys_those_that_are_stored_stay_stored_and_none_seems_to_vanish(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    many = {f"k{number:03}": 1 for number in range(500)}
    await account.poll(record(1, **many))
    (first,) = await account.row("select record_keys from syncer.account_fence")
    await account.poll(record(1, **many, a=1), record(2))
    (second,) = await account.row("select record_keys from syncer.account_fence")

    assert (len(first), first[:20], second) == (100, sorted(record()), first)
    assert [line for line in log_lines() if line["event"] == "keys_vanished"] == []


async def test_a_key_that_was_cut_within_the_token_is_not_logged(
    account: PolledAccount, log_lines: ReadLogLines
) -> None:
    token = account.account.token.get_secret_value()
    await account.poll(record(1, **{"x" * (101 - len(token)) + token: 1}))
    await account.poll(record(1))

    assert [line["keys"] for line in log_lines() if line["event"] == "keys_vanished"] == [["***"]]


@pytest.mark.parametrize("comment", [None, "два"])
async def test_a_key_that_another_record_has_is_no_warning(
    account: PolledAccount, log_lines: ReadLogLines, comment: str | None
) -> None:
    await account.poll(record(1, comment="один"), record(2, comment=comment))
    log_lines()

    await account.poll(without(record(1), "comment"), record(2, comment=comment))

    assert [line["event"] for line in log_lines()] == ["poll_finished"]
