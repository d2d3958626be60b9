"""Reading lists of names into a real database over real HTTP: versions, failures, erased names, several daemons."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from syncer.emulator import Emulator, faults
from syncer.store.erasures import erasing
from tests import builders
from tests.builders import settings_for
from tests.integration.test_logs import log_lines
from tests.locks import wait_until_blocked
from tests.named_account import PATHS, NamedAccount, employee

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator.fault import Fault
    from syncer.store.engine import Engine
    from tests.integration.test_logs import ReadLogLines

__all__ = ["log_lines"]

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
T1, T2, T3, T4 = (T0 + hours * timedelta(hours=1) for hours in range(1, 5))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = ("employees", "groups", "scenarios")
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
async def named(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[NamedAccount]:
    settings = settings_for(emulator, api_timeout=timedelta(seconds=2))
    async with NamedAccount(engine, emulator, sql, settings) as account:
        yield account
    assert await account.broken_invariants() == []


# What is stored


async def test_all_five_lists_are_stored_as_the_vendor_has_them(named: NamedAccount) -> None:
    await named.read(words=ALL)

    lists = named.emulator.fleet("token").name_lists()
    expected = []
    for name, path in PATHS.items():
        for record in lists.records(path):
            shifts = {
                (
                    shift["scenario_type"],
                    "employees" if shift["employee_id"] else "employee_groups" if shift["employee_group_id"] else None,
                    shift["employee_id"] or shift["employee_group_id"],
                )
                for key, shift in record.items()
                if "working_shift" in key and shift is not None
            }
            target = next(iter(shifts), (None,) * 3) if len(shifts) < 2 else ("varies", None, None)
            label = record.get("full_name", record.get("name"))
            expected.append((name, record["id"], label, record.get("position_name"), *target))
    found = await named.rows(
        "select list, object_id, name, position, scenario_type, target_list, target_id from syncer.name"
    )
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {row[4] for row in found} >= {None, "varies", "redirect_to_employee", "redirect_to_employee_group"}
    assert await named.rows("select list, outcome, error, skipped from syncer.name_list order by list") == [
        (name, "read", None, 0) for name in sorted(PATHS)
    ]
    assert named.emulator.requests_by_path == dict.fromkeys(PATHS.values(), 1)


async def test_a_renamed_employee_has_a_version_of_each_name(named: NamedAccount) -> None:
    await named.read_employees(employee(1), employee(2, "Рябов Пётр", None), at=T0)
    await named.read_employees(employee(1), employee(2, "Рябов Пётр", None), employee(3), at=T1)
    await named.read_employees(employee(1, "Белова Анна"), employee(2, "Рябов Пётр", "Директор"), employee(3), at=T2)

    assert await named.names() == [
        (1, "Белова Анна", "Оператор", T0, T2, T1, None),
        (2, "Рябов Пётр", "Директор", T0, T2, T1, None),
        (3, "Орлова Анна", "Оператор", T1, T1, T0, None),
    ]
    assert await named.history() == [
        (1, "Орлова Анна", "Оператор", T0, T2, None, T1),
        (2, "Рябов Пётр", None, T0, T2, None, T1),
    ]
    assert await named.list_row() == ("read", None, 200, 3, 0, T2)


async def test_an_id_that_is_not_listed_keeps_its_name_and_a_list_without_any_ends_nothing(named: NamedAccount) -> None:
    await named.read_employees(employee(1), employee(2), employee(3), at=T0)
    await named.read_employees(employee(1), at=T1)
    await named.read_employees(at=T2)
    await named.read_employees(employee(1), employee(3, "Белова Анна"), at=T3)

    assert await named.names() == [
        (1, "Орлова Анна", "Оператор", T0, T0, None, None),
        (2, "Орлова Анна", "Оператор", T0, T0, None, T1),
        (3, "Белова Анна", "Оператор", T0, T3, T2, None),
    ]
    assert await named.history() == [(3, "Орлова Анна", "Оператор", T0, T3, None, T2)]


async def test_the_same_response_again_writes_only_when_it_was_read(
    named: NamedAccount, log_lines: ReadLogLines
) -> None:
    await named.read_employees(employee(1), at=T0)
    before = await named.rows("select xmin::text, * from syncer.name")
    log_lines()
    await named.read_employees(employee(1), at=T1)

    assert await named.rows("select xmin::text, * from syncer.name") == before
    assert await named.list_row() == ("unchanged", None, 200, 1, 0, T1)
    assert log_lines() == [
        {
            "event": "names_read",
            "level": "debug",
            "account": "default",
            "list": "employees",
            "new": 0,
            "changed": 0,
            "unlisted": 0,
        }
    ]


async def test_of_two_records_of_an_id_the_one_that_is_stored_stays(named: NamedAccount) -> None:
    one, other = employee(1, "Первая"), employee(1, "Вторая")
    await named.read_employees(one, other, at=T0)
    await named.read_employees(other, one, at=T1)
    assert [row[1] for row in await named.names()] == ["Первая"]
    await named.read_employees(other, employee(1, "Третья"), at=T2)

    assert [row[1] for row in await named.names()] == ["Вторая"]
    assert [row[1] for row in await named.history()] == ["Первая"]
    assert await named.list_row() == ("read", None, 200, 2, 1, T2)


@pytest.mark.parametrize("problem", ["id_missing", "name_null", "name_too_long", "second_name"])
async def test_a_record_that_cannot_be_stored_is_counted_and_its_name_stays(named: NamedAccount, problem: Any) -> None:
    await named.read(at=T0)
    before = await named.rows("select object_id, name, position, changed_at from syncer.name order by object_id")
    count = len(before)
    await named.read(faults.UnusableNames(path="/employee", problem=problem, count=2), at=T1)

    assert (
        await named.rows("select object_id, name, position, changed_at from syncer.name order by object_id") == before
    )
    assert await named.rows("select count(*) from syncer.name where unlisted_since is not null") == [
        (0 if problem == "second_name" else 2,)
    ]
    assert await named.list_row() == ("read", None, 200, count + 2 * (problem == "second_name"), 2, T1)


async def test_names_with_nul_and_lone_surrogates_are_stored(named: NamedAccount) -> None:
    body = r'[{"id": 1, "full_name": "a\u0000b\ud800c", "position_name": "\udfff"}]'
    await named.read(faults.Body(path="/employee", body=body))
    assert [row[1:3] for row in await named.names()] == [("a�b�c", "�")]


async def test_a_list_of_many_thousands_is_written_in_batches(named: NamedAccount) -> None:
    await named.read_employees(*(employee(number, f"Имя {number}") for number in range(12_000)), at=T0)
    await named.read_employees(*(employee(number, f"Имя {number + 1}") for number in range(1, 12_001)), at=T1)

    assert await named.row(
        "select count(*), count(*) filter (where name = 'Имя ' || object_id + 1), count(unlisted_since), "
        "count(*) filter (where changed_after is null) from syncer.name"
    ) == (12_001, 12_000, 1, 1)
    assert await named.row("select count(*), min(valid_to), max(valid_to) from syncer.name_history") == (11_999, T1, T1)


async def test_a_clock_that_was_set_back_makes_no_version_of_negative_length(named: NamedAccount) -> None:
    await named.read_employees(employee(1), at=T1)
    await named.read_employees(employee(1, "Белова Анна"), at=T0)
    await named.sql.execute("delete from syncer.name_list")
    await named.read_employees(employee(1, "Громова Анна"), at=T0)

    later = T1 + MICROSECOND
    assert await named.history() == [
        (1, "Орлова Анна", "Оператор", T1, later, None, T1),
        (1, "Белова Анна", "Оператор", later, later + MICROSECOND, T1, later),
    ]


# Erased names


async def test_the_name_of_an_erased_employee_is_not_stored_again_until_the_erasure_is_lifted(
    named: NamedAccount, engine: Engine
) -> None:
    await named.read_employees(employee(1), employee(2), at=T0)
    account_id = await named.sql.fetchval("select account_id from syncer.account")
    async with erasing(engine, account_id, confirmed=True) as eraser:
        await eraser.erase_employee(1, None, comments=False)
    await named.read_employees(employee(1), employee(2), at=T1)
    await named.read_employees(employee(1, "Белова Анна"), employee(2), at=T2)
    assert [row[:3] for row in await named.names()] == [(1, None, None), (2, "Орлова Анна", "Оператор")]
    assert await named.history() == []

    await named.sql.execute("update syncer.erasure set lifted_at = syncer.clock()")
    await named.read_employees(employee(1, "Белова Анна"), employee(2), employee(3), at=T3)
    assert (await named.names())[0][:3] == (1, "Белова Анна", "Оператор")
    assert await named.history() == [(1, None, None, T0, T3, None, T2)]


async def test_a_list_that_is_read_for_the_first_time_during_an_erasure_waits_for_it(
    named: NamedAccount, engine: Engine, database: str
) -> None:
    await named.poll(builders.record(1, employee_id=41))
    account_id = await named.sql.fetchval("select account_id from syncer.account")
    async with erasing(engine, account_id, confirmed=True) as eraser:
        await eraser.erase_employee(41, None, comments=False)
        reading = asyncio.create_task(named.read_employees(employee(41), employee(42)))
        await wait_until_blocked(database, "syncer.account_fence")

    await reading
    assert [row[:3] for row in await named.names()] == [(41, None, None), (42, "Орлова Анна", "Оператор")]


async def test_a_list_of_names_does_not_wait_for_a_poll_that_is_written(named: NamedAccount, database: str) -> None:
    await named.poll(builders.record(1))
    poll = await builders.connect(database)
    async with poll.transaction():
        await poll.execute("select from syncer.account_fence for no key update")
        await named.read_employees(employee(41))
    await poll.close()
    assert [row[:2] for row in await named.names()] == [(41, "Орлова Анна")]


# Failures


FAILURES: dict[str, tuple[Fault, str, int | None, str]] = {
    "401": (
        faults.Status(status=401),
        "unauthorized",
        401,
        (
            "HOST answered 401, so the token may not read /employee: give it the right in the Личный кабинет, or take "
            "employees out of SYNCER_NAMES"
        ),
    ),
    "403": (
        faults.Status(status=403),
        "forbidden",
        403,
        (
            "HOST answered 403, so the token may not read /employee: give it the right in the Личный кабинет, or take "
            "employees out of SYNCER_NAMES"
        ),
    ),
    "404": (
        faults.Status(status=404),
        "http_status",
        404,
        (
            "/employee: HOST answered 404, so it has no such list: check SYNCER_API_URL, or take employees out of "
            "SYNCER_NAMES"
        ),
    ),
    "429": (
        faults.Status(status=429),
        "rate_limited",
        429,
        "/employee: HOST answered 429, too many requests: raise SYNCER_NAMES_INTERVAL if this persists",
    ),
    "500": (
        faults.Status(status=500),
        "http_status",
        500,
        "/employee: HOST answered 500, a server error: ask the vendor if this persists",
    ),
    "redirect": (
        faults.Redirect(),
        "http_status",
        302,
        (
            "/employee: HOST answered 302, a redirect to 127.0.0.1, which is not followed because it would send the "
            "token along: check the address (SYNCER_API_URL, or api_url in the accounts file)"
        ),
    ),
    "half": (
        faults.Truncated(),
        "not_json",
        200,
        (
            "/employee was answered with SIZE bytes that are not complete JSON: the names stay as they are, and the "
            "list is asked for again"
        ),
    ),
    "object": (
        faults.OneObject(),
        "not_an_array",
        200,
        (
            "/employee was answered with JSON that is not an array of records: the names stay as they are; check "
            "SYNCER_API_URL, and ask the vendor if it is right"
        ),
    ),
    "HTML": (
        faults.Html(),
        "not_json",
        200,
        "/employee was answered with an HTML page: the names stay as they are, and the list is asked for again",
    ),
    "hang": (
        faults.Hang(),
        "timeout",
        None,
        (
            "/employee: the response of HOST was not complete after 2 s, with 0 bytes received: raise "
            "SYNCER_API_TIMEOUT if it is just slow"
        ),
    ),
    "cut off": (
        faults.CutOff(),
        "network",
        200,
        "/employee: HOST closed the connection before the response was complete, after SIZE bytes",
    ),
    "huge": (
        faults.GzipBomb(mebibytes=64),
        "too_large",
        200,
        (
            "/employee: HOST sent more than the 33554432 bytes that are read of a list of names: ask the vendor why it "
            "is so long"
        ),
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_list_that_fails_leaves_the_names_and_says_why(
    named: NamedAccount, failure: str, log_lines: ReadLogLines
) -> None:
    fault, kind, status, sentence = FAILURES[failure]
    await named.read_employees(employee(1), at=T0)
    before = await named.names()
    log_lines()
    await named.read(msgspec.structs.replace(fault, path="/employee"), at=T1)

    (error,) = await named.row("select error from syncer.name_list")
    host = named.emulator.url.removeprefix("http://")
    sizes = [word for word in error.split() if word.replace(",", "").isdigit() and "33554432" not in word]
    expected = sentence.replace("HOST", host).replace("SIZE", sizes[-1] if sizes else "")
    assert error == expected
    assert await named.list_row() == ("failed", kind, status, 1, 0, T0)
    assert await named.names() == before
    assert log_lines() == [
        {"event": "names_failed", "level": "warning", "account": "default", "list": "employees", "error": error}
    ]


async def test_after_a_failure_a_list_is_due_in_an_hour_and_after_a_refusal_in_a_day(named: NamedAccount) -> None:
    async def pause_after(*answers: Fault) -> timedelta:
        await named.read(*answers, at=T0)
        pause: timedelta = await named.sql.fetchval("select due_at - syncer.clock() from syncer.name_list")
        return pause

    def status(code: int, seconds: int | None = None) -> Fault:
        return faults.Status(path="/employee", status=code, retry_after=seconds)

    assert await pause_after() == HOUR
    assert [await pause_after(status(code)) for code in (500, 429)] == [HOUR, HOUR]
    assert [await pause_after(status(code)) for code in (401, 403, 404)] == [DAY, DAY, DAY]
    assert [await pause_after(status(503, seconds)) for seconds in (10, 7200, 10**9)] == [HOUR, 2 * HOUR, DAY]
    named.settings = named.settings.model_copy(update={"names_interval": timedelta(minutes=5)})
    assert (await pause_after(), await pause_after(status(500))) == (timedelta(minutes=5), HOUR)
    named.settings = named.settings.model_copy(update={"names_interval": timedelta(days=3)})
    assert (await pause_after(), await pause_after(status(403))) == (3 * DAY, 3 * DAY)


async def test_a_database_that_refuses_a_name_fails_the_list(
    named: NamedAccount, log_lines: ReadLogLines, sql: asyncpg.Connection
) -> None:
    await sql.execute("alter table syncer.name add constraint none_allowed check (object_id <> 1)")
    await named.read_employees(employee(1))
    error = 'database: new row for relation "name" violates check constraint "none_allowed"; check the server\'s log'

    assert await named.rows("select outcome, error_kind, error from syncer.name_list") == [
        ("failed", "database", error)
    ]
    assert [line["event"] for line in log_lines()] == ["names_failed"]
