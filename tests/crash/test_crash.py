"""A process that dies at any instant leaves the database as before its poll or as after it, never between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.builders import BlockingEndpoint, PolledAccount, record, redirect
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NUMBERS = 3000
RANDOM_KILLS: Final = int(os.environ.get("SYNCER_RANDOM_KILLS") or 6)
LONGEST: Final = {"its start": 1.6, "the answer": 0.6}
"""Seconds from there until the program has ended for certain, and a kill comes too late."""
DATA_TABLES = (
    "virtual_number",
    "virtual_number_history",
    "state_history",
    "virtual_number_redirect",
    "record_fingerprint",
)

# Where the process is killed: what its statements hold by then, and whether the server has acted on the last of them.
APPLY = (b"for no key update",)  # the response is another than the one that stands: the decision is written
INSTANTS = {
    "before its run is written": ((b"insert into syncer.sync_run",), "hold the request"),
    "after its run is written": ((b"insert into syncer.sync_run", b"command"), "hold the response"),
    "before the fence": ((b"for no key update",), "hold the request"),
    "under the fence": (APPLY, "hold the response"),
    "before anything is written": ((*APPLY, b"enable_seqscan"), "hold the request"),
    "in the COPY of new numbers": ((*APPLY, b'COPY "syncer"."virtual_number"'), "hold the response"),
    "after superseded versions were kept": (
        (*APPLY, b"insert into syncer.virtual_number_history"),
        "hold the response",
    ),
    "after versions were replaced": ((*APPLY, b"update syncer.virtual_number n"), "hold the response"),
    "after states were closed": ((*APPLY, b"update syncer.state_history"), "hold the response"),
    "in the COPY of new states": ((*APPLY, b'COPY "syncer"."state_history"'), "hold the response"),
    "after its outcome was written": ((*APPLY, b"set outcome = $5"), "hold the response"),
    "before the commit": ((*APPLY, b"enable_seqscan", b"COMMIT"), "hold the request"),
    "after the commit": ((*APPLY, b"enable_seqscan", b"COMMIT"), "hold the response"),
}
COMMITTED = {"after the commit"}


def before() -> list[dict[str, Any]]:
    return [
        record(key, from_redirect_numbers=[redirect(key + 10_000, f"7495{key:07}")]) for key in range(1, NUMBERS + 1)
    ]


def after() -> list[dict[str, Any]]:
    """A third changed its state, a third its comment, some are gone, some are new, some have another redirect."""
    changed = before()[100:]
    for position, fields in enumerate(changed):
        match position % 4:
            case 0:
                fields["state"], fields["reason"] = "debt_lock", "долг"
            case 1:
                fields["comment"] = "changed"
            case 2:
                fields["from_redirect_numbers"] = []
    return [*changed, *(record(key) for key in range(NUMBERS + 1, NUMBERS + 101))]


async def fingerprint(account: PolledAccount) -> list[tuple[Any, ...]]:
    return [
        await account.row(f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from syncer.{table} t")  # noqa: S608 - names from a constant
        for table in DATA_TABLES
    ]


@pytest.fixture
async def endpoint() -> AsyncIterator[BlockingEndpoint]:
    async with BlockingEndpoint() as running:
        yield running


CURRENT = """
select virtual_number_id, state, reason, comment,
       (select string_agg(redirect_number_id || ' ' || number, ',' order by redirect_number_id)
          from syncer.virtual_number_redirect r
         where (r.account_id, r.virtual_number_id) = (n.account_id, n.virtual_number_id) and valid_to is null)
  from syncer.virtual_number n where removed_at is null order by 1
"""


def listed(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What `CURRENT` returns once these records are recorded."""
    return [
        (
            *(fields[key] for key in ("id", "state", "reason", "comment")),
            ",".join(f"{one['id']} {one['number']}" for one in fields["from_redirect_numbers"]) or None,
        )
        for fields in sorted(records, key=lambda fields: int(fields["id"]))
    ]


async def start_sync(database: str, endpoint: BlockingEndpoint, folder: Path) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"],
        "SYNCER_DATABASE_URL": database,
        "SYNCER_API_URL": endpoint.url,
        "SYNCER_API_TOKEN": "token",
        "SYNCER_MIGRATE_ON_START": "false",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncer", "sync", "--json", cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )


async def answer_one(endpoint: BlockingEndpoint, records: list[dict[str, Any]]) -> None:
    (await endpoint.received.get()).answer(*records)


async def answer_all(endpoint: BlockingEndpoint) -> None:
    while True:
        await answer_one(endpoint, after())


@pytest.mark.parametrize("instant", INSTANTS)
async def test_a_process_killed_at_any_instant_leaves_all_as_before_or_as_after(
    instant: str, account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    words, then = INSTANTS[instant]
    await account.poll(*before())
    as_before = await fingerprint(account)
    answering = asyncio.create_task(answer_all(endpoint))
    async with Proxy(database) as proxy:
        proxy.intercept(*words, then=then)  # type: ignore[arg-type] # a literal, from the table above
        process = await start_sync(proxy.url, endpoint, tmp_path)
        async with asyncio.timeout(60):
            await proxy.intercepted.wait()
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    answering.cancel()

    assert await account.broken_invariants() == []
    if instant in COMMITTED:
        assert await fingerprint(account) != as_before
    else:
        assert await fingerprint(account) == as_before

    account.restart()
    result = await account.poll(*after())

    assert result.outcome == ("unchanged" if instant in COMMITTED else "applied")
    assert result.received == NUMBERS
    assert await account.broken_invariants() == []
    expected = sorted((fields["id"], fields["state"], fields["comment"]) for fields in after())
    assert expected == await account.rows(
        "select virtual_number_id, state, comment from syncer.virtual_number where removed_at is null order by 1"
    )
    running = await account.rows("select outcome from syncer.sync_run where outcome = 'running'")
    assert running == []


async def test_a_process_killed_while_it_waits_for_the_endpoint_leaves_a_run_that_the_next_one_calls_abandoned(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    await account.poll(*before())
    as_before = await fingerprint(account)
    process = await start_sync(database, endpoint, tmp_path)
    await endpoint.received.get()
    process.kill()
    await process.wait()

    assert await fingerprint(account) == as_before
    await account.poll(*before())
    assert [row[0] for row in await account.rows("select outcome from syncer.sync_run order by run_id")] == [
        "applied",
        "abandoned",
        "unchanged",
    ]


async def test_a_process_that_is_frozen_past_anothers_commit_finds_itself_superseded(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    await account.poll(*before())
    process = await start_sync(database, endpoint, tmp_path)
    request = await endpoint.received.get()
    process.send_signal(signal.SIGSTOP)
    request.answer(*before())
    newer = await account.poll(*after())
    as_after = await fingerprint(account)
    process.send_signal(signal.SIGCONT)
    output, _ = await process.communicate()

    assert newer.outcome == "applied"
    result = json.loads(output)
    assert (result["outcome"], process.returncode) == ("superseded", 0)
    assert await fingerprint(account) == as_after
    assert await account.broken_invariants() == []


@pytest.mark.timeout(60 + 10 * RANDOM_KILLS)
async def test_a_process_killed_at_moments_that_nobody_chose_leaves_all_as_before_or_as_after(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    """`SYNCER_RANDOM_KILLS=500 pytest -s -k nobody_chose` kills more often and tells how the polls had ended."""
    random = Random(RANDOM_KILLS)  # noqa: S311 - no secret
    stands, comes = before(), after()
    await account.poll(*stands)
    ended: Counter[str] = Counter()
    for kill in range(RANDOM_KILLS):
        as_before = await fingerprint(account)
        since = random.choice(list(LONGEST))
        process = await start_sync(database, endpoint, tmp_path)
        answering = asyncio.create_task(answer_one(endpoint, comes))
        if since == "the answer":
            await answering
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, LONGEST[since])):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        answering.cancel()

        assert await account.broken_invariants() == [], f"kill {kill}"
        outcome = await account.row("select outcome from syncer.sync_run order by run_id desc limit 1")
        if await fingerprint(account) == as_before:
            ended[f"as before, killed since {since}"] += 1
        else:
            assert await account.rows(CURRENT) == listed(comes), f"kill {kill}"
            assert outcome == ("applied",)
            ended[f"as after, killed since {since}"] += 1
            stands, comes = comes, stands
    sys.stdout.write(f"{RANDOM_KILLS} kills: {dict(ended)}\n")

    result = await account.poll(*comes)
    assert (result.outcome, result.received) == ("applied", NUMBERS)
    assert await account.rows(CURRENT) == listed(comes)
    assert await account.broken_invariants() == []
