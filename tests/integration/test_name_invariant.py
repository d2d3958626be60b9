"""`syncer check --data` reports each violation of the history of names, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.builders import settings_for
from tests.named_account import NamedAccount, employee

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = {f"T{hours}": str(T0 + hours * HOUR).replace("+00:00", "+00") for hours in range(4)}
HISTORY = "update syncer.name_history set {} where object_id = 1 and name = 'Имя 1'"
CURRENT = "update syncer.name set {} where object_id = 1"
VIOLATIONS = {
    HISTORY.format("valid_to = valid_from"): [
        "version from T1 of name 1 in employees ends at T1, which is not after it begins",
        "version from T2 of name 1 in employees begins then, but the one before it ends at T1",
    ],
    HISTORY.format("valid_to = valid_to + interval '1 minute'"): [
        "version from T2 of name 1 in employees begins then, but the one before it ends at T2+1",
    ],
    HISTORY.format("valid_from = valid_from + interval '1 minute', changed_after = valid_from"): [
        "version from T1+1 of name 1 in employees begins then, but the one before it ends at T1",
    ],
    HISTORY.format("changed_after = valid_from"): [
        "version from T1 of name 1 in employees has changed_after T1, which is not before it begins",
    ],
    HISTORY.format("closed_after = valid_to"): [
        "version from T1 of name 1 in employees ends at T2, but has closed_after T2, which is not earlier",
    ],
    CURRENT.format("changed_at = changed_at + interval '1 minute'"): [
        "version from T2+1 of name 1 in employees begins then, but the one before it ends at T2",
    ],
    CURRENT.format("first_seen_at = first_seen_at + interval '1 minute'"): [
        "version from T0 of name 1 in employees is the first one, but the id was first seen at T0+1",
    ],
    "delete from syncer.name where object_id = 1": [
        "version from T0 of name 1 in employees has no current one after it",
        "version from T1 of name 1 in employees has no current one after it",
    ],
}


@pytest.mark.parametrize("corruption", VIOLATIONS, ids=range(len(VIOLATIONS)))
async def test_a_violation_of_the_history_of_names_is_reported_and_nothing_else(
    corruption: str, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async with NamedAccount(engine, emulator, sql, settings_for(emulator)) as named:
        for hours in range(3):
            await named.read_employees(employee(1, f"Имя {hours}"), employee(2), at=T0 + hours * HOUR)
        assert await named.broken_invariants() == []
        await sql.execute("set session_replication_role = replica; set timezone = 'UTC'")
        await sql.execute(corruption)
        found = await named.broken_invariants()

    for name, at in AT.items():
        found = [one.replace(at, name).replace(at.replace(":00:00", ":01:00"), f"{name}+1") for one in found]
    assert sorted(found) == [f"invariant 8: account 1: the {problem}" for problem in VIOLATIONS[corruption]]
