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
from syncer.store.queries.account_status import read_account_statuses
from tests.builders import PolledAccount, record, settings_for
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.emulator import Emulator
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
    syncer: Program, engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection
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
    engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection
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
