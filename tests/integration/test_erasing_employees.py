"""Erasing an employee: the name is nowhere any more, nor are the comments if asked for; neither is stored again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from syncer.diff.content_hash import UNKEYED
from syncer.store.active_erasures import load_erasures
from syncer.store.erasures import erasing, lift_erasure, list_erasures
from tests.builders import record, without
from tests.integration.test_erasing import NUMBER, dumped, erase_again, shape
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


REJECTED = {
    "of the employee": '"employee_id": 125',
    "of the employee, escaped": r'"\u0065mployee_id": 125',
    "of the employee as text": '"employee_id": "125"',
    "of the employee with a fraction": '"employee_id": 125.0',
    "of the employee with an exponent": '"employee_id": 1.25e2',
    "of two employees": '"employee_id": 125, "employee_id": 126',
    "of nobody known": '"note": "Белова"',
    "with an erased comment": r'"employee_id": 126, "comment": "\u0411елова, личный"',
    "with lone surrogates": r'"employee_id": 125, "comment": "\ud800"',
    "too long to be read": f'"employee_id": 126, "note": "{"x" * 70_000}"',
}


@pytest.mark.parametrize("is_erased_before", [True, False])
@pytest.mark.parametrize("fields", REJECTED.values(), ids=REJECTED)
async def test_no_bytes_are_kept_of_a_rejected_record_that_may_be_of_an_erased_employee(
    account: PolledAccount, fields: str, *, is_erased_before: bool
) -> None:
    await account.poll(assigned(), *OTHERS)
    if is_erased_before:
        await erase(account, comments=True)
    await account.poll_body(_with_rejected(fields))
    assert len(await account.rows("select from syncer.rejected_record where payload = ''")) == is_erased_before
    if not is_erased_before:
        await erase(account, comments=True)

    assert await account.rows("select virtual_number_id, payload from syncer.rejected_record") == [(3, b"")]


@pytest.mark.parametrize("employee_id", ["126", "null", "9" * 5_000, '"anna"'])
async def test_the_bytes_of_a_rejected_record_of_others_are_kept(account: PolledAccount, employee_id: str) -> None:
    await account.poll(assigned(), *OTHERS)
    await erase(account, comments=True)

    result = await account.poll_body(_with_rejected(f'"employee_id": {employee_id}'))

    assert (result.outcome, result.rejected) == ("applied", 1)
    assert await account.rows("select virtual_number_id from syncer.rejected_record where payload <> ''") == [(3,)]


async def test_no_bytes_are_kept_of_a_rejected_record_of_a_number_that_an_erased_employee_had(
    account: PolledAccount,
) -> None:
    await account.poll(assigned(), *OTHERS)
    await account.poll(assigned(employee_id=126), *OTHERS)
    await account.poll(without(assigned(employee_id=126, comment="Белова и Ким"), "number"), *OTHERS)

    await erase(account, comments=True)

    assert await account.rows("select payload from syncer.rejected_record") == [(b"",)]


def _with_rejected(fields: str) -> bytes:
    """A response in which number 3 has no phone number."""
    listed = json.dumps([assigned(), *OTHERS], ensure_ascii=False)
    return f'{listed[:-1]}, {{"id": 3, {fields}}}]'.encode()


async def test_an_erased_comment_is_recognised_though_a_phone_number_in_it_was_erased_before(
    account: PolledAccount, database: str
) -> None:
    comment = f"Белова {NUMBER}"
    await account.poll(assigned(comment=comment), record(2, number=NUMBER), *OTHERS)
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, reason=None)
    await erase(account, comments=True)

    await account.poll(assigned(comment=comment, employee_id=126, owner="x"), record(2, number=NUMBER), *OTHERS)

    assert "Белова" not in dumped(database)


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


async def test_a_lifted_erasure_lets_others_have_the_comment_again_with_the_next_poll(account: PolledAccount) -> None:
    listed = [assigned(), record(2, comment="Белова, личный"), *OTHERS]
    await account.poll(*listed)
    await erase(account, comments=True)

    assert await lift_erasure(account.engine, 1)
    await account.poll(*listed)

    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id in (1, 2)") == [
        ("Белова, личный",),
        ("Белова, личный",),
    ]


async def test_of_two_erasures_of_a_number_lifting_one_leaves_the_other(account: PolledAccount) -> None:
    listed = [assigned(number=NUMBER), *OTHERS]
    stored = "select number, comment, employee_id from syncer.virtual_number where virtual_number_id = 1"
    await account.poll(*listed)
    await erase(account, comments=True)
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, reason=None)

    await lift_erasure(account.engine, 2)
    await account.poll(*listed)
    assert await account.rows(stored) == [(NUMBER, None, 125)]

    await lift_erasure(account.engine, 1)
    await account.poll(*listed)
    assert await account.rows(stored) == [(NUMBER, "Белова, личный", 125)]
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("employee_id", [0, -5, 2**63 - 1, -(2**63)])
async def test_an_employee_with_any_id_is_erased(account: PolledAccount, database: str, employee_id: int) -> None:
    await account.poll(assigned(employee_id=employee_id), *OTHERS)
    await erase(account, employee_id, comments=True)

    broken = without(assigned(3, employee_id=employee_id), "number")
    await account.poll(assigned(employee_id=employee_id, state="debt_lock"), broken, *OTHERS)

    assert "Белова" not in dumped(database)


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

    await erase_again(account, erasures)

    text = dumped(database)
    assert "Белова Анна" not in text
    assert ("Белова" in text) is not comments


async def test_an_employee_who_came_after_the_backup_that_was_restored_stays_erased(
    account: PolledAccount, database: str, tmp_path: Path
) -> None:
    await account.poll(record(1), *OTHERS)
    await dump(database, tmp_path / "dump")
    await account.poll(record(1), assigned(2), *OTHERS)
    await erase(account, comments=True)
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")

    account.restart()
    await erase_again(account, erasures)
    # One number has the employee; another has the comment that was erased.
    await account.poll(record(1, comment="Белова, личный"), assigned(2), *OTHERS)

    assert "Белова" not in dumped(database)


async def test_an_erased_phone_number_is_masked_in_names_too(account: PolledAccount, database: str) -> None:
    await account.poll(record(1, number=NUMBER), *OTHERS)
    await store_names(account)
    await account.sql.execute("update syncer.name set name = name || ' ' || $1", NUMBER)

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, reason=None)

    assert NUMBER not in dumped(database)
    assert await account.rows("select name from syncer.name where object_id = 126") == [("Ким Игорь erased-1",)]


async def test_a_phone_number_that_only_a_name_mentions_is_erased(account: PolledAccount, database: str) -> None:
    await account.poll(*OTHERS)
    await store_names(account)
    await account.sql.execute("update syncer.name set position = $1 where object_id = 126", f"Дежурный {NUMBER}")

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, reason=None)

    assert eraser.rows == {"syncer.name": 1}
    assert NUMBER not in dumped(database)


async def test_nobody_but_the_owner_changes_what_a_name_was(account: PolledAccount) -> None:
    await poll_some_history(account)
    await account.sql.execute("set syncer.erasing = 'on'; set role syncer_daemon")
    for statement in ("update syncer.name_history set name = null", "delete from syncer.name"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await account.sql.execute(statement)
    await account.sql.execute("reset role; set syncer.erasing = 'off'")
    with pytest.raises(asyncpg.RestrictViolationError):
        await account.sql.execute("update syncer.name_history set name = null")
