"""Notices name employees and groups: with the names of the time, the same in each attempt, and none that was erased."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.store.erasures import erasing
from tests.bi.test_names import store_names
from tests.builders import record
from tests.integration.test_notices import T0, file_with, notify, rule
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.notices.rules import NotifyFile
    from tests.builders import PolledAccount
    from tests.receiver import Received

MINUTE = timedelta(minutes=1)
HOURLY = rule(events=frozenset({"removed"}), cron="7 * * * *", even_if_nothing=True)
ALL = rule(events=frozenset({"locked", "employee", "record", "removed"}), every=None)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as found:
        yield found


def named(received: Received) -> list[tuple[Any, ...]]:
    """The events of a message: kind, old and new value, what these are called, and who has the number."""
    return [
        (one["event"], one["old"], one["new"], one["old_name"], one["new_name"], one["employee"])
        for one in received.data["events"]
    ]


async def rename(account: PolledAccount, employee_id: int, name: str, since: Any) -> None:
    """Stores what an employee is called since some time."""
    await account.sql.execute(
        """
        insert into syncer.name_history (account_id, list, object_id, name, valid_from, valid_to, closed_after)
        select account_id, list, object_id, name, changed_at, $2, changed_at from syncer.name where object_id = $1
        """,
        employee_id,
        since,
    )
    await account.sql.execute(
        "update syncer.name set name = $2, changed_at = $3, changed_after = changed_at where object_id = $1",
        *(employee_id, name, since),
    )


async def begin(account: PolledAccount, receiver: Receiver, file: NotifyFile | None = None, **fields: Any) -> None:
    """A number that an employee has, whose name has been known for two hours, and a rule that has seen it."""
    await account.poll_at(T0, record(1, employee_id=5, group_id=9, **fields), record(2), record(3))
    await store_names(account.sql, "employees", 5, [(T0 - 120 * MINUTE, "Белова Анна")])
    await store_names(account.sql, "employees", 6, [(T0 - 120 * MINUTE, "Ким Игорь")])
    await store_names(account.sql, "groups", 9, [(T0 - 120 * MINUTE, "Продажи")])
    await notify(account, file or file_with(receiver, ALL))


async def test_a_change_of_employee_or_group_says_what_they_were_called_then(
    account: PolledAccount, receiver: Receiver
) -> None:
    await begin(account, receiver)
    changed = record(1, employee_id=6, group_id=10, state="debt_lock")
    await account.poll_at(T0 + 5 * MINUTE, changed, record(2), record(3))
    await rename(account, 5, "Орлова Анна", T0 + 6 * MINUTE)
    await notify(account, file_with(receiver, ALL))
    (message,) = receiver.requests

    assert named(message) == [
        ("locked", "active", "debt_lock", None, None, "Ким Игорь"),
        ("employee", "5", "6", "Белова Анна", "Ким Игорь", "Ким Игорь"),
        ("record", "9", "10", "Продажи", None, "Ким Игорь"),
    ]


async def test_each_change_in_a_message_has_the_name_of_its_time(account: PolledAccount, receiver: Receiver) -> None:
    await begin(account, receiver)
    file = file_with(receiver, rule(events=frozenset({"locked"}), every=40 * MINUTE))
    await notify(account, file)
    for minutes, state in ((10, "debt_lock"), (20, "active"), (30, "debt_lock")):
        await account.poll_at(T0 + minutes * MINUTE, record(1, employee_id=5, state=state), record(2), record(3))
        await notify(account, file)
    await rename(account, 5, "Орлова Анна", T0 + 25 * MINUTE)
    await account.set_clock(T0 + 41 * MINUTE)
    await notify(account, file)

    (message,) = receiver.requests
    assert [one["employee"] for one in message.data["events"]] == ["Белова Анна", "Орлова Анна"]


@pytest.mark.parametrize("minutes", [3, 5, 6])
@pytest.mark.parametrize("is_digest", [False, True])
async def test_a_list_of_names_that_was_read_meanwhile_changes_no_byte_of_a_message(
    account: PolledAccount, receiver: Receiver, minutes: int, *, is_digest: bool
) -> None:
    file = file_with(receiver, HOURLY if is_digest else ALL)
    await begin(account, receiver, file, state="debt_lock")
    receiver.answer = 500
    locked = record(1, employee_id=6, state="debt_lock")
    await account.poll_at(T0 + 5 * MINUTE, locked, record(2), record(3, employee_id=7))
    await account.set_clock(T0 + 7 * MINUTE + MINUTE / 2)
    await notify(account, file)
    (first,) = receiver.requests
    for employee_id in (5, 6):
        await rename(account, employee_id, "Орлова Анна", T0 + minutes * MINUTE)
    await store_names(account.sql, "employees", 7, [(T0 + minutes * MINUTE, "Ли Вера")])
    await account.poll_at(T0 + 8 * MINUTE, locked | {"employee_id": 5}, record(2), record(3, employee_id=7))
    receiver.answer = 200
    await account.set_clock(T0 + 20 * MINUTE)
    await notify(account, file)
    sent = receiver.requests[1]

    assert (sent.id, sent.body) == (first.id, first.body)
    if is_digest:
        assert [(one["employee_id"], one["employee"]) for one in sent.data["digest"]["blocked"]] == [(6, "Ким Игорь")]
    else:
        assert [(one["new_name"], one["employee"]) for one in sent.data["events"] if one["event"] == "employee"] == [
            ("Ким Игорь", "Ким Игорь"),
            (None, None),
        ]


async def test_a_message_that_was_made_before_an_erasure_and_is_sent_after_it_says_nothing_of_it(
    account: PolledAccount, receiver: Receiver
) -> None:
    await begin(account, receiver, number="79261112233", comment="Белова, личный")
    locked = [
        record(1, number="79261112233", employee_id=5, state="debt_lock"),
        record(2, number="79264445566", comment="Сидоров", employee_id=6, state="debt_lock"),
    ]
    await account.poll_at(T0 + 5 * MINUTE, *locked, record(3))
    receiver.answer = 500
    await notify(account, file_with(receiver, ALL))
    assert {who for *_, who in named(receiver.requests[-1])} == {"Белова Анна", "Ким Игорь"}
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_employee(5, None, comments=True)
        await eraser.erase_number("79264445566", reason=None)
    receiver.answer = 200
    await account.set_clock(T0 + 20 * MINUTE)
    await notify(account, file_with(receiver, ALL))
    sent = receiver.requests[-1]

    assert [text for text in ("Белова", "79264445566", "Сидоров", "Ким") if text in sent.body.decode()] == []
    assert named(sent)[:2] == [("locked", "active", "debt_lock", None, None, None)] * 2
    assert [one["number"] for one in sent.data["events"]][:2] == ["79261112233", "erased-2"]
