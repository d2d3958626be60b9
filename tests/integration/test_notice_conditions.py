"""Conditions of accounts: each begins once and ends once, and those of many accounts are one message."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from syncer.emulator import faults
from syncer.notices.notifier import notify_once
from syncer.notices.planner import Planner
from syncer.notices.rules import CONDITIONS, QuietHours
from syncer.telemetry.metrics import Metrics
from tests.builders import accounts_named, record, without
from tests.integration.test_notices import file_with, receiver, rule
from tests.notices import at

if TYPE_CHECKING:
    from syncer.config.accounts import Account
    from syncer.notices.rules import NotifyFile
    from tests.builders import PolledAccount
    from tests.receiver import Received, Receiver

__all__ = ["receiver"]

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
NAMES = ("first", "second", "third")


@pytest.fixture
def accounts(account: PolledAccount) -> list[Account]:
    """Three accounts that are polled every five minutes."""
    return accounts_named(account.settings, NAMES)


async def poll_all(account: PolledAccount, accounts: list[Account]) -> None:
    """Polls all accounts once."""
    for one in accounts:
        await account.poller.poll(one, "schedule")


async def notify(account: PolledAccount, file: NotifyFile, accounts: list[Account]) -> dict[str, int]:
    """Makes and sends what is due, as `syncer notify` does."""
    ids = dict(await account.rows("select name, account_id from syncer.account"))
    return await notify_once(
        account.engine, Metrics().notices, file, {ids[one.name]: one for one in accounts if one.name in ids}
    )


def said(message: Received) -> list[tuple[str, str, str]]:
    """The conditions of a message: account, condition, whether it began or ended."""
    return [(one["account"], one["condition"], one["event"]) for one in message.data["conditions"]]


async def test_accounts_that_become_stale_together_are_one_message_and_so_is_the_end(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.set_clock(T0)
    await poll_all(account, accounts)
    await notify(account, file, accounts)
    await account.set_clock(T0 + timedelta(minutes=14))
    await notify(account, file, accounts)
    assert receiver.requests == []

    for minutes in (15, 16, 60):
        await account.set_clock(T0 + timedelta(minutes=minutes))
        await notify(account, file, accounts)
    (begun,) = receiver.requests
    assert said(begun) == [(name, "stale", "began") for name in NAMES]
    assert begun.data["conditions"][0]["began_at"][:16] == "2026-03-02T07:00"

    await poll_all(account, accounts)
    await notify(account, file, accounts)
    await notify(account, file, accounts)
    _, ended = receiver.requests
    assert said(ended) == [(name, "stale", "ended") for name in NAMES]
    assert ended.data["conditions"][0]["ended_at"][:16] == "2026-03-02T08:00"
    assert await account.rows("select kind, count(*), count(ended_at) from syncer.account_condition group by 1") == [
        ("stale", 3, 3)
    ]
    assert await account.rows(
        "select count(distinct message_id), count(*) from analytics.notifications "
        "join syncer.notice using (account_id, notice_id)"
    ) == [(2, 6)]


async def test_a_token_that_is_refused_is_a_condition_until_a_poll_succeeds(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file, (one, *_) = file_with(receiver), accounts
    await account.poller.poll(one, "schedule")
    await notify(account, file, [one])
    for fault in (faults.Status(status=401), faults.Status(status=500), faults.Status(status=403), None):
        account.emulator.fault = fault or faults.Healthy()
        await account.poller.poll(one, "schedule")
        await notify(account, file, [one])

    assert [said(message) for message in receiver.requests] == [
        [("first", "refused", "began")],
        [("first", "refused", "ended")],
    ]


async def test_an_account_that_was_never_polled_successfully_is_stale_too(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file, (one, *_) = file_with(receiver), accounts
    account.emulator.fault = faults.Status(status=401)
    await account.set_clock(T0)
    await account.poller.poll(one, "schedule")
    await notify(account, file, [one])
    await account.set_clock(T0 + timedelta(minutes=16))
    await notify(account, file, [one])

    assert [said(message) for message in receiver.requests] == [
        [("first", "refused", "began")],
        [("first", "stale", "began")],
    ]


async def test_a_new_rule_says_nothing_of_a_condition_that_holds_already_nor_of_its_end(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    one = accounts[0]
    await account.poller.poll(one, "schedule")
    account.emulator.fault = faults.Status(status=401)
    await account.poller.poll(one, "schedule")
    await notify(account, file_with(receiver), [one])
    await notify(account, file_with(receiver, rule(), rule(name="other")), [one])
    account.emulator.fault = faults.Healthy()
    await account.poller.poll(one, "schedule")
    await notify(account, file_with(receiver, rule(), rule(name="other")), [one])

    assert receiver.requests == []
    assert await account.rows("select kind, ended_at is not null from syncer.account_condition") == [("refused", True)]


@pytest.mark.parametrize(
    "before",
    [
        {"events": frozenset({"locked"})},
        {"events": frozenset({"locked", "refused"})},
        {"cron": "0 12 1 1 *"},
    ],
    ids=["without conditions", "with another condition", "a digest"],
)
@pytest.mark.parametrize("ends_before", [True, False], ids=["ended", "still holds"])
async def test_a_rule_that_is_about_a_condition_from_now_on_says_nothing_of_an_earlier_one(
    account: PolledAccount,
    accounts: list[Account],
    receiver: Receiver,
    before: dict[str, Any],
    *,
    ends_before: bool,
) -> None:
    other, (one, *_) = rule(name="other"), accounts
    earlier, later = file_with(receiver, rule(**before), other), file_with(receiver, rule(), other)
    await account.set_clock(T0)
    await account.poller.poll(one, "schedule")
    await notify(account, earlier, [one])
    await account.set_clock(T0 + timedelta(minutes=16))
    await notify(account, earlier, [one])
    for file in (earlier, later) if ends_before else (later, later):
        await notify(account, file, [one])
        await account.poller.poll(one, "schedule")
        await notify(account, file, [one])

    assert [(message.data["rule"], said(message)) for message in receiver.requests] == [
        ("other", [("first", "stale", "began")]),
        ("other", [("first", "stale", "ended")]),
    ]


async def test_a_rule_that_was_about_no_conditions_for_a_time_does_not_say_that_one_of_before_has_ended(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    other, (one, *_) = rule(name="other"), accounts
    with_conditions = file_with(receiver, rule(), other)
    without_them = file_with(receiver, rule(events=frozenset({"locked"})), other)
    await account.set_clock(T0)
    await account.poller.poll(one, "schedule")
    await notify(account, with_conditions, [one])
    await account.set_clock(T0 + timedelta(minutes=16))
    await notify(account, with_conditions, [one])
    await notify(account, without_them, [one])
    await account.poller.poll(one, "schedule")
    await notify(account, without_them, [one])
    await notify(account, with_conditions, [one])

    assert [said(message) for message in receiver.requests if message.data["rule"] == "locks"] == [
        [("first", "stale", "began")]
    ]


async def test_rejected_records_are_a_condition_that_a_rule_has_to_name(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file, (one, *_) = file_with(receiver, rule(events=frozenset(CONDITIONS))), accounts
    account.account = one
    await account.poll(record(1))
    await notify(account, file, [one])
    await account.poll(record(1), without(record(2), "number"))
    await notify(account, file, [one])
    await account.poll(record(1), without(record(2), "number"), without(record(3), "number"))
    await notify(account, file, [one])
    await account.poll(record(1))
    await notify(account, file, [one])

    assert [(said(message), message.data["conditions"][0]["count"]) for message in receiver.requests] == [
        ([("first", "rejected", "began")], 1),
        ([("first", "rejected", "ended")], 1),
    ]


async def test_a_condition_that_began_and_ended_in_quiet_hours_is_said_once_with_both(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file = file_with(receiver, rule(quiet=QuietHours(time(9), time(18))))
    await account.set_clock(T0)
    await poll_all(account, accounts)
    await notify(account, file, accounts)
    await account.set_clock(T0 + timedelta(minutes=20))
    await notify(account, file, accounts)
    await poll_all(account, accounts[:2])
    await notify(account, file, accounts)
    await account.set_clock(T0 + timedelta(hours=8, seconds=1))  # 18:00 in Moscow
    await poll_all(account, accounts[:2])
    await notify(account, file, accounts)

    (message,) = receiver.requests
    assert said(message) == [
        ("first", "stale", "began_and_ended"),
        ("second", "stale", "began_and_ended"),
        ("third", "stale", "began"),
    ]


async def test_a_message_about_accounts_in_two_zones_that_failed_is_tried_again_when_it_is_quiet_in_neither(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file = file_with(receiver, rule(quiet=QuietHours(time(22), time(8))))
    two = [accounts[0], replace(accounts[1], time_zone=ZoneInfo("Asia/Yekaterinburg"))]
    await account.set_clock(T0)
    await poll_all(account, two)
    await notify(account, file, two)
    receiver.answers = [500]
    for moscow, day, requests in (
        ("19:59", "2026-03-02", 1),
        ("20:30", "2026-03-02", 1),
        ("06:00:01", "2026-03-03", 1),
        ("07:59:59", "2026-03-03", 1),
        ("08:00:01", "2026-03-03", 2),
    ):
        await account.set_clock(at(moscow, day))
        await notify(account, file, two)
        assert len(receiver.requests) == requests

    first, second = receiver.requests
    assert said(first) == [("first", "stale", "began"), ("second", "stale", "began")]
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_rule_about_one_account_says_nothing_of_the_others(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file = file_with(receiver, rule(accounts=frozenset({"second"})))
    await account.set_clock(T0)
    await poll_all(account, accounts)
    await notify(account, file, accounts)
    await account.set_clock(T0 + timedelta(minutes=16))
    await notify(account, file, accounts)

    assert [said(message) for message in receiver.requests] == [[("second", "stale", "began")]]


async def test_a_digest_has_the_conditions_that_held_since_the_last_one(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file, (one, *_) = file_with(receiver, rule(cron="0 12 * * *")), accounts
    await account.set_clock(T0)
    await account.poller.poll(one, "schedule")
    await notify(account, file, [one])
    await account.set_clock(T0 + timedelta(minutes=30))
    await notify(account, file, [one])
    assert receiver.requests == []
    await account.set_clock(T0 + timedelta(hours=2, seconds=1))  # 12:00 in Moscow
    await notify(account, file, [one])

    (message,) = receiver.requests
    (condition,) = message.data["digest"]["conditions"]
    assert (condition["condition"], condition["event"]) == ("stale", "began")


async def test_a_condition_that_a_digest_says_holds_though_it_has_ended_has_its_end_in_the_next_one(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file, (one, *_) = file_with(receiver, rule(cron="0 12 * * *", even_if_nothing=True)), accounts
    by_id = {1: one}
    noon = T0 + timedelta(hours=2)
    await account.set_clock(T0)
    await account.poller.poll(one, "schedule")
    await notify(account, file, [one])
    await account.set_clock(T0 + timedelta(minutes=30))
    daemon = Planner(account.engine, file, asyncio.Lock())
    await daemon.look(by_id, is_first=True)
    await account.set_clock(noon - timedelta(seconds=5))
    await account.poller.poll(one, "schedule")
    await account.set_clock(noon)
    await daemon.look(by_id)  # before it looks at the conditions again
    await notify(account, file, [one])
    for days in (1, 2):
        await account.set_clock(noon + timedelta(days=days))
        await account.poller.poll(one, "schedule")
        await notify(account, file, [one])

    assert [
        [(condition["condition"], condition["event"]) for condition in message.data["digest"]["conditions"]]
        for message in receiver.requests
    ] == [[("stale", "began")], [("stale", "ended")], []]
    assert await account.rows("select ended_at < $1 from syncer.account_condition", noon) == [(True,)]


async def test_an_account_that_nobody_configures_any_more_is_not_stale(
    account: PolledAccount, accounts: list[Account], receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.set_clock(T0)
    await poll_all(account, accounts)
    await notify(account, file, accounts)
    await account.set_clock(T0 + timedelta(days=1))
    await poll_all(account, accounts[1:])
    await notify(account, file, accounts[1:])
    assert receiver.requests == []

    await account.poller.poll(replace(accounts[0]), "schedule")
    await notify(account, file, accounts)
    assert receiver.requests == []
