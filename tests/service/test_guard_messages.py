"""Held removals and rejected records appear where an operator looks: status, the run's row, the log."""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncer.emulator import faults
from tests.builders import record
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Finished, Program

ACCEPT = "syncer sync --account default --accept-removals"
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUNS = "select outcome, held, rejected, removed from syncer.sync_run order by run_id"


async def status(syncer: Program) -> tuple[list[str], list[str], dict[str, Any]]:
    """Returns the words of the account's table row, the lines below the table, and the status as JSON."""
    table, as_json = await asyncio.gather(syncer.run("status"), syncer.run("status", "--json"))
    assert (table.code, as_json.code) == (0, 0)
    _, row, *attention = table.out.splitlines()
    status_json: dict[str, Any] = json.loads(as_json.out)
    return row.split(), attention, status_json


def warnings(finished: Finished) -> list[dict[str, Any]]:
    """Returns the warnings in the log of a command, without their timestamps."""
    events = [json.loads(line) for line in finished.err.splitlines()]
    return [
        {name: value for name, value in one.items() if name != "timestamp"}
        for one in events
        if one["level"] == "warning"
    ]


async def test_a_held_removal_is_shown_until_an_operator_accepts_it(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll_again()
    emulator.fleet(TOKEN).remove_fraction(0.5)

    held = await syncer.run("sync")

    assert held.code == 3
    todo = f"if they are really gone: {ACCEPT}"
    facts = {"account": "default", "run_id": 2, "held": 100, "todo": todo}
    assert warnings(held) == [{"event": "removals_held", "level": "warning"} | facts]
    row, (line,), status_json = await status(syncer)
    assert row[-2:] == ["100", "-"]
    assert line.startswith("! default: 100 numbers missing since ")
    assert line.endswith(f" UTC, their removal is held; {todo}")
    since = await sql.fetchval(
        "select distinct missing_since from syncer.virtual_number where missing_since is not null"
    )
    assert f"since {since:%Y-%m-%d %H:%M:%S} UTC" in line
    assert (status_json["held"], datetime.fromisoformat(status_json["held_since"]), status_json["rejected"]) == (
        100,
        since,
        [],
    )

    again = await syncer.run("sync")  # nothing is new: the status is the same, and the log does not repeat the warning
    assert again.code == 3
    assert warnings(again) == []
    assert (await status(syncer))[1] == [line]
    assert [tuple(one) for one in await sql.fetch(RUNS)] == [
        ("applied", 0, 0, 0),
        ("applied", 100, 0, 0),
        ("unchanged", 100, 0, 0),
    ]

    accepted = await syncer.run(*shlex.split(ACCEPT)[1:])

    assert (accepted.code, warnings(accepted)) == (0, [])
    row, attention, status_json = await status(syncer)
    assert (row[-2:], attention) == (["-", "-"], [])
    assert (status_json["held"], status_json["held_since"], sum(status_json["numbers"].values())) == (0, None, 100)
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 0, 0, 100)


async def test_an_empty_list_holds_the_removal_of_all_numbers(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(record(1))
    emulator.fault = faults.Empty()

    held = await syncer.run("sync")

    assert [(one["event"], one["held"]) for one in warnings(held)] == [("removals_held", 1)]
    row, (line,), status_json = await status(syncer)
    assert (row[-2:], status_json["held"], status_json["numbers"]) == (["1", "-"], 1, {"active": 1})
    assert line.endswith(ACCEPT)


async def test_a_held_removal_is_shown_while_polls_fail(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(record(1), record(2))
    await account.poll(record(1))
    emulator.fault = faults.Status(status=503)
    await account.poll_again()

    row, attention, status_json = await status(syncer)

    assert (row[-2:], status_json["held"], status_json["last_outcome"]) == (["1", "-"], 1, "failed")
    assert [line.split(" ", 3)[2] for line in attention] == ["the", "1"]
    assert attention[1].endswith(ACCEPT)


async def test_the_status_shows_since_when_the_first_held_number_is_missing(
    syncer: Program, account: PolledAccount
) -> None:
    everything = [record(key) for key in range(1, 5)]
    await account.poll_at(T0, *everything)
    await account.poll_at(T0 + HOUR, *everything[1:])
    await account.poll_at(T0 + 2 * HOUR, *everything[2:])

    _, attention, status_json = await status(syncer)

    (line,) = attention
    assert line == (
        "! default: 2 numbers missing since 2026-03-01 13:00:00 UTC, their removal is held; "
        f"if they are really gone: {ACCEPT}"
    )
    assert status_json["held_since"] == "2026-03-01T13:00:00.000001Z"

    await account.poll_at(T0 + 25 * HOUR, *everything[2:])  # the hold of the first one is over

    _, attention, _ = await status(syncer)
    assert "default: 1 numbers missing since 2026-03-01 14:00:00 UTC" in attention[0]

    await account.poll_at(T0 + 26 * HOUR, *everything)

    assert (await status(syncer))[1] == []


async def test_a_removal_held_because_of_an_unreadable_id_is_shown_with_it_even_after_acceptance(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll(*(record(key) for key in range(1, 11)))
    emulator.fault = faults.Body(body=json.dumps([{"id": "one"}, *(record(key) for key in range(2, 11))]))

    accepted = await syncer.run("sync", "--accept-removals")

    assert accepted.result == (3, "default: applied: 10 received, 9 unchanged, 1 held, 1 rejected\n")
    assert [one["event"] for one in warnings(accepted)] == ["removals_held", "records_rejected"]
    row, attention, status_json = await status(syncer)
    assert row[-2:] == ["1", "1"]
    assert attention[0].endswith(ACCEPT)
    assert "default: a record has been rejected since " in attention[1]
    assert [one["virtual_number_id"] for one in status_json["rejected"]] == [None]
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 1, 1, 0)


async def test_rejected_records_are_shown_with_the_reason_until_they_are_valid(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    whole = [record(key) for key in range(1, 11)]
    await account.poll(*whole)
    broken = [*(one | {"number": None} for one in whole[:7]), *whole[7:]]
    emulator.fault = faults.Body(body=json.dumps(broken))

    rejected = await syncer.run("sync")

    assert rejected.code == 3
    assert warnings(rejected) == [
        {
            "event": "records_rejected",
            "level": "warning",
            "account": "default",
            "run_id": 2,
            "rejected": 7,
            "todo": "see: syncer status",
        }
    ]
    row, attention, status_json = await status(syncer)
    assert row[-2:] == ["-", "7"]
    assert [line.partition(" has been rejected since ")[0] for line in attention[:5]] == [
        f"! default: the record of number {key}" for key in range(1, 6)
    ]
    assert all(line.endswith(": Expected `str`, got `null` - at `$.number`") for line in attention[:5])
    assert attention[5:] == ["! default: and 2 more rejected records: see syncer.rejected_record"]
    assert [one["virtual_number_id"] for one in status_json["rejected"]] == list(range(1, 8))
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 0, 7, 0)

    emulator.fault = faults.Body(body=json.dumps(whole))
    taken = await syncer.run("sync")

    assert (taken.code, warnings(taken)) == (0, [])
    row, attention, status_json = await status(syncer)
    assert (row[-2:], attention, status_json["rejected"]) == (["-", "-"], [], [])


async def test_the_daemon_logs_a_warning_for_held_removals(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll_again()
    emulator.fleet(TOKEN).remove_fraction(0.25)

    daemon = await syncer.start("run", poll_interval="1s")
    warned = await daemon.wait_for_event("removals_held")
    finished = await daemon.stop()

    assert finished.code == 0
    assert (warned["level"], warned["held"], warned["todo"]) == ("warning", 50, f"if they are really gone: {ACCEPT}")
