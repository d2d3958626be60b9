"""A rolling upgrade: a newer version starts and migrates while an older one polls the same database."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import syncer as package
from syncer.store.schema import known_revisions, migrations_folder
from tests.service.processes import TOKEN, Gate, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.emulator.record import Number
    from tests.service.processes import Program

REVISION = """
from alembic import op

revision = "9000"
down_revision = "{previous}"


def upgrade() -> None:
    op.execute("alter table syncer.virtual_number add column colour text")
    op.execute("create index on syncer.virtual_number (account_id, state)")
"""

IS_LOCKED = "select state = 'debt_lock' from syncer.virtual_number where virtual_number_id = $1"


def newer_version_of(syncer: Program) -> Program:
    """Returns a copy of the program with one more schema revision."""
    folder = syncer.folder / "newer"
    shutil.copytree(Path(package.__file__).parent, folder / "syncer", ignore=shutil.ignore_patterns("migrations"))
    shutil.copytree(migrations_folder(), folder / "syncer" / "migrations")
    newest = known_revisions()[0]
    (folder / "syncer/migrations/versions/9000_colour.py").write_text(REVISION.format(previous=newest))
    return replace(syncer, folder=folder)


def lock(number: Number) -> None:
    number.state, number.reason = "debt_lock", "долг"


@run_concurrently
async def test_after_the_migration_of_a_newer_version_the_older_one_stops_polling_and_the_newer_one_takes_over(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = {"poll_interval": "1s", "log_level": "debug"}
    fleet = emulator.fleet(TOKEN)
    ids = [number["id"] for number in fleet.records() if number["state"] == "active"]
    older = await syncer.start("run", **settings)
    await older.wait_for_event("poll_finished", created=200)
    fleet.update_numbers(ids[:1], lock)
    await older.wait_for_event("poll_finished", state_changes=1)

    # The migration runs while the older version waits for a response that contains a change.
    gate = Gate(opened=asyncio.Event())
    emulator.fault, requests_before = gate, emulator.requests[TOKEN]
    await wait_until(lambda: emulator.requests[TOKEN] > requests_before)
    newer_version = newer_version_of(syncer)
    newer = await newer_version.start("run", **settings)
    complaint = (await older.wait_for_event("not_ready"))["error"]
    fleet.update_numbers(ids[1:2], lock)
    emulator.fault = None
    gate.opened.set()

    await newer.wait_for_event("poll_finished")
    fleet.update_numbers(ids[2:3], lock)
    await wait_until(lambda: sql.fetchval(IS_LOCKED, ids[2]))
    await newer.wait_for_event("poll_finished", times=len(newer.events("poll_finished")) + 2)
    checked = await newer_version.run("check", "--data")
    assert [(await daemon.stop()).code for daemon in (older, newer)] == [0, 0]

    assert complaint.startswith("the database's schema is 9000, which is newer than this version of syncer (")
    assert older.event_names.count("ready") == 0
    by_older, by_newer = ({run["run_id"] for run in daemon.events("poll_finished")} for daemon in (older, newer))
    assert max(by_older) < min(by_newer)
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "ok     data: every invariant holds")
    changed = await sql.fetch("select virtual_number_id, to_state from analytics.state_changes order by run_id")
    assert [tuple(row) for row in changed] == [(number_id, "debt_lock") for number_id in ids[:3]]
    assert await sql.fetchval("select count(*) from syncer.state_period") == 203
    assert await sql.fetchval("select count(*) from syncer.state_history") == 3
    assert await sql.fetchval("select count(*) from syncer.virtual_number_history") == 3
