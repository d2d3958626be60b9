"""What was erased stays out of the database, though daemons are killed and the vendor goes on listing it."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from syncer.emulator import Emulator
from syncer.emulator.rates import Rates
from tests.builders import broken_invariants
from tests.integration.test_erasing import dumped
from tests.service.processes import TOKEN, wait_until
from tests.service.scenarios import folder, program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from tests.service.processes import Program

__all__ = ["folder"]

STEPS: Final = int(os.environ.get("SYNCER_ERASED_STEPS") or 2)
RATES: Final = Rates(
    deactivations=0.1,
    reactivations=0.5,
    comment_edits=0.2,
    redirect_changes=0.1,
    reassignments=0.05,
    renames=0.1,
    position_changes=0.1,
    target_changes=0.1,
)
SUBJECT: Final = """
select n.number, n.employee_id
  from syncer.virtual_number n
  join syncer.name e on e.account_id = n.account_id and e.list = 'employees' and e.object_id = n.employee_id
 where n.removed_at is null and n.comment is not null and strpos(e.name, ' ') > 0
   and (select count(*) from syncer.name o where strpos(o.name, e.name) > 0) = 1
 order by n.virtual_number_id limit 1
"""
COUNTS: Final = {
    "days": "select day, region, type, state, numbers from analytics.daily_states",
    "flows": "select day, region, type, state, arrived, removed, entered, exited from analytics.daily_flows",
    "states": "select virtual_number_id, state, valid_from, valid_to, ended_by from syncer.state_history",
    "runs": "select run_id, outcome, received, created, changed, removed, state_changes from syncer.sync_run"
    " where outcome not in ('unchanged', 'running', 'abandoned')",
}
"""What people count, without what grows with time."""


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    created = program(folder, database, emulator.url)
    yield created
    await created.kill_all()


@pytest.mark.timeout(60 + 10 * STEPS)
async def test_a_number_and_an_employee_stay_erased_through_polls_kills_and_a_killed_erasure(
    syncer: Program, database: str, sql: asyncpg.Connection[Any]
) -> None:
    """`SYNCER_ERASED_STEPS=100 pytest -s -k stay_erased` takes a hundred steps, and prints what was found."""
    random = Random(STEPS)  # noqa: S311 - no secret
    async with Emulator(numbers=60, seed=3, rates=RATES) as emulator:
        settings = {"api_url": emulator.url, "poll_interval": "1s", "names": "employees,groups,scenarios"}
        daemon = await syncer.start("run", **settings)
        await wait_until(lambda: sql.fetchval("select count(*) = 5 from syncer.name_list where outcome = 'read'"))
        ((number, employee_id),) = await sql.fetch(SUBJECT)
        before = await counts(sql)
        erasures = (("--number", number), ("--employee", str(employee_id), "--comments"))
        killed = 0
        for subject in erasures:
            arguments = ("erase", "--account", "default", *subject, "--yes")
            erasing = await syncer.start(*arguments, **settings)
            await asyncio.sleep(random.uniform(0.2, 0.6))
            killed += erasing.is_running
            await erasing.kill()
            assert (await syncer.run(*arguments, **settings)).code in {0, 3}  # the killed one may have been in time
        assert await counts(sql) == before
        names = EmployeeNames(emulator, employee_id)
        kills = dumps = 0
        for step in range(STEPS):
            runs = await sql.fetchval("select count(*) from syncer.sync_run where outcome = 'applied'")
            emulator.step()
            names.read()
            await sql.execute("update syncer.name_list set due_at = syncer.clock()")
            if step % 2 == 0:
                await asyncio.sleep(random.uniform(0, 1.2))
                await daemon.kill()
                kills += 1
                await sql.execute("update syncer.account_schedule set lease_until = null")
                await sql.execute("update syncer.name_list set lease_until = null")
                daemon = await syncer.start("run", **settings)
            await wait_until(partial(has_read_everything, sql, runs))
            text = dumped(database)
            dumps += 1
            assert [secret for secret in (number, *names.own - names.of_others) if secret in text] == []
        ended = await daemon.stop()
        checked = await syncer.run("check", "--data", **settings)

        assert number not in ended.err
        assert "ok     data: every invariant holds" in checked.out
        assert await broken_invariants(database) == []
        secrets = [one for one in emulator.fleet(TOKEN).name_lists().secrets() if one in dumped(database)]
        assert secrets == []
        versions = await sql.fetchval("select count(*) from syncer.name_history")
        sys.stdout.write(
            f"{STEPS} steps, {kills} kills of the daemon, {killed} of erasures, {dumps} dumps, looked for the "
            f"number and for {len(names.own - names.of_others)} names; {versions} former names are stored\n"
        )


async def counts(sql: asyncpg.Connection[Any]) -> dict[str, list[str]]:
    """What people count."""
    return {name: sorted(map(repr, await sql.fetch(query))) for name, query in COUNTS.items()}


class EmployeeNames:
    """What the vendor has called an employee, and what it has called the others."""

    def __init__(self, emulator: Emulator, employee_id: int) -> None:
        self._emulator = emulator
        self._employee_id = employee_id
        self.own: set[str] = set()
        self.of_others: set[str] = set()
        self.read()

    def read(self) -> None:
        """Adds what they are called now."""
        for record in self._emulator.fleet(TOKEN).name_lists().records("/employee"):
            names = self.own if record["id"] == self._employee_id else self.of_others
            names.add(record["full_name"])
        # A last name alone is a part of others' names.
        self.of_others |= {name for name in self.own if " " not in name}


async def has_read_everything(sql: asyncpg.Connection[Any], runs: int) -> bool:
    """Whether another poll has applied changes, and no list of names is due."""
    found: bool = await sql.fetchval(
        "select (select count(*) from syncer.sync_run where outcome = 'applied') > $1"
        "   and not exists (select from syncer.name_list"
        "                    where due_at <= syncer.clock() or lease_until > syncer.clock())",
        runs,
    )
    return found
