"""Erasing a number: nothing that says whose it is stays, its history keeps its shape, and it is not stored again."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.embedded.programs import find_binaries
from syncer.store.erasures import erasing, lift_erasure, list_erasures
from tests.builders import record, redirect, without
from tests.integration.test_restore import dump, restore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.builders import PolledAccount

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
NUMBER = "79261234567"
OTHER = "79269999999"
OTHERS = [record(id_) for id_ in range(10, 20)]
SHAPE = {
    "days": "select * from analytics.daily_states order by 1, 2, 3, 4",
    "flows": "select * from analytics.daily_flows order by 1, 2, 3, 4",
    "states": "select * from syncer.state_history order by 1, 2, 5",
    "runs": "select * from syncer.sync_run order by 1, 2",
    "periods": "select virtual_number_id, state, reason, state_since from syncer.virtual_number order by 1",
}


def personal(**fields: Any) -> dict[str, Any]:
    """Number 1, with all that is personal."""
    return record(
        1,
        **{
            "number": NUMBER,
            "comment": "Иванов, личный",
            "employee_id": 125,
            "dgn_number": "74951234567",
            "redirect_number": "79031112233",
            "sip_uri": f"sip:{NUMBER}@example.org",
            "from_redirect_numbers": [redirect(7, "79051112233"), redirect(7, "79051112234")],
            "owner": "Иванов",
        }
        | fields,
    )


def mentioning() -> list[dict[str, Any]]:
    """Numbers that mention number 1: in each column that can."""
    return [
        record(2, from_redirect_numbers=[redirect(1, NUMBER), redirect(1, OTHER)]),
        record(3, dgn_number=NUMBER),
        record(4, redirect_number=NUMBER),
        record(5, comment=f"см. {NUMBER}, {OTHER}"),
        record(6, note={"of": [NUMBER]}),
        without(record(8, comment=NUMBER), "number"),
    ]


async def erase(account: PolledAccount, number: str = NUMBER, *, confirmed: bool = True) -> dict[str, int]:
    async with erasing(account.engine, 1, confirmed=confirmed) as eraser:
        await eraser.erase_number(number, "a request")
    return eraser.rows


def dumped(database: str) -> str:
    """Everything that a backup has."""
    command = [str(find_binaries() / "pg_dump"), "--data-only", database]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The first is random, and a sequence goes on though a transaction is rolled back.
    return "\n".join(line for line in text.splitlines() if "restrict " not in line and "setval" not in line)


async def shape(account: PolledAccount) -> dict[str, list[tuple[Any, ...]]]:
    return {name: await account.rows(query) for name, query in SHAPE.items()}


async def poll_some_history(account: PolledAccount) -> None:
    """Number 1 is listed, is locked, has another comment, is removed and returns; others mention it."""
    account.poller = account.poller
    steps: list[Sequence[Any]] = [
        [personal(), *mentioning(), *OTHERS],
        [personal(state="debt_lock"), *mentioning(), *OTHERS],
        [personal(comment="Петров", number=OTHER), *OTHERS, *mentioning()],
        [personal(), *mentioning(), *OTHERS],
        [*mentioning(), *OTHERS],
        [personal(from_redirect_numbers=[redirect(7, "79051112233")]), *mentioning(), *OTHERS],
    ]
    for day, records in enumerate(steps):
        await account.poll_at(T0 + timedelta(days=day), *records)


async def test_nothing_of_an_erased_number_is_in_a_backup_and_history_keeps_its_shape(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    before, text = await shape(account), dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "79031112233", "79051112234", "74951234567"):
        assert secret in text

    rows = await erase(account)

    assert set(rows) == {
        "syncer.virtual_number",
        "syncer.virtual_number_history",
        "syncer.virtual_number_redirect",
        "syncer.virtual_number_redirect_history",
        "syncer.rejected_record",
    }
    text = dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "79031112233", "79051112234", "74951234567"):
        assert secret not in text, secret
    assert await shape(account) == before
    assert await account.broken_invariants() == []
    assert await account.row(
        "select number, comment, employee_id, dgn_number, redirect_number, sip_uri, extra::text, state "
        "from syncer.virtual_number where virtual_number_id = 1"
    ) == ("erased-1", None, None, None, None, None, "{}", "active")


async def test_what_was_erased_stays_erased_though_the_vendor_goes_on_listing_it(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    await erase(account)
    again = [personal(from_redirect_numbers=[redirect(7, "79051112233")]), *mentioning(), *OTHERS]

    assert (await account.poll(*again)).outcome == "unchanged"
    account.restart()
    locked = personal(state="debt_lock", comment="Сидоров", from_redirect_numbers=[redirect(7, "79051112233")])
    result = await account.poll(locked, *mentioning(), *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    assert (result.changed, result.state_changes, result.created) == (1, 1, 1)
    changed = [dict(one, comment=f"{one['comment']} {NUMBER}") for one in mentioning()]
    await account.poll(locked, *changed, *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    only_comment = personal(state="debt_lock", comment="Козлов", from_redirect_numbers=[redirect(7, "79051112233")])
    result = await account.poll(only_comment, *changed, *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    assert (result.changed, result.outcome) == (0, "unchanged")

    text = dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "Сидоров", "Козлов"):
        assert secret not in text, secret
    assert await account.broken_invariants() == []
    assert await account.rows(
        "select virtual_number_id, number, state from syncer.virtual_number where virtual_number_id in (1, 30) "
        "order by 1"
    ) == [(1, "erased-1", "debt_lock"), (30, "erased-1", "active")]


async def test_without_yes_nothing_is_written(account: PolledAccount, database: str) -> None:
    await poll_some_history(account)
    before = dumped(database)

    assert sum((await erase(account, confirmed=False)).values()) > 10
    assert dumped(database) == before


async def test_a_number_that_nobody_has_is_not_remembered(account: PolledAccount) -> None:
    await poll_some_history(account)

    assert await erase(account, "70000000000") == {}
    assert await list_erasures(account.engine) == []


async def test_after_an_erasure_is_lifted_the_number_is_stored_again_and_its_past_stays_masked(
    account: PolledAccount,
) -> None:
    await account.poll(personal(), *OTHERS)
    await account.poll(personal(state="debt_lock"), *OTHERS)
    await erase(account)
    assert await lift_erasure(account.engine, 1)
    assert not await lift_erasure(account.engine, 1)

    result = await account.poll(personal(state="debt_lock"), *OTHERS)

    assert (result.outcome, result.changed) == ("applied", 1)
    assert await account.rows("select number from syncer.virtual_number where virtual_number_id = 1") == [(NUMBER,)]
    assert set(await account.rows("select number from syncer.virtual_number_history")) == {("erased-1",)}
    assert await account.broken_invariants() == []


async def test_numbers_removed_long_ago_are_erased_by_their_age(account: PolledAccount, database: str) -> None:
    await account.poll_at(T0, personal(), record(2), *OTHERS)
    await account.poll_at(T0 + timedelta(days=1), record(2), *OTHERS)
    await account.poll_at(T0 + timedelta(days=300), *OTHERS)
    await account.set_clock(T0 + timedelta(days=400))

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        assert await eraser.erase_removed(timedelta(days=365), 1000, None) == 1
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        assert await eraser.erase_removed(timedelta(days=365), 1000, None) == 0

    assert "Иванов" not in dumped(database)
    assert await account.broken_invariants() == []
    assert [(one.kind, one.virtual_number_id, one.number_hash) for one in await list_erasures(account.engine)] == [
        ("age", 1, None)
    ]


@pytest.mark.parametrize("is_in_others", [True, False])
async def test_a_restored_backup_is_erased_again_from_the_list_of_erasures(
    account: PolledAccount, database: str, tmp_path: Path, *, is_in_others: bool
) -> None:
    await account.poll(*([] if is_in_others else [personal()]), *mentioning(), *OTHERS)
    await dump(database, tmp_path / "dump")
    await erase(account)
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")
    assert NUMBER in dumped(database)

    for one in erasures:
        async with erasing(account.engine, 1, confirmed=True) as eraser:
            await eraser.erase_again(one)

    assert NUMBER not in dumped(database)
    assert await account.broken_invariants() == []
