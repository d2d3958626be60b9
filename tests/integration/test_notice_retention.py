"""Finished notices and conditions that ended are deleted after the retention time; what still waits stays readable."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.daemon.retention import Retention
from syncer.store.notices import prune_notices
from syncer.store.retention import BATCH_ROWS
from syncer.telemetry.metrics import Metrics
from tests.builders import record
from tests.integration.test_notices import T0, file_with, notify, rule
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.builders import PolledAccount

DAY = timedelta(days=1)
ALL = [record(id_) for id_ in range(1, 11)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that accepts everything, unless a test says otherwise."""
    async with Receiver() as running:
        yield running


async def prune_at(account: PolledAccount, moment: Any) -> None:
    """Does a round of what the daemon deletes."""
    await account.set_clock(moment)
    await Retention(account.engine, 7 * DAY, Metrics()).prune_all(lambda: True)


async def notices(account: PolledAccount) -> list[tuple[Any, ...]]:
    """The kind and the outcome of each notice, in order."""
    return [tuple(row) for row in await account.rows("select kind, outcome from syncer.notice order by notice_id")]


async def test_a_notice_that_was_sent_is_deleted_after_the_retention_time_and_one_that_waits_is_not(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(events=frozenset({"locked", "frozen"}), max_age=30 * DAY))
    await account.poll_at(T0, record(1), record(2))
    await notify(account, file)
    await account.poll_at(T0 + timedelta(minutes=5), record(1, state="debt_lock"), record(2))
    await notify(account, file)
    receiver.answer = 500
    await account.poll_at(T0 + timedelta(minutes=10), record(1, state="debt_lock"), record(2, state="freeze"))
    await notify(account, file)
    both = [("changes", "sent"), ("changes", "waiting")]
    assert await notices(account) == both

    await prune_at(account, T0 + 7 * DAY)
    assert await notices(account) == both

    await prune_at(account, T0 + 8 * DAY)
    assert await notices(account) == [("changes", "waiting")]
    receiver.answer = 200
    assert await notify(account, file) == {"sent": 1}
    assert [message.counts for message in receiver.accepted] == [{"locked": 1}, {"frozen": 1}]


async def test_a_round_deletes_all_notices_whose_time_is_over(account: PolledAccount, receiver: Receiver) -> None:
    await account.poll_at(T0, record(1))
    await notify(account, file_with(receiver))
    await account.sql.execute(
        "insert into syncer.notice (account_id, rule, channel, kind, through_run_id, events, message_id, outcome,"
        "                           made_at, due_at, finished_at)"
        " select c.account_id, c.rule, c.channel, 'changes', n, '{}', gen_random_uuid(), 'sent', $1, $1, $1"
        "   from syncer.notice_cursor c cross join generate_series(1, $2) n",
        T0,
        2 * BATCH_ROWS + 1,
    )

    await prune_at(account, T0 + 8 * DAY)

    assert await notices(account) == []
    assert await account.row("select count(*) from syncer.notice_cursor") == (1,)


async def test_a_condition_that_holds_stays_and_one_that_ended_is_deleted_after_the_retention_time(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(events=frozenset({"held"})))
    await account.poll_at(T0, *ALL)
    await notify(account, file)
    await account.poll_at(T0 + timedelta(minutes=5), *ALL[:5])
    await notify(account, file)
    conditions = "select kind, ended_at is null from syncer.account_condition where kind = 'held' order by condition_id"

    await prune_at(account, T0 + 20 * DAY)
    assert await account.rows(conditions) == [("held", True)]

    await account.poll_at(T0 + 20 * DAY, *ALL)
    await notify(account, file)
    await prune_at(account, T0 + 26 * DAY)
    assert await account.rows(conditions) == [("held", False)]
    await prune_at(account, T0 + 28 * DAY)
    assert await account.rows(conditions) == []


async def test_conditions_that_a_waiting_message_names_are_kept_until_it_is_sent(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(events=frozenset({"held"}), max_age=60 * DAY))
    await account.poll_at(T0, *ALL)
    await notify(account, file)
    receiver.answer = 500
    await account.poll_at(T0 + timedelta(minutes=5), *ALL[:5])
    await notify(account, file)
    await account.poll_at(T0 + timedelta(minutes=10), *ALL)
    await notify(account, file)
    assert await notices(account) == [("conditions", "waiting")]

    await prune_at(account, T0 + 20 * DAY)
    receiver.answer = 200
    for _ in range(2):
        await notify(account, file)

    began, ended = receiver.accepted
    assert [(one["condition"], one["event"], one["count"]) for one in began.data["conditions"]] == [
        ("held", "began", 5)
    ]
    assert [(one["condition"], one["event"]) for one in ended.data["conditions"]] == [("held", "ended")]
    await prune_at(account, T0 + 28 * DAY)
    assert await account.rows("select kind from syncer.account_condition where kind = 'held'") == []


async def test_conditions_that_a_waiting_digest_names_are_kept_until_it_is_sent(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(events=frozenset({"held"}), cron="0 9 * * *"))
    await account.poll_at(T0, *ALL)
    await notify(account, file)
    await account.poll_at(T0 + timedelta(minutes=5), *ALL[:5])
    await notify(account, file)
    await account.poll_at(T0 + timedelta(minutes=10), *ALL)
    await notify(account, file)
    receiver.answers = [500]
    await account.poll_at(T0 + DAY, *ALL)
    assert await notify(account, file) == {"failed": 1}

    await prune_notices(account.engine, timedelta(hours=1), batch=10)
    await account.sql.execute("update syncer.notice set due_at = made_at")
    assert await notify(account, file) == {"sent": 1}

    first, second = receiver.requests
    assert [one["condition"] for one in first.data["digest"]["conditions"]] == ["held"]
    assert (first.id, first.body) == (second.id, second.body)
