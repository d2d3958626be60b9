"""Erasing an employee: the name is nowhere any more, nor are the comments if asked for; neither is stored again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from syncer.diff.content_hash import UNKEYED
from syncer.store.active_erasures import load_erasures
from syncer.store.erasures import erasing, lift_erasure, list_erasures
from tests.builders import record, without
from tests.integration.test_erasing import NUMBER, dumped, shape
from tests.integration.test_restore import dump, restore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders import PolledAccount

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
OTHERS = [record(id_) for id_ in range(10, 20)]
SECRETS = ("Белова", "Орлова", "Менеджер")


def assigned(virtual_number_id: int = 1, **fields: Any) -> dict[str, Any]:
    """A number that employee 125 has."""
    return record(virtual_number_id, **{"employee_id": 125, "comment": "Белова, личный", "owner": "Белова"} | fields)


async def store_names(account: PolledAccount) -> None:
    """Employee 125 was renamed; employee 126 has the same position."""
    await account.sql.execute(
        "insert into syncer.name (account_id, list, object_id, name, position, first_seen_at, changed_at)"
        " values (1, 'employees', 125, 'Орлова Анна', 'Менеджер', $1, $2),"
        "        (1, 'employees', 126, 'Ким Игорь', 'Стажёр', $1, $1),"
        "        (1, 'groups', 125, 'Продажи', null, $1, $1)",
        *(T0, T0 + timedelta(days=2)),
    )
    await account.sql.execute(
        "insert into syncer.name_history (account_id, list, object_id, name, position, valid_from, valid_to,"
        " closed_after) values (1, 'employees', 125, 'Белова Анна', 'Менеджер', $1, $2, $1)",
        *(T0, T0 + timedelta(days=2)),
    )
    await account.sql.execute(
        "insert into syncer.name_list (account_id, list, body_digest) values (1, 'employees', 'digest')"
    )


async def poll_some_history(account: PolledAccount) -> None:
    """Number 1 is locked and gets another comment; number 2 takes over the comment, with another employee."""
    broken = without(assigned(3), "number")
    steps = [
        [assigned(), record(2), broken],
        [assigned(state="debt_lock"), record(2), broken],
        [assigned(state="debt_lock", comment="Орлова"), record(2, comment="Белова, личный"), broken],
    ]
    for day, records in enumerate(steps):
        await account.poll_at(T0 + timedelta(days=day), *records, *OTHERS)
    await store_names(account)


async def erase(account: PolledAccount, employee_id: int = 125, *, comments: bool = False) -> dict[str, int]:
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_employee(employee_id, "a request", comments=comments)
    return eraser.rows


async def test_the_name_and_position_of_an_erased_employee_are_in_no_version(account: PolledAccount) -> None:
    await poll_some_history(account)
    before = await shape(account)

    assert await erase(account) == {"syncer.name": 1, "syncer.name_history": 1}

    assert await account.rows("select name, position from syncer.name order by list, object_id") == [
        (None, None),
        ("Ким Игорь", "Стажёр"),
        ("Продажи", None),
    ]
    assert await account.rows("select name, position from syncer.name_history") == [(None, None)]
    assert await account.rows(
        "select distinct employee_id, employee from analytics.number_history where employee_id = 125"
    ) == [(125, None)]
    assert await shape(account) == before
    assert await account.broken_invariants() == []
    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id = 1") == [("Орлова",)]


async def test_with_comments_nothing_of_an_erased_employee_is_in_a_backup(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    before, text = await shape(account), dumped(database)
    assert [secret for secret in SECRETS if secret not in text] == []

    rows = await erase(account, comments=True)

    assert rows == {
        "syncer.name": 1,
        "syncer.name_history": 1,
        "syncer.virtual_number": 2,
        "syncer.virtual_number_history": 2,
        "syncer.rejected_record": 1,
    }
    text = dumped(database)
    assert [secret for secret in SECRETS if secret in text] == []
    assert await shape(account) == before
    assert await account.broken_invariants() == []


async def test_erased_comments_are_not_stored_again_though_the_vendor_goes_on_listing_them(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    await erase(account, comments=True)

    account.restart()
    broken = without(assigned(3, comment="Белова снова"), "number")
    await account.poll(
        assigned(state="active", comment="Орлова Анна"),
        record(2, comment="Белова, личный", state="freeze"),
        broken,
        *OTHERS,
    )
    # The number is given to somebody else, and keeps the comment for now.
    await account.poll(assigned(employee_id=126, comment="Орлова", owner="x"), record(2), *OTHERS)

    text = dumped(database)
    assert [secret for secret in SECRETS if secret in text] == []
    assert await account.rows(
        "select virtual_number_id, state, employee_id, comment from syncer.virtual_number"
        " where virtual_number_id in (1, 2) order by 1"
    ) == [(1, "active", 126, None), (2, "active", None, None)]
    await account.poll(assigned(employee_id=126, comment="Ким"), record(2), *OTHERS)
    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id = 1") == [("Ким",)]
    assert await account.broken_invariants() == []


async def test_an_employee_whose_name_was_never_read_is_remembered_by_the_numbers(account: PolledAccount) -> None:
    await account.poll(assigned(), *OTHERS)

    assert await erase(account) == {}

    async with account.sql.transaction():
        erasures = await load_erasures(account.sql, 1, UNKEYED)
    assert erasures.employee_ids == {125}
    assert erasures.silent_ids == set()


async def test_an_employee_that_nobody_knows_or_that_is_erased_already_is_not_remembered(
    account: PolledAccount,
) -> None:
    await poll_some_history(account)
    await erase(account, 999)
    assert await list_erasures(account.engine) == []

    await erase(account)
    await erase(account)
    assert [(one.kind, one.employee_id, one.comment_hashes) for one in await list_erasures(account.engine)] == [
        ("employee", 125, None)
    ]
    await erase(account, comments=True)
    assert len(await list_erasures(account.engine)) == 2


async def test_a_lifted_erasure_lets_names_and_comments_be_read_again(account: PolledAccount) -> None:
    await poll_some_history(account)
    await erase(account, comments=True)

    assert await lift_erasure(account.engine, 1)

    assert await account.rows("select body_digest from syncer.name_list") == [(None,)]
    await account.poll(assigned(state="debt_lock", comment="Орлова"), record(2, comment="Белова, личный"), *OTHERS)
    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id = 1") == [("Орлова",)]
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("comments", [True, False])
async def test_an_employee_is_erased_again_after_an_older_backup_was_restored(
    account: PolledAccount, database: str, tmp_path: Path, *, comments: bool
) -> None:
    await poll_some_history(account)
    await dump(database, tmp_path / "dump")
    await erase(account, comments=comments)
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")
    assert "Белова Анна" in dumped(database)

    for one in erasures:
        async with erasing(account.engine, 1, confirmed=True) as eraser:
            await eraser.erase_again(one)

    text = dumped(database)
    assert "Белова Анна" not in text
    assert ("Белова" in text) is not comments


async def test_an_erased_phone_number_is_masked_in_names_too(account: PolledAccount, database: str) -> None:
    await account.poll(record(1, number=NUMBER), *OTHERS)
    await store_names(account)
    await account.sql.execute("update syncer.name set name = name || ' ' || $1", NUMBER)

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, None)

    assert NUMBER not in dumped(database)
    assert await account.rows("select name from syncer.name where object_id = 126") == [("Ким Игорь erased-1",)]


async def test_nobody_but_the_owner_changes_what_a_name_was(account: PolledAccount) -> None:
    await poll_some_history(account)
    await account.sql.execute("set syncer.erasing = 'on'; set role syncer_daemon")
    for statement in ("update syncer.name_history set name = null", "delete from syncer.name"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await account.sql.execute(statement)
    await account.sql.execute("reset role; set syncer.erasing = 'off'")
    with pytest.raises(asyncpg.RestrictViolationError):
        await account.sql.execute("update syncer.name_history set name = null")
