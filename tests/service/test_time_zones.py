"""A time zone that this machine's Python knows and the database's server does not: refused for that account alone."""

from __future__ import annotations

import json
import zoneinfo
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.service.processes import Program, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator

NAMES = "select array_agg(name || ' ' || time_zone order by name) from syncer.account"


def knowing_more_zones(syncer: Program) -> Program:
    """Returns the program on a machine that has further names for Moscow's zone, as an operating system may have."""
    folders = [Path(folder) for folder in zoneinfo.TZPATH]
    content = next(file.read_bytes() for folder in folders if (file := folder / "Europe" / "Moscow").exists())
    for name in ("localtime", "posix/Europe/Moscow"):
        file = syncer.folder / "zones" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    search_path = ":".join(map(str, [syncer.folder / "zones", *folders]))
    return replace(syncer, variables={"PYTHONTZPATH": search_path})


def refusal(account: str, zone: str, proposed: str) -> str:
    return (
        f"account {account}: the database's server does not know the time zone {zone}: write {proposed} in "
        "SYNCER_TIMEZONE, or in time_zone in the accounts file"
    )


OF_DEFAULT = refusal("default", "localtime", "an IANA name, such as Europe/Moscow,")


@run_concurrently
async def test_sync_and_check_refuse_it_in_one_sentence(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    program = knowing_more_zones(syncer)

    synced = await program.run("sync", "--json", timezone="localtime")
    assert await sql.fetchval(NAMES) is None
    checked = await program.run("check", timezone="localtime")

    (result,) = map(json.loads, synced.out.splitlines())
    assert (synced.code, result["outcome"], result["error_kind"], result["error"]) == (
        1,
        "failed",
        "database",
        OF_DEFAULT,
    )
    assert checked.code == 1
    assert [line for line in checked.out.splitlines() if line.startswith("WRONG")] == [
        f"WRONG  time zones: {OF_DEFAULT}"
    ]
    assert emulator.requests.total() == 1  # by `check`

    # A release before this one may have stored it.
    assert (await program.run("sync")).code == 0
    await sql.execute("update syncer.account set time_zone = 'localtime'")
    again = await program.run("sync", "--json", timezone="localtime")
    assert json.loads(again.out)["error"] == OF_DEFAULT
    assert (await program.run("sync")).code == 0
    assert await sql.fetchval(NAMES) == ["default Europe/Moscow"]


@run_concurrently
async def test_the_daemon_is_not_ready_if_it_refuses_its_only_account(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    daemon = await knowing_more_zones(syncer).start("run", timezone="localtime")
    event = await daemon.wait_for_event("not_ready")
    ended = await daemon.stop(within=10)

    assert event["error"] == OF_DEFAULT
    assert (ended.code, daemon.event_names) == (0, ["daemon_started", "not_ready", "daemon_stopped"])
    assert emulator.requests.total() == 0
    assert await sql.fetchval(NAMES) is None


@run_concurrently
async def test_other_accounts_are_polled_and_one_that_was_polled_before_is_kept(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    program = knowing_more_zones(syncer)
    settings = syncer.accounts("good", "new", "old") | {"poll_interval": "1s"}
    assert (await program.run("sync", "--account", "old", **settings)).code == 0
    entries = (syncer.folder / "accounts.toml").read_text().split("[[account]]\n")
    entries[2] += 'time_zone = "localtime"\n'
    entries[3] += 'time_zone = "posix/Europe/Moscow"\n'
    syncer.write("accounts.toml", "[[account]]\n".join(entries))

    daemon = await program.start("run", **settings)
    await wait_until(lambda: emulator.requests["good-token"] >= 3)
    assert (await daemon.stop(within=10)).code == 0

    assert {event["account"]: event["error"] for event in daemon.events("account_refused", level="error")} == {
        "new": refusal("new", "localtime", "an IANA name, such as Europe/Moscow,"),
        "old": refusal("old", "posix/Europe/Moscow", "Europe/Moscow"),
    }
    assert len(daemon.events("account_refused")) == 2
    assert (emulator.requests["new-token"], emulator.requests["old-token"]) == (0, 1)
    assert await sql.fetchval(NAMES) == ["good Europe/Moscow", "old Europe/Moscow"]
    assert await sql.fetchval("select count(*) from analytics.freshness where retired_at is not null") == 0
