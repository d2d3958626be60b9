"""Held removals and rejected records appear where an operator looks: status, the run's row, the log."""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from syncer.emulator import faults
from tests.builders import record
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Finished, Program

ACCEPT = "syncer sync --account default --accept-removals"
MOSCOW = ZoneInfo("Europe/Moscow")
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUNS = "select outcome, held, rejected, removed from syncer.sync_run order by run_id"


async def status(syncer: Program) -> tuple[list[str], list[str], dict[str, Any]]:
    """Returns what the account's line counts besides its numbers, the lines above it, and the status as JSON."""
    as_text, as_json = await asyncio.gather(syncer.run("status"), syncer.run("status", "--json"))
    assert (as_text.code, as_json.code) == (0, 0)
    *attention, numbers, _ = as_text.out.splitlines()
    status_json: dict[str, Any] = json.loads(as_json.out)
    return numbers.rstrip().split("; ")[1:], attention[:-1], status_json


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
    counts, (line,), status_json = await status(syncer)
    assert counts == ["100 held"]
    assert line.startswith("! default: 100 numbers have been missing since ")
    assert line.endswith(f" Europe/Moscow, their removal is held; {todo}")
    since = await sql.fetchval(
        "select distinct missing_since from syncer.virtual_number where missing_since is not null"
    )
    assert f"since {since.astimezone(MOSCOW):%Y-%m-%d %H:%M:%S} Europe/Moscow" in line
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
    counts, attention, status_json = await status(syncer)
    assert (counts, attention) == ([], [])
    assert (status_json["held"], status_json["held_since"], sum(status_json["numbers"].values())) == (0, None, 100)
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 0, 0, 100)


async def test_an_empty_list_holds_the_removal_of_all_numbers(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(record(1))
    emulator.fault = faults.Empty()

    held = await syncer.run("sync")

    assert [(one["event"], one["held"]) for one in warnings(held)] == [("removals_held", 1)]
    counts, (line,), status_json = await status(syncer)
    assert (counts, status_json["held"], status_json["numbers"]) == (["1 held"], 1, {"active": 1})
    assert line.endswith(ACCEPT)


async def test_a_held_removal_is_shown_while_polls_fail(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(record(1), record(2))
    await account.poll(record(1))
    emulator.fault = faults.Status(status=503)
    await account.poll_again()

    counts, attention, status_json = await status(syncer)

    assert (counts, status_json["held"], status_json["last_outcome"]) == (["1 held"], 1, "failed")
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
        "! default: 2 numbers have been missing since 2026-03-01 16:00:00 Europe/Moscow, their removal is held; "
        f"if they are really gone: {ACCEPT}"
    )
    assert status_json["held_since"] == "2026-03-01T13:00:00.000001Z"

    await account.poll_at(T0 + 25 * HOUR, *everything[2:])  # the hold of the first one is over

    _, attention, _ = await status(syncer)
    (line,) = attention
    assert line == (
        "! default: 1 number has been missing since 2026-03-01 17:00:00 Europe/Moscow, its removal is held; "
        f"if it is really gone: {ACCEPT}"
    )

    await account.poll_at(T0 + 26 * HOUR, *everything)

    assert (await status(syncer))[1] == []


async def test_a_removal_held_because_of_an_unreadable_id_is_shown_with_it_until_an_operator_accepts_it(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll(*(record(key) for key in range(1, 11)))
    emulator.fault = faults.Body(body=json.dumps([{"id": "one"}, *(record(key) for key in range(2, 11))]))

    held = await syncer.run("sync")

    assert held.result == (3, "default: applied: 10 received, 9 unchanged, 1 held, 1 rejected\n")
    assert [(one["event"], one.get("unreadable")) for one in warnings(held)] == [
        ("removals_held", 1),
        ("records_rejected", None),
    ]
    counts, attention, status_json = await status(syncer)
    assert counts == ["1 held", "1 rejected"]
    assert attention[0].endswith(ACCEPT)
    assert "default: a record whose id cannot be read has been rejected since " in attention[1]
    assert [one["virtual_number_id"] for one in status_json["rejected"]] == [None]

    accepted = await syncer.run(*shlex.split(ACCEPT)[1:])

    note = "elements whose id cannot be read: 1; each of them may be one of the removed numbers"
    assert accepted.result == (3, f"default: applied: 10 received, 9 unchanged, 1 removed, 1 rejected; {note}\n")
    assert warnings(accepted)[0] == {
        "event": "removals_accepted_with_unreadable_elements",
        "level": "warning",
        "account": "default",
        "run_id": 3,
        "removed": 1,
        "unreadable": 1,
        "todo": "each of these elements may be one of the removed numbers: see: syncer status",
    }
    assert (await status(syncer))[0] == ["1 rejected"]
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 0, 1, 1)


async def test_a_removal_that_waits_for_its_confirmation_alarms_nobody(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(*(record(key) for key in range(1, 11)))
    emulator.fault = faults.Body(body=json.dumps([record(key) for key in range(2, 11)]))

    waiting = await syncer.run("sync", "--json")

    assert (waiting.code, warnings(waiting)) == (0, [])
    result = json.loads(waiting.out)
    assert (result["removed"], result["held"], result["unconfirmed"]) == (0, 0, 1)
    counts, attention, status_json = await status(syncer)
    assert (counts, attention) == (["1 unconfirmed"], [])
    assert (status_json["held"], status_json["held_since"], status_json["unconfirmed"]) == (0, None, 1)

    confirmed = await syncer.run("sync")

    assert confirmed.result == (0, "default: applied: 9 received, 9 unchanged, 1 removed\n")
    assert (await status(syncer))[0] == []


async def test_a_part_of_the_list_that_says_so_holds_removals_and_its_header_is_named(
    syncer: Program, emulator: Emulator, account: PolledAccount
) -> None:
    await account.poll(*(record(key) for key in range(1, 11)))
    page = json.dumps([record(key) for key in range(2, 11)])
    emulator.queue(
        faults.Body(body=page, headers={"Link": '</numbers/virtual-number?page=2>; rel="next"'}, requests=1),
        faults.Body(body=page, headers={"X-Total-Count": "10"}, requests=1),
        faults.Body(body=page, headers={"Content-Range": "items 0-8/10"}, requests=1),
    )

    linked, counted, ranged = [await syncer.run("sync") for _ in range(3)]

    reasons = [
        'the header Link has rel="next": the response is one page of a longer list',
        "the header X-Total-Count says that the list has 10 elements, but the response has 9",
        "the header Content-Range says that the list has 10 elements, but the response has 9",
    ]
    assert [one.result for one in (linked, counted, ranged)] == [
        (3, f"default: {outcome}: 9 received, 9 unchanged, 1 held; {reason}\n")
        for outcome, reason in zip(("applied", "unchanged", "unchanged"), reasons, strict=True)
    ]
    assert [
        [one["reason"] for one in warnings(finished) if one["event"] == "response_is_partial"]
        for finished in (linked, counted, ranged)
    ] == [[reason] for reason in reasons]


# The vendor's outages as they were observed. The database's clock is moved between the commands.


async def test_a_list_that_recovers_after_a_day_of_wrong_answers_removes_nothing_before_it_is_complete(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    everything = [record(key) for key in range(1, 51)]
    as_text = [one | {"id": str(one["id"])} for one in everything]
    for day, outage in enumerate(([], [{"error": "internal error"}], as_text)):
        begin = T0 + 24 * day * 10 * HOUR

        async def sync(hours: float, listed: list[Any], begin: datetime = begin) -> tuple[int, int, int, int]:
            emulator.fault = faults.Body(body=json.dumps(listed))
            await account.set_clock(begin + hours * HOUR)
            finished = await syncer.run("sync", "--json")
            result = json.loads(finished.out)
            return finished.code, result["removed"], result["held"], result["unconfirmed"]

        assert await sync(0, everything) == (0, 0, 0, 0)
        assert await sync(1, outage) == (3, 0, 50, 0)
        assert await sync(26, outage) == (3, 0, 50, 0)
        assert await sync(26.1, everything[:3]) == (3, 0, 47, 0)
        assert await sync(26.2, everything) == (0, 0, 0, 0)
    assert await sql.fetchval("select sum(removed + restored) from syncer.sync_run") == 0


async def test_numbers_that_appear_after_a_first_empty_list_appeared_at_an_unknown_time(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    listed = json.dumps([record(key) for key in range(1, 9)])
    emulator.queue(faults.Empty(requests=1), faults.Body(body=listed))

    empty, first = await syncer.run("sync"), await syncer.run("sync")

    assert empty.result == (0, "default: applied\n")
    assert first.result == (0, "default: applied: 8 received, 8 created\n")
    windows = await sql.fetch("select changed_after, count(*) from analytics.number_history group by 1")
    assert [tuple(one) for one in windows] == [(None, 8)]


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
    counts, attention, status_json = await status(syncer)
    assert counts == ["7 rejected"]
    assert [line.partition(" has been rejected since ")[0] for line in attention[:5]] == [
        f"! default: the record with id {key}" for key in range(1, 6)
    ]
    assert all(line.endswith(": Expected `str`, got `null` - at `$.number`") for line in attention[:5])
    assert attention[5:] == ["! default: and 2 more rejected records: see analytics.rejected_records"]
    assert [one["virtual_number_id"] for one in status_json["rejected"]] == list(range(1, 8))
    assert tuple((await sql.fetch(RUNS))[-1]) == ("applied", 0, 7, 0)

    emulator.fault = faults.Body(body=json.dumps(whole))
    taken = await syncer.run("sync")

    assert (taken.code, warnings(taken)) == (0, [])
    counts, attention, status_json = await status(syncer)
    assert (counts, attention, status_json["rejected"]) == ([], [], [])


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
