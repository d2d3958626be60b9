"""Concurrent polls of one account, lost commit acknowledgements, and transactions that are killed or cancelled."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from syncer.diff.changeset import PollTotals
from syncer.diff.declared_length import NOTHING_DECLARED
from syncer.diff.response import parse_response
from syncer.diff.stored import Fingerprints
from syncer.errors import ResponseTimeoutError
from syncer.store.poll import runs
from syncer.store.poll.runs import ResponseMeta
from tests.builders import BlockingEndpoint, PolledAccount, WaitingRequest, record, settings_for
from tests.locks import lock_table_in_another_session
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.outcome import PollResult


T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
async def every_invariant_holds_at_the_end(account: PolledAccount) -> AsyncIterator[None]:
    yield
    assert await account.broken_invariants() == []


class Polls:
    """Polls one account from several processes; each poll waits until the test answers its request."""

    def __init__(self, account: PolledAccount, endpoint: BlockingEndpoint, stack: AsyncExitStack) -> None:
        self._account, self._endpoint, self._stack = account, endpoint, stack

    async def begin(self) -> tuple[asyncio.Task[PollResult], WaitingRequest]:
        """Begins a poll and returns once its run is inserted and its request has been received."""
        settings = settings_for(self._account.emulator, api_url=self._endpoint.url)
        process = PolledAccount(self._account.engine, self._account.emulator, self._account.sql, settings)
        await self._stack.enter_async_context(process)
        task = asyncio.create_task(process.poll_again())
        return task, await self._endpoint.received.get()


@pytest.fixture
async def polls(account: PolledAccount) -> AsyncIterator[Polls]:
    async with BlockingEndpoint() as endpoint, AsyncExitStack() as stack:
        yield Polls(account, endpoint, stack)


async def outcomes(account: PolledAccount) -> list[str]:
    return [row[0] for row in await account.rows("select outcome from syncer.sync_run order by run_id")]


async def state(account: PolledAccount) -> Any:
    return (await account.row("select state from syncer.virtual_number"))[0]


async def test_a_poll_that_began_earlier_and_ends_later_is_superseded_and_changes_nothing(
    account: PolledAccount, polls: Polls
) -> None:
    await account.poll_at(T0, record(1))
    older, older_request = await polls.begin()
    newer, newer_request = await polls.begin()

    newer_request.answer(record(1, state="freeze"))
    assert (await newer).outcome == "applied"
    assert await outcomes(account) == ["applied", "abandoned", "applied"]
    older_request.answer(record(1, state="debt_lock"))

    assert (await older).outcome == "superseded"
    assert await outcomes(account) == ["applied", "superseded", "applied"]
    assert await account.row(
        "select finished_at, http_status, response_bytes from syncer.sync_run where outcome = 'superseded'"
    ) == (T0 + 3 * MICROSECOND, 200, len(json.dumps([record(1, state="debt_lock")], ensure_ascii=False).encode()))
    assert await state(account) == "freeze"


async def test_a_poll_that_a_later_one_has_overtaken_is_superseded_whatever_its_response(
    account: PolledAccount, polls: Polls
) -> None:
    await account.poll(record(1))
    older, older_request = await polls.begin()
    await account.poll(record(1, state="freeze"))

    older_request.answer(record(1, app_id=7))

    assert (await older).outcome == "superseded"
    assert await outcomes(account) == ["applied", "superseded", "applied"]


async def test_a_late_unchanged_response_does_not_undo_what_a_later_poll_changed(
    account: PolledAccount, polls: Polls
) -> None:
    await account.poll(record(1))
    older, older_request = await polls.begin()
    newer, newer_request = await polls.begin()

    newer_request.answer(record(1, state="freeze"))
    await newer
    older_request.answer(record(1))

    assert (await older).outcome == "superseded"
    assert await state(account) == "freeze"


async def test_a_run_whose_row_was_committed_late_is_abandoned_by_the_next_success(account: PolledAccount) -> None:
    await runs.begin(account.engine, account.account.name, "Europe/Moscow", "schedule", {})
    late = await account.sql.fetchrow("delete from syncer.sync_run returning *")
    assert late is not None
    await account.poll(record(1))
    # As if its statement had begun before that success and was committed only now.
    await account.sql.execute(
        """
        insert into syncer.sync_run overriding system value
        select * from jsonb_populate_record(null::syncer.sync_run, $1::jsonb)
        """,
        json.dumps(dict(late), default=str),
    )

    await account.poll(record(1))

    assert await outcomes(account) == ["abandoned", "applied", "unchanged"]


@pytest.mark.parametrize(
    ("began", "ended"), [(-HOUR, MICROSECOND), (HOUR, HOUR)], ids=["earlier", "by a clock that was ahead"]
)
async def test_an_abandoned_run_ends_when_the_next_success_is_recorded_but_never_before_it_began(
    account: PolledAccount, began: timedelta, ended: timedelta
) -> None:
    await account.set_clock(T0 + began)
    await runs.begin(account.engine, account.account.name, "Europe/Moscow", "schedule", {})
    await account.poll_at(T0, record(1))

    assert await account.rows("select outcome, finished_at from syncer.sync_run order by run_id") == [
        ("abandoned", T0 + ended),
        ("applied", T0 + MICROSECOND),
    ]


async def test_a_success_leaves_the_runs_of_other_accounts_alone(account: PolledAccount) -> None:
    await runs.begin(account.engine, "another", "Europe/Moscow", "schedule", {})
    await account.poll(record(1))
    assert await outcomes(account) == ["running", "applied"]


async def test_a_later_poll_that_failed_supersedes_no_other(account: PolledAccount, polls: Polls) -> None:
    await account.poll(record(1))
    older, older_request = await polls.begin()
    failed = await account.poll_body(b"nonsense")

    older_request.answer(record(1, state="freeze"))

    assert failed.outcome == "failed"
    assert (await older).outcome == "applied"
    assert await state(account) == "freeze"


async def test_polls_that_end_in_the_order_in_which_they_began_are_both_applied(
    account: PolledAccount, polls: Polls
) -> None:
    older, older_request = await polls.begin()
    newer, newer_request = await polls.begin()

    older_request.answer(record(1), record(2))
    assert (await older).created == 2
    assert await outcomes(account) == ["applied", "running"]
    newer_request.answer(record(1, state="freeze"), record(2), record(3))

    result = await newer
    assert (result.outcome, result.created, result.changed, result.unchanged) == ("applied", 1, 1, 1)


async def test_a_change_is_dated_when_the_response_arrives_and_its_window_begins_at_an_earlier_request(
    account: PolledAccount, polls: Polls
) -> None:
    await account.poll_at(T0, record(1))
    for hours, new_state in ((1, "freeze"), (3, "active")):
        await account.set_clock(T0 + hours * HOUR)
        task, request = await polls.begin()
        await account.set_clock(T0 + (hours + 1) * HOUR)
        request.answer(record(1, state=new_state))
        await task

    assert await account.rows(
        "select state, valid_from, valid_to, changed_after from syncer.state_period order by valid_from"
    ) == [
        ("active", T0 + MICROSECOND, T0 + 2 * HOUR, None),
        ("freeze", T0 + 2 * HOUR, T0 + 4 * HOUR, T0),
        ("active", T0 + 4 * HOUR, None, T0 + HOUR),
    ]


async def test_many_concurrent_polls_leave_one_open_state_per_number_and_the_newest_response(
    account: PolledAccount, polls: Polls
) -> None:
    started = [await polls.begin() for _ in range(6)]
    for position, (_, request) in enumerate(started):
        request.answer(record(1, comment=str(position)), record(2, state=f"state {position}"))

    results = await asyncio.gather(*(task for task, _ in started))

    assert {result.outcome for result in results} <= {"applied", "superseded"}
    assert results[-1].outcome == "applied"
    assert await account.row("select comment from syncer.virtual_number where virtual_number_id = 1") == ("5",)


async def test_a_backend_terminated_during_the_transaction_fails_the_poll_and_leaves_the_data_untouched(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1), record(2))
    async with lock_table_in_another_session(database, "virtual_number") as wait_for_blocked_backends:
        task = asyncio.create_task(account.poll(record(1, state="freeze"), record(2)))
        (backend,) = await wait_for_blocked_backends()
        await account.sql.execute("select pg_terminate_backend($1)", backend)
        result = await task

    assert (result.outcome, result.error_kind) == ("failed", "database")
    assert await account.rows("select state, valid_to from syncer.state_period") == [("active", None)] * 2
    assert await outcomes(account) == ["applied", "failed"]
    assert (await account.poll(record(1, state="freeze"), record(2))).state_changes == 1


async def test_a_commit_whose_acknowledgement_is_lost_is_reported_as_committed(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, account.through(proxy) as behind_proxy:
        assert (await behind_proxy.poll(record(1))).outcome == "unchanged"
        proxy.intercept(b"insert into syncer.virtual_number_history", b"COMMIT", then="drop the response")
        result = await behind_proxy.poll(record(1, state="freeze"))

    assert proxy.intercepted.is_set()
    assert (result.outcome, result.changed, result.state_changes, result.error) == ("applied", 1, 1, None)
    assert await outcomes(account) == ["applied", "unchanged", "applied"]
    assert await state(account) == "freeze"


async def test_a_run_that_was_marked_failed_and_then_succeeds_has_no_error(account: PolledAccount) -> None:
    """PostgreSQL may commit a transaction that its client has given up, after the run was marked as failed."""
    run = await runs.begin(account.engine, account.account.name, "Europe/Moscow", "schedule", {})
    assert await runs.mark_failed(
        account.engine, run, ResponseTimeoutError("given up", http_status=203, response_bytes=7)
    )
    query = "select outcome, error_kind, error, http_status, response_bytes from syncer.sync_run"
    assert await account.row(query) == ("failed", "timeout", "given up", 203, 7)

    async with runs.fence(account.engine, run) as fence:
        meta = ResponseMeta(200, 2, NOTHING_DECLARED)
        parsed = parse_response(b"[]", Fingerprints(), None)
        await runs.mark_succeeded(fence, meta, PollTotals(is_unchanged=False), parsed, uuid4())

    assert await account.row(query) == ("applied", None, None, 200, 2)


async def test_a_poll_leaves_no_session_settings_on_its_connection(account: PolledAccount) -> None:
    # Except `jit`: asyncpg turns it off while it looks up a type, and then sets it to its value in the transaction.
    session_settings = text("select name, setting from pg_settings where source = 'session' and name <> 'jit'")
    await account.poll(record(1))
    await account.poll(record(1, state="freeze"))
    await account.poll(record(1, state="freeze"))

    async with account.engine.connect() as one, account.engine.connect() as other:
        assert [(await connection.execute(session_settings)).all() for connection in (one, other)] == [[], []]


async def test_a_cancelled_poll_rolls_back(account: PolledAccount, database: str) -> None:
    await account.poll(record(1))
    async with lock_table_in_another_session(database, "virtual_number") as wait_for_blocked_backends:
        task = asyncio.create_task(account.poll(record(1, state="freeze")))
        await wait_for_blocked_backends()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await state(account) == "active"
    assert (await account.poll(record(1))).outcome == "unchanged"
    assert await outcomes(account) == ["applied", "abandoned", "unchanged"]


async def test_timeouts_release_the_fence_of_a_process_that_hangs(account: PolledAccount) -> None:
    await account.poll(record(1))
    run = await runs.begin(account.engine, account.account.name, "Europe/Moscow", "schedule", {})
    async with runs.fence(account.engine, run) as fence:
        timeouts = await fence.connection.fetchrow(
            "select current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), "
            "current_setting('transaction_timeout', true)"
        )
    assert timeouts is not None
    knows_transaction_timeout = account.sql.get_server_version().major >= 17
    assert tuple(timeouts) == ("20s", "1min", "5min" if knows_transaction_timeout else None)
    assert (await account.poll(record(1))).outcome == "unchanged"
