"""`syncer check`: one line per check, with what to do about each problem."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.emulator import faults
from syncer.store.schema import known_revisions
from tests.builders import record
from tests.receiver import Receiver
from tests.service.processes import TOKEN, files_in

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Finished, Program

NEWEST = known_revisions()[0]


def problems(finished: Finished) -> dict[str, str]:
    """Returns the problems by subject."""
    lines = [line.split(maxsplit=1) for line in finished.out.splitlines()]
    assert {word for word, _ in lines} <= {"ok", "WRONG", "warn"}
    return {subject: text for word, rest in lines if word == "WRONG" for subject, _, text in [rest.partition(": ")]}


async def test_everything_that_is_ok_is_listed_one_line_each(
    syncer: Program, database: str, account: PolledAccount
) -> None:
    await account.poll_again()

    finished = await syncer.run("check", "--data")

    location = database.rpartition("@")[2]
    assert finished.code == 0
    assert finished.out.splitlines() == [
        "ok     configuration: 1 account",
        f"ok     database: PostgreSQL {account.sql.get_server_version().major}, {location}",
        "ok     time zones: the database's server knows Europe/Moscow",
        f"ok     schema: {NEWEST}",
        "ok     schedule of default: every 5m; no daemon has polled it yet",
        f"ok     endpoint of default: {syncer.settings['api_url']} accepts the token and lists 200 numbers",
        "ok     names: off",
        "ok     data: every invariant holds",
    ]


async def test_a_response_that_says_that_it_is_a_part_of_the_list_is_a_problem(
    syncer: Program, emulator: Emulator
) -> None:
    emulator.fault = faults.PartialList(share=0.3, headers={"X-Total-Count": "200"})

    finished = await syncer.run("check")

    assert finished.code == 1
    assert (
        f"{emulator.url} accepts the token and lists 60 numbers; the header X-Total-Count says that the list has 200 "
        "elements, but the response has 60\n"
    ) in finished.out


async def test_each_accounts_token_and_endpoint_are_checked_separately(syncer: Program, emulator: Emulator) -> None:
    entry = '[[account]]\nname = "{0}"\ntoken = "{0}-token"\n'
    accounts = "".join(entry.format(name) for name in ("good", "expired", "stranger", "broken"))
    accounts += entry.format("gone") + 'api_url = "http://127.0.0.1:1"\n'
    emulator.queue(
        faults.Status(status=401, token="expired-token"),
        faults.Status(status=403, token="stranger-token"),
        faults.BrokenRecords(count=3, token="broken-token"),
    )

    file = syncer.write("accounts.toml", accounts)
    finished = await syncer.run("check", api_token=None, accounts_file=file)

    found = problems(finished)
    assert finished.code == 1
    assert list(found) == [f"endpoint of {name}" for name in ("expired", "stranger", "broken", "gone")]
    assert "answered 401" in found["endpoint of expired"]
    assert f"generate a token in the Личный кабинет and put it in {file}" in found["endpoint of expired"]
    assert "answered 403" in found["endpoint of stranger"]
    assert "allow-list" in found["endpoint of stranger"]
    assert "3 records are rejected, the first one because: " in found["endpoint of broken"]
    assert "cannot connect to 127.0.0.1:1" in found["endpoint of gone"]
    assert f"endpoint of good: {emulator.url} accepts the token and lists 200 numbers" in finished.out
    assert "-token" not in finished.out + finished.err


async def test_what_is_wrong_with_the_notify_file_is_reported_with_its_place(syncer: Program) -> None:
    channel = '[[channel]]\nname = "duty"\nkind = "apprise"\nurl_env = "SYNCER_DUTY_URL"\n'
    several = replace(syncer, variables={"SYNCER_DUTY_URL": "ntfys://ntfy.example.org/duty"})
    file = syncer.write(
        "notify.toml", channel + '[[rule]]\nname = "locks"\nchannels = ["dutty"]\naccounts = ["office"]\n'
    )
    wrong = await several.run("check", notify_file=file)
    syncer.write("notify.toml", channel + '[[rule]]\nname = "locks"\nchannels = ["duty"]\naccounts = ["default"]\n')
    right = await several.run("check", notify_file=file)

    place = f"WRONG  configuration: {file}, rule 'locks': "
    assert (wrong.code, right.code, problems(right)) == (1, 0, {})
    assert [line for line in wrong.out.splitlines() if line.startswith("WRONG")] == [
        f"{place}channels has 'dutty': no channel of this file has this name; did you mean 'duty'?",
        f"{place}accounts has 'office': no account has this name",
    ]


async def test_each_channel_is_checked_and_nothing_is_sent(syncer: Program) -> None:
    channel = '[[channel]]\nname = "{0}"\nkind = "webhook"\nurl = "{1}"\nsecret = "{2}"\n'
    rule = '[[rule]]\nname = "locks"\nchannels = ["duty", "chief"]\n'
    secret = "whsec_" + "c2VjcmV0" * 4
    async with Receiver() as receiver:
        peer = receiver.url.removeprefix("http://").removesuffix("/hook")
        reachable = channel.format("duty", receiver.url, secret)
        file = syncer.write(
            "notify.toml", reachable + channel.format("chief", "http://127.0.0.1:1/key-of-chief", secret) + rule
        )
        one_down = await syncer.run("check", notify_file=file)
        syncer.write("notify.toml", reachable + rule.replace(', "chief"', ""))
        right = await syncer.run("check", notify_file=file)

    assert (one_down.code, right.code) == (1, 0)
    *_, summary, duty, chief = one_down.out.splitlines()
    assert (summary, duty) == (
        "ok     notify file: 1 rule, 2 channels",
        f"ok     channel duty: {peer} accepts connections, without TLS",
    )
    assert chief == (
        "WRONG  channel chief: cannot connect to 127.0.0.1:1 (Connection refused): check the address, the network and "
        "the firewall"
    )
    assert right.out.splitlines()[-2:] == [
        "ok     notify file: 1 rule, 1 channel",
        f"ok     channel duty: {peer} accepts connections, without TLS",
    ]
    assert receiver.requests == []
    assert secret not in one_down.out
    assert "key-of-chief" not in one_down.out


async def test_a_configuration_problem_is_reported_with_a_suggestion(syncer: Program) -> None:
    misspelt, absent = await asyncio.gather(
        syncer.run("check", poll_intervall="1m"), syncer.run("check", api_token=None)
    )

    assert misspelt.code == 1
    assert problems(misspelt) == {
        "configuration": "SYNCER_POLL_INTERVALL is not a setting: did you mean SYNCER_POLL_INTERVAL?"
    }
    assert absent.code == 1
    assert list(problems(absent)) == ["configuration"]
    assert problems(absent)["configuration"].startswith("SYNCER_API_TOKEN is not set: generate a token")


async def test_a_database_problem_is_reported_and_the_endpoint_is_checked_nevertheless(
    syncer: Program, empty_database: str, emulator: Emulator
) -> None:
    down, empty = await asyncio.gather(
        syncer.run("check", "--data", database_url="postgresql://u:passw0rd@127.0.0.1:1/none"),
        syncer.run("check", "--data", database_url=empty_database, migrate_on_start="false"),
    )
    not_created_yet = await syncer.run("check", "--data", database_url=empty_database)

    assert (down.code, empty.code) == (1, 1)
    assert [text for text in problems(down).values() if "SYNCER_DATABASE_URL" in text] == [*problems(down).values()]
    assert list(problems(down)) == ["database"]
    assert len(problems(empty)) == 1
    assert "run `syncer migrate`" in next(iter(problems(empty).values()))
    assert (not_created_yet.code, problems(not_created_yet)) == (0, {})
    assert "schema: none yet: `syncer run` and `syncer sync` create it" in not_created_yet.out
    assert emulator.requests == {TOKEN: 3}


async def test_a_violated_invariant_is_reported_with_its_number_and_the_offending_row(
    syncer: Program, account: PolledAccount, sql: asyncpg.Connection, folder: Path
) -> None:
    created = await account.poll(*(record(number) for number in range(250, 260)))
    removed = await account.poll(*(record(number) for number in range(251, 260)))
    await sql.execute("delete from syncer.state_history where virtual_number_id = 250")
    await sql.execute("update syncer.virtual_number set from_state = 'freeze' where virtual_number_id = 256")

    with_data, without = await asyncio.gather(syncer.run("check", "--data"), syncer.run("check"))

    lines = [line for line in with_data.out.splitlines() if line.startswith("WRONG")]
    assert with_data.code == 1
    assert sorted(line.rpartition(": ")[0] for line in lines) == [
        "WRONG  data: invariant 1: account 1, number 250",
        "WRONG  data: invariant 3: account 1, number 250",
        "WRONG  data: invariant 3: account 1, number 256",
        f"WRONG  data: invariant 5: account 1, run {created.run_id}",
        f"WRONG  data: invariant 5: account 1, run {removed.run_id}",
    ]
    assert (without.code, problems(without)) == (0, {})
    assert files_in(folder) == []  # a command leaves no file in its working directory


async def test_all_wrong_settings_are_told_at_once_and_what_does_not_depend_on_them_is_checked(
    syncer: Program, account: PolledAccount, database: str, emulator: Emulator
) -> None:
    await account.poll_again()

    finished = await syncer.run(
        "check", log_level="loud", poll_interval="1m", poll_cron="* * * * *", run_retention="3 months", qqq="1"
    )

    wrong = [line for line in finished.out.splitlines() if line.startswith("WRONG")]
    assert (finished.code, finished.err) == (
        2,
        "syncer: the settings that are marked WRONG have to be corrected first\n",
    )
    assert [line.split(":")[1].split()[0] for line in wrong] == [
        *("SYNCER_POLL_INTERVAL", "SYNCER_RUN_RETENTION", "SYNCER_LOG_LEVEL", "SYNCER_QQQ")
    ]
    major = account.sql.get_server_version().major
    assert f"ok     database: PostgreSQL {major}, {database.rpartition('@')[2]}" in finished.out
    assert f"endpoint of default: {emulator.url} accepts the token" in finished.out


async def test_the_schedule_of_each_account_is_shown_with_the_time_of_the_next_poll(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    entry = '[[account]]\nname = "{0}"\ntoken = "{0}-token"\n{1}\n'
    accounts = entry.format("often", 'poll_interval = "90s"')
    accounts += entry.format("at night", 'poll_cron = "0 3 * * *"\ntime_zone = "Asia/Vladivostok"')
    settings = {"api_token": None, "accounts_file": syncer.write("accounts.toml", accounts)}
    before = await syncer.run("check", **settings)
    daemon = await syncer.start("run", **settings)
    await daemon.wait_for_event("poll_finished", account="often")
    await daemon.stop()
    after = await syncer.run("check", **settings)

    due = await sql.fetchval(
        "select to_char(due_at at time zone 'Europe/Moscow', 'YYYY-MM-DD HH24:MI:SS') "
        "from syncer.account_schedule join syncer.account using (account_id) where name = 'often'"
    )
    assert "ok     schedule of often: every 90s; no daemon has polled it yet\n" in before.out
    assert f"ok     schedule of often: every 90s; next due {due} MSK\n" in after.out
    assert "ok     schedule of at night: at 0 3 * * * in Asia/Vladivostok; next due " in after.out
    assert " 03:00:00 +10\n" in after.out


async def test_an_account_without_numbers_is_remarked_on(syncer: Program, emulator: Emulator) -> None:
    emulator.fault = faults.Body(body="[]")

    finished = await syncer.run("check")

    assert finished.code == 0
    assert (
        f"warn   endpoint of default: {emulator.url} accepts the token and lists 0 numbers: check in the Личный "
        "кабинет that the token is that of the account with the numbers\n"
    ) in finished.out


async def test_a_token_with_what_does_not_belong_to_it_is_recognised(syncer: Program, emulator: Emulator) -> None:
    emulator.fault = faults.Status(status=401)
    quoted, named, with_scheme, header, key = await asyncio.gather(
        *(
            syncer.run("check", api_token=f"{start}{TOKEN}")
            for start in ('"', "SYNCER_API_TOKEN=", "Bearer ", "Authorization: Bearer ", "token=")
        )
    )

    assert (quoted.code, named.code, with_scheme.code) == (2, 2, 1)
    assert "it begins with a quotation mark, which is not part of the token: remove the quotation marks\n" in quoted.out
    assert "it begins with SYNCER_API_TOKEN=, which is not part of the token: keep only what follows it\n" in named.out
    assert "it begins with Authorization:, which is not part of the token: keep only what follows it\n" in header.out
    assert "it begins with token=, which is not part of the token: keep only what follows it\n" in key.out
    assert (
        "answered 401, and the token of SYNCER_API_TOKEN begins with the word Bearer: keep only the token there; if "
        "the endpoint wants the word, set SYNCER_API_AUTH_SCHEME to it\n"
    ) in with_scheme.out
    assert "generate" not in quoted.out + named.out + with_scheme.out + header.out + key.out


async def test_what_depends_on_a_wrong_setting_is_left_out(syncer: Program) -> None:
    address, interval = await asyncio.gather(
        syncer.run("check", database_url="postgresql://u:passw0rd@db:x/y"), syncer.run("check", poll_interval="5")
    )

    assert (address.code, "  database: " in address.out) == (2, False)
    assert (interval.code, "schedule of" in interval.out) == (2, False)


async def test_the_full_address_of_the_endpoint_is_understood(syncer: Program, emulator: Emulator) -> None:
    finished = await syncer.run("check", api_url=f"{emulator.url}/numbers/virtual-number/")

    assert finished.code == 0
    assert f"endpoint of default: {emulator.url} accepts the token and lists 200 numbers" in finished.out
