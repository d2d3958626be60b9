"""Names as an operator meets them: `sync`, `check`, `status`, `settings`, and no secret of the lists anywhere."""

from __future__ import annotations

import json
import platform
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from syncer.emulator import faults
from tests.integration.test_restore import dump
from tests.named_account import PATHS
from tests.service.processes import TOKEN, wait_until

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

ALL = "employees, groups, scenarios"
OUTCOMES = "select list, outcome from syncer.name_list order by list"


async def rows(sql: asyncpg.Connection, query: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a query."""
    return [tuple(row) for row in await sql.fetch(query)]


async def test_sync_reads_the_lists_that_are_due_and_its_result_is_the_same_without(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    without = await syncer.run("sync", "--json")
    emulator.queue(faults.Status(path="/employee", status=403))
    first = await syncer.run("sync", "--json", names=ALL)
    second = await syncer.run("sync", "--json", names=ALL)

    def result(out: str) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(out)
        return {key: value for key, value in fields.items() if key not in {"run_id", "duration_seconds"}}

    assert [one.code for one in (without, first, second)] == [0, 0, 0]
    assert result(first.out) == result(second.out)
    assert result(without.out).keys() == result(first.out).keys()
    assert await rows(sql, OUTCOMES) == [
        ("employee_groups", "read"),
        ("employees", "failed"),
        *((name, "read") for name in ("group_scenarios", "groups", "scenarios")),
    ]
    assert [emulator.requests_by_path[path] for path in PATHS.values()] == [1] * 5
    assert "names_failed" in first.err
    assert "names_failed" not in second.err + without.err


async def test_sync_of_one_account_reads_the_lists_of_that_one(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    accounts = syncer.accounts("one", "other")
    assert (await syncer.run("sync", **accounts, names="employees")).code == 0
    await sql.execute("update syncer.name_list set due_at = syncer.clock()")
    assert (await syncer.run("sync", "--account", "other", **accounts, names="employees")).code == 0

    assert emulator.requests_by_path["/employee"] == 3
    assert await rows(sql, "select account, is_read from analytics.name_lists order by 1") == [
        ("one", True),
        ("other", True),
    ]


async def test_sync_with_the_token_of_another_account_reads_no_names(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async def sync(**settings: Any) -> tuple[int, list[Any]]:
        await sql.execute("update syncer.name_list set due_at = syncer.clock()")
        code = (await syncer.run("sync", names="employees", **settings)).code
        return code, await rows(sql, "select * from syncer.name order by object_id")

    code, before = await sync()
    assert (code, len(before) > 0) == (0, True)
    assert await sync(api_token="token of another") == (1, before)
    assert emulator.requests_by_path["/employee"] == 1
    assert await sync() == (0, before)
    assert emulator.requests_by_path["/employee"] == 2
    assert await rows(sql, "select * from syncer.name_history") == []


async def test_sync_waits_for_a_list_that_hangs_no_longer_than_the_timeout(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Hang(path="/employee"))
    finished = await syncer.run("sync", names="employees", api_timeout="1s")

    assert finished.code == 0
    assert await rows(sql, "select outcome, error_kind from syncer.name_list") == [("failed", "timeout")]


async def test_check_says_how_much_it_read_of_each_list_and_stores_nothing(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    assert (await syncer.run("migrate")).code == 0
    emulator.queue(
        faults.Status(path="/employee", status=403),
        faults.UnusableNames(path="/scenario/inbound/group", problem="name_null", count=2),
        faults.Html(path="/employee-group/"),
    )
    finished = await syncer.run("check", names=ALL)

    lists = emulator.fleet(TOKEN).name_lists()
    count = {name: len(lists.records(path)) for name, path in PATHS.items()}
    host = emulator.url.removeprefix("http://")
    assert finished.code == 0
    assert [line for line in finished.out.splitlines() if "names" in line] == [
        (
            f"warn   names of default: employees: {host} answered 403, so the token may not read /employee: give it "
            "the right in the Личный кабинет, or take employees out of SYNCER_NAMES"
        ),
        f"ok     names of default: groups: {count['groups'] - 2} read, 2 records skipped",
        (
            "warn   names of default: employee_groups: /employee-group/ was answered with an HTML page: the names stay "
            "as they are, and the list is asked for again"
        ),
        f"ok     names of default: scenarios: {count['scenarios']} read",
        f"ok     names of default: group_scenarios: {count['group_scenarios']} read",
    ]
    assert await rows(sql, "select list from syncer.name_list union all select list from syncer.name") == []


async def test_check_names_the_key_of_an_account_that_has_its_own(syncer: Program, emulator: Emulator) -> None:
    emulator.queue(faults.Status(path="/employee", status=401))
    entry = '[[account]]\nname = "{0}"\ntoken = "{0}-token"\nnames = "{1}"\n'
    file = syncer.write("accounts.toml", entry.format("with", "employees") + entry.format("without", "off"))
    finished = await syncer.run("check", api_token=None, accounts_file=file, names="groups")

    (line,) = [line for line in finished.out.splitlines() if "names" in line and "accounts.toml" in line]
    assert line.startswith("warn   names of with: employees: ")
    assert line.endswith(f"or take employees out of names of this account in {file}")
    assert "names of without" not in finished.out


async def test_status_has_a_line_for_an_account_whose_lists_were_not_read(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async def status() -> tuple[list[str], list[Any]]:
        text, as_json = await syncer.run("status"), await syncer.run("status", "--json")
        lines = [line for line in text.out.splitlines() if "names" in line]
        return lines, [json.loads(line)["unread_names"] for line in as_json.out.splitlines()]

    await syncer.run("sync")
    assert await status() == ([], [[]])
    emulator.queue(*(faults.Status(path=path, status=403) for path in ("/employee", "/employee-group/")))
    await syncer.run("sync", names=ALL)
    error = await sql.fetchval("select error from syncer.name_list where list = 'employee_groups'")
    lines, ((first, second),) = await status()
    assert lines == [f"! default: the names could not be read: employee_groups and employees: {error}"]
    assert first == {"list": "employee_groups", "last_success_at": None, "error_kind": "forbidden", "error": error}
    assert second["list"] == "employees"
    await sql.execute(
        "update syncer.name_list set outcome = null, error = null, success_at = null where list <> 'groups'"
    )
    assert (await status())[0] == [
        (
            "! default: no names have been read yet: employee_groups, employees, group_scenarios and scenarios; "
            "`syncer run` reads them after a successful poll"
        )
    ]
    await syncer.run("sync")
    assert await status() == ([], [[]])


async def test_settings_shows_which_names_are_read(syncer: Program) -> None:
    def shown(out: str) -> list[str]:
        return [line.split()[1] for line in out.splitlines() if line.startswith("SYNCER_NAMES")]

    assert shown((await syncer.run("settings")).out) == ["off", "60m"]
    found = await syncer.run("settings", names="Groups,employees", names_interval="2h")
    assert shown(found.out) == ["employees,groups", "2h"]


def memory_of(process: Process) -> bytes:
    """Returns all memory of a process that it may write."""
    parts = []
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
            begin, end, access = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()  # type: ignore[union-attr] # each line has these
            if access.startswith("rw"):
                memory.seek(int(begin, 16))
                try:
                    parts.append(memory.read(int(end, 16) - int(begin, 16)))
                except OSError:
                    continue
    return b"".join(parts)


async def test_no_secret_of_the_lists_is_stored_logged_or_shown(
    syncer: Program, emulator: Emulator, database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    secrets = emulator.fleet(TOKEN).name_lists().secrets()
    assert len(secrets) > 50
    daemon = await syncer.start(
        "run", names=ALL, log_level="debug", poll_interval="1s", api_timeout="2s", http_listen="127.0.0.1:0"
    )
    url = (await daemon.wait_for_event("http_listening"))["url"]
    await wait_until(lambda: sql.fetchval("select count(success_at) = 5 from syncer.name_list"))

    def has_more_requests(requests: int) -> bool:
        return emulator.requests_by_path["/employee"] > requests

    of_each: list[list[Any]] = [
        [fault(path=path) for path in PATHS.values()]
        for fault in (faults.Truncated, faults.Unclosed, faults.CutOff, faults.UnknownFields, faults.SlowDrip)
    ]
    of_each.append([faults.BrokenRecords(path=path, field="id", value="x", count=3) for path in PATHS.values()])
    of_each.append([faults.UnusableNames(path="/employee", problem="name_too_long", count=3)])
    for faulty in of_each:
        emulator.queue(*faulty)
        requests = emulator.requests_by_path["/employee"]
        await sql.execute("update syncer.name_list set due_at = syncer.clock(), lease_until = null")
        await wait_until(partial(has_more_requests, requests))
        await wait_until(lambda: sql.fetchval("select count(lease_until) = 0 from syncer.name_list"))
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(url + path) for path in ("/", "/metrics")]
        pages = [await answer.text() for answer in answers]
    emulator.queue(*of_each[0])
    commands = [await syncer.run(*one, names=ALL) for one in (("check",), ("status",), ("status", "--json"), ("sync",))]
    ended = await daemon.stop()
    await dump(database, tmp_path / "dump.sql", "plain")

    found = {
        "dump": (tmp_path / "dump.sql").read_text(),
        "log": ended.err,
        "pages": "".join(pages),
        "commands": "".join(one.out + one.err for one in commands),
    }
    leaked = {place: sorted(secret for secret in secrets if secret in text) for place, text in found.items()}
    assert leaked == {place: [] for place in found}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc overwrites what is freed")
async def test_no_password_of_the_lists_stays_in_the_memory_of_the_daemon(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    texts = emulator.fleet(TOKEN).name_lists().secrets()
    passwords = [text.encode() for text in texts if text.startswith(("password-", "login-"))]
    assert len(passwords) > 50
    emulator.queue(faults.Truncated(path="/employee", share=0.9, requests=1))
    daemon = await syncer.start("run", names=ALL, log_level="debug", poll_interval="1h")
    await wait_until(
        lambda: sql.fetchval("select count(success_at) = 4 from syncer.name_list where lease_until is null")
    )
    await sql.execute("update syncer.name_list set due_at = syncer.clock()")
    await wait_until(
        lambda: sql.fetchval("select count(success_at) = 5 from syncer.name_list where lease_until is null")
    )

    def has_none() -> bool:
        memory = memory_of(daemon)
        return not any(password in memory for password in passwords)

    await wait_until(has_none)
