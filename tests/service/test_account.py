"""One Личный кабинет that is two accounts, and one that the vendor gives another `app_id`."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from syncer.emulator import faults
from tests.builders import APP_ID, record, redirect
from tests.locks import lock_table_in_another_session
from tests.service.processes import TOKEN

if TYPE_CHECKING:
    import asyncpg

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
    assert finished.error_line().startswith(
        "syncer: there is no account 'nobody'; the accounts are default (database: "
    )


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


# Accounts that come and go


def accounts_file(syncer: Program, *names: str) -> dict[str, str | None]:
    """Returns settings for accounts that all poll the same numbers."""
    entries = "".join(f'[[account]]\nname = "{name}"\ntoken = "{TOKEN}"\n' for name in names)
    return {"api_token": None, "accounts_file": syncer.write("accounts.toml", entries)}


async def test_an_account_is_renamed_and_no_number_counts_twice(syncer: Program, sql: asyncpg.Connection) -> None:
    assert (await syncer.run("sync")).code == 0
    still_configured = await syncer.run("account", "rename", "default", "head office")
    several = accounts_file(syncer, "head office")

    unknown = await syncer.run("account", "rename", "old office", "head office", **several)
    renamed = await syncer.run("account", "rename", "default", "head office", **several)
    polled = await syncer.run("sync", "--json", **several)

    assert still_configured.code == 2
    assert still_configured.error_line().startswith(
        "syncer: the configuration still has the account 'default': write 'head office' there instead, and stop the "
        "daemon, then try again (database: "
    )
    assert unknown.error_line().startswith("syncer: there is no account 'old office'; the accounts are default (")
    assert renamed.result == (0, "default is now head office: its history goes on under this name\n")
    assert json.loads(polled.out)["outcome"] == "unchanged"
    assert await sql.fetchval("select count(*) from analytics.numbers") == 200
    assert await sql.fetchval("select count(*) from syncer.account") == 1


async def test_a_name_that_is_taken_is_refused_and_the_account_that_has_it_can_be_deleted(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await syncer.run("sync")
    by_mistake = accounts_file(syncer, "head office")
    await syncer.run("sync", **by_mistake)
    taken = await syncer.run("account", "rename", "default", "head office", **by_mistake)
    nothing_configured: dict[str, str | None] = {"api_token": None}

    copied = await syncer.run("export", "changes", "--since", "cursor")
    shown = await syncer.run("account", "delete", "head office", **nothing_configured)
    before = await sql.fetchval("select count(*) from syncer.virtual_number")
    deleted = await syncer.run("account", "delete", "head office", "--yes", **nothing_configured)
    renamed = await syncer.run("account", "rename", "default", "head office", **by_mistake)
    checked = await syncer.run("check", "--data", **by_mistake)
    copied_on = await syncer.run("export", "changes", "--since", "cursor")

    assert taken.code == 2
    assert taken.error_line().startswith("syncer: the database has an account 'head office' already: ")
    assert shown.code == 2
    assert shown.err.startswith(
        "syncer: nothing was deleted: to delete all this of account 'head office', add --yes (database: "
    )
    assert "200  syncer.virtual_number\n" in shown.out
    assert (before, await sql.fetchval("select count(*) from syncer.virtual_number")) == (400, 200)
    assert (deleted.code, deleted.out.splitlines()[-1]) == (0, "head office: deleted"), deleted.err
    assert (renamed.code, checked.code) == (0, 0)
    assert (copied.code, copied_on.code, "copy again" in copied_on.error_line()) == (0, 2, True)
    assert await sql.fetchval("select array_agg(name) from syncer.account") == ["head office"]


async def test_a_sync_retires_accounts_that_left_the_configuration_and_takes_them_back(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    retired = "select name from syncer.account where retired_at is not null"
    await syncer.run("sync", **accounts_file(syncer, "a", "b"))
    await syncer.run("sync", **accounts_file(syncer, "a"))
    left = await sql.fetch(retired)
    await syncer.run("sync", "--account", "a", **accounts_file(syncer, "a", "b"))

    assert [row["name"] for row in left] == ["b"]
    assert await sql.fetch(retired) == []


async def test_accounts_are_listed_and_one_is_retired(syncer: Program) -> None:
    await syncer.run("sync", **accounts_file(syncer, "a", "b"))
    configured = accounts_file(syncer, "a", "c")

    refused, retired = await asyncio.gather(
        syncer.run("account", "retire", "a", **configured), syncer.run("account", "retire", "b", **configured)
    )
    listed = await syncer.run("account", "list", **configured)

    assert refused.error_line().startswith(
        "syncer: the configuration still has the account 'a': remove it there, and reload or restart the daemon, then "
        "try again (database: "
    )
    assert retired.result == (0, "b: retired; its history is kept\n")
    head, a, b, c = (line.split() for line in listed.out.splitlines())
    assert head == ["account", "app_id", "numbers", "polled"]
    assert (a, c) == (["a", "1713791962", "200", "yes"], ["c", "-", "-", "not", "yet"])
    assert b[:5] == ["b", "1713791962", "200", "not", "since"]


async def test_nothing_is_deleted_renamed_or_retired_while_the_accounts_file_cannot_be_read(syncer: Program) -> None:
    await syncer.run("sync")
    broken: dict[str, str | None] = {"api_token": None, "accounts_file": syncer.write("accounts.toml", "[[account]]")}

    refused = [
        await syncer.run("account", *command, **broken)
        for command in (("delete", "default", "--yes"), ("rename", "default", "new"), ("retire", "default"))
    ]

    assert [finished.code for finished in refused] == [2, 2, 2]
    assert {finished.error_line().startswith(f"syncer: {broken['accounts_file']}") for finished in refused} == {True}


async def test_the_whole_of_an_account_is_deleted_and_nothing_of_another(
    account: PolledAccount, syncer: Program, sql: asyncpg.Connection
) -> None:
    await account.poll(record(1, redirects=[redirect(5, "79000000005")]), record(2), "broken")
    await account.poll(record(1, state="debt_lock"), record(3))
    await account.poll(record(1, state="debt_lock"), record(3))
    await syncer.run("sync", **accounts_file(syncer, "other"))
    tables = [
        row["name"]
        for row in await sql.fetch(
            "select c.table_name as name from information_schema.columns c join information_schema.tables t "
            "using (table_schema, table_name) "
            "where c.table_schema = 'syncer' and c.column_name = 'account_id' and t.table_type = 'BASE TABLE'"
        )
    ]
    of = {table: f"select count(*) from syncer.{table} where account_id = $1" for table in tables}  # noqa: S608 - ours
    others_before = {table: await sql.fetchval(query, 2) for table, query in of.items()}

    deleted = await syncer.run("account", "delete", "default", "--yes", **accounts_file(syncer, "other"))

    assert deleted.code == 0, deleted.err
    assert {table: await sql.fetchval(query, 1) for table, query in of.items()} == dict.fromkeys(tables, 0)
    assert {table: await sql.fetchval(query, 2) for table, query in of.items()} == others_before
    assert len(tables) > 10


async def test_a_login_that_may_not_delete_is_told_whose_login_may_and_changes_nothing(
    account: PolledAccount, syncer: Program, sql: asyncpg.Connection, database: str
) -> None:
    await account.poll(record(1))
    await sql.execute("create role delete_poller login password 'passw0rd' in role syncer_daemon")
    poller = urlsplit(database)._replace(netloc=f"delete_poller:passw0rd@{database.rpartition('@')[2].split('/')[0]}")
    settings = {**accounts_file(syncer, "other"), "database_url": urlunsplit(poller)}

    try:
        dry, real = [await syncer.run("account", "delete", "default", *yes, **settings) for yes in ((), ("--yes",))]
    finally:
        await sql.execute("drop role delete_poller")

    assert [one.code for one in (dry, real)] == [2, 2]
    assert [one.err.splitlines()[-1] for one in (dry, real)] == [
        (
            "syncer: nothing was deleted, and this login may not delete: set SYNCER_MIGRATE_DATABASE_URL to the "
            f"address of the schema's owner (database: {database.rpartition('@')[2]})"
        )
    ] * 2
    assert await sql.fetchval("select count(*) from syncer.account where retired_at is not null") == 0
