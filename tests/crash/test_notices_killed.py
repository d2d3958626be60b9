"""Whatever happens to the process that sends notices, each event arrives once by the message's id, and in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from aiohttp import web
from pydantic import SecretStr

from syncer.emulator import REALISTIC, Emulator, faults
from syncer.store.notice_cursors import CursorKey, add_cursors
from tests.builders import PolledAccount, broken_invariants, record, redirect, settings_for
from tests.notice_judge import ONE_CHANNEL, judge, notify_file
from tests.proxy import Proxy
from tests.receiver import Receiver
from tests.service.processes import TOKEN, wait_until
from tests.service.scenarios import folder, program, run_concurrently, scenario_results

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from syncer.store.engine import Engine
    from tests.notice_judge import Verdict
    from tests.service.processes import Process, Program

__all__ = ["folder", "scenario_results"]

RANDOM_KILLS: Final = int(os.environ.get("SYNCER_RANDOM_KILLS") or 3)
INSERT, LEASE, SETTLE = b"insert into syncer.notice\n", b"attempts = attempts + 1", b"set outcome = $3"
ACCEPTED = b"sent"  # the outcome, among the values of the statement


class Instant(NamedTuple):
    """When the process is killed.

    Attributes:
        server: Whose proxy waits for the instant.
        patterns: What the process has sent to the server by then.
        then: Whether the server has executed the last of it.
        may_have_arrived: Whether the one that goes on has to assume that the message has arrived.
    """

    server: str
    patterns: tuple[bytes, ...]
    then: Any
    may_have_arrived: bool = False


INSTANTS = {
    "before it looks for cursors": Instant("database", (b"from syncer.notice_cursor where",), "hold the request"),
    "before the notice is inserted": Instant("database", (INSERT,), "hold the request"),
    "planned, not committed": Instant("database", (INSERT, b"COMMIT"), "hold the request"),
    "planned": Instant("database", (INSERT, b"COMMIT"), "hold the response"),
    "claimed, not committed": Instant("database", (LEASE, b"COMMIT"), "hold the request"),
    "claimed": Instant("database", (LEASE, b"COMMIT"), "hold the response", may_have_arrived=True),
    "before it is sent": Instant("receiver", (b"webhook-id",), "hold the request", may_have_arrived=True),
    "before the answer arrives": Instant("receiver", (b"webhook-id",), "hold the response", may_have_arrived=True),
    "answered": Instant("database", (SETTLE,), "hold the request", may_have_arrived=True),
    "settled": Instant("database", (SETTLE, ACCEPTED), "hold the response"),
}


def numbers(**of_some: Any) -> list[dict[str, Any]]:
    """Returns thirty numbers, of which ten have these fields."""
    return [record(id_, **(of_some if id_ % 3 == 0 else {})) for id_ in range(1, 31)]


STEPS = (
    numbers(),
    [*numbers(state="debt_lock", reason="debt")[2:], record(40, state="freeze")],
    numbers(comment="new", from_redirect_numbers=[redirect(7, "79000000001")], employee_id=3),
    numbers(state="freeze"),
)
"""What an account lists, one after another; each step has events of many kinds."""


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    created = program(folder, database, emulator.url)
    yield created
    await created.kill_all()


@pytest.fixture
async def account(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[PolledAccount]:
    """The account of these processes in this one, to prepare quickly what they find."""
    async with PolledAccount(engine, emulator, sql, settings_for(emulator, api_token=SecretStr(TOKEN))) as polled:
        yield polled


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def end_leases(sql: asyncpg.Connection, holder: str = "") -> None:
    """Lets the time of a lease pass, for all attempts or for those of one process."""
    await sql.execute(
        "update syncer.notice set lease_until = syncer.clock() - interval '1 ms' "
        "where position($1 in lease_holder) > 0 and outcome = 'waiting'",
        holder,
    )


async def outcomes(sql: asyncpg.Connection) -> set[str]:
    return set(await sql.fetchval("select array_agg(outcome) from syncer.notice"))


async def begin(account: PolledAccount, syncer: Program, receiver: Receiver) -> str:
    """Polls for the first time, makes the cursors, polls what has events, and returns the notify file."""
    file = syncer.write("notify.toml", notify_file(receiver.url, rules=ONE_CHANNEL))
    await account.poll(*STEPS[0])
    cursors = [CursorKey(1, rule, "duty") for rule in ONE_CHANNEL]
    await add_cursors(account.engine, cursors, retire_others=False)
    await account.poll(*STEPS[1])
    return file


async def poll_and_notify(emulator: Emulator, syncer: Program, file: str, step: list[dict[str, Any]]) -> None:
    """Polls these numbers and sends what is due, as somebody does who polls by cron."""
    emulator.fault = faults.Body(body=json.dumps(step))
    assert (await syncer.run("sync", notify_file=file, removal_confirmations="1")).code == 0


@pytest.mark.parametrize("instant", INSTANTS)
async def test_whatever_a_killed_process_was_doing_another_one_goes_on_and_each_event_arrives_once(
    instant: str,
    account: PolledAccount,
    syncer: Program,
    emulator: Emulator,
    database: str,
    receiver: Receiver,
    sql: asyncpg.Connection,
) -> None:
    server, patterns, then, may_have_arrived = INSTANTS[instant]
    file = await begin(account, syncer, receiver)
    async with Proxy(database) as before_database, Proxy(receiver.url) as before_receiver:
        proxy = before_database if server == "database" else before_receiver
        proxy.intercept(*patterns, then=then)
        through_proxies = syncer.write("proxied.toml", notify_file(before_receiver.url, rules=ONE_CHANNEL))
        killed = await syncer.start("notify", notify_file=through_proxies, database_url=before_database.url)
        async with asyncio.timeout(30):
            await proxy.intercepted.wait()
        await killed.kill()
    await end_leases(sql)

    assert (await syncer.run("notify", notify_file=file)).code == 0
    assert await sql.fetchval("select bool_or(may_have_arrived) from syncer.notice") == may_have_arrived
    await poll_and_notify(emulator, syncer, file, STEPS[2])

    verdict = await judge(sql, receiver.requests, {1: 1}, rules=ONE_CHANNEL)
    assert verdict.faults == {}
    assert verdict.messages == 4  # two cursors, two steps
    assert verdict.arrivals == (5 if instant in {"before the answer arrives", "answered"} else 4)
    assert await outcomes(sql) == {"sent"}


async def test_a_settlement_that_is_executed_after_its_process_was_killed_is_no_second_message(
    account: PolledAccount, syncer: Program, emulator: Emulator, receiver: Receiver, sql: asyncpg.Connection
) -> None:
    file = await begin(account, syncer, receiver)
    receiver.answers = [None]
    killed = await syncer.start("notify", notify_file=file)
    await wait_until(lambda: receiver.requests)
    async with sql.transaction():
        await sql.execute("select from syncer.notice for update")
        receiver.release()
        await wait_until(lambda: is_blocked(sql, SETTLE))
        await killed.kill()
    await end_leases(sql)

    assert (await syncer.run("notify", notify_file=file)).code == 0
    await poll_and_notify(emulator, syncer, file, STEPS[2])

    verdict = await judge(sql, receiver.requests, {1: 1}, rules=ONE_CHANNEL)
    assert (verdict.faults, verdict.messages, verdict.arrivals) == ({}, 4, 4)
    assert await outcomes(sql) == {"sent"}


async def is_blocked(sql: asyncpg.Connection, statement: bytes) -> bool:
    """Whether a statement waits for a lock of this connection."""
    await sql.execute("select pg_stat_clear_snapshot()")
    found = await sql.fetchval(
        "select exists (select from pg_stat_activity "
        "where pg_backend_pid() = any(pg_blocking_pids(pid)) and position($1 in query) > 0)",
        statement.decode(),
    )
    return bool(found)


async def start_daemon(syncer: Program, url: str, database: str | None = None) -> Process:
    """Starts a daemon that sends notices, and waits until its cursors are made."""
    file = syncer.write("notify.toml", notify_file(url))
    settings = {"database_url": database} if database else {}
    return await syncer.start("run", notify_file=file, poll_interval="1s", removal_confirmations="1", **settings)


async def cursors_are_made(sql: asyncpg.Connection, accounts: int = 1) -> dict[int, int]:
    """Waits until all accounts were polled and have their cursors; returns where these begin."""
    await wait_until(
        lambda: sql.fetchval(
            "select count(applied_run_id) = $1 and (select count(*) from syncer.notice_cursor) = $1 * 3 "
            "from syncer.account_fence",
            accounts,
        )
    )
    rows = await sql.fetch("select account_id, min(run_id) from syncer.sync_run where outcome = 'applied' group by 1")
    return dict(map(tuple, rows))


async def is_everything_sent(sql: asyncpg.Connection) -> bool:
    """Whether every run and every condition is in a notice, or needs none, and no notice waits.

    Of the rules of `notify_file`, only "everything" is about conditions. A condition that ends while its beginning
    waits to be sent is in no notice until that was sent.
    """
    found = await sql.fetchval(
        "select not exists (select from syncer.notice where outcome = 'waiting') and not exists ("
        "select from syncer.notice_cursor c join syncer.account_fence using (account_id) "
        "where c.run_id is distinct from applied_run_id) and not exists ("
        "select from syncer.notice_cursor c join syncer.account_condition k using (account_id) "
        "where c.rule = 'everything' and (k.condition_id > c.condition_id "
        "or k.ended_at is not null and k.condition_id = any(c.open_condition_ids)))"
    )
    return bool(found)


async def lose_answer(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str, *patterns: bytes
) -> Verdict:
    """Closes the connection to the database instead of answering a statement; returns the judge's verdict."""
    emulator.fault = faults.Body(body=json.dumps(STEPS[0]))
    async with Receiver() as receiver, Proxy(database) as proxy:
        daemon = await start_daemon(syncer, receiver.url, proxy.url)
        beginnings = await cursors_are_made(sql)
        proxy.intercept(*patterns, then="drop the response")
        emulator.fault = faults.Body(body=json.dumps(STEPS[1]))
        async with asyncio.timeout(30):
            await proxy.intercepted.wait()
        await asyncio.sleep(0.3)  # until it has noticed
        await end_leases(sql)
        emulator.fault = faults.Body(body=json.dumps(STEPS[2]))
        await wait_until(lambda: sql.fetchval("select count(*) = 3 from syncer.sync_run where outcome = 'applied'"))
        await wait_until(lambda: is_everything_sent(sql))
        finished = await daemon.stop()
        assert finished.code == 0
        assert "crashed" not in finished.err
        assert await outcomes(sql) == {"sent"}
        return await judge(sql, receiver.requests, beginnings)


@run_concurrently
async def test_a_daemon_goes_on_if_it_does_not_learn_that_its_notice_is_stored(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    verdict = await lose_answer(syncer, emulator, sql, database, INSERT, b"COMMIT")
    assert verdict.faults == {}
    assert verdict.arrivals == verdict.messages


@run_concurrently
async def test_a_daemon_goes_on_if_it_does_not_learn_that_it_may_send_a_message(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    verdict = await lose_answer(syncer, emulator, sql, database, LEASE, b"COMMIT")
    assert verdict.faults == {}
    assert verdict.arrivals == verdict.messages


@run_concurrently
async def test_a_daemon_goes_on_if_it_does_not_learn_that_its_message_is_settled(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection, database: str
) -> None:
    verdict = await lose_answer(syncer, emulator, sql, database, SETTLE, ACCEPTED)
    assert verdict.faults == {}
    assert verdict.arrivals == verdict.messages


@run_concurrently
async def test_a_daemon_that_is_suspended_for_longer_than_its_lease_settles_nothing_of_what_another_one_has_sent(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.fault = faults.Body(body=json.dumps(STEPS[0]))
    async with Receiver() as receiver:
        daemon = await start_daemon(syncer, receiver.url)
        beginnings = await cursors_are_made(sql)
        receiver.answers = [None, None]  # both channels
        emulator.fault = faults.Body(body=json.dumps(STEPS[1]))
        await wait_until(lambda: len(receiver.requests) == 2)
        daemon.send(signal.SIGSTOP)
        await end_leases(sql)
        held = {received.id for received in receiver.requests}

        other = await syncer.run("notify", notify_file=str(syncer.folder / "notify.toml"))
        assert other.code == 0
        settled = await sql.fetch("select notice_id, finished_at, outcome from syncer.notice order by 1")
        receiver.release()
        daemon.send(signal.SIGCONT)
        emulator.fault = faults.Body(body=json.dumps(STEPS[2]))
        await wait_until(lambda: sql.fetchval("select count(*) = 3 from syncer.sync_run where outcome = 'applied'"))
        await wait_until(lambda: is_everything_sent(sql))
        finished = await daemon.stop()

        verdict = await judge(sql, receiver.requests, beginnings)
        assert (verdict.faults, verdict.arrivals - verdict.messages) == ({}, 2)
        assert {one.id for one in receiver.requests[2:]} >= held
        assert settled == await sql.fetch(
            "select notice_id, finished_at, outcome from syncer.notice where notice_id <= $1 order by 1",
            settled[-1]["notice_id"],
        )
        assert await outcomes(sql) == {"sent"}
        events = [json.loads(line) for line in finished.err.splitlines() if line.startswith("{")]
        of_notices = [one["event"] for one in events if one["event"].startswith("noti")]
        assert of_notices == ["notice_sent"] * (verdict.messages - 3)


class UnreliableReceiver(Receiver):
    """A receiver that fails three times in ten: it takes nothing, or takes a message and says something else."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.is_reliable = False

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        fault = (
            None
            if self.is_reliable or self._random.random() > 0.3
            else self._random.choice(["refuse", "500", "close", "hang"])
        )
        assert request.transport is not None
        if fault == "refuse":
            request.transport.abort()
            return web.Response()
        self.answer = 500 if fault == "500" else 200
        response = await super()._receive(request)
        if fault in {"close", "hang"}:
            await asyncio.sleep(0 if fault == "close" else 2)
            request.transport.abort()
        return response


RATES: Final = replace(
    REALISTIC,
    deactivations=0.03,
    reactivations=0.2,
    comment_edits=0.02,
    redirect_changes=0.02,
    reassignments=0.01,
    arrivals=0.01,
    removals=0.01,
    returns=0.2,
)
CONDITION_RATE: Final = 0.05
NAMES: Final = ("first", "second", "third")


@pytest.mark.timeout(90 + 10 * RANDOM_KILLS)
async def test_two_daemons_killed_or_suspended_at_random_times_send_each_event_once_to_a_receiver_that_fails_often(
    syncer: Program, database: str, sql: asyncpg.Connection
) -> None:
    """`SYNCER_RANDOM_KILLS=150 pytest -s -k random_times` kills and suspends often, and prints what was found."""
    random = Random(RANDOM_KILLS)  # noqa: S311 - no secret
    async with Emulator(numbers=60, seed=1, rates=RATES) as emulator, UnreliableReceiver(random) as receiver:
        file = syncer.write("notify.toml", notify_file(receiver.url))
        settings = syncer.accounts(*NAMES) | {"api_url": emulator.url, "notify_file": file, "poll_interval": "1s"}
        settings["removal_confirmations"] = "1"
        daemons = [await syncer.start("run", **settings) for _ in range(2)]
        beginnings = await cursors_are_made(sql, len(NAMES))
        changing = asyncio.create_task(change_often(emulator, random))
        for kill in range(RANDOM_KILLS):
            await asyncio.sleep(random.uniform(1, 4))
            daemon = daemons[0]
            if kill % 3 == 2:
                daemon.send(signal.SIGSTOP)
                await end_leases(sql, f":{daemon.pid}:")
                await asyncio.sleep(random.uniform(1, 4))
                daemon.send(signal.SIGCONT)
            else:
                await daemon.kill()
                await end_leases(sql, f":{daemon.pid}:")
                daemons = [daemons[1], await syncer.start("run", **settings)]
        await asyncio.sleep(2)
        changing.cancel()
        ended = [await daemon.stop() for daemon in daemons]
        receiver.is_reliable = True
        emulator.fault = None
        await syncer.run("sync", **settings)  # ends what was refused and rejected
        assert (await syncer.run("notify", **settings)).code == 0
        while not await is_everything_sent(sql):
            await sql.execute(
                "update syncer.notice set due_at = made_at, lease_until = made_at where outcome = 'waiting'"
            )
            assert (await syncer.run("notify", **settings)).code == 0

        verdict = await judge(sql, receiver.requests, beginnings)
        sys.stdout.write(f"{RANDOM_KILLS} kills, {emulator.steps} steps: {verdict}\n")
        sys.stdout.write(f"{await sql.fetchval(SUMMARY)}\n")
        assert verdict.faults == {}
        assert [one.code for one in ended] == [0, 0]
        assert "crashed" not in "".join(one.err for one in ended)
        assert await outcomes(sql) == {"sent"}
        assert await broken_invariants(database) == []


SUMMARY: Final = """
select jsonb_build_object('notices', count(*), 'attempts', sum(attempts), 'most attempts', max(attempts),
                          'may have arrived', count(*) filter (where may_have_arrived),
                          'applied runs', (select count(*) from syncer.sync_run where outcome = 'applied'))
  from syncer.notice
"""


async def change_often(emulator: Emulator, random: Random) -> None:
    """Changes numbers, and refuses tokens or garbles records now and then."""
    while True:
        await asyncio.sleep(random.uniform(0.5, 2))
        emulator.step()
        token = f"{random.choice(NAMES)}-token"
        if random.random() < CONDITION_RATE:
            emulator.queue(
                *random.choice(
                    (
                        (faults.Status(status=403, token=token, requests=1),),
                        (faults.BrokenRecords(token=token, requests=20),),
                    )
                )
            )
