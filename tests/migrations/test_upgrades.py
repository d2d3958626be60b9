"""Upgrades keep the history of older schemas; `data` has the history of a few numbers for each revision."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from syncer.emulator import STATIC, Emulator
from syncer.store.engine import Engine
from syncer.store.schema import known_revisions, migrate
from tests.builders import PolledAccount, connect, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

DATA = Path(__file__).parent / "data"
REVISIONS = tuple(reversed(known_revisions()))
# Only the keys are compared: an upgrade may change titles and add rows.
LOOKUP_KEYS = {"number_type": "type", "number_purpose": "purpose", "number_state": "state"}

# Names that changed after they were released, with their names in the newest schema.
RENAMED = {
    "standing_run_id": "fingerprints_version",
    "record_digest": "record_fingerprint",
    "digest": "fingerprint",
    "fingerprints_run_id": "fingerprints_version",
}
# Columns whose values changed their meaning: only whether there is one is compared.
REPLACED = {"fingerprints_version"}

# Tables whose rows are in two tables since 0009, what is in force apart from what has ended: the views of both.
DIVIDED = {"state_history": "state_period", "virtual_number_redirect": "redirect_period"}
# Since 0011 what a poll writes of an account is in a table of its own.
ACCOUNT_AND_FENCE = {"account": "account join syncer.account_fence using (account_id)"}
# Since 0023 since when an account is retired is in the table of accounts.
SCHEDULE_AND_ACCOUNT = {"account_schedule": "account_schedule join syncer.account using (account_id)"}
VIEWS = (
    *("numbers", "numbers_all", "number_history", "state_history", "state_changes", "redirects", "redirect_history"),
    *("changes", "daily_states", "state_share", "coverage", "runs", "rejected_records"),
)
# An account that is polled no more counts until its last success since 0010, so the accounts of the data stay due.
STAY_DUE = "update syncer.account_schedule set due_at = now()"
KEEP_TRYING = "update syncer.account_fence set attempted_at = now()"
RETURN = "update syncer.account_schedule set retired_at = null"
RETURN_SINCE_0023 = "update syncer.account set retired_at = null"
# What follows the clock, in rows that have not ended.
MOVING = {"duration_seconds", "share", "longest_gap_seconds", "blind_seconds"}
# Rows that views have in all revisions: since 0013, `daily_states` has zeros, and `coverage` begins with a success.
LASTING = {
    "daily_states": "numbers > 0",
    "coverage": "day >= (select min(day) from analytics.coverage c where c.account = coverage.account "
    "and polls > failed)",
}

FIRST_DIVIDED_REVISION = "0009"
FIRST_FENCE_REVISION = "0011"
FIRST_RETIRING_REVISION = "0004"
FIRST_ATTEMPTING_REVISION = "0023"
FIRST_KEYED_REVISION = "0008"
"""An upgrade to it drops the fingerprints and digests, which are a cache, because older ones are not keyed."""

Content = dict[str, list[tuple[Any, ...]]]


def script_of(revision: str) -> str:
    """Returns the SQL that stores the history of a few numbers in the schema of a revision."""
    file = DATA / f"{revision}.sql"
    if not file.exists():
        pytest.fail(
            f"revision {revision} has no data: write tests/migrations/data/{revision}.sql, the history of a few "
            f"numbers as {revision} stores it; begin with `\\ir` of the previous revision and add what is new",
            pytrace=False,
        )
    # Includes other files of the folder, as psql does.
    return re.sub(r"^\\ir (\d+)\.sql$", lambda found: script_of(found[1]), file.read_text("utf-8"), flags=re.MULTILINE)


async def columns_of_tables(sql: asyncpg.Connection) -> dict[str, str]:
    """Returns the columns to compare of each table, as a list in SQL."""
    found = await sql.fetch(
        """
        select c.relname, string_agg(format('%I', a.attname), ', ' order by a.attnum)
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'syncer'::regnamespace and c.relkind = 'r' and c.relname <> 'alembic_version'
           and a.attnum > 0 and not a.attisdropped
         group by 1
        """
    )
    return {table: LOOKUP_KEYS.get(table, columns) for table, columns in found}


def renamed(columns: dict[str, str]) -> dict[str, str]:
    """Returns the same tables and columns with their names in the newest schema."""
    return {
        RENAMED.get(table, table): ", ".join(RENAMED.get(name, name) for name in names.split(", "))
        for table, names in columns.items()
    }


async def content(sql: asyncpg.Connection, columns: dict[str, str], sources: Mapping[str, str] = {}) -> Content:
    """Returns the rows of each table, with these columns, from another relation if `sources` names one."""
    rows = {
        table: await sql.fetch(f"select {names} from syncer.{sources.get(table, table)} order by {names}")  # noqa: S608 - from the catalog
        for table, names in columns.items()
    }
    return {
        table: [
            tuple(value is None if RENAMED.get(name, name) in REPLACED else value for name, value in row.items())
            for row in found
        ]
        for table, found in rows.items()
    }


def test_there_is_test_data_for_exactly_the_known_revisions() -> None:
    for revision in REVISIONS:
        assert script_of(revision)
    assert {file.stem for file in DATA.iterdir()} == set(REVISIONS)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_upgrade_to_the_newest_schema_keeps_all_history_and_polls_continue(
    empty_database: str, revision: str
) -> None:
    script = script_of(revision)
    engine = Engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, revision)
    sql = await connect(empty_database)
    await sql.execute(script)
    columns = await columns_of_tables(sql)
    before = await content(sql, columns)
    assert [table for table, rows in before.items() if not rows] == []

    await migrate(engine)

    divided = DIVIDED if revision < FIRST_DIVIDED_REVISION else {}
    divided |= ACCOUNT_AND_FENCE if revision < FIRST_FENCE_REVISION else {}
    divided |= SCHEDULE_AND_ACCOUNT if revision < FIRST_ATTEMPTING_REVISION else {}
    after = await content(sql, renamed(columns), divided)
    before = {RENAMED.get(table, table): rows for table, rows in before.items()}
    for table in columns.keys() & LOOKUP_KEYS.keys():
        assert set(before.pop(table)) <= set(after.pop(table))
    if revision < FIRST_KEYED_REVISION:
        assert after.pop("record_fingerprint") == []
        del before["record_fingerprint"]
        assert await sql.fetch("select from syncer.account_fence where body_digest is not null") == []
        place = columns["account"].split(", ").index("body_digest")
        after["account"], before["account"] = (
            [row[:place] + row[place + 1 :] for row in rows] for rows in (after["account"], before["account"])
        )
    if revision < FIRST_DIVIDED_REVISION:
        # A removal ends the last version of a number too; before, that was in the row of the number alone.
        ended_by_removal = await sql.fetch(
            "select account_id, virtual_number_id, removed_at from syncer.virtual_number where removed_at is not null"
        )
        added = [row for row in after["virtual_number_history"] if row not in before["virtual_number_history"]]
        valid_to = columns["virtual_number_history"].split(", ").index("valid_to")
        assert sorted((row[0], row[1], row[valid_to]) for row in added) == sorted(map(tuple, ended_by_removal))
        after["virtual_number_history"] = [row for row in after["virtual_number_history"] if row not in added]
    assert after == before

    async with (
        Emulator(numbers=1, rates=STATIC) as emulator,
        PolledAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        assert await account.broken_invariants() == []
        second = record(2, comment="вторая", from_redirect_numbers=[redirect(678, "78009966666")])
        result = await account.poll(record(1), second, record(3), record(4))
        assert (result.outcome, result.restored, result.rejected) == ("applied", 1, 0)
        assert await account.broken_invariants() == []
    await sql.close()
    await engine.dispose()


async def test_a_long_migration_announces_its_steps(empty_database: str) -> None:
    engine = Engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, "0008")
    steps: list[str] = []

    await migrate(engine, on_step=steps.append)

    await engine.dispose()
    assert steps == [
        "0009: reading what is known of each period",
        "0009: reading the versions of each number",
        "0009: writing virtual_number (1 of 4 tables)",
        "0009: writing virtual_number_history (2 of 4 tables)",
        "0009: writing state_history (3 of 4 tables)",
        "0009: writing virtual_number_redirect_history (4 of 4 tables)",
        "0009: making keys and indexes",
    ]


async def rows_of_views(sql: asyncpg.Connection, columns: Mapping[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    """Returns the rows of each view, with these columns."""
    return {
        view: sorted(map(tuple, await sql.fetch(query)), key=repr)
        for view, names in columns.items()
        for query in [f"select {names} from analytics.{view} where {LASTING.get(view, 'true')}"]  # noqa: S608 - from the catalog
    }


@pytest.mark.parametrize("revision", [revision for revision in REVISIONS if revision >= "0002"])
async def test_an_upgrade_to_the_newest_schema_keeps_every_row_of_every_view(
    empty_database: str, revision: str
) -> None:
    engine = Engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, revision)
    sql = await connect(empty_database)
    await sql.execute(script_of(revision))
    await sql.execute(STAY_DUE if revision < FIRST_ATTEMPTING_REVISION else KEEP_TRYING)
    if revision >= FIRST_ATTEMPTING_REVISION:
        await sql.execute(RETURN_SINCE_0023)
    elif revision >= FIRST_RETIRING_REVISION:
        await sql.execute(RETURN)
    columns = {
        view: ", ".join(f"{name}" for (name,) in names if name not in MOVING)
        for view in VIEWS
        for names in [
            await sql.fetch(
                "select attname from pg_attribute where attrelid = ('analytics.' || $1)::regclass and attnum > 0", view
            )
        ]
    }
    before = await rows_of_views(sql, columns)
    assert [view for view, rows in before.items() if not rows] == []

    await migrate(engine)

    after = await rows_of_views(sql, columns)
    for view in VIEWS:
        assert after[view] == before[view], view
    await sql.close()
    await engine.dispose()


async def test_the_newest_response_before_the_upgrade_counts_as_believable_if_all_of_its_ids_could_be_read(
    empty_database: str,
) -> None:
    engine = Engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, "0007")
    sql = await connect(empty_database)
    await sql.execute(script_of("0007"))
    # The newest success of the first account, run 9, has an element whose id could not be read; no record was rejected
    # by run 6.
    await sql.execute(
        """
        insert into syncer.rejected_record
               (account_id, rejected_record_id, error, payload, first_run_id, last_run_id, occurrences)
        values (1, gen_random_uuid(), 'no id', '?', 9, 9, 1)
        """
    )

    await migrate(engine)

    rows = await sql.fetch(
        """
        select believable_responses, believable_run_id, believable_started_at = r.started_at
          from syncer.account_fence f
          join syncer.sync_run r on r.account_id = f.account_id and r.run_id = f.believable_run_id
         order by f.account_id
        """
    )
    assert [tuple(row) for row in rows] == [(1, 6, True), (1, 12, True)]
    await sql.close()
    await engine.dispose()


async def test_an_account_whose_polls_failed_for_months_first_succeeded_when_the_first_one_did(
    empty_database: str,
) -> None:
    engine = Engine(lambda: empty_database, command_timeout=None)
    await migrate(engine, "0010")
    sql = await connect(empty_database)
    await sql.execute(script_of("0010"))
    await sql.execute(
        """
        delete from syncer.sync_day;
        update syncer.account set created_at = '2025-11-01 12:00Z';
        insert into syncer.sync_day (account_id, day, polls, failed, longest_gap_seconds)
        values (1, '2025-11-01', 288, 288, 86400), (2, '2025-11-01', 288, 288, 86400), (2, '2026-02-28', 288, 287, 900)
        """
    )
    first_run = await sql.fetchval(
        "select min(started_at) from syncer.sync_run where account_id = 1 and outcome in ('applied', 'unchanged')"
    )

    await migrate(engine)

    rows = await sql.fetch("select first_success_at from syncer.account_fence order by account_id")
    midnight = datetime(2026, 2, 28, tzinfo=ZoneInfo("Asia/Yekaterinburg"))
    assert [first_success_at for (first_success_at,) in rows] == [first_run, midnight]
    await sql.close()
    await engine.dispose()
