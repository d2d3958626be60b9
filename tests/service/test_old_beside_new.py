"""The last release beside this version: each polls only into a schema of its own, and neither harms the other's data.

`SYNCER_BESIDE_SECONDS=120 pytest -k test_old_beside_new` polls for two minutes in each phase.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from syncer.emulator import Emulator
from syncer.emulator.rates import Rates
from syncer.store.schema import known_revisions
from tests.builders import connect
from tests.service.processes import DEADLINE_SECONDS, TOKEN, Gate, wait_until
from tests.service.released import RELEASED_SCHEMA, ROOT, is_in_history, released_python
from tests.service.scenarios import program
from tests.service.test_backup import table_digests
from tests.service.test_http import LOOPBACK_FREE_PORT, address_of, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from tests.service.processes import Process, Program

SECONDS: Final = float(os.environ.get("SYNCER_BESIDE_SECONDS") or 3)
NEWEST: Final = known_revisions()[0]
RATES: Final = Rates(deactivations=0.1, reactivations=0.5, comment_edits=0.2, redirect_changes=0.1, reassignments=0.05)
OLD_REFUSES: Final = (
    f"the database's schema is {NEWEST}, which is newer than this version of syncer ({RELEASED_SCHEMA}): install the "
    "newer version here too"
)
NEW_REFUSES: Final = f"the database's schema is {RELEASED_SCHEMA}, this version requires {NEWEST}: run `syncer migrate`"
HISTORY: Final = (
    """
    select account_id, virtual_number_id, number, run_id, changed_at, changed_after, kind, field, old_value, new_value,
           redirect_number_id
      from analytics.changes where run_id <= $1 order by run_id, change_id
    """,
    """
    select account_id, virtual_number_id, number, state, reason, valid_from, valid_to, run_id, closed_run_id
      from analytics.state_history where closed_run_id <= $1 order by 1, 2, valid_from
    """,
    """
    select account_id, virtual_number_id, redirect_number_id, redirect_from, valid_from, valid_to, run_id, closed_run_id
      from analytics.redirect_history where closed_run_id <= $1 order by 1, 2, 3, valid_from
    """,
)
"""What was recorded up to a poll."""

pytestmark = [
    pytest.mark.skipif(not is_in_history(), reason="the released commit is not in this clone's history"),
    pytest.mark.timeout(600 + 10 * SECONDS),
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An endpoint whose numbers change while they are polled."""
    async with Emulator(numbers=200, seed=1, rates=RATES) as running:
        yield running


@pytest.fixture
async def new(folder: Path, empty_database: str, emulator: Emulator) -> AsyncIterator[Program]:
    """This version."""
    settings = {"migrate_on_start": "false", "poll_interval": "1s", "http_listen": LOOPBACK_FREE_PORT}
    created = program(folder, empty_database, emulator.url)
    created = replace(created, settings={**created.settings, **settings})
    yield created
    await created.kill_all()


@pytest.fixture
async def old(new: Program) -> AsyncIterator[Program]:
    """The last release."""
    python = await asyncio.to_thread(released_python)
    created = replace(new, python=str(python), _started=[])
    yield created
    await created.kill_all()


@pytest.fixture
async def sql(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await connect(empty_database)
    yield connection
    await connection.close()


async def poll_for_a_while(daemon: Process, emulator: Emulator) -> None:
    """Lets the daemon poll for the time of a phase while the numbers change, until it has found changes."""
    ends = time.monotonic() + SECONDS
    async with asyncio.timeout(SECONDS + DEADLINE_SECONDS):
        while time.monotonic() < ends or not any(event.get("changed") for event in daemon.events("poll_finished")):
            assert daemon.is_running, "".join(daemon.err)
            emulator.step()
            await asyncio.sleep(0.5)


async def is_answer(url: str, status: int, text: str) -> bool:
    return await get(url) == (status, text)


async def assert_refuses(
    program: Program, daemon: Process, sql: asyncpg.Connection, emulator: Emulator, sentence: str
) -> None:
    """Asserts that a daemon and `sync` say in one line why they do not poll, and write and request nothing."""
    url = await address_of(daemon)
    await daemon.wait_for_event("not_ready")
    # Until it looks at the schema, it may say which column it misses.
    await wait_until(lambda: is_answer(f"{url}/readyz", 503, f"not ready: {sentence}\n"))
    rows, requests = await table_digests(sql, without=[]), emulator.requests[TOKEN]

    synced = await program.run("sync")
    await asyncio.sleep(SECONDS)

    assert await is_answer(f"{url}/readyz", 503, f"not ready: {sentence}\n")
    assert await is_answer(f"{url}/livez", 200, "live\n")
    assert (synced.code, synced.error_line().partition(" (database: ")[0]) == (1, f"syncer: {sentence}")
    assert (await table_digests(sql, without=[]), emulator.requests[TOKEN]) == (rows, requests)


async def assert_polls_and_data_are_valid(program: Program, daemon: Process, emulator: Emulator) -> None:
    """Asserts that a daemon polls and finds changes, and that the data then keep every invariant."""
    await poll_for_a_while(daemon, emulator)
    checked = await program.run("check", "--data")
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "ok     data: every invariant holds")
    assert (await daemon.stop()).code == 0


async def test_the_old_program_polls_nothing_into_the_new_schema_and_the_new_one_goes_on_with_its_data(
    old: Program, new: Program, sql: asyncpg.Connection, emulator: Emulator
) -> None:
    assert (await old.run("migrate")).code == 0
    older = await old.start("run")
    await poll_for_a_while(older, emulator)
    polls, requests, gate = len(older.events("poll_finished")), emulator.requests[TOKEN], Gate(opened=asyncio.Event())
    emulator.fault = gate
    await wait_until(lambda: emulator.requests[TOKEN] > requests)

    migrated = await new.run("migrate")
    emulator.fault = None
    gate.opened.set()
    await older.wait_for_event("poll_finished", times=polls + 1)

    assert migrated.code == 0, migrated.err
    await assert_refuses(old, older, sql, emulator, OLD_REFUSES)
    in_flight = older.events("poll_finished")[polls:]
    assert [(event["outcome"], event.get("error_kind")) for event in in_flight] == [("failed", "database")]
    newer = await new.start("run")
    await assert_polls_and_data_are_valid(new, newer, emulator)
    assert (await older.stop()).code == 0


async def test_the_new_program_polls_nothing_into_the_old_schema_until_it_is_migrated_and_needs_no_restart(
    old: Program, new: Program, sql: asyncpg.Connection, emulator: Emulator
) -> None:
    assert (await old.run("migrate")).code == 0
    older = await old.start("run")
    await poll_for_a_while(older, emulator)
    assert (await older.stop()).code == 0
    newer = await new.start("run")

    await assert_refuses(new, newer, sql, emulator, NEW_REFUSES)

    assert [event["error"] for event in newer.events("not_ready")] == [NEW_REFUSES]
    assert (await new.run("migrate")).code == 0
    await newer.wait_for_event("ready")
    await assert_polls_and_data_are_valid(new, newer, emulator)


async def test_after_a_downgrade_as_documented_the_old_program_polls_on_and_so_does_the_new_one_after_an_upgrade(
    old: Program, new: Program, sql: asyncpg.Connection, empty_database: str, emulator: Emulator
) -> None:
    assert (await new.run("migrate")).code == 0
    newer = await new.start("run")
    await poll_for_a_while(newer, emulator)
    assert (await newer.stop()).code == 0
    newest_run = await sql.fetchval("select max(run_id) from syncer.sync_run")
    history = [await sql.fetch(query, newest_run) for query in HISTORY]

    environment = os.environ | {"SYNCER_MIGRATE_DATABASE_URL": empty_database}
    command = (sys.executable, "-m", "alembic", "downgrade", RELEASED_SCHEMA)
    downgrading = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    assert await downgrading.wait() == 0

    await assert_polls_and_data_are_valid(old, await old.start("run"), emulator)
    assert (await new.run("migrate")).code == 0
    await assert_polls_and_data_are_valid(new, await new.start("run"), emulator)
    assert all(history)
    assert [await sql.fetch(query, newest_run) for query in HISTORY] == history
