"""`syncer check`: one line per check, with what to do about each problem."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncer.emulator import faults
from syncer.store.schema import known_revisions
from tests.builders import record
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
    assert {word for word, _ in lines} <= {"ok", "WRONG"}
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
        f"ok     database: PostgreSQL 18, {location}",
        "ok     time zones: the database's server knows Europe/Moscow",
        f"ok     schema: {NEWEST}",
        f"ok     endpoint of default: {syncer.settings['api_url']} accepts the token and lists 200 numbers",
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
