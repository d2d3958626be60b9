"""What the program reads and writes where the tables are distributed: the same as where they are not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from syncer.name_list import Named
from syncer.store import account_deletion, accounts, day_summaries, erasures, names, retention
from syncer.store.engine import Engine, autocommit_connection
from syncer.store.invariants import find_violations
from syncer.store.queries import (
    account_list,
    account_status,
    export_views,
    notice_list,
    number_life,
    number_list,
    number_search,
    recent_activity,
    state_timeline,
)
from syncer.store.queries.gauge_values import GaugeReader
from syncer.store.queries.number_search import NumberKey
from tests.builders import connect, execute
from tests.citus.copies import TABLES, copy_rows
from tests.integration.test_invariants import CORRUPTIONS, DROP_CONSTRAINTS, T0, poll_all_hours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


LATER = T0 + timedelta(days=3)
SECONDS = 60
DAY = timedelta(days=1)


class Twins(NamedTuple):
    """A database on one server, and one with distributed tables; both have the same rows and the same clock."""

    plain: Engine
    distributed: Engine
    plain_url: str
    distributed_url: str

    async def both(self, operation: Callable[[Engine], Awaitable[Any]]) -> tuple[Any, Any]:
        """Returns the results of an operation, on the plain database and on the other."""
        return await operation(self.plain), await operation(self.distributed)

    async def same(self, operation: Callable[[Engine], Awaitable[Any]]) -> Any:
        """Returns the result of an operation, which must be the same on both."""
        plain, distributed = await self.both(operation)
        assert distributed == plain
        return plain


async def set_clock(url: str, moment: datetime) -> None:
    await execute(
        url,
        "create or replace function syncer.clock() returns timestamptz language sql stable as"
        f" $$ select timestamptz '{moment.isoformat()}' $$",
    )


@pytest.fixture
async def twins(plain_database: str, database: str) -> AsyncIterator[Twins]:
    await poll_all_hours(plain_database)
    await set_clock(plain_database, LATER)
    engine = Engine(lambda: plain_database)
    async with autocommit_connection(engine) as connection:
        await connection.execute(
            "insert into syncer.name (account_id, list, object_id, name, first_seen_at, changed_at)"
            " values (1, 'employees', 7, 'Olga', $1, $1)",
            T0,
        )
        await connection.execute(
            "insert into syncer.name_list (account_id, list, due_at) values (1, 'employees', $1)", LATER - DAY
        )
        await connection.execute(
            "insert into syncer.notice_cursor (account_id, rule, channel, planned_at)"
            " select account_id, 'locks ' || i, 'duty', $1 from syncer.account cross join generate_series(1, 3) i",
            T0,
        )
        await connection.execute(
            "insert into syncer.notice (account_id, rule, channel, kind, made_at, message_id, events, outcome, due_at)"
            " select account_id, 'locks ' || i, 'duty', 'conditions', $1::timestamptz - i * interval '1 hour',"
            " ('00000000-0000-0000-0000-00000000000' || i)::uuid, '{\"locked\": 2, \"frozen\": 1}', 'waiting', $1"
            "   from syncer.account cross join generate_series(1, 3) i where account_id = 1 or i < 3",
            LATER,
        )
    await engine.dispose()
    assert await copy_rows(plain_database, database) > 100
    await set_clock(database, LATER)
    plain, distributed = Engine(lambda: plain_database), Engine(lambda: database)
    yield Twins(plain, distributed, plain_database, database)
    await plain.dispose()
    await distributed.dispose()


async def rows_of(engine: Engine) -> dict[str, list[str]]:
    """Returns all rows of all tables, as texts."""
    async with autocommit_connection(engine) as connection:
        return {
            table: sorted(str(tuple(row)) for row in await connection.fetch(f"select * from syncer.{table}"))  # noqa: S608 - from the list
            for table in TABLES
        }


async def export(url: str, view: str, at: datetime | None = None) -> list[str]:
    """Returns what `syncer export` reads."""
    async with export_views.open_snapshot(url, ZoneInfo("Europe/Moscow")) as connection:
        found = await export_views.find_view(connection, view, [], at)
        return [str(tuple(row)) async for batch in export_views.read_batches(connection, found, {}) for row in batch]


async def test_the_rows_are_the_same(twins: Twins) -> None:
    rows = await twins.same(rows_of)

    assert {table for table, found in rows.items() if not found} == {
        *("account_schedule", "sync_day", "day_summary", "account_condition", "erasure", "name_history"),
    }


@pytest.mark.parametrize("account", [None, "default", "other"])
async def test_the_page_of_all_accounts_or_of_one_reads_the_same(twins: Twins, account: str | None) -> None:
    configured = {"default", "other"}

    page = await twins.same(
        lambda e: account_list.read_account_page(e, configured, account, 1, statement_seconds=SECONDS)
    )
    recent = await twins.same(lambda e: recent_activity.read_recent_activity(e, account, statement_seconds=SECONDS))
    sent = await twins.same(lambda e: notice_list.read_notices(e, account, statement_seconds=SECONDS))
    timeline = await twins.same(
        lambda e: state_timeline.read_timeline(e, account, timedelta(days=7), statement_seconds=SECONDS)
    )

    assert len(page.accounts) == (1 if account else 2)
    assert len(recent.changed_runs) == 6
    assert [changes for run in recent.changed_runs for changes in run.changes]
    assert recent.rejected
    assert [message.events for message in sent.messages] == (
        [{"frozen": 1, "locked": 2}] * (2 if account == "other" else 3)
        if account
        else [{"frozen": 2, "locked": 4}, {"frozen": 2, "locked": 4}, {"frozen": 1, "locked": 2}]
    )
    assert timeline.numbers


async def test_the_pages_of_numbers_read_the_same(twins: Twins) -> None:
    listed = await twins.same(
        lambda e: number_list.read_number_page(
            e, number_list.NumberFilter(states=("active", "freeze")), 1, "number", statement_seconds=SECONDS
        )
    )
    found = await twins.same(
        lambda e: number_search.find_numbers(e, ["79000000004"], None, seconds_if_found=SECONDS, seconds_if_not=SECONDS)
    )
    words = await twins.same(lambda e: number_search.find_numbers_by_words(e, "third", statement_seconds=SECONDS))

    async def read_lives(engine: Engine) -> list[number_life.NumberLife | None]:
        keys = [NumberKey(1, id_) for id_ in range(1, 11)]
        return [await number_life.read_number_life(engine, key, statement_seconds=SECONDS) for key in keys]

    lives = await twins.same(read_lives)

    assert listed.numbers
    assert found
    assert words
    assert {change.kind for life in lives for change in life.changes} >= {"created", "restored", "removed", "state"}


async def test_status_gauges_exports_and_the_feed_read_the_same(twins: Twins) -> None:
    assert len(await twins.same(account_status.read_account_statuses)) == 2
    assert len((await twins.same(lambda e: GaugeReader().read(e, [1, 2]))).accounts) == 2
    for view, at, expected in (
        ("changes", None, 100),
        ("numbers", None, 10),
        ("numbers", T0 + timedelta(hours=3.5), 20),
    ):
        plain = await export(twins.plain_url, view, at)
        assert sorted(await export(twins.distributed_url, view, at)) == sorted(plain)
        assert len(plain) >= expected

    async def changes_since(engine: Engine) -> list[str]:
        async with autocommit_connection(engine) as connection:
            cursor = json.dumps({"1": {"run_id": 5, "started_at": (T0 + timedelta(hours=2)).isoformat()[:19]}})
            return [
                str(tuple(row)) for row in await connection.fetch("select * from analytics.changes_since($1)", cursor)
            ]

    assert len(await twins.same(changes_since)) > 100


async def test_each_corruption_of_the_data_is_found(twins: Twins) -> None:
    plain, distributed = await connect(twins.plain_url), await connect(twins.distributed_url)
    await plain.execute(DROP_CONSTRAINTS)
    for corruption in CORRUPTIONS.values():
        try:
            async with plain.transaction():
                await plain.execute(corruption.statements)
        except asyncpg.PostgresError:  # of a row that another one has changed already
            continue
    for table, name in await distributed.fetch(
        "select conrelid::regclass::text, conname from pg_constraint"
        "  join pg_dist_partition on logicalrelid = conrelid and partmethod = 'h' where contype = 'c'"
    ):
        await distributed.execute(f"alter table {table} drop constraint {name}")
    await copy_rows(twins.plain_url, twins.distributed_url, unchecked=True)
    await plain.close()
    await distributed.close()

    async def violations(engine: Engine) -> list[str]:
        return sorted([str(violation) async for violation in find_violations(engine)])

    found = await twins.same(violations)

    assert {violation[: len("invariant 1")] for violation in found} == {f"invariant {rule}" for rule in range(1, 6)}
    assert len(found) > 50


async def test_summaries_of_days_are_counted_and_checked_the_same(twins: Twins) -> None:
    async def count(engine: Engine) -> list[str]:
        while await day_summaries.summarise_days(engine, 1) == "more":
            pass
        async with autocommit_connection(engine) as connection:
            return sorted(map(str, map(tuple, await connection.fetch("select * from syncer.day_summary"))))

    async def violations(engine: Engine) -> list[str]:
        async with autocommit_connection(engine) as connection:
            await connection.execute("update syncer.day_summary set numbers = array[7]")
        return sorted([str(violation) async for violation in find_violations(engine)])

    counted = await twins.same(count)
    assert len(await twins.same(violations)) == len(counted)


async def test_retention_deletes_and_sums_up_the_same(twins: Twins) -> None:
    async def prune(engine: Engine) -> list[str]:
        async with autocommit_connection(engine) as connection:
            await connection.execute("delete from syncer.sync_run where started_at < $1", T0)
            for hours in range(1, 60):
                await connection.execute(
                    "insert into syncer.sync_run (account_id, run_id, trigger, started_at, finished_at, outcome)"
                    " overriding system value values ($1, $2, 'schedule', $3, $3, $4)",
                    1 + hours % 2,
                    -hours,
                    T0 - timedelta(hours=hours, minutes=hours),
                    "failed" if hours % 7 == 0 else "unchanged",
                )
        steps: list[str] = []
        for account_id in (1, 2):
            steps.append(await retention.prune(engine, account_id, DAY, batch=7))
            while steps[-1] == "more":
                steps.append(await retention.prune(engine, account_id, DAY, batch=7))
        return steps

    steps = await twins.same(prune)
    rows = await twins.same(rows_of)

    assert steps.count("more") > 4
    assert sum("'unchanged'" in row for row in rows["sync_run"]) == 2
    assert len(rows["sync_day"]) == 6


async def test_erasing_writes_the_same(twins: Twins) -> None:
    async def erase(engine: Engine) -> Any:
        rows = []
        for confirmed in (False, True):
            async with erasures.erasing(engine, 1, confirmed=confirmed) as eraser:
                await eraser.erase_number("79000000004", reason="asked")
                await eraser.erase_employee(7, None, comments=True)
                await eraser.erase_removed(DAY, 10, None)
                rows.append(dict(eraser.rows))
        for erasure in await erasures.list_erasures(engine):
            async with erasures.erasing(engine, 1, confirmed=False) as eraser:
                await eraser.erase_again(erasure)
                rows.append(dict(eraser.rows))
        first = (await erasures.list_erasures(engine))[0].erasure_id
        return rows, await erasures.lift_erasure(engine, first), await erasures.lift_erasure(engine, first)

    rows, *lifted = await twins.same(erase)

    assert rows[0] == rows[1] != {}
    assert lifted == [True, False]


async def test_names_are_claimed_and_stored_the_same(twins: Twins) -> None:
    wanted = [(1, "employees"), (2, "employees"), (2, "groups")]

    async def collect(engine: Engine) -> Any:
        await names.register_lists(engine, wanted, DAY, retries_failed=True)
        claims = await names.claim_lists(engine, wanted, "process", timedelta(minutes=5), limit=5)
        assert await names.claim_lists(engine, wanted, "other", timedelta(minutes=5), limit=5) == []
        for claim in claims:
            for name in ("Anna", "Boris"):
                async with names.lock_list(engine, claim) as locked:
                    if locked is None:
                        continue
                    stored = await locked.read_names()
                    write = locked.replace if stored else locked.insert
                    await write({8: Named(name, None, None, None, None)})
                    locked.observed_at += timedelta(seconds=len(stored))
        async with autocommit_connection(engine) as connection:
            found = await connection.fetch(
                "select list, object_id, name, valid_to from analytics.name_history order by 1, 4"
            )
        return sorted(claim[:2] for claim in claims), [tuple(row) for row in found]

    claimed, history = await twins.same(collect)

    assert claimed == sorted(wanted)
    assert {row[2] for row in history} == {"Olga", "Anna", "Boris"}


async def test_accounts_are_renamed_retired_and_deleted_the_same(twins: Twins) -> None:
    async def change(engine: Engine) -> Any:
        await accounts.rename_account(engine, "other", "new")
        await accounts.retire_account(engine, "new")
        app_id = await accounts.forget_app_id(engine, "default")
        counted = await account_deletion.count_rows(engine, 2)
        batches: list[int] = []
        await account_deletion.delete_account(engine, 2, batches.append)
        return (
            app_id,
            counted,
            sum(batches),
            await account_deletion.count_rows(engine, 2),
            await rows_without_versions(engine),
        )

    _, counted, deleted, left, _ = await twins.same(change)

    assert left == {}
    assert deleted == sum(counted.values()) > 50


async def rows_without_versions(engine: Engine) -> dict[str, int]:
    """Returns how many rows each table has."""
    return {table: len(rows) for table, rows in (await rows_of(engine)).items()}
