"""The feed of changes: its rows never change, and a copy that is kept by the cursor equals it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from syncer.emulator import REALISTIC, Emulator
from syncer.store.retention import prune
from tests.builders import BlockingEndpoint, PolledAccount, record, redirect, settings_for
from tests.integration.test_restore import dump, restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from syncer.store.engine import Engine

MOSCOW = ZoneInfo("Europe/Moscow")


def moscow(day: int, hour: int = 12) -> datetime:
    """A time in March 2026, Moscow time."""
    return datetime(2026, 3, day, hour, tzinfo=MOSCOW)


def immutable(row: asyncpg.Record) -> dict[str, Any]:
    """Returns the columns of a row of the feed that never change."""
    return {name: value for name, value in row.items() if name not in {"number_now", "changed_day"}}


def digest(rows: Iterable[Mapping[str, Any]]) -> tuple[int, str]:
    """Returns how many rows these are, and the hash of all their bytes, in the order of the feed."""
    texts = [
        json.dumps(dict(row), default=str)
        for row in sorted(rows, key=lambda row: (row["account_id"], row["run_id"], row["change_id"]))
    ]
    return len(texts), sha256("\n".join(texts).encode()).hexdigest()


class Copy:
    """A copy of the feed, of all accounts, with the rights of an analyst."""

    def __init__(self, sql: asyncpg.Connection[Any]) -> None:
        self._sql = sql
        self.cursor = "{}"
        self.rows: list[dict[str, Any]] = []

    async def catch_up(self) -> list[dict[str, Any]]:
        """Adds the rows that are new; returns them."""
        async with self._sql.transaction(isolation="repeatable_read", readonly=True):
            await self._sql.execute("set local role syncer_analyst")
            found = await self._sql.fetch("select * from analytics.changes_since($1)", self.cursor)
            self.cursor = await self._sql.fetchval("select cursor from analytics.changes_cursor")
        assert found == sorted(found, key=lambda row: (row["account_id"], row["run_id"], row["change_id"]))
        new = [immutable(row) for row in found]
        self.rows += new
        return new

    async def is_complete(self) -> bool:
        """Returns whether it equals the source in every byte, and no row is in it twice."""
        source = await self._sql.fetch("select * from analytics.changes")
        assert len({row["change_id"] for row in self.rows}) == len(self.rows)
        return digest(self.rows) == digest(map(immutable, source))


async def test_a_copy_equals_the_source_after_numbers_were_renumbered_held_returned_and_removed(
    account: PolledAccount,
) -> None:
    copy = Copy(account.sql)
    forwarded = [redirect(2, "79000000002")]
    responses: list[tuple[datetime, list[Any]]] = [
        (moscow(1), [record(1, from_redirect_numbers=forwarded), record(2), record(3), record(4)]),
        (moscow(2), [record(1, number="79000000077"), record(2, employee_id=7), record(3), record(4)]),
        (moscow(3), [record(1), record(2)]),  # two of four are missing, and held
        (moscow(3, 18), [record(1, from_redirect_numbers=forwarded), record(2), record(4, state="freeze")]),
        (moscow(5), [record(1), record(2), record(4)]),  # 3 is removed as of 3 March
        (moscow(6), [record(1), record(2), record(3, number="79000000003", comment="снова"), record(4)]),
        (moscow(7), [record(2), record(4)]),
        (moscow(9), [record(2), record(4), record(5, number="79000000001")]),
    ]
    for moment, records in responses:
        await account.poll_at(moment, *records)
        await copy.catch_up()
        assert await copy.is_complete()

    kinds = {row["kind"] for row in copy.rows}
    assert kinds == {"created", "changed", "state", "removed", "restored", "redirect_opened", "redirect_closed"}
    removed = [row for row in copy.rows if row["kind"] == "removed"]
    assert [(row["virtual_number_id"], row["changed_at"].astimezone(MOSCOW).day) for row in removed] == [
        (3, 3),
        (1, 7),
        (3, 7),
    ]


async def test_a_copy_equals_the_source_after_forty_polls_of_a_changing_account(
    engine: Engine, sql: asyncpg.Connection[Any]
) -> None:
    copy = Copy(sql)
    async with (
        Emulator(numbers=60, seed=3, rates=REALISTIC) as emulator,
        PolledAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        for position in range(40):
            await account.poll_again(trigger="accept_removals" if position % 7 == 0 else "schedule")
            emulator.step(3)
            if position % 3 == 0:
                await copy.catch_up()
                assert await copy.is_complete()
        await copy.catch_up()
    assert await copy.is_complete()


async def test_no_row_is_lost_when_runs_of_two_accounts_commit_in_another_order_than_they_began(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection[Any]
) -> None:
    copy = Copy(sql)
    async with BlockingEndpoint() as endpoint, AsyncExitStack() as stack:
        one, another = [
            await stack.enter_async_context(
                PolledAccount(engine, emulator, sql, settings_for(emulator, api_url=endpoint.url, account_name=name))
            )
            for name in ("one", "another")
        ]
        first = asyncio.create_task(one.poll_again())
        first_request = await endpoint.received.get()
        second = asyncio.create_task(another.poll_again())
        (await endpoint.received.get()).answer(record(1))
        later = await second
        taken_before = await copy.catch_up()
        first_request.answer(record(1), record(2))
        earlier = await first

    assert earlier.run_id is not None
    assert later.run_id is not None
    assert earlier.run_id < later.run_id
    assert {row["account"] for row in taken_before} == {"another"}
    assert {row["account"] for row in await copy.catch_up()} == {"one"}
    newest = {account_id: position["run_id"] for account_id, position in json.loads(copy.cursor).items()}
    assert newest == {"1": earlier.run_id, "2": later.run_id}
    assert await copy.is_complete()
    assert await copy.catch_up() == []


async def test_rows_of_a_run_come_in_an_order_in_which_they_can_be_applied(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, from_redirect_numbers=[redirect(2, "79000000002")]), record(2))
    await account.poll_at(moscow(2), record(2), trigger="accept_removals")
    await account.poll_at(moscow(3), record(1, from_redirect_numbers=[redirect(2, "79000000002")]), record(2))

    rows = await account.rows("select run_id, kind from analytics.changes_since('{}') where virtual_number_id = 1")
    order = list(dict.fromkeys(rows))
    runs = sorted({run_id for run_id, _ in order})
    assert order == [
        (runs[0], "created"),
        (runs[0], "redirect_opened"),
        (runs[1], "redirect_closed"),
        (runs[1], "removed"),
        (runs[2], "restored"),
        (runs[2], "redirect_opened"),
    ]


async def test_a_run_after_the_databases_clock_went_back_is_copied(account: PolledAccount) -> None:
    copy = Copy(account.sql)
    await account.poll_at(moscow(2), record(1))
    await copy.catch_up()
    await account.poll_at(moscow(1), record(1), record(2))

    assert {(row["kind"], row["virtual_number_id"]) for row in await copy.catch_up()} == {("created", 2)}
    assert await copy.is_complete()


@pytest.mark.parametrize(
    ("cursor", "message"),
    [
        ("[]", "the cursor must be an object"),
        (None, "the cursor must be an object"),
        ('{"1": "7"}', 'the cursor has "7" for account 1'),
        ('{"1": -1}', "the cursor has -1 for account 1"),
        ('{"1": 1.5}', "the cursor has 1.5 for account 1"),
        ('{"1": 99}', "the cursor has 99 for account 1"),
        ('{"2": 1}', "the cursor has 1 for account 2"),
        ('{"another": 1}', "the cursor has 1 for account another"),
        ('{"1": {}}', "the cursor has {} for account 1"),
        ('{"1": {"run_id": 1, "started_at": 5}}', 'the cursor has {"run_id": 1, "started_at": 5} for account 1'),
        (
            '{"1": {"run_id": 99, "started_at": null}}',
            'the cursor has {"run_id": 99, "started_at": null} for account 1',
        ),
        ('{"another": {"run_id": 0, "started_at": ""}}', 'the cursor has {"run_id": 0, "started_at": ""} for account'),
        (
            '{"1": {"run_id": 1, "started_at": "2026-03-01T09:00:00"}}',
            'the cursor has {"run_id": 1, "started_at": "2026-03-01T09:00:00"} for account 1, which is no run of this',
        ),
    ],
)
async def test_a_cursor_that_is_not_of_this_database_is_refused(
    account: PolledAccount, cursor: str | None, message: str
) -> None:
    await account.poll(record(1))

    with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
        await account.sql.fetch("select * from analytics.changes_since($1)", cursor)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("polls_after_the_restoration", [0, 1, 2, 3])
@pytest.mark.parametrize("lost_polls", [0, 1, 2])
async def test_a_copy_is_refused_if_it_has_what_a_restored_database_does_not_have_and_complete_otherwise(
    account: PolledAccount, database: str, tmp_path: Path, *, lost_polls: int, polls_after_the_restoration: int
) -> None:
    copy = Copy(account.sql)
    await account.poll_at(moscow(1), record(1))
    await dump(database, tmp_path / "dump")
    for day in range(lost_polls):
        await account.poll_at(moscow(2 + day), record(1, comment=f"lost {day}"))
    await copy.catch_up()
    await restore(database, tmp_path / "dump")
    account.restart()
    for day in range(polls_after_the_restoration):
        await account.poll_at(moscow(5 + day), record(1, comment=f"new {day}"))

    if lost_polls:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="for account 1, which is no run of this database"):
            await copy.catch_up()
        copy = Copy(account.sql)
    await copy.catch_up()
    assert await copy.is_complete()


async def test_a_cursor_of_run_ids_alone_as_earlier_versions_kept_it_still_works(account: PolledAccount) -> None:
    for day in (1, 2, 3):
        assert (await account.poll_at(moscow(day), record(1, comment=f"day {day}"), record(2))).run_id == day
    for run_id in (1, 2, 3):
        copy, plain = Copy(account.sql), Copy(account.sql)
        copy.cursor, plain.cursor = f'{{"1": {{"run_id": {run_id}, "started_at": null}}}}', f'{{"1": {run_id}}}'
        assert [row["new_value"] for row in await plain.catch_up()] == [f"day {day}" for day in range(run_id + 1, 4)]
        await copy.catch_up()
        assert (copy.rows, copy.cursor) == (plain.rows, plain.cursor)
        assert await plain.catch_up() == []


async def test_a_cursor_names_a_run_that_is_kept_also_if_no_number_changed_in_it(account: PolledAccount) -> None:
    copy = Copy(account.sql)
    await account.poll_at(moscow(1), record(1), record(2))
    held = await account.poll_at(moscow(2), record(1))  # writes that 2 is missing, and changes no number
    await copy.catch_up()
    for day in (3, 4):
        await account.poll_at(moscow(day), record(1), record(2, comment=f"day {day}"))
    await account.set_clock(moscow(30))
    assert await prune(account.engine, 1, timedelta(days=1)) == "done"

    assert (held.outcome, held.held) == ("applied", 1)
    assert [row["new_value"] for row in await copy.catch_up()] == ["day 3", "day 4"]
    assert await copy.is_complete()


async def test_without_accounts_there_are_no_changes_and_the_cursor_is_empty(sql: asyncpg.Connection[Any]) -> None:
    assert await sql.fetchval("select cursor from analytics.changes_cursor") == "{}"
    assert await sql.fetch("select * from analytics.changes_since('{}')") == []


async def test_a_bare_attribute_is_as_it_was_when_the_row_began_and_number_now_is_todays(
    account: PolledAccount,
) -> None:
    then = {"number": "79000000010", "employee_id": 5, "region_name": "Тула", "type": "abc", "purpose": "employee"}
    await account.poll_at(moscow(1, 1), record(1, **then))
    await account.poll_at(moscow(2, 1), record(1, **then, state="freeze", from_redirect_numbers=[redirect(9, "7495")]))
    await account.poll_at(moscow(3, 1), record(1, number="79000000011", state="freeze"))
    await account.poll_at(moscow(4, 1), record(1, number="79000000012"))
    attributes = "number, number_now, region, type, purpose, employee_id"
    first = ("79000000010", "79000000012", "Тула", "abc", "employee", 5)
    last = ("79000000012", "79000000012", "регион Москва", "def", "company", None)
    second = ("79000000011", "79000000012", "регион Москва", "def", "company", None)

    async def rows(view: str, day: str) -> list[tuple[Any, ...]]:
        found = await account.rows(f"select {attributes}, {day} from analytics.{view} order by {day}")  # noqa: S608 - the test's own
        return [(*row[:-1], row[-1].day) for row in found]

    assert await rows("state_history", "began_day") == [(*first, 1), (*first, 2), (*last, 4)]
    assert await rows("state_spells", "began_day") == [(*first, 1), (*first, 2), (*last, 4)]
    assert await rows("state_changes", "changed_day") == [(*first, 2), (*last, 4)]
    assert await rows("redirect_history", "began_day") == [(*first, 2)]
    assert await rows("number_history", "began_day") == [(*first, 1), (*first, 2), (*second, 3), (*last, 4)]
    changes = await account.rows(
        f"select distinct kind, {attributes}, changed_day from analytics.changes where kind <> 'created' order by 8, 1"  # noqa: S608 - the test's own
    )
    assert [(kind, *row[:-1], row[-1].day) for kind, *row in changes] == [
        ("redirect_opened", *first, 2),
        ("state", *first, 2),
        ("changed", *second, 3),
        ("redirect_closed", *second, 3),
        ("changed", *last, 4),
        ("state", *last, 4),
    ]


async def test_a_removal_tells_what_the_number_was_before_it_also_after_its_return(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5), record(2))
    await account.poll_at(moscow(2), record(2), trigger="accept_removals")
    await account.poll_at(moscow(3), record(1, number="79000000011"), record(2))

    assert await account.rows(
        "select number, number_now, employee_id from analytics.changes where kind = 'removed'"
    ) == [("79000000001", "79000000011", 5)]


async def test_a_day_has_begun_at_the_earlier_midnight_where_clocks_go_back_over_it(
    sql: asyncpg.Connection[Any],
) -> None:
    # In Saint John's, 7 November 2010 had lasted a minute when the last hour of the 6th came once more.
    moments = [datetime(2010, 11, 7, hour, minute, tzinfo=UTC) for hour, minute in ((2, 29), (2, 30), (2, 45), (3, 30))]
    rows = await sql.fetch(
        """
        select moment at time zone 'America/St_Johns' as local, syncer.local_day(moment, 'America/St_Johns') as day
          from unnest($1::timestamptz[]) moment
        """,
        moments,
    )

    assert [(row["local"].strftime("%d %H:%M"), row["day"].day) for row in rows] == [
        ("06 23:59", 6),
        ("07 00:00", 7),
        ("06 23:15", 7),
        ("07 00:00", 7),
    ]
