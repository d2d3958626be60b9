"""A dump is restored under the process that sends notices, or before it starts: no id comes with two contents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.crash.test_notices_killed import (
    STEPS,
    account,
    begin,
    cursors_are_made,
    is_everything_sent,
    poll_and_notify,
    receiver,
    start_daemon,
    syncer,
)
from tests.integration.test_restore import dump, restore
from tests.notice_judge import ONE_CHANNEL, judge
from tests.receiver import Receiver
from tests.service.processes import wait_until
from tests.service.scenarios import folder, run_concurrently, scenario_results

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Program

__all__ = ["account", "folder", "receiver", "scenario_results", "syncer"]


async def poll_and_send(emulator: Emulator, sql: asyncpg.Connection, step: int) -> None:
    """Has the daemon poll these numbers and send what is due."""
    # Not the newest run of all: one that has begun already may be the one that finds them.
    newest = await sql.fetchval("select max(run_id) from syncer.sync_run where outcome = 'applied'")
    emulator.fault = faults.Body(body=json.dumps(STEPS[step]))
    applied = "select exists (select from syncer.sync_run where outcome = 'applied' and run_id > $1)"
    await wait_until(lambda: sql.fetchval(applied, newest))
    await wait_until(lambda: is_everything_sent(sql))


@run_concurrently
async def test_a_daemon_under_which_a_dump_is_restored_sends_what_its_polls_find_again_under_new_ids(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    emulator.fault = faults.Body(body=json.dumps(STEPS[0]))
    async with Receiver() as receiver:
        daemon = await start_daemon(syncer, receiver.url)
        assert await cursors_are_made(sql) == {1: 1}
        await poll_and_send(emulator, sql, 1)
        await dump(database, syncer.folder / "dump")
        before = await sql.fetchval("select max(run_id) from syncer.sync_run where outcome = 'applied'")
        await poll_and_send(emulator, sql, 2)
        arrived = len(receiver.requests)
        assert (await judge(sql, receiver.requests, {1: 1})).faults == {}

        # The endpoint fails while the dump is restored, so that no poll finds again what it has listed before.
        emulator.fault = faults.Status(status=500)
        await daemon.wait_for_event("poll_finished", outcome="failed")
        await restore(database, syncer.folder / "dump")
        await poll_and_send(emulator, sql, 3)
        assert (await daemon.stop()).code == 0

        after_restore = receiver.requests[arrived:]
        assert (await judge(sql, after_restore, {1: before})).faults == {}
        assert {one.id for one in after_restore}.isdisjoint({one.id for one in receiver.requests[:arrived]})
        assert len({one.id for one in receiver.requests}) == arrived + 3


async def test_a_message_that_waited_when_the_dump_was_made_is_sent_again_with_the_same_id_and_bytes(
    account: PolledAccount,
    syncer: Program,
    emulator: Emulator,
    receiver: Receiver,
    sql: asyncpg.Connection,
    database: str,
) -> None:
    file = await begin(account, syncer, receiver)
    receiver.answers = [500]
    assert (await syncer.run("notify", notify_file=file)).code == 1
    await dump(database, syncer.folder / "dump")
    await sql.execute("update syncer.notice set due_at = made_at")
    await poll_and_notify(emulator, syncer, file, STEPS[2])
    await poll_and_notify(emulator, syncer, file, STEPS[2])
    assert (await judge(sql, receiver.requests, {1: 1}, rules=ONE_CHANNEL)).faults == {}

    await restore(database, syncer.folder / "dump")
    restored_at = len(receiver.requests)
    await sql.execute("update syncer.notice set due_at = made_at")
    assert (await syncer.run("notify", notify_file=file)).code == 0
    await poll_and_notify(emulator, syncer, file, STEPS[3])

    repeated, later = receiver.requests[restored_at : restored_at + 2], receiver.requests[restored_at + 2 :]
    earlier = {one.id: one.body for one in receiver.requests[:restored_at]}
    assert [earlier[one.id] for one in repeated] == [one.body for one in repeated]
    assert earlier.keys().isdisjoint({one.id for one in later})
    verdict = await judge(sql, receiver.requests[restored_at:], {1: 1}, rules=ONE_CHANNEL)
    assert (verdict.faults, verdict.messages) == ({}, 4)


async def test_cursors_that_the_dump_does_not_have_begin_where_the_restored_account_is(
    account: PolledAccount,
    syncer: Program,
    emulator: Emulator,
    receiver: Receiver,
    sql: asyncpg.Connection,
    database: str,
) -> None:
    await account.poll(*STEPS[0])
    await account.poll(*STEPS[1])
    await dump(database, syncer.folder / "dump")
    file = await begin(account, syncer, receiver)
    await poll_and_notify(emulator, syncer, file, STEPS[2])
    assert receiver.requests != []
    receiver.requests.clear()

    await restore(database, syncer.folder / "dump")
    assert (await syncer.run("notify", notify_file=file)).result == (0, "nothing to send\n")
    assert receiver.requests == []
    await poll_and_notify(emulator, syncer, file, STEPS[3])

    verdict = await judge(sql, receiver.requests, {1: 2}, rules=ONE_CHANNEL)
    assert (verdict.faults, verdict.messages) == ({}, 2)
