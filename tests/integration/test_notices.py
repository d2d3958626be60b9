"""Notices of what polls recorded: which there are, what they are about, and that each change is in exactly one."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from syncer.notices.notifier import notify_once
from syncer.notices.outbox import Outbox
from syncer.notices.payload import encode_notice
from syncer.notices.preview import preview_notices
from syncer.notices.rules import DEFAULT_EVENTS, NUMBER_EVENTS, NotifyFile, QuietHours, Rule, WebhookChannel
from syncer.notices.senders import open_senders
from syncer.store.notices import claim_message
from syncer.telemetry.metrics import Metrics
from tests.builders import BlockingEndpoint, PolledAccount, record, redirect, settings_for, without
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.receiver import Received

T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
"""10:00 in the account's zone, on a Monday."""
SECRET = SecretStr("whsec_" + "c2VjcmV0" * 4)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that accepts everything."""
    async with Receiver() as running:
        yield running


def rule(**given: Any) -> Rule:
    """A rule for the channel `duty`, at once and of the default events."""
    fields: dict[str, Any] = {
        "name": "locks",
        "channels": ("duty",),
        "events": DEFAULT_EVENTS,
        "accounts": None,
        "types": None,
        "every": None,
        "cron": None,
        "quiet": None,
        "max_age": timedelta(hours=24),
        "even_if_nothing": False,
    }
    return Rule(**fields | given)


def file_with(receiver: Receiver, *rules: Rule) -> NotifyFile:
    """A notify file with the channel `duty`, and these rules."""
    duty = WebhookChannel(
        name="duty", language="en", numbers="full", names=True, url=SecretStr(receiver.url), secrets=(SECRET,)
    )
    return NotifyFile({"duty": duty}, {one.name: one for one in rules or [rule()]})


@asynccontextmanager
async def outbox_of_duty(account: PolledAccount, file: NotifyFile) -> AsyncIterator[Outbox]:
    """Yields what sends the messages of the channel `duty`, as the daemon does."""
    async with open_senders(file) as senders:
        yield Outbox(
            account.engine, Metrics().notices, file, "duty", senders["duty"], slot=asyncio.Lock(), process="test"
        )


async def notify(account: PolledAccount, file: NotifyFile) -> dict[str, int]:
    """Makes and sends what is due, as `syncer notify` does."""
    (account_id,) = await account.row("select account_id from syncer.account")
    return await notify_once(account.engine, Metrics().notices, file, {account_id: account.account})


def events(received: Received) -> list[tuple[Any, ...]]:
    """The events of a message: kind, number, value before and after."""
    return [(one["event"], one["virtual_number_id"], one["old"], one["new"]) for one in received.data["events"]]


async def test_the_first_load_is_no_news_and_a_lock_after_it_is(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver)
    await account.poll_at(T0, record(1), record(2))
    assert await notify(account, file) == {}

    await account.poll_at(T0 + timedelta(minutes=5), record(1, state="debt_lock", reason="debt of 100"), record(2))

    assert await notify(account, file) == {"sent": 1}
    (message,) = receiver.requests
    assert message.counts == {"locked": 1}
    assert {name: moment[:16] for name, moment in message.data["window"].items()} == {
        "after": "2026-03-02T07:00",
        "until": "2026-03-02T07:05",
    }
    (event,) = message.data["events"]
    assert (event["event"], event["old"], event["new"], event["reason"]) == (
        "locked",
        "active",
        "debt_lock",
        "debt of 100",
    )
    assert await notify(account, file) == {}


async def test_a_number_that_appears_or_returns_locked_is_locked(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver)
    others = [record(id_) for id_ in range(10, 20)]
    for records in (others, [*others, record(2, state="debt_lock")]) * 2:
        await account.poll(*records)
        await notify(account, file)

    assert [message.counts for message in receiver.requests] == [
        {"locked": 1, "new": 1},
        {"removed": 1},
        {"locked": 1, "returned": 1},
    ]


async def test_a_record_that_was_rejected_at_first_is_one_new_number(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.poll(record(1), without(record(2), "number"))
    await notify(account, file)
    await account.poll(record(1), record(2))
    await notify(account, file)

    assert [events(message) for message in receiver.requests] == [[("new", 2, None, "active")]]


async def test_each_kind_of_event_is_what_the_contract_says(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver, rule(events=frozenset(NUMBER_EVENTS)))
    before = [record(id_) for id_ in range(1, 13)]
    before[2]["state"] = before[3]["state"] = "debt_lock"
    before[9]["sip_uri"] = "sip:1@example.org"
    before[10]["from_redirect_numbers"] = [redirect(7, "79000000001")]
    await account.poll(*before)
    await notify(account, file)

    await account.poll(
        record(1, state="debt_lock"),
        record(2, state="freeze", reason="by request"),
        record(3),
        record(4, state="debt_lock", reason="other"),
        record(5, state="activation"),
        record(6, employee_id=125),
        record(7, comment="new"),
        record(8, dgn_number="79000000002"),
        record(9, from_redirect_numbers=[redirect(8, "79000000003")]),
        record(10),
        # 11 is gone with its redirect
        record(12),
        record(13, from_redirect_numbers=[redirect(9, "79000000004")]),
    )
    await notify(account, file)

    (message,) = receiver.requests
    assert sorted(events(message), key=lambda event: event[:2]) == [
        ("employee", 6, None, "125"),
        ("frozen", 2, "active", "freeze"),
        ("locked", 1, "active", "debt_lock"),
        ("new", 13, None, "active"),
        ("record", 7, None, "new"),
        ("record", 10, "sip:1@example.org", None),
        ("redirect", 8, None, "79000000002"),
        ("redirect", 9, None, "79000000003"),
        ("removed", 11, None, None),
        ("state", 4, None, "other"),
        ("state", 5, "active", "activation"),
        ("unlocked", 3, "debt_lock", "active"),
    ]


async def test_held_removals_are_a_condition_at_once_and_removed_once_they_are_believed(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver)
    everything = [record(id_) for id_ in range(1, 11)]
    await account.poll_at(T0, *everything)
    await notify(account, file)

    await account.poll_at(T0 + timedelta(minutes=5), *everything[:5])
    await notify(account, file)
    await account.poll_at(T0 + timedelta(hours=12), *everything[:5])
    await notify(account, file)
    await account.poll_at(T0 + timedelta(hours=25), *everything[:5])
    await notify(account, file)

    begun, ended, removed = receiver.requests
    assert [(one["condition"], one["event"], one["count"]) for one in begun.data["conditions"]] == [
        ("held", "began", 5)
    ]
    assert [(one["condition"], one["event"]) for one in ended.data["conditions"]] == [("held", "ended")]
    assert removed.counts == {"removed": 5}
    first = removed.data["events"][0]
    assert [first[name][:16] for name in ("changed_after", "changed_at", "recorded_at")] == [
        "2026-03-02T07:00",
        "2026-03-02T07:05",
        "2026-03-03T08:00",
    ]


async def test_a_new_rule_and_one_that_returns_say_nothing_of_the_past(
    account: PolledAccount, receiver: Receiver
) -> None:
    locks, other = rule(), rule(name="other")
    await account.poll(record(1))
    await account.poll(record(1, state="debt_lock"))
    await notify(account, file_with(receiver, locks))
    await account.poll(record(1))
    await notify(account, file_with(receiver, other))
    await account.poll(record(1, state="freeze"))
    await notify(account, file_with(receiver, other))
    await notify(account, file_with(receiver, locks, other))
    await account.poll(record(1))
    await notify(account, file_with(receiver, locks, other))

    first, *rest = [(message.data["rule"], message.counts) for message in receiver.requests]
    assert first == ("other", {"frozen": 1})
    assert sorted(rest) == [("locks", {"unlocked": 1}), ("other", {"unlocked": 1})]


async def test_what_happens_while_the_receiver_is_down_is_in_two_messages(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.poll(record(1))
    await notify(account, file)
    receiver.answer = 500
    for _ in range(15):
        await account.poll(record(1, state="debt_lock"))
        await notify(account, file)
        await account.poll(record(1))
        await notify(account, file)
    receiver.answer = 200
    await account.sql.execute("update syncer.notice set due_at = made_at where outcome = 'waiting'")
    while await notify(account, file):
        pass

    first, second = receiver.accepted
    assert first.counts == {"locked": 1}
    assert second.counts == {"locked": 14, "unlocked": 15}
    assert (first.data["through_run_id"], second.data["after_run_id"]) == (2, 2)
    assert len({request.body for request in receiver.requests if request.id == first.id}) == 1


async def test_changes_of_runs_that_ended_long_ago_are_not_sent(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver, rule(events=frozenset({"locked"})))
    await account.poll_at(T0, record(1), record(2))
    await notify(account, file)
    await account.poll_at(T0 + timedelta(hours=1), record(1, state="debt_lock"), record(2))
    await account.poll_at(T0 + timedelta(hours=20), record(1, state="debt_lock"), record(2, state="debt_lock"))
    await account.set_clock(T0 + timedelta(hours=30))
    await notify(account, file)

    (message,) = receiver.requests
    assert events(message) == [("locked", 2, "active", "debt_lock")]


async def test_quiet_hours_are_one_message_when_they_end(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver, rule(events=frozenset({"locked"}), quiet=QuietHours(time(22), time(8))))
    await account.poll_at(T0, record(1), record(2))
    await notify(account, file)
    evening = T0.replace(hour=19, minute=30)  # 22:30 in Moscow
    await account.poll_at(evening, record(1, state="debt_lock"), record(2))
    await notify(account, file)
    await account.poll_at(evening + timedelta(hours=3), record(1, state="debt_lock"), record(2, state="debt_lock"))
    await notify(account, file)
    await account.set_clock(datetime(2026, 3, 3, 4, 59, 59, tzinfo=UTC))
    await notify(account, file)
    assert receiver.requests == []
    await account.set_clock(datetime(2026, 3, 3, 5, 0, 1, tzinfo=UTC))
    await notify(account, file)

    (message,) = receiver.requests
    assert message.counts == {"locked": 2}


EVENING = T0.replace(hour=18, minute=59)
"""21:59 in the account's zone."""
NIGHT = QuietHours(time(22), time(8))
LOCKED = frozenset({"locked"})


async def lock_before_the_night(account: PolledAccount, receiver: Receiver, *others: Rule) -> NotifyFile:
    """Makes a message of a rule with quiet hours a minute before these begin, with a receiver that fails once a rule.

    Returns:
        The file with this rule and the others.
    """
    file = file_with(receiver, rule(events=LOCKED, quiet=NIGHT), *others)
    receiver.answers = [500] * len(file.rules)
    await account.poll_at(T0, record(1))
    await notify(account, file)
    await account.poll_at(EVENING, record(1, state="debt_lock"))
    assert await notify(account, file) == {"failed": 1}
    return file


async def test_a_message_that_failed_before_quiet_hours_is_sent_when_they_end(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = await lock_before_the_night(account, receiver)
    for moment in (EVENING + timedelta(hours=1), datetime(2026, 3, 3, 4, 59, 59, tzinfo=UTC)):
        await account.set_clock(moment)
        assert await notify(account, file) == {}
    assert len(receiver.requests) == 1
    await account.set_clock(datetime(2026, 3, 3, 5, 0, 1, tzinfo=UTC))
    assert await notify(account, file) == {"sent": 1}

    first, second = receiver.requests
    assert (first.id, first.body) == (second.id, second.body)
    assert await account.row("select attempts, http_status, error from syncer.notice") == (2, 200, None)


async def test_a_message_that_was_interrupted_before_quiet_hours_is_sent_when_they_end(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = await lock_before_the_night(account, receiver)
    await account.sql.execute("update syncer.notice set due_at = made_at")
    assert await claim_message(account.engine, "duty", ["locks"], "killed") is not None
    await account.set_clock(EVENING + timedelta(hours=1))
    assert await notify(account, file) == {}
    assert len(receiver.requests) == 1
    assert await account.row(
        "select attempts, may_have_arrived, lease_holder, due_at, http_status from syncer.notice"
    ) == (2, True, None, datetime(2026, 3, 3, 5, tzinfo=UTC), 500)
    await account.set_clock(datetime(2026, 3, 3, 5, 0, 1, tzinfo=UTC))
    assert await notify(account, file) == {"sent": 1}


async def test_a_receiver_that_answers_again_in_quiet_hours_gets_only_what_rules_without_them_say(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = await lock_before_the_night(account, receiver, rule(name="other", events=LOCKED))
    async with outbox_of_duty(account, file) as outbox:
        assert await outbox.send_next() == "failed"
        await account.set_clock(EVENING + timedelta(hours=1))
        assert [await outbox.send_next() for _ in range(2)] == ["sent", None]

    assert await account.rows("select rule, outcome, attempts from syncer.notice order by 1") == [
        ("locks", "waiting", 1),
        ("other", "sent", 2),
    ]


async def test_a_digest_says_what_happened_and_what_is_still_locked(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver, rule(cron="0 9 * * 1"))
    await account.poll_at(T0, record(1, state="debt_lock"), record(2), record(3))
    await notify(account, file)
    await account.poll_at(T0 + timedelta(days=1), record(1, state="debt_lock"), record(2, state="debt_lock"), record(3))
    await notify(account, file)
    await account.set_clock(T0 + timedelta(days=2))
    await account.poll_body(b"oops")
    await account.set_clock(datetime(2026, 3, 9, 6, 0, 0, tzinfo=UTC))  # Monday, 9:00 in Moscow
    assert await notify(account, file) == {"sent": 1}
    assert await notify(account, file) == {}

    (message,) = receiver.requests
    assert message.counts == {"locked": 1}
    digest = message.data["digest"]
    assert digest["blocked_counts"] == {"debt_lock": 2}
    assert [(one["virtual_number_id"], one["since"][:16]) for one in digest["blocked"]] == [
        (1, "2026-03-02T07:00"),
        (2, "2026-03-03T07:00"),
    ]
    assert digest["failed_polls"] == {"not_json": 1}


async def test_a_poll_that_began_before_a_digest_and_failed_after_it_is_in_the_next_one(
    account: PolledAccount, receiver: Receiver
) -> None:
    nine = T0.replace(day=3, hour=6)
    file = file_with(receiver, rule(cron="0 9 * * *", events=LOCKED, even_if_nothing=True))
    await account.poll_at(T0, record(1))
    await notify(account, file)
    async with (
        BlockingEndpoint() as endpoint,
        PolledAccount(
            account.engine, account.emulator, account.sql, settings_for(account.emulator, api_url=endpoint.url)
        ) as slow,
    ):
        await account.set_clock(nine - timedelta(seconds=1))
        polling = asyncio.create_task(slow.poll_again())
        request = await endpoint.received.get()
        await account.set_clock(nine)
        await notify(account, file)
        await account.set_clock(nine + timedelta(seconds=1))
        request.answer_with(b"oops")
        assert (await polling).outcome == "failed"
    await account.set_clock(nine + timedelta(days=1))
    await notify(account, file)
    await account.set_clock(nine + timedelta(days=2))
    await notify(account, file)

    assert [message.data["digest"]["failed_polls"] for message in receiver.requests] == [{}, {"not_json": 1}, {}]


@pytest.mark.parametrize(("even_if_nothing", "messages"), [(True, 1), (False, 0)])
async def test_a_digest_of_nothing_is_sent_only_if_it_is_wanted(
    account: PolledAccount, receiver: Receiver, *, even_if_nothing: bool, messages: int
) -> None:
    file = file_with(receiver, rule(cron="0 9 * * *", even_if_nothing=even_if_nothing))
    await account.poll_at(T0, record(1))
    await notify(account, file)
    await account.poll_at(T0 + timedelta(days=1), record(1))
    await notify(account, file)
    await notify(account, file)

    assert len(receiver.requests) == messages


async def test_a_digest_is_tried_for_as_long_as_its_rule_says(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver, rule(cron="0 9 * * *", even_if_nothing=True, max_age=timedelta(hours=2)))
    receiver.answer = 500
    await account.poll_at(T0, record(1))
    await notify(account, file)
    outcomes = []
    for hours in (24, 25, 27):
        await account.set_clock(T0 + timedelta(hours=hours))
        outcomes.append(await notify(account, file))

    assert outcomes == [{"failed": 1}, {"failed": 1}, {"expired": 1}]


async def test_each_digest_is_sent_though_no_poll_has_changed_anything_since_the_last_one(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(cron="0 9 * * *", even_if_nothing=True))
    await account.poll_at(T0, record(1))
    await notify(account, file)
    for day in (1, 2, 3):
        await account.poll_at(T0 + timedelta(days=day), record(1))
        assert await notify(account, file) == {"sent": 1}

    assert {message.data["through_run_id"] for message in receiver.requests} == {1}
    assert len({message.id for message in receiver.requests}) == 3


async def test_other_messages_come_at_the_earliest_after_the_interval_of_the_rule(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(every=timedelta(minutes=15)))
    for minute in range(0, 61, 5):
        state = "debt_lock" if minute % 10 else "active"
        await account.poll_at(T0 + timedelta(minutes=minute), record(1, state=state))
        await notify(account, file)

    assert [message.data["through_run_id"] for message in receiver.requests] == [4, 7, 10, 13]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"every": timedelta(minutes=15)},
        {"every": timedelta(minutes=25), "quiet": QuietHours(time(10, 20), time(10, 50))},
        {"cron": "*/20 * * * *", "events": frozenset({"locked", "unlocked", "rejected"})},
        {"cron": "*/20 * * * *", "even_if_nothing": True},
    ],
    ids=["now", "every", "every and quiet", "digest", "digest even if nothing"],
)
async def test_the_preview_shows_what_was_sent(
    account: PolledAccount, receiver: Receiver, given: dict[str, Any]
) -> None:
    """Most polls change nothing that the rule is about; one fails, and two reject a record."""
    one = rule(**{"events": frozenset({"locked", "unlocked"})} | given)
    file = file_with(receiver, one)
    await account.poll_at(T0, record(1), record(2))
    await notify(account, file)
    for minute in range(1, 111):
        await account.set_clock(T0 + timedelta(minutes=minute))
        if minute == 48:
            await account.poll_body(b"oops")
        await notify(account, file)
        if minute % 5 == 0:
            await account.set_clock(T0 + timedelta(minutes=minute, seconds=30))
            state = "debt_lock" if minute in {10, 15, 35, 40, 95} else "active"
            rejected = [without(record(3), "number")] if minute in {65, 70} else []
            await account.poll(record(1, state=state), record(2, comment=str(minute)), *rejected)
            await notify(account, file)

    await account.set_clock(T0 + timedelta(minutes=111))
    (account_id,) = await account.row("select account_id from syncer.account")
    preview = preview_notices(account.engine, file, {account_id: account.account}, timedelta(minutes=111))

    shown = [encode_notice(notice, "full", names=True) async for _, notice in preview]
    assert [to_seconds(body) for body in shown] == [to_seconds(message.body) for message in receiver.requests]
    assert len(shown) >= 2


def to_seconds(body: bytes) -> Any:
    """Returns a body without fractions of seconds: a run is recorded a microsecond after its clock has stopped."""
    return json.loads(re.sub(rb"\.\d+Z", b"Z", body))


async def lock_and_notify(account: PolledAccount, file: NotifyFile) -> dict[str, int]:
    """Has number 1 locked after the first load, and notifies."""
    await account.poll(record(1), record(2, type="abc"))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"), record(2, type="abc", state="debt_lock"))
    return await notify(account, file)


NOTICE = "select outcome, http_status, error, attempts, extract(epoch from due_at - made_at)::float8 from syncer.notice"


async def test_a_receiver_that_is_gone_refuses_a_message_for_good(account: PolledAccount, receiver: Receiver) -> None:
    receiver.answer = 410
    assert await lock_and_notify(account, file_with(receiver)) == {"refused": 1}

    outcome, status, error, attempts, _ = await account.row(NOTICE)
    assert (outcome, status, attempts) == ("refused", 410, 1)
    assert error.endswith(
        "answered 410, so it accepts no more messages: remove the channel, or give it another address"
    )
    assert await notify(account, file_with(receiver)) == {}


async def test_a_receiver_that_asks_to_wait_is_not_asked_sooner(account: PolledAccount, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=429, headers={"Retry-After": "7"})]
    assert await lock_and_notify(account, file_with(receiver)) == {"failed": 1}

    outcome, status, _, _, seconds = await account.row(NOTICE)
    assert (outcome, status) == ("waiting", 429)
    assert 7 <= seconds < 9
    assert await notify(account, file_with(receiver)) == {}


async def test_a_message_that_no_attempt_has_delivered_in_time_expires_and_the_next_is_sent(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(events=frozenset({"locked", "unlocked"})))
    await account.poll_at(T0, record(1))
    await notify(account, file)
    receiver.answer = 500
    await account.poll_at(T0 + timedelta(minutes=5), record(1, state="debt_lock"))
    await notify(account, file)
    await account.set_clock(T0 + timedelta(hours=25))
    assert await notify(account, file) == {"expired": 1}
    receiver.answer = 200
    await account.poll_at(T0 + timedelta(hours=26), record(1))
    assert await notify(account, file) == {"sent": 1}

    assert [row[:4] for row in await account.rows(f"{NOTICE} order by notice_id")] == [
        ("expired", None, f"{receiver.url.removeprefix('http://').removesuffix('/hook')} answered 500", 2),
        ("sent", 200, None, 1),
    ]


async def test_messages_that_wait_for_another_attempt_are_sent_once_the_receiver_is_there_again(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(), rule(name="other"))
    receiver.answers = [500, 500]
    await lock_and_notify(account, file)
    async with outbox_of_duty(account, file) as outbox:
        assert await outbox.send_next() == "failed"
        assert await outbox.send_next() is None
        await account.sql.execute("update syncer.notice set due_at = made_at where rule = 'other'")

        assert [await outbox.send_next() for _ in range(3)] == ["sent", "sent", None]


async def test_a_rule_about_one_type_says_nothing_of_the_others(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(
        receiver, rule(types=frozenset({"abc"})), rule(name="digest", types=frozenset({"abc"}), cron="* * * * *")
    )
    await lock_and_notify(account, file)

    (message,) = receiver.requests
    assert events(message) == [("locked", 2, "active", "debt_lock")]


async def test_a_database_is_asked_through_one_connection_however_many_channels_there_are(
    account: PolledAccount, receiver: Receiver
) -> None:
    one = file_with(receiver)
    channels = {f"duty{number}": replace(one.channels["duty"], name=f"duty{number}") for number in range(20)}
    file = NotifyFile(channels, {"locks": rule(channels=tuple(channels))})
    assert await lock_and_notify(account, file) == {"sent": 20}

    # None of them is closed before its engine is.
    sessions = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    assert await account.sql.fetchval(sessions) == 1
