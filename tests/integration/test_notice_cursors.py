"""Cursors and leases of notices when several processes work on them, and the same content in each attempt."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from syncer.config.accounts import Account
from syncer.emulator import faults
from syncer.notices.outbox import Outbox
from syncer.notices.planner import Planner
from syncer.notices.senders import open_senders
from syncer.store.engine import autocommit_connection
from syncer.store.notice_cursors import CursorKey, add_cursors, lock_cursor
from syncer.store.notices import claim_message, settle
from syncer.telemetry.notice_metrics import NoticeMetrics
from tests.builders import record, redirect
from tests.integration.test_notices import T0, events, file_with, notify, receiver, rule
from tests.notice_judge import ALL_EVENTS, read_happened

if TYPE_CHECKING:
    from syncer.notices.rules import NotifyFile
    from tests.builders import PolledAccount
    from tests.receiver import Receiver

__all__ = ["receiver"]

KEY = CursorKey(1, "locks", "duty")
BLOCKED = "select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))"


async def make_due(account: PolledAccount) -> None:
    """Lets the time pass until what failed is tried again."""
    await account.sql.execute("update syncer.notice set due_at = made_at where outcome = 'waiting'")


async def send(account: PolledAccount, file: NotifyFile, *, times: int) -> list[str | None]:
    """Sends the messages of channel `duty` as a daemon does; returns how that ended."""
    async with open_senders(file) as senders:
        metrics = NoticeMetrics(CollectorRegistry())
        sender = senders["duty"]
        outbox = Outbox(account.engine, metrics, file, "duty", sender, slot=asyncio.Lock(), process="process")
        return [await outbox.send_next() for _ in range(times)]


async def is_blocked(account: PolledAccount) -> bool:
    """Whether a statement waits for this test's transaction."""
    await account.sql.execute("select pg_stat_clear_snapshot()")
    return bool(await account.sql.fetchval(BLOCKED))


async def test_a_cursor_that_another_process_makes_at_the_same_time_stays_where_that_one_has_moved_it(
    account: PolledAccount,
) -> None:
    await account.poll(record(1))
    async with account.sql.transaction():
        await account.sql.execute(
            "insert into syncer.notice_cursor (account_id, rule, channel, run_id, planned_at) "
            "values ($1, $2, $3, 5, now())",
            *KEY,
        )
        adding = asyncio.create_task(add_cursors(account.engine, [KEY], retire_others=True))
        while not await is_blocked(account):
            pass
    await adding

    assert await account.rows("select run_id, retired_at from syncer.notice_cursor") == [(5, None)]


async def test_the_newest_run_is_read_once_the_cursor_is_locked(account: PolledAccount) -> None:
    await account.poll(record(1))
    await add_cursors(account.engine, [KEY], retire_others=True)
    await account.poll(record(2), record(1))

    async def lock() -> tuple[int | None, int | None]:
        async with lock_cursor(account.engine, KEY) as cursor:
            assert cursor is not None
            return cursor.run_id, cursor.newest_run_id

    async with account.sql.transaction():
        await account.sql.execute("lock table syncer.notice_cursor")
        locking = asyncio.create_task(lock())
        while not await is_blocked(account):
            pass
        # Another process plans a run that ends meanwhile.
        await account.poll(record(3), record(2), record(1))
        await account.sql.execute("update syncer.notice_cursor set run_id = 3")

    assert await locking == (3, 3)


async def test_a_cursor_from_before_the_first_poll_begins_after_the_numbers_that_are_listed_first(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.poll_body(b"oops")
    assert await notify(account, file) == {}
    await account.poll(record(1), record(2, state="debt_lock"))
    assert await notify(account, file) == {}
    await account.poll(record(1), record(2, state="debt_lock"), record(3))
    assert await notify(account, file) == {"sent": 1}

    (message,) = receiver.requests
    assert message.counts == {"new": 1}


async def test_the_first_run_is_left_out_even_if_the_second_one_has_ended_when_the_notice_is_made(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver)
    await account.poll_body(b"oops")
    assert await notify(account, file) == {}
    await account.poll(record(1), record(2, state="debt_lock"))
    await account.poll(record(1, state="debt_lock"), record(2, state="debt_lock"))
    assert await notify(account, file) == {"sent": 1}

    (message,) = receiver.requests
    assert message.counts == {"locked": 1}


async def test_a_process_whose_lease_is_over_records_nothing(account: PolledAccount, receiver: Receiver) -> None:
    file = file_with(receiver)
    await account.poll(record(1))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"))
    receiver.answers = [500]
    await notify(account, file)
    await make_due(account)
    first = await claim_message(account.engine, "duty", ["locks"], "first")
    await account.sql.execute("update syncer.notice set lease_until = made_at")
    second = await claim_message(account.engine, "duty", ["locks"], "second")
    assert first is not None
    assert second is not None
    assert (first.message_id, first.may_repeat) == (second.message_id, False)
    assert second.may_repeat
    holder = await account.row("select lease_holder from syncer.notice")

    async def settle_first(outcome: str) -> bool:
        return await settle(
            account.engine,
            first,
            outcome,  # type: ignore[arg-type] # a literal, from below
            http_status=500,
            error="late",
            may_have_arrived=False,
            retry_after=timedelta(),
        )

    assert [await settle_first(outcome) for outcome in ("waiting", "sent")] == [False, False]
    assert await account.row("select lease_holder from syncer.notice") == holder
    settled = await settle(
        account.engine, second, "sent", http_status=200, error=None, may_have_arrived=True, retry_after=timedelta()
    )
    assert settled
    assert await account.row("select outcome, attempts, error from syncer.notice") == ("sent", 3, None)


async def test_the_locks_of_a_process_that_is_suspended_in_a_transaction_end_after_a_minute(
    account: PolledAccount,
) -> None:
    await account.poll(record(1))
    await add_cursors(account.engine, [KEY], retire_others=True)
    async with lock_cursor(account.engine, KEY) as cursor:
        assert cursor is not None
        assert await cursor.connection.fetchval("show idle_in_transaction_session_timeout") == "1min"
    async with autocommit_connection(account.engine) as connection:
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == "0"


async def test_a_message_that_another_process_claims_at_the_same_time_is_left_to_it(
    account: PolledAccount, receiver: Receiver
) -> None:
    await plan_two(account, file_with(receiver, rule(), rule(name="other")))
    async with account.sql.transaction():
        await account.sql.execute("select from syncer.notice for update")
        claiming = asyncio.create_task(claim_message(account.engine, "duty", ["locks"], "late"))
        while not await is_blocked(account):
            pass
        await account.sql.execute(
            "update syncer.notice set lease_holder = 'first', lease_until = now() + interval '1 min'"
        )

    assert await claiming is None
    assert await account.row("select distinct lease_holder, attempts from syncer.notice") == ("first", 0)


async def test_a_cursor_of_which_a_notice_waits_is_not_planned(account: PolledAccount, receiver: Receiver) -> None:
    await plan_two(account, file_with(receiver, rule(), rule(name="other")))
    await account.poll(record(1))
    async with lock_cursor(account.engine, KEY) as cursor:
        assert cursor is None


async def test_while_one_process_sends_a_message_another_one_sends_the_next(
    account: PolledAccount, receiver: Receiver
) -> None:
    await plan_two(account, file_with(receiver, rule(), rule(name="other")))
    claims = [await claim_message(account.engine, "duty", ["locks", "other"], "process") for _ in range(3)]

    assert {claim and claim.rule for claim in claims[:2]} == {"locks", "other"}
    assert claims[2] is None


async def plan_two(account: PolledAccount, file: NotifyFile) -> None:
    """Makes a notice for each rule of the file, and sends none."""
    await account.poll(record(1))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"))
    await Planner(account.engine, file, asyncio.Lock()).look({1: account.account})


async def test_a_rule_about_one_event_alone_gets_each_of_them_and_nothing_else(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, *(rule(name=event, events=frozenset({event})) for event in ALL_EVENTS))
    locked, frozen = record(2, state="debt_lock"), record(3, state="freeze", from_redirect_numbers=[redirect(1, "7")])
    others = [record(id_) for id_ in range(20, 40)]
    for records in (
        [record(1), *others],
        [
            record(1, state="activation", dgn_number="79000000001"),
            locked,
            frozen,
            record(4, state="debt_lock"),
            *others,
        ],
        [record(1, state="debt_lock", from_redirect_numbers=[redirect(2, "8")]), *others],
        [record(1), locked, frozen, record(4), *others],
        [record(1, employee_id=5, comment="new"), record(4), *others],
        [record(1, reason="other"), record(2), record(3, state="freeze", reason="other"), record(4), *others],
        [record(1, state="freeze", employee_id=6), record(2, state="activation", redirect_number="7"), *others],
    ):
        await account.poll(*records)
        while await notify(account, file):
            pass

    happened = await read_happened(account.sql)
    expected = Counter(event.event for event in happened[1] if event.run_id > 1)
    assert set(expected) == set(ALL_EVENTS)
    said: Counter[str] = Counter()
    for message in receiver.requests:
        assert set(message.counts) == {message.data["rule"]}
        assert [kind for kind, *_ in events(message)] == [message.data["rule"]] * len(message.data["events"])
        said.update(message.counts)
    assert said == expected


async def test_what_has_failed_is_sent_as_soon_as_the_receiver_accepts_another_message(
    account: PolledAccount, receiver: Receiver
) -> None:
    file = file_with(receiver, rule(), rule(name="other"), rule(name="third"))
    await account.poll(record(1))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"))
    await Planner(account.engine, file, asyncio.Lock()).look({1: account.account})
    receiver.answers = [500, 500]

    assert await send(account, file, times=6) == ["failed", "failed", "sent", "sent", "sent", None]
    assert len(receiver.accepted) == 3


async def test_a_look_ends_though_cursors_of_accounts_that_it_does_not_have_stay_due(
    account: PolledAccount, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("syncer.notices.planner", "syncer.store.notice_cursors"):
        monkeypatch.setattr(f"{module}.MAX_CURSORS_PER_LOOK", 1)
    file, no_accounts = file_with(receiver), dict[int, Account]()
    planner = Planner(account.engine, file, asyncio.Lock())
    await planner.look(no_accounts)
    await account.poll(record(1))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"))

    await asyncio.wait_for(planner.look(no_accounts), 10)
    assert await notify(account, file) == {"sent": 1}


async def test_a_digest_is_the_same_in_each_attempt_though_a_condition_was_seen_to_begin_or_end_meanwhile(
    account: PolledAccount, receiver: Receiver
) -> None:
    nine = datetime(2026, 3, 3, 6, tzinfo=UTC)  # 9:00 in Moscow
    file = file_with(receiver, rule(cron="0 9 * * *"))
    accounts = {1: account.account}
    await account.poll_at(T0, record(1))
    daemon = Planner(account.engine, file, asyncio.Lock())
    await daemon.look(accounts)
    await account.set_clock(nine - timedelta(minutes=5))
    account.emulator.fault = faults.Status(status=403)
    await account.poll_again()
    await notify(account, file)
    # A digest is due before the daemon looks at the conditions again.
    await account.poll_at(nine - timedelta(seconds=5), *[record(id_) for id_ in range(2, 12)])
    await account.set_clock(nine)
    await daemon.look(accounts)
    receiver.answers = [500]
    assert await send(account, file, times=1) == ["failed"]
    await notify(account, file)
    await make_due(account)
    assert await send(account, file, times=1) == ["sent"]

    kinds = await account.rows("select kind, ended_at is not null from syncer.account_condition order by 1")
    assert kinds == [("held", False), ("refused", True), ("stale", True)]
    first, second = receiver.requests
    assert (first.id, first.body) == (second.id, second.body)


@pytest.mark.parametrize("other_events", [{"locked", "new"}, {"new"}])
async def test_a_message_is_the_same_in_each_attempt_though_its_rule_is_about_other_events_now(
    account: PolledAccount, receiver: Receiver, other_events: set[str]
) -> None:
    file = file_with(receiver, rule(events=frozenset({"locked", "removed"})))
    await account.poll(record(1))
    await notify(account, file)
    await account.poll(record(1, state="debt_lock"), record(2))
    receiver.answers = [500]
    assert await notify(account, file) == {"failed": 1}
    await make_due(account)
    assert await notify(account, file_with(receiver, rule(events=frozenset(other_events)))) == {"sent": 1}

    first, second = receiver.requests
    assert events(first) == [("locked", 1, "active", "debt_lock")]
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_message_is_the_same_in_each_attempt_though_its_rule_is_about_other_types_now(
    account: PolledAccount, receiver: Receiver
) -> None:
    await account.poll(record(1), record(2, type="abc"))
    await notify(account, file_with(receiver))
    await account.poll(record(1, state="debt_lock"), record(2, type="abc", state="debt_lock"))
    receiver.answers = [500]
    assert await notify(account, file_with(receiver)) == {"failed": 1}
    await make_due(account)
    assert await notify(account, file_with(receiver, rule(types=frozenset({"abc"})))) == {"sent": 1}

    first, second = receiver.requests
    assert first.counts == {"locked": 2}
    assert (first.id, first.body) == (second.id, second.body)
