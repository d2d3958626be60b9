"""`syncer history`: the life of one number in a terminal, or as JSON."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from syncer.store.queries.number_search import spellings
from tests.builders import PolledAccount, execute, record, redirect, settings_for
from tests.service.processes import database_line

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine
    from tests.service.processes import Program

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NUMBER = "79208547433"
OTHERS = [record(number) for number in range(1, 11)]


async def live(account: PolledAccount) -> None:
    """Lets number 250 be locked, assigned, redirected to, missing, removed, listed again, and renumbered."""
    one = record(250, number=NUMBER)
    locked = one | {"state": "debt_lock", "reason": "Задолженность"}
    await account.poll_at(NOON, *OTHERS, one)
    await account.poll_at(NOON + HOUR, *OTHERS, locked, record(251))
    await account.poll_at(NOON + 2 * HOUR, *OTHERS, locked | {"reason": "Задолженность более 30 дней"}, record(251))
    changed = one | {"employee_id": 12, "from_redirect_numbers": [redirect(9, "79000000009")]}
    await account.poll_at(NOON + 3 * HOUR, *OTHERS, changed, record(251))
    await account.poll_at(NOON + 4 * HOUR, *OTHERS, record(251))
    await account.poll_at(NOON + 30 * HOUR, *OTHERS, record(251))
    await account.poll_at(NOON + 31 * HOUR, *OTHERS, one | {"employee_id": 12}, record(251, number=NUMBER))
    await account.poll_at(NOON + 32 * HOUR, *OTHERS, one | {"number": "79261112233"}, record(251, number=NUMBER))


async def test_a_life_is_shown_with_its_windows_in_the_accounts_time_zone(
    syncer: Program, account: PolledAccount, database: str
) -> None:
    await live(account)

    finished = await syncer.run("history", "+7 (926) 111-22-33")

    assert finished.err == database_line(database)
    assert [line.rstrip() for line in finished.out.splitlines()] == [
        "79261112233  active, since 2026-03-02 22:00:00",
        "  account default, id 250; times of Europe/Moscow",
        "  type def, purpose company, region регион Москва",
        "  had the number 79208547433 from 2026-03-01 15:00:00 until 2026-03-02 23:00:00",
        "  had the number 79261112233 from 2026-03-02 23:00:00 until now",
        "",
        "states; -6 h: began up to 6 h earlier; ?: began before the first poll",
        "  2026-03-01 15:00:00  ?        2026-03-01 16:00:00   60 min  active",
        "  2026-03-01 16:00:00  -60 min  2026-03-01 17:00:00   60 min  debt_lock",
        "      Задолженность",
        "  2026-03-01 17:00:00  -60 min  2026-03-01 18:00:00   60 min  debt_lock",
        "      Задолженность более 30 дней",
        "  2026-03-01 18:00:00  -60 min  2026-03-01 19:00:00   60 min  active",
        "      removed",
        "  2026-03-02 22:00:00  -60 min  now                   60 min  active",
        "",
        "events",
        "  2026-03-01 15:00:00  ?        first listed, active",
        "  2026-03-01 18:00:00  -60 min  employee: - → 12",
        "  2026-03-01 18:00:00  -60 min  redirect from 79000000009 began",
        "  2026-03-01 19:00:00  -60 min  redirect from 79000000009 ended",
        "  2026-03-01 19:00:00  -60 min  removed",
        "  2026-03-02 22:00:00  -60 min  listed again, active",
        "  2026-03-02 23:00:00  -60 min  employee: 12 → -",
        "  2026-03-02 23:00:00  -60 min  number: 79208547433 → 79261112233",
    ]
    assert max(map(len, finished.out.splitlines())) <= 80


async def test_all_numbers_that_have_or_had_a_phone_number_are_shown(syncer: Program, account: PolledAccount) -> None:
    await live(account)

    as_text, as_json = await asyncio.gather(
        syncer.run("history", NUMBER), syncer.run("history", NUMBER, "--account", "default", "--json")
    )

    heads = [line.partition(" since ")[0] for line in as_text.out.splitlines() if line.startswith("79")]
    assert heads == [f"{NUMBER}  active,", "79261112233  active,"]
    lives = [json.loads(line) for line in as_json.out.splitlines()]
    assert [(life["virtual_number_id"], life["number"], life["is_complete"]) for life in lives] == [
        (251, NUMBER, True),
        (250, "79261112233", True),
    ]
    assert [period["number"] for period in lives[1]["numbers"]] == [NUMBER, "79261112233"]
    assert [(one["state"], one["reason"], one["ended_by"]) for one in lives[1]["states"]] == [
        ("active", None, "changed"),
        ("debt_lock", "Задолженность", "changed"),
        ("debt_lock", "Задолженность более 30 дней", "changed"),
        ("active", None, "removed"),
        ("active", None, None),
    ]


SPELLINGS = [
    "+7 (920) 854-74-33",
    "89208547433",
    "9208547433",
    "8 920 854 74 33",
    "+7-920-854–74—33",
    "+7\N{NO-BREAK SPACE}920\N{NARROW NO-BREAK SPACE}8547433",
    "７９２０８５４７４３３",
    "\u202a+7 920 854\u20117433\u202c",
    "tel:+79208547433",
    "٧٩٢٠٨٥٤٧٤٣٣",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_usual_spelling_of_a_number_is_understood(spelling: str) -> None:
    assert spellings(spelling)[:4] == ["79208547433", "9208547433", "89208547433", "+79208547433"]


def test_a_number_of_another_country_and_a_short_one_are_searched_as_they_are() -> None:
    assert spellings("+44 20 7123 4567") == ["442071234567", "+442071234567", "+44 20 7123 4567"]
    assert spellings("0500") == ["0500", "+0500"]


@pytest.mark.parametrize("stored", ["79208547433", "89208547433", "9208547433", "+79208547433"])
async def test_a_number_is_found_however_the_vendor_writes_it(
    syncer: Program, account: PolledAccount, stored: str
) -> None:
    await account.poll(record(250, number=stored))

    finished = await syncer.run("history", "８ (920) 854-74-33", "--json")

    assert json.loads(finished.out)["number"] == stored


async def test_a_number_that_is_not_found_an_unknown_account_and_no_number_are_one_line_each(
    syncer: Program, account: PolledAccount, database: str, empty_database: str
) -> None:
    await account.poll(*OTHERS)

    missing, elsewhere, letters, no_schema = await asyncio.gather(
        syncer.run("history", "8 920 854-74-33"),
        syncer.run("history", "79000000001", "--account", "branch"),
        syncer.run("history", "reception"),
        syncer.run("history", NUMBER, database_url=empty_database),
    )

    assert missing.code == 1
    assert missing.error_line() == (
        "syncer: no number of any account has 79208547433 or ever had it: check its digits; "
        "`syncer export numbers_all` lists all numbers, and `syncer status` the accounts "
        f"(database: {database.rpartition('@')[2]})"
    )
    assert (elsewhere.code, elsewhere.error_line()) == (
        2,
        (
            "syncer: --account 'branch' was never polled: the accounts are default "
            f"(database: {database.rpartition('@')[2]})"
        ),
    )
    assert letters.code == 2
    assert "'reception': it has no digits; write a phone number such as +7 926 123-45-67" in " ".join(
        letters.err.replace("│", "").split()
    )
    assert no_schema.code == 1
    assert no_schema.error_line() == (
        "syncer: the database has no schema of syncer yet, or an old one: run `syncer migrate` "
        f"(database: {empty_database.rpartition('@')[2]})"
    )


async def test_times_are_those_of_each_accounts_zone(
    syncer: Program, engine: Engine, emulator: Emulator, sql: asyncpg.Connection, account: PolledAccount
) -> None:
    await account.poll_at(NOON, record(250, number=NUMBER))
    settings = settings_for(emulator, account_name="Владивосток", timezone=ZoneInfo("Asia/Vladivostok"))
    async with PolledAccount(engine, emulator, sql, settings) as east:
        await east.poll_at(NOON, record(250, number=NUMBER))

    both, one = await asyncio.gather(
        syncer.run("history", NUMBER), syncer.run("history", NUMBER, "--account", "Владивосток")
    )

    assert [line for line in both.out.splitlines() if "since" in line or "times" in line] == [
        "79208547433  active, since 2026-03-01 15:00:00",
        "  account default, id 250; times of Europe/Moscow",
        "79208547433  active, since 2026-03-01 22:00:00",
        "  account Владивосток, id 250; times of Asia/Vladivostok",
    ]
    assert both.out.endswith(one.out)


async def test_the_rights_of_an_analyst_are_enough(syncer: Program, account: PolledAccount, database: str) -> None:
    await account.poll(record(250, number=NUMBER))
    name = f"analyst_{account.account.name}_{database.rpartition('_')[2]}"
    await execute(database, f"create role {name} login password 'an4lyst-passw0rd' in role syncer_analyst")

    finished = await syncer.run(
        "history", NUMBER, database_url=f"postgresql://{name}:an4lyst-passw0rd@{database.rpartition('@')[2]}"
    )

    await execute(database, f"drop role {name}")
    assert (finished.code, finished.err) == (0, database_line(database))
    assert finished.out.startswith(f"{NUMBER}  active, since ")
