"""`syncer status`: a table and what needs attention, or JSON for programs."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from rich.console import Console

from syncer.commands.status import accounts_summary
from syncer.emulator import faults
from syncer.notices.planner import Planner
from syncer.store.queries.account_status import read_account_statuses
from tests.builders import PolledAccount, record, settings_for
from tests.integration.test_notices import file_with, notify
from tests.receiver import Receiver
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.notices.rules import NotifyFile
    from syncer.store.engine import Engine
    from tests.service.processes import Program

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "О'Генри и Ко"
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


async def test_before_the_first_poll_it_says_how_to_start(syncer: Program, empty_database: str) -> None:
    no_schema, no_account, as_json = await asyncio.gather(
        syncer.run("status", database_url=empty_database, api_token=None),
        syncer.run("status", api_token=None),
        syncer.run("status", "--json", api_token=None),
    )

    no_data = "no data yet: `syncer sync` polls once, `syncer run` keeps polling\n"
    assert [no_schema.result, no_account.result, as_json.result] == [(0, no_data), (0, no_data), (0, "")]


async def test_an_unreachable_or_incompatible_database_is_reported_in_one_line(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await sql.execute("update syncer.alembic_version set version_num = '9999'")

    down, newer = await asyncio.gather(
        syncer.run("status", database_url="postgresql://u:passw0rd@127.0.0.1:1/none"), syncer.run("status")
    )

    assert (down.code, newer.code) == (1, 1)
    assert "check that the server is up and SYNCER_DATABASE_URL is right" in down.error_line()
    assert "install the newer version" in newer.error_line()


async def test_held_removals_are_shown_with_the_accepting_command_and_rejected_records_with_the_reason(
    syncer: Program, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = settings_for(emulator, api_token=SecretStr(TOKEN), account_name=NAME)
    async with PolledAccount(engine, emulator, sql, settings) as account:
        await account.poll(*(record(number) for number in range(250, 258)), record(258, state="freeze"))
        await account.poll(record(250), record(251), record(252, number=None))
        table, as_json = await asyncio.gather(syncer.run("status"), syncer.run("status", "--json"))

        assert (table.code, as_json.code) == (0, 0)
        *attention, empty, numbers, success = (line.rstrip() for line in table.out.splitlines())
        assert (empty, numbers) == ("", f"{NAME}  9 numbers: active 8, freeze 1; 6 held; 1 rejected")
        assert re.fullmatch(f" +applied; last success 0:00:\\d\\d ago, {MOMENT} Europe/Moscow", success)
        assert [line.startswith(f"! {NAME}: ") for line in attention] == [True, True]
        assert "6 numbers have been missing since" in attention[0]
        assert "the record with id 252 has been rejected since" in attention[1]
        status_json = json.loads(as_json.out)
        assert (
            status_json["account"],
            status_json["last_outcome"],
            status_json["numbers"],
            status_json["held"],
            status_json["last_error"],
        ) == (
            NAME,
            "applied",
            {"active": 8, "freeze": 1},
            6,
            None,
        )
        assert [one["virtual_number_id"] for one in status_json["rejected"]] == [252]

        command = shlex.split(attention[0].partition("if they are really gone: ")[2])
        assert command == ["syncer", "sync", "--account", NAME, "--accept-removals"]
        accepted = await syncer.run(*command[1:], account_name=NAME)

    assert accepted.result == (3, f"{NAME}: applied: 3 received, 2 unchanged, 6 removed, 1 rejected\n")


async def test_a_failed_poll_is_shown_with_its_reason_and_the_last_success_is_kept(
    syncer: Program, account: PolledAccount, emulator: Emulator
) -> None:
    await account.poll(record(250), record(256, state="debt_lock"), record(257))
    emulator.fault = faults.Status(status=401)
    await account.poll_again()

    finished = await syncer.run("status")

    attention, _, numbers, success = (line.rstrip() for line in finished.out.splitlines())
    assert finished.code == 0
    assert numbers == "default  3 numbers: active 2, debt_lock 1"
    assert re.fullmatch(f" +failed \\(unauthorized\\); last success 0:00:\\d\\d ago, {MOMENT} Europe/Moscow", success)
    assert attention.startswith(f"! default: the last poll failed: {emulator.url[7:]} answered 401, so the token of ")


async def test_times_are_those_of_the_accounts_zone_and_the_lines_fit_a_terminal_of_80_columns(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    states = ("active", "debt_lock", "freeze", "activation", "unconfirmed", "inactive")
    settings = settings_for(emulator, account_name="the branch in Vladivostok", timezone=ZoneInfo("Asia/Vladivostok"))
    async with PolledAccount(engine, emulator, sql, settings) as account:
        await account.poll_at(NOON, *(record(number, state=states[number % 6]) for number in range(1, 13)))
        await account.set_clock(NOON + timedelta(days=3))
        shown = io.StringIO()
        Console(file=shown, width=80).print(accounts_summary(await read_account_statuses(engine)))

    assert [line.rstrip() for line in shown.getvalue().splitlines()] == [
        "the branch in         12 numbers: activation 2, active 2, debt_lock 2, freeze 2,",
        "Vladivostok           inactive 2, unconfirmed 2",
        "                      applied; last success 3 days, 0:00:00 ago, 2026-03-01",
        "                      22:00:00 Asia/Vladivostok",
    ]


async def notify_and_show(syncer: Program, account: PolledAccount, file: NotifyFile) -> list[str]:
    """Makes and sends what is due, and returns the lines of `syncer status` about channels."""
    await notify(account, file)
    finished = await syncer.run("status")
    return [line for line in finished.out.splitlines() if "channel " in line]


async def test_what_waits_for_a_channel_is_shown_with_the_reason_until_it_is_sent(
    syncer: Program, account: PolledAccount
) -> None:
    async with Receiver() as receiver:
        file = file_with(receiver)
        await account.poll_at(NOON, record(250), record(251))
        assert await notify_and_show(syncer, account, file) == []

        receiver.answer = 500
        await account.poll_at(NOON, record(250, state="debt_lock"), record(251))
        peer = receiver.url.removeprefix("http://").removesuffix("/hook")
        assert await notify_and_show(syncer, account, file) == [
            f"! channel duty: 1 message has waited since 2026-03-01 15:00:00 Europe/Moscow: {peer} answered 500"
        ]

        receiver.answer = 200
        await account.set_clock(NOON + timedelta(minutes=1))
        assert await notify_and_show(syncer, account, file) == []


async def test_what_nobody_has_tried_to_send_is_shown_after_a_minute(syncer: Program, account: PolledAccount) -> None:
    async with Receiver() as receiver:
        file = file_with(receiver)
        await account.poll_at(NOON, record(250))
        await notify(account, file)
        await account.poll_at(NOON, record(250, state="debt_lock"))
        (account_id,) = await account.row("select account_id from syncer.account")
        await Planner(account.engine, file, asyncio.Lock()).look({account_id: account.account})

        await account.set_clock(NOON + timedelta(seconds=59))
        assert "channel" not in (await syncer.run("status")).out
        await account.set_clock(NOON + timedelta(seconds=60))
        finished, as_json = await asyncio.gather(syncer.run("status"), syncer.run("status", "--json"))

    assert finished.out.splitlines()[0] == (
        "! channel duty: 1 message has waited since 2026-03-01 15:00:00 Europe/Moscow: no attempt to send it was made: "
        "`syncer run` does, or `syncer notify`"
    )
    assert [json.loads(line)["account"] for line in as_json.out.splitlines()] == ["default"]


async def test_a_receiver_that_refused_for_good_is_shown_until_it_accepts_a_message(
    syncer: Program, account: PolledAccount
) -> None:
    async with Receiver() as receiver:
        file = file_with(receiver)
        await account.poll_at(NOON, record(250))
        await notify(account, file)
        receiver.answer = 410
        await account.poll_at(NOON, record(250, state="debt_lock"))
        peer = receiver.url.removeprefix("http://").removesuffix("/hook")
        (line,) = await notify_and_show(syncer, account, file)
        assert line == (
            f"! channel duty: the receiver refused for good at 2026-03-01 15:00:00 Europe/Moscow (HTTP 410): {peer} "
            "answered 410, so it accepts no more messages: remove the channel, or give it another address; the daemon "
            "tries it again once it has read the notify file again (SIGHUP)"
        )

        receiver.answer = 200
        await account.poll_at(NOON + timedelta(minutes=1), record(250))
        assert await notify_and_show(syncer, account, file) == []
