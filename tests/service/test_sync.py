"""`syncer sync`: its output and exit codes."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from syncer.emulator import faults
from tests.builders import connect
from tests.proxy import Proxy
from tests.service.processes import TOKEN, Gate, wait_until

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.proxy import Action
    from tests.service.processes import Program

FIELDS = [
    "account", "run_id", "outcome", "received", "created", "changed", "unchanged", "removed", "restored", "held",
    "unconfirmed", "rejected", "state_changes", "redirects_opened", "redirects_closed", "duration_seconds",
    "error_kind", "error",
]  # fmt: skip
ACCOUNTS = """
[[account]]
name = "Север"
token = "north-token"
[[account]]
name = "Юг"
token_file = "south"
[[account]]
name = "Восток"
token_env = "SYNCER_EAST"
"""


def accounts_file(syncer: Program) -> dict[str, str | None]:
    """Returns settings for three accounts with the tokens `north-token`, `south-token` and `east-token`."""
    syncer.write("south", "south-token\n")
    path = syncer.write("accounts.toml", ACCOUNTS)
    return {"api_token": None, "accounts_file": path, "east": "east-token"}


async def test_a_sync_prints_its_result_in_one_line(syncer: Program, emulator: Emulator) -> None:
    redirects = sum(len(one.get("from_redirect_numbers") or []) for one in emulator.fleet(TOKEN).records())

    first = await syncer.run("sync")
    emulator.fleet(TOKEN).change_fraction(0.05)
    second = await syncer.run("sync", "--json")

    assert first.result == (0, f"default: applied: 200 received, 200 created, {redirects} redirects opened\n")
    assert [json.loads(line)["event"] for line in first.err.splitlines()] == ["sync_started", "poll_finished"]
    result = json.loads(second.out)
    assert (second.code, result["outcome"], result["received"], result["changed"]) == (0, "applied", 200, 10)
    assert emulator.requests == {TOKEN: 2}


async def test_json_output_is_one_line_per_account_with_all_fields_in_the_order_of_the_contract(
    syncer: Program, emulator: Emulator
) -> None:
    emulator.queue(faults.BrokenRecords(token="south-token"), faults.Status(status=401, token="east-token"))

    finished = await syncer.run("sync", "--json", **accounts_file(syncer))

    north, south, east = (json.loads(line) for line in finished.out.splitlines())
    assert finished.code == 1  # the worst of 0, 3 and 1
    assert [list(north), list(south), list(east)] == [FIELDS] * 3
    assert (north["account"], south["account"], east["account"]) == ("Север", "Юг", "Восток")
    assert (north["outcome"], north["created"], north["rejected"], north["error"]) == ("applied", 200, 0, None)
    assert (south["outcome"], south["created"], south["rejected"], south["error"]) == ("applied", 199, 1, None)
    assert (east["outcome"], east["received"], east["created"], east["error_kind"]) == (
        "failed",
        None,
        0,
        "unauthorized",
    )
    assert east["error"].startswith(f"{emulator.url[7:]} answered 401, so the token of SYNCER_EAST is not valid")
    assert {north["run_id"], south["run_id"], east["run_id"]} == {1, 2, 3}
    assert north["duration_seconds"] > 0
    assert "north-token" not in finished.out + finished.err


async def test_named_accounts_are_polled_once_each_and_with_an_unknown_name_none_is_polled(
    syncer: Program, emulator: Emulator
) -> None:
    several = accounts_file(syncer)

    named, unknown = await asyncio.gather(
        syncer.run("sync", "--json", "--account", "Юг", "--account", "Север", "--account", "Юг", **several),
        syncer.run("sync", "--account", "Север", "--account", "Запад", **several),
    )

    assert named.code == 0
    assert sorted(json.loads(line)["account"] for line in named.out.splitlines()) == ["Север", "Юг"]
    assert emulator.requests == {"north-token": 1, "south-token": 1}
    assert unknown.code == 2
    assert unknown.error_line() == "syncer: --account 'Запад' is not configured; the accounts are Восток, Север, Юг"


async def test_held_removals_exit_with_3_until_an_operator_accepts_them(
    syncer: Program, emulator: Emulator, account: PolledAccount, sql: asyncpg.Connection
) -> None:
    await account.poll_again()
    emulator.fleet(TOKEN).remove_fraction(0.5)
    held = await syncer.run("sync")
    assert held.result == (3, "default: applied: 100 received, 100 unchanged, 100 held\n")
    repeated = await syncer.run("sync")
    assert repeated.result == (3, "default: unchanged: 100 received, 100 unchanged, 100 held\n")

    accepted = await syncer.run("sync", "--accept-removals")

    closed = await sql.fetchval("select redirects_closed from syncer.sync_run order by run_id desc limit 1")
    assert accepted.result == (
        0,
        f"default: applied: 100 received, 100 unchanged, 100 removed, {closed} redirects closed\n",
    )
    assert await sql.fetchval("select count(*) from syncer.virtual_number where removed_at is not null") == 100


async def test_a_rejected_record_exits_with_3_and_a_failed_poll_with_1(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.fault = faults.BrokenRecords(field="id", value="250")
    rejected = await syncer.run("sync")
    assert rejected.code == 3
    assert "199 created, 1 rejected" in rejected.out

    emulator.fault = faults.Truncated()
    failed = await syncer.run("sync")

    assert failed.code == 1
    (line,) = failed.out.splitlines()
    assert line.startswith("default: failed: ")
    assert await sql.fetchval("select count(*) from syncer.virtual_number where missing_since is null") == 199


async def test_with_the_database_down_the_poll_fails_with_1_and_sends_no_request(
    syncer: Program, emulator: Emulator
) -> None:
    finished = await syncer.run("sync", "--json", database_url="postgresql://u:passw0rd@127.0.0.1:1/none")

    result = json.loads(finished.out)
    assert (finished.code, list(result)) == (1, FIELDS)
    assert (result["outcome"], result["run_id"], result["error_kind"]) == ("failed", None, "database")
    assert "Connection refused" in result["error"] or "Connect call failed" in result["error"]
    assert emulator.requests == {}


async def test_a_sync_that_starts_earlier_and_ends_later_is_superseded(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    gate = Gate(opened=asyncio.Event(), requests=1)
    emulator.fault = gate
    slow = await syncer.start("sync", "--json")
    await wait_until(lambda: emulator.requests[TOKEN] == 1)

    fast = await syncer.run("sync", "--json")
    gate.opened.set()

    late = await slow.wait()
    assert [(json.loads(one.out)["outcome"], one.code) for one in (fast, late)] == [("applied", 0), ("superseded", 0)]
    assert [tuple(row) for row in await sql.fetch("select run_id, outcome from syncer.sync_run order by run_id")] == [
        (1, "superseded"),
        (2, "applied"),
    ]


async def test_a_sync_creates_the_schema_if_allowed_and_otherwise_polls_nothing(
    syncer: Program, emulator: Emulator, empty_database: str, database: str, sql: asyncpg.Connection
) -> None:
    refused = await syncer.run("sync", database_url=empty_database, migrate_on_start="false")
    assert refused.code == 1
    assert refused.error_line() == (
        "syncer: the database has no schema of syncer yet: run `syncer migrate` "
        f"(database: {empty_database.rpartition('@')[2]})"
    )
    await sql.execute("update syncer.alembic_version set version_num = '9999'")
    newer, created = await asyncio.gather(
        syncer.run("sync", database_url=database), syncer.run("sync", database_url=empty_database)
    )

    assert newer.code == 1
    assert "the database's schema is 9999, which is newer than this version of syncer" in newer.error_line()
    assert created.code == 0
    assert emulator.requests == {TOKEN: 1}
    connection = await connect(empty_database)
    assert await connection.fetchval("select count(*) from syncer.virtual_number") == 200
    await connection.close()


async def test_a_sync_whose_commit_is_lost_with_the_database_ends_with_4_and_names_the_run(
    syncer: Program, database: str
) -> None:
    async with Proxy(database) as proxy:
        proxy.intercept(b"with succeeded as", b"COMMIT", then="drop the response and refuse connections")
        lost = await syncer.run("sync", database_url=proxy.url, shutdown_timeout="1s")
    later = await syncer.run("sync", "--json")

    assert lost.code == 4
    assert lost.out.startswith("default: unknown: the outcome of run 1 is unknown, because the connection was lost")
    started, event = (json.loads(line) for line in lost.err.splitlines())
    assert started["event"] == "sync_started"
    assert (event["event"], event["level"], event["outcome"]) == ("poll_finished", "warning", "unknown")
    assert (later.code, json.loads(later.out)["outcome"]) == (0, "unchanged")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("drop the response and refuse connections", "unchanged"),
        ("drop the request and refuse connections", "running"),
    ],
)
async def test_the_command_that_an_unknown_outcome_advises_lists_the_outcome(
    syncer: Program, database: str, fault: Action, outcome: str
) -> None:
    await syncer.run("sync")
    async with Proxy(database) as proxy:
        proxy.intercept(b"with succeeded as", b"COMMIT", then=fault)
        lost = await syncer.run("sync", database_url=proxy.url, shutdown_timeout="1s")

    assert lost.code == 4
    (advised,) = re.findall("`syncer (.*?)`", lost.out)
    listed = await syncer.run(*shlex.split(advised))
    outcomes = {row["run_id"]: row["outcome"] for row in csv.DictReader(listed.out.splitlines())}
    assert outcomes == {"1": "applied", "2": outcome}
