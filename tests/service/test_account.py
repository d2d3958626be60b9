"""One Личный кабинет that is two accounts, and one that the vendor gives another `app_id`."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.builders import APP_ID, record, redirect
from tests.locks import lock_table_in_another_session

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Program

OTHER_APP_ID = 7
WAITS_FOR = "select exists(select from pg_stat_activity where $1 = any(pg_blocking_pids(pid)))"
SHARED_APP_ID = (
    "the accounts a and b carry the same app_id, 1200054: they are one Личный кабинет whose numbers are counted more "
    "than once; remove all but one of them from the configuration"
)
SHARED_TOKEN = (
    "the accounts a and b use one token: they are one Личный кабинет whose numbers are counted more than once; give "
    "each its own token, or remove all but one of them"
)


async def test_an_operator_accepts_another_app_id_of_the_same_account(account: PolledAccount, syncer: Program) -> None:
    await account.poll(record(1), record(2))
    moved = [record(number, app_id=OTHER_APP_ID) for number in (1, 2)]
    refused = await account.poll(*moved)
    assert refused.error_kind == "wrong_account"
    assert (refused.error or "").endswith("run: syncer account accept-app-id default")

    accepted = (
        "default: no longer has the app_id 1200054; the next successful poll records the one that most of its records "
        "carry\n"
    )
    assert (await syncer.run("account", "accept-app-id", "default")).result == (0, accepted)

    result = await account.poll(*moved)
    assert (result.outcome, result.changed) == ("applied", 2)
    assert await account.row("select app_id from syncer.account") == (OTHER_APP_ID,)
    assert (await account.poll(record(1))).error_kind == "wrong_account"


async def test_an_app_id_that_was_accepted_needlessly_is_found_again_in_the_same_response(
    account: PolledAccount, syncer: Program
) -> None:
    await account.poll(record(1))
    assert (await syncer.run("account", "accept-app-id", "default")).code == 0

    assert (await account.poll(record(1))).outcome == "unchanged"

    assert await account.row("select app_id from syncer.account") == (APP_ID,)


async def test_the_command_that_the_error_advises_works_as_it_is_written(
    account: PolledAccount, syncer: Program
) -> None:
    name = "-the firm's"
    account.account = replace(account.account, name=name)
    await account.poll(record(1))
    refused = await account.poll(record(1, app_id=OTHER_APP_ID))

    program, *arguments = shlex.split((refused.error or "").rpartition("run: ")[2])

    assert (program, arguments) == ("syncer", ["account", "accept-app-id", "--", name])
    assert (await syncer.run(*arguments)).code == 0
    assert (await account.poll(record(1, app_id=OTHER_APP_ID))).outcome == "applied"


async def test_an_app_id_that_is_accepted_while_the_first_poll_writes_is_taken_from_the_next_response(
    account: PolledAccount, syncer: Program, database: str
) -> None:
    listed = record(1, from_redirect_numbers=[redirect(2, "7")])
    async with lock_table_in_another_session(database, "virtual_number_redirect") as wait_for_blocked_backends:
        poll = asyncio.create_task(account.poll(listed))
        (writer,) = await wait_for_blocked_backends()
        command = asyncio.create_task(syncer.run("account", "accept-app-id", "default"))
        while not await account.sql.fetchval(WAITS_FOR, writer):
            pass  # each question lets the command and the poll go on
    assert (await poll).created == 1
    assert (await command).result[1].startswith(f"default: no longer has the app_id {APP_ID};")

    assert (await account.poll(listed)).outcome == "unchanged"

    assert await account.row("select app_id from syncer.account") == (APP_ID,)


async def test_an_unknown_account_is_a_usage_error_that_lists_the_names(
    account: PolledAccount, syncer: Program
) -> None:
    await account.poll(record(1))

    finished = await syncer.run("account", "accept-app-id", "nobody")

    assert finished.code == 2
    assert finished.error_line() == "syncer: there is no account 'nobody'; the accounts are default"


async def test_three_accounts_that_are_one_are_listed_in_a_sentence(syncer: Program, emulator: Emulator) -> None:
    emulator.fault = faults.Body(body=json.dumps([record(1)]))
    text = "".join(f'[[account]]\nname = "{name}"\ntoken = "one"\n' for name in "cab")
    settings = {"api_token": None, "accounts_file": syncer.write("accounts.toml", text)}
    assert (await syncer.run("sync", **settings)).code == 0

    check = await syncer.run("check", **settings)

    found = [line.partition(": they")[0] for line in check.out.splitlines() if line.startswith("WRONG")]
    assert found == [
        "WRONG  accounts: the accounts a, b and c use one token",
        "WRONG  accounts: the accounts a, b and c carry the same app_id, 1200054",
    ]


async def test_check_status_and_the_start_name_accounts_that_are_one(syncer: Program, emulator: Emulator) -> None:
    emulator.fault = faults.Body(body=json.dumps([record(1)]))
    text = '[[account]]\nname = "a"\ntoken = "one"\n[[account]]\nname = "b"\ntoken = "one"\n'
    settings = {"api_token": None, "accounts_file": syncer.write("accounts.toml", text)}
    assert (await syncer.run("sync", **settings)).code == 0

    check = await syncer.run("check", **settings)
    assert check.code == 1
    found = [line for line in check.out.splitlines() if line.startswith("WRONG")]
    assert found == [f"WRONG  accounts: {SHARED_TOKEN}", f"WRONG  accounts: {SHARED_APP_ID}"]
    assert f"! {SHARED_APP_ID}" in (await syncer.run("status", **settings)).out.splitlines()
    daemon = await syncer.start("run", **settings)
    assert (await daemon.wait_for_event("shared_token"))["found"] == SHARED_TOKEN
    assert (await daemon.wait_for_event("shared_app_id"))["found"] == SHARED_APP_ID
    await daemon.stop()
